"""Expectations of the wire: one vocabulary for scenario files, for Python and for grading. Each is a predicate on the model.

An expectation that is not met says what was seen instead, with the numbers of the frames that show it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from labctl.wire.describe import duration, octets_of, preview
from labctl.wire.model import FIN, RST, SYN, Call, Conversation, Event, Packet, Side, State, Trace

REPEATS = {"retransmission", "fast retransmission", "spurious retransmission"}
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
        ends = " ".join(part for part in (self.source and f"from {self.source}", self.target and f"to {self.target}") if part)
        said = [self.call or self.what.replace("_", " "), ends]
        said += [f"with {text!r}" for text in _several(self.contains)]
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
        frames = f" (frame{'s' if len(self.frames) > 1 else ''} {_numbers(self.frames)})" if self.frames else ""
        return f"{self.expectation}: {self.said}{frames}"


def judge(expectation: Expectation, trace: Trace, since_ns: int = 0, until_ns: int | None = None) -> Verdict:
    """Return whether a stretch of time shows what is expected: its conversations are those that begin in it.

    Args:
        expectation: what must be seen.
        trace: what was seen.
        since_ns, until_ns: the stretch; until the end where None.
    """
    verdict = _Judge(trace, since_ns, until_ns).judge(expectation)
    for other, earlier in ((expectation.after, True), (expectation.before, False)):
        if other is None or not verdict.met:
            continue
        second = judge(other, trace, since_ns, until_ns)
        if not second.met:
            return Verdict(expectation, False, f"there is nothing to compare with: {second.said}", verdict.frames)
        mine, theirs = _time(verdict, trace), _time(second, trace)
        if (mine <= theirs) if earlier else (mine >= theirs):
            word = "before" if earlier else "after"
            return Verdict(expectation, False, f"it came {word} {other} (frames {_numbers(second.frames)})", verdict.frames)
    return verdict


def _time(verdict: Verdict, trace: Trace) -> int:
    if verdict.calls:
        return verdict.calls[0].time_ns
    packet = trace.packet(verdict.frames[0]) if verdict.frames else None
    return packet.time_ns if packet else 0


class _Judge:
    def __init__(self, trace: Trace, since_ns: int, until_ns: int | None) -> None:
        self.trace = trace
        self.since_ns, self.until_ns = since_ns, until_ns

    def judge(self, wanted: Expectation) -> Verdict:
        rule = RULES.get(wanted.what)
        if rule is None:
            raise ValueError(f"`{wanted.what}` is no expectation of the wire; known: {', '.join(RULES)}")
        return rule(self, wanted)

    def conversations(self, wanted: Expectation) -> list[Conversation]:
        """Return those that began in the stretch, between the ends that are meant, whoever of the two opened."""
        found = []
        for item in self.trace.conversations:
            began = item.packets[0].time_ns if item.packets else 0
            if item.kind not in ("TCP", "UDP") or (wanted.transport and item.kind != wanted.transport):
                continue
            if began < self.since_ns or (self.until_ns is not None and began >= self.until_ns):
                continue
            one, other = item.sides
            if any(_is(near, wanted.source) and _is(far, wanted.target) for near, far in ((one, other), (other, one))):
                found.append(item)
        return found

    def none(self, wanted: Expectation, kind: str) -> Verdict:
        others = [item for item in self.trace.conversations if item.packets and item.packets[0].time_ns >= self.since_ns]
        others = [item for item in others if self.until_ns is None or item.packets[0].time_ns < self.until_ns]
        seen = ", ".join(item.title for item in others[:5])
        return Verdict(wanted, False, f"no {kind} between these ends was seen; there was {seen or 'nothing at all'}")

    # -- words ------------------------------------------------------------------------------------------------------------

    def handshake(self, wanted: Expectation) -> Verdict:
        """A TCP connection opens: the source sends the SYN (RFC 9293 section 3.5)."""
        tried = []
        for item in self.conversations(wanted):
            if item.kind != "TCP" or not (_is(item.opener, wanted.source) and _is(item.answerer, wanted.target)):
                continue
            opened = next((event for event in item.events if event.kind == "handshake"), None)
            if opened:
                return Verdict(wanted, True, opened.text, opened.frames)
            tried.append(item)
        if not tried:
            return self.none(wanted, "connection")
        why = next((event for event in tried[0].events if event.kind in ("refused", "unanswered", "unreachable")), None)
        return Verdict(wanted, False, why.text if why else "the connection never opened", why.frames if why else _first(tried[0]))

    def data(self, wanted: Expectation) -> Verdict:
        """Octets cross, from the source; all of them together hold the text, whatever segments they came in."""
        seen: list[tuple[Side, bytes, tuple[int, ...]]] = []
        for item in self.conversations(wanted):
            for near, far in (item.sides, item.sides[::-1]):
                if near.octets and _is(near, wanted.source) and _is(far, wanted.target):
                    octets = item.stream(near)
                    frames = _carriers(item, near)
                    if _holds(octets, wanted):
                        return Verdict(wanted, True, f"{near.name} sent {octets_of(near.octets)}", _showing(item, near, wanted) or frames)
                    seen.append((near, octets, frames))
        if not seen:
            who = wanted.source or "anybody"
            return Verdict(wanted, False, f"{who} sent no octets") if self.conversations(wanted) else self.none(wanted, "conversation")
        side, octets, frames = seen[0]
        return Verdict(wanted, False, f"{side.name} sent {octets_of(len(octets))}: {preview(octets, 80) or octets[:24].hex(' ')}", frames)

    def close(self, wanted: Expectation) -> Verdict:
        """A TCP connection is closed in order, by FINs; `source` is the end that closes first."""
        items = [item for item in self.conversations(Expectation("", target=wanted.target, transport="TCP")) if self.touches(item, wanted)]
        if not items:
            return self.none(wanted, "connection")
        failure: Verdict | None = None
        for item in items:
            first = next((event for event in item.events if event.kind == "half-close"), None)
            closed = next((event for event in item.events if event.kind == "closed"), None)
            if first is None:
                reset = next((event for event in item.events if event.kind in ("reset", "refused")), None)
                said = reset.text if reset else "nobody closed it"
                failure = failure or Verdict(wanted, False, said, reset.frames if reset else _last(item))
            elif wanted.source and not _is(_side(item, first), wanted.source):
                failure = failure or Verdict(wanted, False, f"{first.by} closed first", first.frames)
            elif closed is None:
                reset = next((event for event in item.events if event.kind == "reset"), None)
                said = reset.text if reset else "the other end did not close"
                failure = failure or Verdict(wanted, False, said, (*first.frames, *(reset.frames if reset else ())))
            else:
                fins = tuple(packet.number for packet in item.packets if packet.flags & FIN)
                return Verdict(wanted, True, f"{first.by} closed first", (*fins, closed.frame))
        return failure or self.none(wanted, "connection")

    def touches(self, item: Conversation, wanted: Expectation) -> bool:
        """Tell whether the end that is to act is one of a conversation's."""
        return any(_is(side, wanted.source) for side in item.sides)

    def reset(self, wanted: Expectation) -> Verdict:
        """A RST crosses, sent by the source: a refusal, or an open connection that is broken off (RFC 9293 section 3.5.2)."""
        return self.counted(wanted, "RST", lambda packet, _: bool(packet.flags & RST), "TCP")

    def refused(self, wanted: Expectation) -> Verdict:
        """A SYN of the source's is answered by a RST: nobody listens there."""
        for item in self.conversations(wanted):
            event = next((event for event in item.events if event.kind == "refused"), None)
            if event and _is(item.opener, wanted.source) and _is(item.answerer, wanted.target):
                return Verdict(wanted, True, event.text, event.frames)
        return Verdict(wanted, False, "no connection was refused") if self.conversations(wanted) else self.none(wanted, "connection")

    def unreachable(self, wanted: Expectation) -> Verdict:
        """ICMP says that what the source sent could not be delivered (RFC 792, RFC 4443)."""
        for item in self.conversations(wanted):
            event = next((event for event in item.events if event.kind == "unreachable"), None)
            if event:
                return Verdict(wanted, True, event.text, event.frames)
        return Verdict(wanted, False, "no ICMP message said so") if self.conversations(wanted) else self.none(wanted, "conversation")

    def retransmission(self, wanted: Expectation) -> Verdict:
        """The source sends octets again; `count` says how often, at least once where it does not."""
        items = [item for item in self.conversations(wanted) if item.kind == "TCP"]
        if not items:
            return self.none(wanted, "connection")
        events = [event for item in items for event in item.events if event.kind in REPEATS and _sent_by(event, wanted.source)]
        count = wanted.count or AT_LEAST_ONE
        said = f"{len(events)} segments were sent again" if len(events) != 1 else f"1 segment was sent again: {events[0].text}"
        return Verdict(wanted, count.takes(len(events)), said, tuple(event.frame for event in events))

    def no_retransmission(self, wanted: Expectation) -> Verdict:
        """The source sends nothing twice."""
        verdict = self.retransmission(Expectation("retransmission", wanted.source, wanted.target, count=Count(0, 0)))
        return Verdict(wanted, verdict.met, verdict.said, verdict.frames)

    def segments(self, wanted: Expectation) -> Verdict:
        """So many segments carry octets from the source."""
        return self.counted(wanted, "segment", lambda packet, _: packet.payload > 0, "TCP")

    def datagrams(self, wanted: Expectation) -> Verdict:
        """So many datagrams come from the source."""
        return self.counted(wanted, "datagram", lambda packet, item: packet.kind == item.kind, "UDP")

    def counted(self, wanted: Expectation, what: str, is_one: Callable[[Packet, Conversation], bool], kind: str) -> Verdict:
        """Count the packets of one kind that the source sent."""
        items = [item for item in self.conversations(wanted) if item.kind == kind]
        if not items:
            return self.none(wanted, "connection" if kind == "TCP" else "conversation")
        found = [
            packet.number for item in items for packet in item.packets
            if is_one(packet, item) and _is(_sender(item, packet), wanted.source) and _is(_receiver(item, packet), wanted.target)
        ]  # fmt: skip
        count = wanted.count or AT_LEAST_ONE
        return Verdict(wanted, count.takes(len(found)), f"{len(found)} {what}{'' if len(found) == 1 else 's'}", tuple(found))

    def octets(self, wanted: Expectation) -> Verdict:
        """So many octets of payload come from the source, each counted once."""
        items = self.conversations(wanted)
        if not items:
            return self.none(wanted, "conversation")
        sides = [side for item in items for side, far in (item.sides, item.sides[::-1]) if _is(side, wanted.source) and _is(far, wanted.target)]
        total = sum(side.octets for side in sides)
        frames = tuple(number for item in items for side in item.sides if side in sides for number in _carriers(item, side))
        return Verdict(wanted, (wanted.count or AT_LEAST_ONE).takes(total), f"{octets_of(total)} crossed", frames)

    def round_trips(self, wanted: Expectation) -> Verdict:
        """The source turns from sending octets to waiting for the other end's so many times: questions that were answered."""
        items = self.conversations(wanted)
        if not items:
            return self.none(wanted, "conversation")
        best: Verdict | None = None
        for item in items:
            turns: list[int] = []
            asking = False
            for packet in item.packets:
                if not packet.payload and not packet.flags & SYN or packet.kind != item.kind:
                    continue
                mine = _is(_sender(item, packet), wanted.source) if wanted.source else item.from_opener(packet)
                if asking and not mine:
                    turns.append(packet.number)
                asking = mine
            said = f"{len(turns)} round trips" + (", the handshake among them" if item.kind == "TCP" else "")
            verdict = Verdict(wanted, (wanted.count or AT_LEAST_ONE).takes(len(turns)), said, tuple(turns))
            if verdict.met:
                return verdict
            best = best or verdict
        return best or self.none(wanted, "conversation")

    def duration(self, wanted: Expectation) -> Verdict:
        """A conversation takes so long, in seconds, from its first to its last packet."""
        items = self.conversations(wanted)
        if not items:
            return self.none(wanted, "conversation")
        fitting = next((item for item in items if (wanted.count or Count()).takes(item.seconds)), None)
        item = fitting or items[0]
        return Verdict(wanted, fitting is not None, f"it took {duration(item.seconds)}", (*_first(item), *_last(item)))

    def state(self, wanted: Expectation) -> Verdict:
        """The source reaches a TCP state."""
        items = [item for item in self.conversations(wanted) if item.kind == "TCP"]
        if not items:
            return self.none(wanted, "connection")
        goal = State(wanted.state)
        reached: list[str] = []
        for item in items:
            for side, far in (item.sides, item.sides[::-1]):
                if _is(side, wanted.source) and _is(far, wanted.target):
                    frame = next((frame for frame, state in side.states if state is goal), None)
                    if frame is not None:
                        return Verdict(wanted, True, f"{side.name} was in {goal.value}", (frame,) if frame else ())
                    reached.append(f"{side.name}: {', '.join(state.value for _, state in side.states)}")
        return Verdict(wanted, False, f"it was never reached; {'; '.join(reached)}", _last(items[0]))

    def call(self, wanted: Expectation) -> Verdict:
        """A host makes a system call; `error` is what it must fail with."""
        calls = [
            call for call in self.trace.calls
            if call.name == wanted.call and call.time_ns >= self.since_ns and (self.until_ns is None or call.time_ns < self.until_ns)
            and _names(wanted.source, call.host, "") and (not wanted.target or call.peer == wanted.target or _names(wanted.target, *_split(call.peer)))
        ]  # fmt: skip
        if not self.trace.calls:
            return Verdict(wanted, False, "no calls were recorded; `--calls` records them")
        fitting = [call for call in calls if call.error == wanted.error] if wanted.error else [call for call in calls if not call.error]
        count = wanted.count or AT_LEAST_ONE
        frames = tuple(frame for call in fitting for frame in call.frames)
        if count.takes(len(fitting)):
            return Verdict(wanted, True, f"{len(fitting)} such calls", frames, tuple(fitting))
        others = "; ".join(f"{call.host}: {call.name}({call.text}) = {call.error or call.result}" for call in calls[:3])
        return Verdict(wanted, False, f"{len(fitting)} such calls" + (f"; there was {others}" if others else ""), frames, tuple(calls))


