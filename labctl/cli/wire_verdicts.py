"""What a played scenario showed on the wire: verdicts, evidence, the ladder; and the trace as files of a report."""

from pathlib import Path

import click

from labctl.cli.trace import print_ladder, speaks_unicode, terminal_width, use_colour
from labctl.cli.verdicts import Verdicts
from labctl.commands.calls import read_calls
from labctl.commands.pictures import Choice, ladder_of, write_picture
from labctl.commands.run import RunResult
from labctl.commands.trace import Seen, see_settled
from labctl.commands.wire import WireVerdict, judge_wire, mark_steps
from labctl.engine.base import Engine
from labctl.wire.evidence import evidence
from labctl.wire.terminal import TextLadder


def look_at_the_wire(engine: Engine, played: RunResult, verdicts: Verdicts, *, draw: bool) -> tuple[RunResult, Seen]:
    """Judge what the steps expect of the wire, print it, and draw the ladder where that is wanted."""
    begin = min((step.began_ns for step in played.steps if step.began_ns), default=0)
    seen = see_settled(engine, played.lab, begin, lambda found: read_calls(engine, found))
    judged, found = judge_wire(played, seen)
    seen = mark_steps(judged, seen)
    if found:
        verdicts.note(click.style("On the wire", bold=True))
        for item in found:
            verdicts.note(_line(item))
            if not item.verdict.met:
                for line in _cut(seen, item):
                    verdicts.note(f"      {line}")
        verdicts.note("")
    for problem in seen.trace.problems:
        verdicts.note(click.style(f"the capture is not whole: {problem}", fg="yellow"))
    if seen.trace.dropped:
        verdicts.note(
            click.style(f"the capture lost {seen.trace.dropped} frames; `--buffer` gives it more room", fg="yellow")
        )
    if draw and not verdicts.silent:
        print_ladder(ladder_of(seen, Choice()))
        verdicts.note("")
    return judged, seen


def _line(item: WireVerdict) -> str:
    verdict = item.verdict
    sign = click.style("✓", fg="green") if verdict.met else click.style("✗", fg="red")
    return f"{item.step or '':2}  {sign} {verdict}"


def _cut(seen: Seen, item: WireVerdict) -> list[str]:
    """Return the part of the ladder that shows why an expectation was not met."""
    ladder = evidence(item.verdict, seen.trace)
    drawing = TextLadder(terminal_width() - 6, colour=use_colour(), ascii_only=not speaks_unicode())
    return list(drawing.draw(ladder)) if ladder else []


def write_trace(folder: Path, seen: Seen) -> None:
    """Write the trace into a report's folder: the capture and the notes beside it, the page, the picture, the text."""
    write_picture(seen, folder, Choice())
