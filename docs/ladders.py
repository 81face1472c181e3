"""Draw every scenario's ladder for the documents: `.venv/bin/python docs/ladders.py [SCENARIO …]`, and write docs/ladders.md.

The pictures are of real runs, which must pass: they never show what the programs do not do. `--page` writes the page alone.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from labctl.commands.pictures import Choice, write_picture  # noqa: E402
from labctl.commands.prepare import load  # noqa: E402
from labctl.commands.run import words  # noqa: E402
from labctl.commands.trace import CAPTURE, Seen, see_file  # noqa: E402
from labctl.commands.wire import expectation_of, wire_of  # noqa: E402
from labctl.scenario.catalog import own_scenarios  # noqa: E402
from labctl.scenario.schema import Scenario  # noqa: E402

FOLDER = ROOT / "docs" / "ladders"
PAGE = ROOT / "docs" / "ladders.md"
ROWS = 64  # of a picture: what a reader scrolls through
SECRETS = (  # what differs from run to run and means nothing: dates, and the passwords that a lab makes for itself
    (re.compile(r"modify=\d+"), "modify=…"),
    (re.compile(r"(PASS|LOGIN &(?:quot|#34);\S+&(?:quot|#34);) [^\s\\]{6,}"), r"\1 …"),
    (re.compile(r"(Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, \w+ \d+, \d{4}[^&…\\]*"), "the date "),
    (re.compile(r"\b(OK \d+) 1[789]\d{8}\b"), r"\1 …"),
)
HEAD = """# Ladders

What crosses the wire in each scenario: one picture of a real run each, drawn by `.venv/bin/python docs/ladders.py`. Time runs down;
on the left are a frame's number and its time in milliseconds, beside the lanes the states of TCP's two ends (RFC 9293), on the right
what there is to say of it. Long stretches are counted rather than drawn; `labctl run NAME --trace` shows everything.
[The wire](wire.md) explains the words of the expectations.
"""


def main(argv: list[str]) -> None:
    """Play each scenario, keep its picture, and write the page."""
    for entry in own_scenarios():
        if entry.name in argv or not argv:
            draw(entry.name)
    PAGE.write_text(page(), encoding="utf-8")


def draw(name: str) -> None:
    """Play a scenario and keep its picture."""
    with tempfile.TemporaryDirectory() as report:
        argv = [sys.executable, "-m", "labctl", "run", name, "--lab", f"ladder-{name}", "--report", report]
        subprocess.run(argv, cwd=ROOT, check=True)
        keep(replace(see_file(Path(report) / CAPTURE), name=name), name)


def keep(seen: Seen, name: str) -> None:
    """Write the picture of a scenario, without what differs from run to run and means nothing."""
    path = FOLDER / f"{name}.svg"
    write_picture(seen, path, Choice(most=ROWS))
    text = path.read_text(encoding="utf-8")
    for pattern, instead in SECRETS:
        text = pattern.sub(instead, text)
    path.write_text(text, encoding="utf-8")


def page() -> str:
    """Return the page, from the scenarios alone."""
    return HEAD + "".join(f"\n{part}\n" for entry in own_scenarios() for part in section(load(entry)))


def section(scenario: Scenario) -> Iterator[str]:
    """Yield the paragraphs about a scenario."""
    name = scenario.scenario
    yield f"## {name}"
    yield f"{scenario.title}."
    expected = list(looked_for(scenario))
    if expected:
        yield "What to look for:\n\n" + "\n".join(expected)
    yield f"![The ladder of {name}: {scenario.title}](ladders/{name}.svg)"
    if scenario.questions:
        yield "\n".join(f"- *{item.ask}* {item.answer[0].upper()}{item.answer[1:]}." for item in scenario.questions)


def looked_for(scenario: Scenario) -> Iterator[str]:
    """Yield a line for each step with what the packets must show."""
    for number, step in enumerate(scenario.steps, 1):
        if wire_of(step):
            yield f"- Step {number}. {words(step)} {_told(wire_of(step))}"
    if scenario.wire:
        yield f"- In all: {_told(scenario.wire)}"


def _told(items: tuple) -> str:  # type: ignore[type-arg]
    return ", ".join(f"`{str(expectation_of(item)).replace(chr(96), '')}`" for item in items)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8") if sys.argv[1:] == ["--page"] else main(sys.argv[1:])
