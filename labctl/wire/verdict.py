"""What is expected of the wire, and what came of it, as values."""

from collections.abc import Sequence
from dataclasses import dataclass, field

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
        if self.most is None:
            return f"at least {self.least:g}"
        return f"{self.least:g}" if self.least == self.most else f"{self.least:g} to {self.most:g}"


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
        count: how many, where the word counts; octets of payload for `octets`, seconds for `duration`.
        state: a TCP state that an end must reach, or keep.
        call: name of a system call.
        error: errno's name that it must return.
        before, after: another expectation whose evidence must come later, or earlier.
        transport: TCP or UDP, where only that is meant.
    """

    what: str
    source: str = ""
    target: str = ""
    contains: Words = ()
    lacks: Words = ()
    count: Count | None = None
    state: str = ""
    call: str = ""
    error: str = ""
    before: "Expectation | None" = None
    after: "Expectation | None" = None
    transport: str = ""

    def __str__(self) -> str:
        ends = " ".join(
            part for part in (self.source and f"from {self.source}", self.target and f"to {self.target}") if part
        )
        said = [self.call or self.what.replace("_", " "), ends]
        said += [f"with {text!r}" for text in several(self.contains)]
        if self.count is not None and self.what != "no_retransmission":
            said.append(f"({self.count})")
        said += [self.error, self.state]
        if self.before:
            said.append(f"before {self.before}")
        if self.after:
            said.append(f"after {self.after}")
        return " ".join(part for part in said if part)


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
        frames = f" (frame{'s' if len(self.frames) > 1 else ''} {numbers(self.frames)})" if self.frames else ""
        return f"{self.expectation}: {self.said}{frames}"


def several(words: Words) -> tuple[str, ...]:
    """Return one text or many as many."""
    return (words,) if isinstance(words, str) else words


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