RULES: dict[str, Callable[[_Judge, Expectation], Verdict]] = {
    name: getattr(_Judge, name)
    for name in ("handshake", "data", "close", "reset", "refused", "unreachable", "retransmission", "no_retransmission", "segments", "datagrams",
                 "octets", "round_trips", "duration", "state", "call")
}  # fmt: skip


def _several(words: Words) -> tuple[str, ...]:
    return (words,) if isinstance(words, str) else words


def _is(side: Side, wanted: str) -> bool:
    """Tell whether a side is meant by `host`, `host:port`, `:port`, or nothing at all."""
    return not wanted or wanted in (side.host, side.address, side.name, f":{side.port}")


def _names(wanted: str, host: str, port: str) -> bool:
    return not wanted or wanted in (host, f"{host}:{port}", f":{port}")


def _split(place: str) -> tuple[str, str]:
    host, _, port = place.rpartition(":")
    return host, port


def _sender(item: Conversation, packet: Packet) -> Side:
    return item.opener if item.from_opener(packet) else item.answerer


def _receiver(item: Conversation, packet: Packet) -> Side:
    return item.answerer if item.from_opener(packet) else item.opener


def _side(item: Conversation, event: Event) -> Side:
    packet = next(packet for packet in item.packets if packet.number == event.frame)
    return _sender(item, packet)


