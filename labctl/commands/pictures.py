"""A picture of what was seen, in the form that a file's suffix asks for."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from labctl.commands.trace import Seen
from labctl.errors import UsageError
from labctl.paths import page_file
from labctl.wire.facts import trace_facts
from labctl.wire.html import draw_html
from labctl.wire.ladder import Ladder, lay_out
from labctl.wire.mermaid import draw_mermaid
from labctl.wire.svg import draw_svg
from labctl.wire.terminal import TextLadder
from labctl.wire.write import write_pcapng

TEXT_WIDTH = 120  # columns of a ladder in a file


@dataclass(frozen=True)
class Choice:
    """Which part of a trace is shown.

    Args:
        conversation: only this one; None for all.
        everything: also what was before the lab was ready, and the network's housekeeping.
    """

    conversation: int | None = None
    everything: bool = False


def ladder_of(seen: Seen, choice: Choice) -> Ladder:
    """Return the ladder that is to be drawn.

    Raises:
        UsageError: there is no such conversation.
    """
    only = None
    if choice.conversation is not None:
        if seen.trace.conversation(choice.conversation) is None:
            raise UsageError(
                f"there is no conversation {choice.conversation}",
                where=seen.name,
                hint=f"they are numbered from 1 to {len(seen.trace.conversations)}",
            )
        only = [choice.conversation]
    since = 0 if choice.everything or only else seen.ready_ns
    return lay_out(seen.trace, marks=seen.marks, since_ns=since, conversations=only, everything=choice.everything)


def _html(seen: Seen, choice: Choice) -> bytes:
    page = draw_html(
        seen.trace, ladder_of(seen, choice), page_file().read_text(encoding="utf-8"), seen.name, seen.summary
    )
    return page.encode()


FORMS: dict[str, Callable[[Seen, Choice], bytes]] = {
    ".pcapng": lambda seen, _: write_pcapng(seen.capture),
    ".svg": lambda seen, choice: draw_svg(ladder_of(seen, choice), seen.name).encode(),
    ".html": _html,
    ".mmd": lambda seen, choice: draw_mermaid(ladder_of(seen, choice)).encode(),
    ".md": lambda seen, choice: f"```mermaid\n{draw_mermaid(ladder_of(seen, choice))}```\n".encode(),
    ".txt": lambda seen, choice: (
        "\n".join(TextLadder(TEXT_WIDTH, colour=False).draw(ladder_of(seen, choice))) + "\n"
    ).encode(),
    ".json": lambda seen, _: json.dumps(
        {"version": 1, **trace_facts(seen.trace, seen.marks)}, ensure_ascii=False
    ).encode(),
}


def check_form(path: Path) -> None:
    """Refuse a file whose suffix names no form, before anything else is done.

    Raises:
        UsageError: there is no such form.
    """
    if path.suffix not in FORMS:
        raise UsageError(
            f"`{path.name}` names no form of a trace", where="--out", hint=f"the suffixes are {', '.join(FORMS)}"
        )


def write_picture(seen: Seen, path: Path, choice: Choice) -> None:
    """Write a picture into a file.

    Raises:
        UsageError: the suffix names no form, or the file cannot be written.
    """
    check_form(path)
    octets = FORMS[path.suffix](seen, choice)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(octets)
    except OSError as error:
        raise UsageError(f"it cannot be written: {error.strerror}", where=str(path)) from error
