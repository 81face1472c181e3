"""Which scenarios there are, told without reading them whole: `ls` and completion must answer at once."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from labctl.errors import UsageError
from labctl.paths import lab_root, scenario_folder
from labctl.words import nearest

_TITLE = re.compile(r"^title:\s*(.+?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """A scenario that can be named: its file and the Compose file that its hosts are in."""

    name: str
    path: Path
    compose_file: Path

    @property
    def title(self) -> str:
        """The line after `title:`, unread otherwise."""
        match = _TITLE.search(self.path.read_text(encoding="utf-8", errors="replace"))
        return match[1].strip("\"'") if match else ""


def own_scenarios() -> Iterator[Entry]:
    """Yield the scenarios that labctl brings, by name."""
    for path in sorted(scenario_folder().glob("*.yaml")):
        yield Entry(path.stem, path, lab_root() / "compose.yaml")


def find_scenario(word: str) -> Entry:
    """Return the scenario of that name, or at that path; a file of the user's may bring its own `compose.yaml` beside it.

    Raises:
        UsageError: there is none; the known ones are listed.
    """
    path = Path(word)
    if path.suffix in (".yaml", ".yml") or "/" in word:
        if not path.is_file():
            raise UsageError(
                f"there is no scenario file `{word}`", hint="`labctl ls` lists the scenarios that labctl brings"
            )
        beside = path.resolve().parent / "compose.yaml"
        return Entry(path.stem, path, beside if beside.is_file() else lab_root() / "compose.yaml")
    known = {entry.name: entry for entry in own_scenarios()}
    if word not in known:
        raise UsageError(
            f"there is no scenario `{word}`{nearest(word, known)}",
            hint="`labctl ls` lists them; a file of your own is named by its path, such as ./my.yaml",
        )
    return known[word]