def _sent_by(event: Event, source: str) -> bool:
    return not source or event.by == source.rpartition(":")[0] or event.by == source


def _holds(octets: bytes, wanted: Expectation) -> bool:
    has = all(text.encode() in octets for text in _several(wanted.contains))
    return has and not any(text.encode() in octets for text in _several(wanted.lacks))


def _carriers(item: Conversation, side: Side) -> tuple[int, ...]:
    return tuple(packet.number for packet in item.packets if packet.payload and packet.kind == item.kind and _sender(item, packet) is side)


def _showing(item: Conversation, side: Side, wanted: Expectation) -> tuple[int, ...]:
    """Return the frames that hold the text whole, where some do."""
    texts = [text.encode() for text in _several(wanted.contains)]
    frames = (
        packet.number for packet in item.packets
        if texts and packet.payload and _sender(item, packet) is side and any(text in packet.data for text in texts)
    )  # fmt: skip
    return tuple(frames)


def _first(item: Conversation) -> tuple[int, ...]:
    return (item.packets[0].number,)


def _last(item: Conversation) -> tuple[int, ...]:
    return (item.packets[-1].number,)


def _numbers(frames: Sequence[int]) -> str:
    """Return frame numbers with runs drawn together: `3–5, 9`."""
    runs: list[list[int]] = []
    for frame in sorted(set(frames)):
        if runs and frame == runs[-1][1] + 1:
            runs[-1][1] = frame
        else:
            runs.append([frame, frame])
    shown = [str(a) if a == b else f"{a}–{b}" if b > a + 1 else f"{a}, {b}" for a, b in runs]
    return ", ".join(shown[:8]) + (" …" if len(shown) > 8 else "")

