"""The documents name what there is."""

from pathlib import Path

import pytest

from labctl.cli.app import COMMANDS
from labctl.scenario.catalog import own_scenarios

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


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
