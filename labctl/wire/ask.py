"""Ask the wire from Python: `wire.tcp("client", "tcp-server:12345").closes_first("tcp-server")`.

What does not hold raises `AssertionError`, with its evidence. The words and the rules are those of scenario files (`expect.py`).
"""

from dataclasses import dataclass, field
from typing import Any

from labctl.wire.evidence import evidence
from labctl.wire.expect import Count, Expectation, expectation_of, judge
from labctl.wire.model import Trace
from labctl.wire.terminal import TextLadder

WIDTH = 110  # columns of the ladder in a failure


@dataclass(frozen=True)
class Wire:
    """A trace that answers questions.

    Args:
        since_ns: conversations that began before are not asked about, such as labctl's own while a lab comes up.
    """

    trace: Trace = field(repr=False)  # all packets would stand in it
    since_ns: int = 0

    def tcp(self, source: str = "", target: str = "") -> "Talk":
        """Return the TCP connections between two ends, each `host`, `host:port` or `:port`."""
        return Talk(self.trace, source, target, "TCP", self.since_ns)

    def udp(self, source: str = "", target: str = "") -> "Talk":
        """Return the UDP conversations between two ends."""
        return Talk(self.trace, source, target, "UDP", self.since_ns)

    def check(self, what: str, source: str = "", target: str = "", **more: Any) -> "Wire":
        """Hold any word of the vocabulary against the trace, such as `check("packets", kind="ARP", count={"least": 2})`.

        Its particulars are called as in scenario files (`expectation_of`).
        """
        told = {"source": source, "target": target} | more
        hold(expectation_of(what, **told), self.trace, self.since_ns)
        return self


@dataclass(frozen=True)
class Talk:
    """What two ends said to each other; every method raises `AssertionError` where it does not hold, and returns itself where it does."""

    trace: Trace = field(repr=False)  # all packets would stand in it
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

    def says(
        self, text: str = "", by: str = "", *, equals: str = "", matches: str = "", times: int | None = None
    ) -> "Talk":
        """An end says a line of its protocol, with a text in it, of these words, or that matches a regular expression."""
        return self.check("line", by=by, contains=text or (), equals=equals, matches=matches, count=_exactly(times))

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

    def retransmits_fast(self, host: str = "", times: int | None = None) -> "Talk":
        """An end sends something again because ACKs showed a gap."""
        return self.check("fast_retransmission", by=host, count=_exactly(times))

    def never_retransmits(self, host: str = "") -> "Talk":
        """Nothing is sent twice."""
        return self.check("no_retransmission", by=host)

    def closes_window(self, host: str = "") -> "Talk":
        """An end says that it can take nothing more."""
        return self.check("zero_window", by=host)

    def keeps_alive(self, host: str = "", times: int | None = None) -> "Talk":
        """An end asks over an idle connection whether the other one is there."""
        return self.check("keep_alive", by=host, count=_exactly(times))

    def turns(self, times: int, by: str = "") -> "Talk":
        """An end asks and is answered so often; TCP's handshake is one."""
        return self.check("round_trips", by=by, count=_exactly(times))

    def is_unreachable(self) -> "Talk":
        """ICMP says that what was sent could not be delivered."""
        return self.check("unreachable")

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
        hold(expectation_of(what, source=near, target=far, transport=self.transport, **more), self.trace, self.since_ns)
        return self


def hold(expectation: Expectation, trace: Trace, since_ns: int) -> None:
    """Raise AssertionError, with the evidence, where a trace does not show what is expected."""
    verdict = judge(expectation, trace, since_ns)
    if not verdict.met:
        ladder = evidence(verdict, trace)
        drawn = TextLadder(WIDTH, colour=False).draw(ladder) if ladder else ()
        raise AssertionError("\n".join([str(verdict), *drawn]))


def _exactly(count: int | None) -> Count | None:
    return None if count is None else Count(count, count)
