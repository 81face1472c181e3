"""The documents name what there is."""

import subprocess
import sys
from pathlib import Path

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
    import re

    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_the_readme_begins_with_the_two_commands():
    assert README.index("bin/labctl run tcp-demo") < README.index("bin/test") < 700


class TestProtocols:
    """docs/protocols.md is made of the table that the clients read, and the table names what compose.yaml has."""

    def test_the_page_is_what_the_table_makes(self):
        made = subprocess.run(
            [sys.executable, "-c", "import runpy; print(runpy.run_path('docs/protocols.py')['page'](), end='')"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert (ROOT / "docs" / "protocols.md").read_text() == made.stdout, "run docs/protocols.py"

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
