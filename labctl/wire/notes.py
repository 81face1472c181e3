"""Notes beside a capture: what no pcapng has a place for, kept as `trace.json` next to `trace.pcapng`.

    {"version": 1, "notes": {"name": "tcp-demo", "frames": 31, "first_ns": …, "marks": […], "calls": […], "shaped": […], …}}

Calls are kept as strace told them, addresses and all: they are tied to frames anew when they are read. `labctl trace --out x.json` holds
the same notes beside the packets, so either file will do.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from labctl.wire.capture import Capture
from labctl.wire.cut import Cut
from labctl.wire.describe import call_arguments
from labctl.wire.dialogue import dialogues_of
from labctl.wire.ladder import Mark
from labctl.wire.model import Call, Trace
from labctl.wire.shaped import Shaped, amend
from labctl.wire.tie import tie

VERSION = 1
LONGEST = 1 << 63  # no number of a trace is larger


@dataclass(frozen=True)
class Notes:
    """What was noted while a capture was made.

    Args:
        name: of the lab or the scenario.
        summary: what came of it, in a line.
        ready_ns: when the lab was ready; 0 where that is not known.
        frames: how many frames the capture has.
        first_ns: when its first frame crossed; 0 where it has none.
        marks: the steps, with their verdicts.
        calls: as they were read from strace, not tied yet.
        shaped: what shapers dropped, held and changed.
        faults: (host, what was broken there when the notes were taken).
        cuts: when which hosts were cut off from which.
    """

    name: str = ""
    summary: str = ""
    ready_ns: int = 0
    frames: int = 0
    first_ns: int = 0
    marks: tuple[Mark, ...] = ()
    calls: tuple[Call, ...] = ()
    shaped: tuple[Shaped, ...] = ()
    faults: tuple[tuple[str, str], ...] = ()
    cuts: tuple[Cut, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.ready_ns or self.marks or self.calls or self.shaped or self.faults or self.cuts)

    def belong_to(self, capture: Capture) -> bool:
        """Tell whether they were taken beside this capture; one that was cut off since is still the same."""
        first = capture.frames[0].time_ns if capture.frames else self.first_ns
        return first == self.first_ns and len(capture.frames) <= self.frames


class NotesError(ValueError):
    """The octets are no notes, or damaged; says where."""


def apply_notes(trace: Trace, notes: Notes) -> list[Call]:
    """Put calls and what shapers did into a trace; return the calls that were tied, in the order of the notes."""
    trace.shaped = list(notes.shaped)
    amend(trace)
    calls = [replace(call) for call in notes.calls]
    if calls:
        tie(trace, calls)
    return calls


def without_secrets(trace: Trace, calls: Sequence[Call], tied: Sequence[Call]) -> tuple[Call, ...]:
    """Return calls without the octets of those that hold a password; `tied` are the same calls, tied to the frames of `trace`."""
    dialogues = dialogues_of(trace)
    return tuple(
        replace(call, text=call_arguments(call, True), octets=b"") if dialogues.hides(known) else call
        for call, known in zip(calls, tied, strict=True)
    )


def notes_facts(notes: Notes) -> dict[str, Any]:
    """Return notes as plain values, octets as hexadecimal text."""
    return {
        "name": notes.name,
        "summary": notes.summary,
        "ready_ns": notes.ready_ns,
        "frames": notes.frames,
        "first_ns": notes.first_ns,
        "marks": [_plain(mark, _MARK) for mark in notes.marks],
        "calls": [_plain(call, _CALL) for call in notes.calls],
        "shaped": [_plain(item, _SHAPED) for item in notes.shaped],
        "faults": [{"host": host, "told": told} for host, told in notes.faults],
        "cuts": [_plain(item, _CUT) for item in notes.cuts],
    }


def write_notes(notes: Notes) -> bytes:
    """Return the file that keeps notes."""
    return json.dumps({"version": VERSION, "notes": notes_facts(notes)}, ensure_ascii=False).encode()


def read_notes(octets: bytes) -> Notes:
    """Return the notes of a file.

    Raises:
        NotesError: it is no JSON, of a newer version, holds no notes, or something in them is missing or of the wrong kind.
    """
    try:
        data = json.loads(octets.decode())
    except (ValueError, RecursionError) as error:
        raise NotesError(f"it is no JSON: {error}") from error
    if not isinstance(data, dict) or not isinstance(data.get("notes"), dict):
        raise NotesError("it holds no notes")
    if data.get("version") != VERSION:
        raise NotesError(f"its version is {data.get('version')!r}, and {VERSION} is read here")
    said = data["notes"]
    return Notes(
        _text(said, "name"),
        _text(said, "summary"),
        _whole(said, "ready_ns"),
        _whole(said, "frames"),
        _whole(said, "first_ns"),
        tuple(Mark(**values) for values in _several(said, "marks", _MARK)),
        tuple(Call(**values) for values in _several(said, "calls", _CALL)),
        tuple(Shaped(**values) for values in _several(said, "shaped", _SHAPED)),
        tuple((item["host"], item["told"]) for item in _several(said, "faults", _FAULT)),
        tuple(Cut(**values) for values in _several({"cuts": [], **said}, "cuts", _CUT)),  # older notes have none
    )


def _several(data: Mapping[str, Any], key: str, forms: Mapping[str, "Form"]) -> Iterable[dict[str, Any]]:
    items = data.get(key)
    if not isinstance(items, list):
        raise NotesError(f"`{key}` is no list")
    for number, item in enumerate(items):
        if not isinstance(item, dict):
            raise NotesError(f"`{key}[{number}]` is no object")
        try:
            yield {name: form(item, name) for name, form in forms.items()}
        except NotesError as error:
            raise NotesError(f"`{key}[{number}]`: {error}") from error


def _plain(item: object, forms: Mapping[str, "Form"]) -> dict[str, Any]:
    values = {name: getattr(item, name) for name in forms}
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()}


Form = Callable[[Mapping[str, Any], str], Any]  # takes one value out of an object, or raises `NotesError`


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str) or any(
        "\ud800" <= char <= "\udfff" for char in value
    ):  # JSON may hold what is no character
        raise NotesError(f"`{key}` is no text")
    return value


def _texts(data: Mapping[str, Any], key: str) -> tuple[str, ...]:
    values = data.get(key, [])  # older notes have none
    if not isinstance(values, list):
        raise NotesError(f"`{key}` is no list")
    return tuple(_text({key: value}, key) for value in values)


def _whole(data: Mapping[str, Any], key: str) -> int:
    value = data.get(key)
    if type(value) is not int or not -LONGEST < value < LONGEST:
        raise NotesError(f"`{key}` is no whole number")
    return value


def _whole_or_none(data: Mapping[str, Any], key: str) -> int | None:
    return None if data.get(key) is None else _whole(data, key)


def _seconds(data: Mapping[str, Any], key: str) -> float | None:
    value = data.get(key)
    if value is None:
        return None
    if type(value) not in (int, float) or not math.isfinite(value) or not 0 <= value < 1e9:
        raise NotesError(f"`{key}` is no time span")
    return float(value)


def _verdict(data: Mapping[str, Any], key: str) -> bool | None:
    value = data.get(key)
    if value not in (True, False, None) or type(value) is int:
        raise NotesError(f"`{key}` is no verdict")
    return value


def _octets(data: Mapping[str, Any], key: str) -> bytes:
    try:
        return bytes.fromhex(_text(data, key))
    except ValueError as error:
        raise NotesError(f"`{key}` is no hexadecimal text") from error


_MARK: dict[str, Form] = {"time_ns": _whole, "text": _text, "passed": _verdict, "step": _whole, "notes": _texts}
_SHAPED: dict[str, Form] = {"seen_ns": _whole, "sent_ns": _whole, "verdict": _text, "rule": _text, "head": _octets}
_FAULT: dict[str, Form] = {"host": _text, "told": _text}
_CUT: dict[str, Form] = {
    "host": _text, "addresses": _texts, "other": _text, "sources": _texts, "since_ns": _whole, "until_ns": _whole,
}  # fmt: skip
_CALL: dict[str, Form] = {
    "host": _text, "process": _whole, "program": _text, "time_ns": _whole, "seconds": _seconds, "name": _text,
    "descriptor": _whole_or_none, "result": _whole_or_none, "error": _text, "text": _text, "local": _text, "peer": _text,
    "transport": _text, "octets": _octets,
}  # fmt: skip
