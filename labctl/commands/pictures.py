"""A picture of what was seen, in the form that a file's suffix asks for."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labctl.commands.trace import Seen, check_conversation, notes_file
from labctl.errors import UsageError
from labctl.paths import page_file
from labctl.wire.deep import deep_facts
from labctl.wire.facts import trace_facts
from labctl.wire.fold import fold
from labctl.wire.html import draw_html
from labctl.wire.ladder import Ladder, lay_out
from labctl.wire.mermaid import draw_mermaid
from labctl.wire.notes import VERSION, notes_facts, write_notes
from labctl.wire.svg import draw_svg
from labctl.wire.terminal import TextLadder
from labctl.wire.write import write_pcapng

TEXT_WIDTH = 120  # columns of a ladder in a file
SVG_ROWS = 1000  # a taller picture is one that viewers refuse
MERMAID_ROWS = 200  # Mermaid draws texts of up to 50,000 characters


@dataclass(frozen=True)
class Choice:
    """Which part of a trace is shown.

    Args:
        conversation: only this one; None for all.
        everything: also what was before the lab was ready, and the network's housekeeping.
        most: rows of a picture, about; the page and the capture hold everything.
    """

    conversation: int | None = None
    everything: bool = False
    most: int | None = None


def ladder_of(seen: Seen, choice: Choice) -> Ladder:
    """Return the ladder that is to be drawn.

    Raises:
        UsageError: there is no such conversation.
    """
    only = None
    if choice.conversation is not None:
        check_conversation(seen, choice.conversation)
        only = [choice.conversation]
    since = 0 if choice.everything or only else seen.ready_ns
    return lay_out(seen.trace, marks=seen.marks, since_ns=since, conversations=only, everything=choice.everything)


def picture_of(seen: Seen, choice: Choice, most: int | None = None) -> Ladder:
    """Return the ladder with as many rows as are asked for; as `most` where nothing is."""
    limit, ladder = choice.most or most, ladder_of(seen, choice)
    return fold(ladder, limit) if limit else ladder


def seen_facts(seen: Seen) -> dict[str, Any]:
    """Return all that a trace holds as plain values, with what tshark says of it where it was asked."""
    deep = {"deep": deep_facts(seen.fields)} if seen.fields else {}
    return {**trace_facts(seen.trace, seen.marks), **deep}


def _html(seen: Seen, choice: Choice) -> bytes:
    page = draw_html(
        seen.trace,
        ladder_of(seen, choice),
        page_file().read_text(encoding="utf-8"),
        seen.name,
        seen.summary,
        deep_facts(seen.fields),
    )
    return page.encode()


FORMS: dict[str, Callable[[Seen, Choice], bytes]] = {
    ".pcapng": lambda seen, _: write_pcapng(seen.capture),
    ".svg": lambda seen, choice: draw_svg(picture_of(seen, choice, SVG_ROWS), seen.name).encode(),
    ".html": _html,
    ".mmd": lambda seen, choice: draw_mermaid(picture_of(seen, choice, MERMAID_ROWS)).encode(),
    ".md": lambda seen, choice: f"```mermaid\n{draw_mermaid(picture_of(seen, choice, MERMAID_ROWS))}```\n".encode(),
    ".txt": lambda seen, choice: (
        "\n".join(TextLadder(TEXT_WIDTH, colour=False).draw(picture_of(seen, choice))) + "\n"
    ).encode(),
    ".json": lambda seen, _: json.dumps(
        {"version": VERSION, **seen_facts(seen), "notes": notes_facts(seen.notes)},
        ensure_ascii=False,
    ).encode(),
}
REPORT = (
    "trace.pcapng",
    "trace.html",
    "trace.svg",
    "trace.txt",
)  # the files of a report; the notes come with the capture


def check_form(path: Path) -> None:
    """Refuse a file whose suffix names no form, before anything else is done; what has no suffix is a folder.

    Raises:
        UsageError: there is no such form.
    """
    if path.suffix not in FORMS and not is_folder(path):
        raise UsageError(
            f"`{path.name}` names no form of a trace", where="--out", hint=f"the suffixes are {', '.join(FORMS)}"
        )


def is_folder(path: Path) -> bool:
    """Tell whether all of a report goes into a folder of that name."""
    return path.is_dir() or not path.suffix


def write_picture(seen: Seen, path: Path, choice: Choice) -> list[Path]:
    """Write a picture into a file, or those of a report into a folder; return what was written, with the notes beside a capture.

    Raises:
        UsageError: the suffix names no form, or a file cannot be written, or a file that is no notes stands where they would go.
    """
    check_form(path)
    if is_folder(path):
        return [written for name in REPORT for written in write_picture(seen, path / name, choice)]
    _write(path, FORMS[path.suffix](seen, choice))
    if path.suffix != ".pcapng" or not seen.notes:
        return [path]
    beside = notes_file(path)
    _check_notes(beside)
    _write(beside, write_notes(seen.notes))
    return [path, beside]


def _check_notes(path: Path) -> None:
    """Refuse to write over a file that somebody else put where the notes of a capture go."""
    try:
        known = b'"notes"' in path.read_bytes()
    except OSError:
        return
    if not known:
        raise UsageError(
            "here the notes beside the capture would go, and the file is something else",
            where=str(path),
            hint="move it, or give the capture another name",
        )


def _write(path: Path, octets: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(octets)
    except OSError as error:
        raise UsageError(f"it cannot be written: {error.strerror}", where=str(path)) from error
