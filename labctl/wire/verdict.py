"""What is expected of the wire, and what came of it, as values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from labctl.wire.describe import duration
from labctl.wire.model import Call

Words = str | tuple[str, ...]


@dataclass(frozen=True)
class Count:
    """How many: exactly, or between two bounds."""

    least: float = 0
    most: float | None = None

    def takes(self, number: float) -> bool:
        """Tell whether a number is meant."""
        return number >= self.least and (self.most is None or number <= self.most)

    def __str__(self) -> str:
        return self.told(_number)

    def told(self, number: Callable[[float], str]) -> str:
        """Return it in words, its numbers said by a function."""
        if self.most is None:
            return f"at least {number(self.least)}"
        if self.least == self.most:
            return number(self.most)
        return f"{number(self.least)} to {number(self.most)}" if self.least else f"at most {number(self.most)}"


def _number(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


AT_LEAST_ONE = Count(1)


@dataclass(frozen=True)
class Expectation:
    """What packets and calls must show.

    Args:
        what: the word: handshake, data, close, reset, …
        source: who does it, `host` or `host:port`; empty for anybody.
        target: to whom.
        contains: text that must be in the octets.
        lacks: text that must not.
        equals: the whole of a line.
        matches: a regular expression that is searched in a line.
        count: how many, where the word counts; octets of payload for `octets`, seconds for `duration`.
        state: a TCP state that an end must reach, or keep.
        call: name of a system call.
        error: errno's name that it must return.
        before, after: another expectation whose evidence must come later, or earlier.
        transport: TCP or UDP, where only that is meant.
        kind: of packets: TCP, UDP, ICMP, ARP or DNS.
    """

    what: str
    source: str = ""
    target: str = ""
    contains: Words = ()
    lacks: Words = ()
    equals: str = ""
    matches: str = ""
    count: Count | None = None
    state: str = ""
    call: str = ""
    error: str = ""
    before: "Expectation | None" = None
    after: "Expectation | None" = None
    transport: str = ""
    kind: str = ""

    def __str__(self) -> str:
        ends = " ".join(
            part for part in (self.source and f"from {self.source}", self.target and f"to {self.target}") if part
        )
        said = [self.kind, self.call or self.what.replace("_", " "), ends]
        said += [f"with {text!r}" for text in several(self.contains)]
        said += [f"without {text!r}" for text in several(self.lacks)]
        said += [
            f"{word} {text!r}" for word, text in (("that is", self.equals), ("that matches", self.matches)) if text
        ]
        if self.count is not None and self.what != "no_retransmission":
            said.append(f"({self.count.told(duration if self.what == 'duration' else _number)})")
        said += [self.error, self.state]
        if self.before:
            said.append(f"before {self.before}")
        if self.after:
            said.append(f"after {self.after}")
        return " ".join(part for part in said if part)


# What a scenario file calls a particular → the field here. `from` and `is` are no names in Python: `from_`, `is_`, or `**{"from": …}`.
_FIELD = {"from": "source", "from_": "source", "first": "source", "on": "source", "to": "target", "name": "call"}
_FIELD |= {"is": "state", "is_": "state"}
SAME = {"retransmissions": "retransmission"}  # two words for one thing


def expectation_of(what: str, **particulars: Any) -> Expectation:
    """Return an expectation from its word and its particulars, called as in scenario files, or as the fields of `Expectation`.

    Args:
        what: the word: handshake, data, close, reset, …
        particulars: `count` may be a number, `{"least": 1, "most": 3}` or a `Count`; `least` and `most` may stand for themselves.

    Raises:
        ValueError: there is no such particular.
    """
    said = {_FIELD.get(name, name): value for name, value in particulars.items()}
    bounds = {name: said.pop(name) for name in ("least", "most") if name in said}
    count = said.get("count", bounds or None)
    if isinstance(count, int | float):
        count = Count(count, count)
    said["count"] = Count(**count) if isinstance(count, Mapping) else count
    known = {field.name for field in fields(Expectation)} - {"what"}
    if unknown := sorted(said.keys() - known):
        names = sorted(known | _FIELD.keys() | {"least", "most"})
        raise ValueError(f"`{unknown[0]}` is no particular of an expectation; known: {', '.join(names)}")
    return Expectation(SAME.get(what, what), **said)


@dataclass(frozen=True)
class Verdict:
    """What came of an expectation.

    Args:
        expectation: what was expected.
        met: whether it was seen.
        said: what was seen instead, or what shows it.
        frames: the evidence.
    """

    expectation: Expectation
    met: bool
    said: str
    frames: tuple[int, ...] = ()
    calls: tuple[Call, ...] = field(default=())

    def __str__(self) -> str:
        return f"{self.expectation}: {self.said}{cited(self.frames)}"


def several(words: Words) -> tuple[str, ...]:
    """Return one text or many as many."""
    return (words,) if isinstance(words, str) else words


def cited(frames: Sequence[int]) -> str:
    """Return frames as a sentence names them at its end; nothing where there are none."""
    return f" (frame{'s' if len(frames) > 1 else ''} {numbers(frames)})" if frames else ""


def numbers(frames: Sequence[int]) -> str:
    """Return frame numbers with runs drawn together: `3–5, 9`."""
    runs: list[list[int]] = []
    for frame in sorted(set(frames)):
        if runs and frame == runs[-1][1] + 1:
            runs[-1][1] = frame
        else:
            runs.append([frame, frame])
    shown = [str(a) if a == b else f"{a}–{b}" if b > a + 1 else f"{a}, {b}" for a, b in runs]
    return ", ".join(shown[:8]) + (" …" if len(shown) > 8 else "")
