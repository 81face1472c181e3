"""The documents name what there is."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from labctl.cli.app import COMMANDS
from labctl.scenario.catalog import own_scenarios
from services.client.__main__ import TOPICS
from services.client.topics import PROTOCOLS, modules

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SERVICES = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_readme_names_every_command(name):
    assert f"`{name}" in README


@pytest.mark.parametrize("entry", list(own_scenarios()), ids=lambda entry: entry.name)
def test_the_readme_lists_every_scenario_with_its_title(entry):
    assert f"| `{entry.name}` | {entry.title} |" in README


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.name
)
def test_links_lead_to_files(path):
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_the_readme_begins_with_the_two_commands():
    assert README.index("bin/labctl run tcp-demo") < README.index("bin/test") < 700


def page_of(script):
    """Return the page that a script of docs/ makes, with nothing of this process in it."""
    code = f"import runpy; print(runpy.run_path('docs/{script}.py')['page'](), end='')"
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout


class TestProtocols:
    """docs/protocols.md is made of the table that the clients read, and the table names what compose.yaml has."""

    def test_the_page_is_what_the_table_makes(self):
        assert (ROOT / "docs" / "protocols.md").read_text() == page_of("protocols"), "run docs/protocols.py"

    def test_every_port_of_every_server_has_its_row(self):
        rows = {(host, port) for row in PROTOCOLS for host in row.host.split(", ") for port in row.ports}
        for name, service in SERVICES.items():
            for port in service.get("expose", ()):
                assert (name, port) in rows, f"{name} {port}"

    @pytest.mark.parametrize("row", PROTOCOLS, ids=lambda row: row.name)
    def test_hosts_and_scenarios_of_a_row_belong_together(self, row):
        for host in set(row.host.split(", ")) & set(SERVICES):
            assert set(row.scenario.split(", ")) & set(SERVICES[host]["profiles"]), host

    @pytest.mark.parametrize("topic", sorted({topic for topic in TOPICS if modules(topic)}))
    def test_a_client_tells_the_modules_of_its_topic(self, topic):
        done = subprocess.run(
            [sys.executable, "-m", "services.client", topic, "--help"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert modules(topic) in done.stdout


class TestLadders:
    """docs/ladders.md is what docs/ladders.py writes, and every scenario has its picture."""

    FOLDER = ROOT / "docs" / "ladders"

    def test_the_page_is_what_the_scenarios_make(self):
        assert (ROOT / "docs" / "ladders.md").read_text() == page_of("ladders"), "run docs/ladders.py --page"

    def test_no_picture_is_of_a_scenario_that_is_gone(self):
        assert {path.stem for path in self.FOLDER.glob("*.svg")} == {entry.name for entry in own_scenarios()}

    @pytest.mark.parametrize("entry", list(own_scenarios()), ids=lambda entry: entry.name)
    def test_a_picture_is_of_the_scenario_as_it_is(self, entry):
        """All steps are in it, passed; it has names for who cannot see it, is small, and holds no date and no path."""
        text = (self.FOLDER / f"{entry.name}.svg").read_text()
        root = ElementTree.fromstring(text)
        names = [item.get("aria-label") for item in root.iter("{http://www.w3.org/2000/svg}g")]
        steps = yaml.safe_load(entry.path.read_text())["steps"]
        for number, step in enumerate(steps, 1):
            told = f"{number}. {step['say']}, passed" if "say" in step else None
            assert told in names or not told, f"run docs/ladders.py {entry.name}"
        assert sum(name.endswith(", passed") for name in names) == len(steps)
        assert len(text) < 60_000
        assert not re.search(r"/(home|root|work|tmp/\w+/)|modify=\d|PASS \w{8}|\w+day, \w+ \d+, \d{4}", text)
