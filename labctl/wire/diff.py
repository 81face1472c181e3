"""What differs between two traces of one scenario: conversations held side by side, their segments, events and calls, and when they came.

Conversations are matched by hosts, server port and order, never by the port that a client happened to get or its initial sequence number.
Of a segment counts who sent it, what it carries, where in the stream, and what it meant; ACKs that mean nothing come as they like and are
left out. Times are compared from one matched thing to the next, so that one delay is told once, where it came in.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Literal

from labctl.wire.align import align, pair_up
from labctl.wire.describe import call_text, label, relative_seq
from labctl.wire.dialogue import dialogues_of
from labctl.wire.ladder import is_idle
from labctl.wire.model import FIN, NS, RST, SYN, Conversation, Packet, Side, Trace
from labctl.wire.shaped import NEVER, told
from labctl.wire.strace import WAITS

EPHEMERAL = 32768  # Linux takes a client's ports from here on; so does a server that opens one for the occasion (FTP)
OPENING = {"handshake", "refused", "unanswered", "reset", "unreachable"}  # events by which connections look alike
MARKS = SYN | FIN | RST  # a segment with one of them stands for itself
QUOTED = 24  # octets of a payload
AGAIN = {"EAGAIN", "EINTR", "EINPROGRESS"}

Which = Literal["A", "B", "both"]


@dataclass(frozen=True)
class Tolerance:
    """How far two time spans may lie apart and still count as the same: by either measure.

    Args:
        seconds: so many.
        share: such a part of the longer one.
    """

    seconds: float = 0.02
    share: float = 0.25

    def same(self, one: float, other: float) -> bool:
        """Tell whether two time spans, in seconds, count as the same."""
        return abs(one - other) <= max(self.seconds, self.share * max(abs(one), abs(other)))


@dataclass(frozen=True)
class Difference:
    """One thing that differs.

    Args:
        which: only `A` has it, only `B`, or `both`, but not alike.
        kind: packet, lost (on purpose, by a shaper), call, time, octets, duration.
        text: what it is, or how it differs.
        at_a, at_b: seconds since the conversation began; None where it is not there.
        frame_a, frame_b: numbers of the frames; 0 where there is none.
        octets: payload of a packet.
        group: what it shares with others of its kind, so that a long row of them can be told as one; empty where it stands for itself.
    """

    which: Which
    kind: str
    text: str
    at_a: float | None = None
    at_b: float | None = None
    frame_a: int = 0
    frame_b: int = 0
    octets: int = 0
    group: str = ""


@dataclass(frozen=True)
class Compared:
    """Two conversations side by side; one is missing where only the other trace has such a one.

    Args:
        title: between whom.
        a, b: numbers; 0 where it is missing.
        seconds_a, seconds_b: how long they took.
        differences: in the order of time; of a missing one none.
    """

    title: str
    a: int
    b: int
    seconds_a: float = 0.0
    seconds_b: float = 0.0
    differences: tuple[Difference, ...] = ()

    @property
    def alike(self) -> bool:
        """Whether nothing differs."""
        return bool(self.a and self.b and not self.differences)


@dataclass(frozen=True)
class Diff:
    """What came of a comparison.

    Args:
        compared: all pairs of conversations.
        notes: what could not be compared, and what is amiss with the captures.
        tolerance: of times.
    """

    compared: tuple[Compared, ...]
    notes: tuple[str, ...]
    tolerance: Tolerance = field(default_factory=Tolerance)

    @property
    def differing(self) -> tuple[Compared, ...]:
        """The pairs in which something differs."""
        return tuple(item for item in self.compared if not item.alike)

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.differing


@dataclass(frozen=True, slots=True)
class _Item:
    """Something that happened in a conversation, as it can be compared: equal keys are the same thing."""

    key: tuple[Any, ...]
    at: float
    text: str
    kind: str
    frame: int = 0
    seconds: float | None = None
    what: str = ""
    data: bytes = b""
    octets: int = 0
    group: str = ""


def diff(
    a: Trace, b: Trace, since_a: int = 0, since_b: int = 0, tolerance: Tolerance | None = None, *, everything: bool = False
) -> Diff:  # fmt: skip
    """Return what differs between two traces.

    Args:
        a, b: the traces.
        since_a, since_b: conversations that began before (in nanoseconds) are left out, such as labctl's own while a lab comes up.
        tolerance: of times.
        everything: ARP and ICMP too.
    """
    tolerance = tolerance or Tolerance()
    sides = [_Trace(trace, since, everything) for trace, since in ((a, since_a), (b, since_b))]
    one, other = sides
    with_calls = bool(a.calls and b.calls)
    compared = []
    for at, there in pair_up([one.look(item) for item in one.items], [other.look(item) for item in other.items]):
        mine = None if at is None else one.items[at]
        theirs = None if there is None else other.items[there]
        if mine and theirs:
            found = _compare(one.things(mine, with_calls), other.things(theirs, with_calls), tolerance)
            if not found and not tolerance.same(mine.seconds, theirs.seconds):
                text = f"it took {_ms(mine.seconds)} in A and {_ms(theirs.seconds)} in B"
                found = [Difference("both", "duration", text, mine.seconds, theirs.seconds)]
            compared.append(
                Compared(one.title(mine), mine.number, theirs.number, mine.seconds, theirs.seconds, tuple(found))
            )
        elif mine:
            compared.append(Compared(one.title(mine), mine.number, 0, mine.seconds))
        elif theirs:
            compared.append(Compared(other.title(theirs), 0, theirs.number, 0, theirs.seconds))
    return Diff(tuple(compared), tuple(_notes(a, b)), tolerance)


def _notes(a: Trace, b: Trace) -> Iterable[str]:
    for name, trace, rest in (("A", a, b), ("B", b, a)):
        yield from (f"{name}: {doubt}" for doubt in trace.doubts)
        if trace.calls and not rest.calls:
            yield f"only {name} has socket calls: they are not compared"


class _Trace:
    """One of the two."""

    def __init__(self, trace: Trace, since_ns: int, everything: bool) -> None:
        self.trace = trace
        kinds = ("TCP", "UDP", "IP", "ICMP", "ARP") if everything else ("TCP", "UDP")
        self.items = [
            item for item in trace.conversations if item.kind in kinds and item.packets and item.packets[0].time_ns >= since_ns
        ]  # fmt: skip
        self.dialogues = dialogues_of(trace)  # they hide passwords
        self.strangers: dict[str, str] = {}

    def host(self, side: Side) -> str:
        """Return an end's name; one without a name is the first, second … such, since addresses change from lab to lab."""
        if side.host != side.address:
            return side.host
        return self.strangers.setdefault(side.address, f"host {len(self.strangers) + 1}")

    def look(self, item: Conversation) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Return between whom a conversation is, and how it looks."""
        port = item.answerer.port if (item.answerer.port or 0) < EPHEMERAL else "any"
        name = (item.topic or item.kind, self.host(item.opener), self.host(item.answerer), port)
        return name, (
            item.opener.octets,
            item.answerer.octets,
            *sorted(OPENING.intersection(e.kind for e in item.events)),
        )

    def title(self, item: Conversation) -> str:
        port = f":{item.answerer.port}" if item.answerer.port is not None else ""
        return f"{item.topic or item.kind} {self.host(item.opener)} → {self.host(item.answerer)}{port}"

    def things(self, item: Conversation, with_calls: bool) -> list[list[_Item]]:
        """Return what can be compared, each in its own order: what either end sent, and what either host called."""
        lanes = [self.packets(item, from_opener=True), self.packets(item, from_opener=False)]
        return lanes + ([self.calls(item, self.host(side)) for side in item.sides] if with_calls else [])

    def packets(self, item: Conversation, *, from_opener: bool) -> list[_Item]:
        side, peer = item.sides if from_opener else item.sides[::-1]
        way = f"{self.host(side)} → {self.host(peer)}"
        began = item.packets[0].time_ns
        events: dict[int, list[Any]] = {}
        for event in item.events:
            events.setdefault(event.frame, []).append(event)
        found = []
        for packet in item.packets:
            # What neither end sent, such as a router's ICMP, goes with the answers.
            if (packet.source == item.opener.address and packet.source_port in (item.opener.port, None)) != from_opener:
                continue
            said = events.get(packet.number, [])
            unheard = self.trace.unheard.get(packet.number)
            key = _key(packet, item, (*sorted({event.kind for event in said}), *(["unheard"] if unheard else [])))
            if key is None:
                continue
            what = self.told(packet, item)
            meant = [event.text for event in said] + ([f"dropped where it arrived: {unheard}"] if unheard else [])
            text = "; ".join([f"{way}: {what}", *meant])
            at = (packet.time_ns - began) / NS
            group = (
                "; ".join([way, *(event.kind for event in said), *(["dropped where it arrived"] if unheard else [])])
                if packet.payload and not packet.flags & MARKS
                else ""
            )
            found.append(
                _Item(
                    key,
                    at,
                    text,
                    "packet",
                    packet.number,
                    what=what,
                    data=packet.data,
                    octets=packet.payload,
                    group=group,
                )
            )
        return sorted(found + self.lost(item, side, way), key=lambda one: one.at)

    def lost(self, item: Conversation, side: Side, way: str) -> list[_Item]:
        """Return what a shaper dropped of a conversation."""
        found = []
        for fate in self.trace.shaped:
            if fate.verdict not in NEVER or fate.sent_ns:
                continue
            packet = fate.packet
            ends = {(packet.source, packet.source_port), (packet.target, packet.target_port)}
            if (packet.source, packet.source_port) != (side.address, side.port):
                continue
            if packet.kind != item.kind or ends != {(one.address, one.port) for one in item.sides}:
                continue
            at = (fate.seen_ns - item.packets[0].time_ns) / NS
            key = ("lost", fate.verdict, _key(packet, item, ("lost",)))
            found.append(_Item(key, at, f"{way}: {self.told(packet, item)}: {told(fate)}", "lost"))
        return found

    def told(self, packet: Packet, item: Conversation) -> str:
        """Return a packet in words, with its place in the stream."""
        text = label(packet, item, self.dialogues.text(packet, item), QUOTED)
        return f"{text}, from octet {relative_seq(packet, item)}" if packet.kind == "TCP" and packet.payload else text

    def calls(self, item: Conversation, host: str) -> list[_Item]:
        began = item.packets[0].time_ns
        return [
            _Item(
                ("call", call.name, call.error or ("" if call.result is None else "ok")),
                (call.time_ns - began) / NS,
                f"{host}: {call_text(call, self.dialogues.hides(call))}",
                "call",
                next(iter(call.frames), 0),
                call.seconds,
            )
            for call in self.trace.calls
            if call.conversation == item.number and call.host == host and call.error not in AGAIN
            and call.name not in WAITS and not is_idle(call, ())
        ]  # fmt: skip


def _key(packet: Packet, item: Conversation, kinds: tuple[str, ...]) -> tuple[Any, ...] | None:
    """Return what a packet is; None for an ACK that means nothing."""
    if item.kind != "TCP" or packet.kind != "TCP":
        return (packet.kind, packet.code, packet.payload, kinds)
    flags = packet.flags & MARKS
    if not flags and not packet.payload and not kinds:
        return None
    return ("TCP", flags, relative_seq(packet, item), packet.payload, kinds)


def _compare(one: Sequence[list[_Item]], other: Sequence[list[_Item]], tolerance: Tolerance) -> list[Difference]:
    found: list[Difference] = []
    matched: list[tuple[_Item, _Item]] = []
    for mine, theirs in zip(one, other, strict=True):
        for at, there in align([item.key for item in mine], [item.key for item in theirs]):
            a = None if at is None else mine[at]
            b = None if there is None else theirs[there]
            if a and b:
                matched.append((a, b))
            elif a:
                found.append(_only(a, "A"))
            elif b:
                found.append(_only(b, "B"))
    matched.sort(key=lambda pair: (pair[0].at, pair[1].at))
    before = (0.0, 0.0)
    for a, b in matched:
        if a.kind == "packet":
            gaps = a.at - before[0], b.at - before[1]
            before = a.at, b.at
            if not tolerance.same(*gaps):
                late = gaps[1] - gaps[0]
                text = f"{a.text}: {_ms(abs(late))} {'later' if late > 0 else 'sooner'} in B"
                found.append(Difference("both", "time", text, a.at, b.at, a.frame, b.frame))
            if a.data != b.data:
                text = f"{a.text}: other octets in B: {b.what}"
                found.append(Difference("both", "octets", text, a.at, b.at, a.frame, b.frame))
        elif a.kind == "call" and not _lasted_alike(a, b, tolerance):
            text = f"{a.text} took {_ms(a.seconds)} in A and {_ms(b.seconds)} in B"
            found.append(Difference("both", "call", text, a.at, b.at, a.frame, b.frame))
    return _in_time(found, matched)


def _in_time(found: list[Difference], matched: Sequence[tuple[_Item, _Item]]) -> list[Difference]:
    """Return differences in the order of time; what only B has comes after what both had before it."""
    times = sorted((b.at, a.at) for a, b in matched)
    latest = list(accumulate((at for _, at in times), max))

    def when(item: Difference) -> tuple[float, float]:
        if item.at_a is not None:
            return item.at_a, item.at_b or 0.0
        later = bisect_right(times, (item.at_b or 0.0, float("inf")))
        return latest[later - 1] if later else -1.0, item.at_b or 0.0

    return sorted(found, key=when)


def _only(item: _Item, which: Which) -> Difference:
    if which == "A":
        return Difference("A", item.kind, item.text, item.at, frame_a=item.frame, octets=item.octets, group=item.group)
    return Difference("B", item.kind, item.text, at_b=item.at, frame_b=item.frame, octets=item.octets, group=item.group)


def _lasted_alike(a: _Item, b: _Item, tolerance: Tolerance) -> bool:
    if a.seconds is None or b.seconds is None:
        return a.seconds is b.seconds
    return tolerance.same(a.seconds, b.seconds)


def _ms(seconds: float | None) -> str:
    return "for ever" if seconds is None else f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def diff_facts(result: Diff) -> dict[str, Any]:
    """Return a comparison as plain values; only what differs."""
    return {
        "same": result.same,
        "tolerance": {"seconds": result.tolerance.seconds, "share": result.tolerance.share},
        "alike": len(result.compared) - len(result.differing),
        "notes": list(result.notes),
        "conversations": [
            {
                "title": item.title,
                "a": item.a or None,
                "b": item.b or None,
                "seconds_a": round(item.seconds_a, 6) if item.a else None,
                "seconds_b": round(item.seconds_b, 6) if item.b else None,
                "differences": [_facts(one) for one in item.differences],
            }
            for item in result.differing
        ],
    }


def _facts(item: Difference) -> dict[str, Any]:
    return {
        "in": item.which,
        "kind": item.kind,
        "text": item.text,
        "at_a": None if item.at_a is None else round(item.at_a, 6),
        "at_b": None if item.at_b is None else round(item.at_b, 6),
        "frame_a": item.frame_a or None,
        "frame_b": item.frame_b or None,
    }
