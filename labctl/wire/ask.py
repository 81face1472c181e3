"""Ask the wire from Python: `wire.tcp("client", "tcp-server:12345").closes_first("tcp-server")`.

What does not hold raises `AssertionError`, with its evidence. The words and the rules are those of scenario files (`expect.py`).
"""

from dataclasses import dataclass
from typing import Any

from labctl.wire.expect import Count, Expectation, Verdict, judge
from labctl.wire.ladder import lay_out
from labctl.wire.model import Trace
from labctl.wire.terminal import TextLadder

WIDTH = 110  # columns of the ladder in a failure


@dataclass(frozen=True)
class Wire:
    """A trace that answers questions.

    Args:
        since_ns: conversations that began before are not asked about, such as labctl's own while a lab comes up.
    """

    trace: Trace
    since_ns: int = 0

    def tcp(self, source: str = "", target: str = "") -> "Talk":
        """Return the TCP connections between two ends, each `host`, `host:port` or `:port`."""
        return Talk(self.trace, source, target, "TCP", self.since_ns)

    def udp(self, source: str = "", target: str = "") -> "Talk":
        """Return the UDP conversations between two ends."""
        return Talk(self.trace, source, target, "UDP", self.since_ns)


@dataclass(frozen=True)
class Talk:
    """What two ends said to each other; every method raises `AssertionError` where it does not hold, and returns itself where it does."""

    trace: Trace
    source: str
    target: str
    transport: str
    since_ns: int = 0

    def opens(self) -> "Talk":
        """The source opens a connection."""
        return self.check("handshake")

    def sends(self, text: str = "", by: str = "") -> "Talk":
        """An end (the source, where none is named) sends octets, with a text in them."""
        return self.check("data", by=by, contains=text or ())

    def closes_first(self, host: str) -> "Talk":
        """An end closes first, and the connection is closed in order."""
        return self.check("close", by=host)

    def resets(self, host: str = "", times: int | None = None) -> "Talk":
        """An end sends a RST."""
        return self.check("reset", by=host, count=_exactly(times))

    def is_refused(self) -> "Talk":
        """Nobody listens there."""
        return self.check("refused")

    def retransmits(self, host: str = "", times: int | None = None) -> "Talk":
        """An end sends something again."""
        return self.check("retransmission", by=host, count=_exactly(times))

    def never_retransmits(self, host: str = "") -> "Talk":
        """Nothing is sent twice."""
        return self.check("no_retransmission", by=host)

    def reaches(self, state: str, host: str = "") -> "Talk":
        """An end reaches a TCP state, such as `TIME-WAIT`."""
        return self.check("state", by=host, state=state)

    def carries(self, octets: int, by: str = "") -> "Talk":
        """An end sends so many octets."""
        return self.check("octets", by=by, count=_exactly(octets))

    def takes(self, *, at_most: float, at_least: float = 0.0) -> "Talk":
        """It lasts so many seconds."""
        return self.check("duration", count=Count(at_least, at_most))

    def check(self, what: str, by: str = "", **more: Any) -> "Talk":
        """Hold any word of the vocabulary against the trace."""
        near, far = (self.source, self.target)
        if by and by != near:  # the other end does it
            near, far = by, self.source if by in (self.target, self.target.rpartition(":")[0]) else self.target
        verdict = judge(Expectation(what, near, far, transport=self.transport, **more), self.trace, self.since_ns)
        if not verdict.met:
            raise AssertionError(evidence(verdict, self.trace))
        return self


def evidence(verdict: Verdict, trace: Trace) -> str:
    """Return why an expectation is not met, with the ladder of the conversations that its frames are in."""
    numbers = {trace.of.get(frame, 0) for frame in verdict.frames} - {0}
    if not numbers:
        return str(verdict)
    ladder = lay_out(trace, conversations=numbers)
    return "\n".join([str(verdict), *TextLadder(WIDTH, colour=False).draw(ladder)])


def _exactly(count: int | None) -> Count | None:
    return None if count is None else Count(count, count)
