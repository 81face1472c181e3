"""The vocabulary of the wire: each word is a method of `Judge`, a predicate on the model that brings its evidence."""

from collections.abc import Callable

from labctl.wire.describe import duration, octets_of, preview
from labctl.wire.model import FIN, RST, SYN, Call, Conversation, Packet, Side, State, Trace
from labctl.wire.parties import (
    carriers,
    first,
    holds,
    is_by,
    is_meant,
    is_named,
    last,
    receiver,
    sender,
    showing,
    side_of,
    split_place,
)  # fmt: skip
from labctl.wire.verdict import AT_LEAST_ONE, Count, Expectation, Verdict

REPEATS = {"retransmission", "fast retransmission", "spurious retransmission"}


class Judge:
    """Looks for what is expected in a stretch of a trace."""

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
            if any(
                is_meant(near, wanted.source) and is_meant(far, wanted.target)
                for near, far in ((one, other), (other, one))
            ):
                found.append(item)
        return found

    def none(self, wanted: Expectation, kind: str) -> Verdict:
        others = [
            item for item in self.trace.conversations if item.packets and item.packets[0].time_ns >= self.since_ns
        ]
        others = [item for item in others if self.until_ns is None or item.packets[0].time_ns < self.until_ns]
        seen = ", ".join(item.title for item in others[:5])
        return Verdict(wanted, False, f"no {kind} between these ends was seen; there was {seen or 'nothing at all'}")

    # -- words ------------------------------------------------------------------------------------------------------------

    def handshake(self, wanted: Expectation) -> Verdict:
        """A TCP connection opens: the source sends the SYN (RFC 9293 section 3.5)."""
        tried = []
        for item in self.conversations(wanted):
            if item.kind != "TCP" or not (
                is_meant(item.opener, wanted.source) and is_meant(item.answerer, wanted.target)
            ):
                continue
            opened = next((event for event in item.events if event.kind == "handshake"), None)
            if opened:
                return Verdict(wanted, True, opened.text, opened.frames)
            tried.append(item)
        if not tried:
            return self.none(wanted, "connection")
        why = next((event for event in tried[0].events if event.kind in ("refused", "unanswered", "unreachable")), None)
        return Verdict(
            wanted, False, why.text if why else "the connection never opened", why.frames if why else first(tried[0])
        )

    def data(self, wanted: Expectation) -> Verdict:
        """Octets cross, from the source; all of them together hold the text, whatever segments they came in."""
        seen: list[tuple[Side, bytes, tuple[int, ...]]] = []
        for item in self.conversations(wanted):
            for near, far in (item.sides, item.sides[::-1]):
                if near.octets and is_meant(near, wanted.source) and is_meant(far, wanted.target):
                    octets = item.stream(near)
                    frames = carriers(item, near)
                    if holds(octets, wanted):
                        return Verdict(
                            wanted,
                            True,
                            f"{near.name} sent {octets_of(near.octets)}",
                            showing(item, near, wanted) or frames,
                        )
                    seen.append((near, octets, frames))
        if not seen:
            who = wanted.source or "anybody"
            return (
                Verdict(wanted, False, f"{who} sent no octets")
                if self.conversations(wanted)
                else self.none(wanted, "conversation")
            )
        side, octets, frames = seen[0]
        return Verdict(
            wanted,
            False,
            f"{side.name} sent {octets_of(len(octets))}: {preview(octets, 80) or octets[:24].hex(' ')}",
            frames,
        )

    def close(self, wanted: Expectation) -> Verdict:
        """A TCP connection is closed in order, by FINs; `source` is the end that closes first."""
        items = [
            item
            for item in self.conversations(Expectation("", target=wanted.target, transport="TCP"))
            if self.touches(item, wanted)
        ]
        if not items:
            return self.none(wanted, "connection")
        failure: Verdict | None = None
        for item in items:
            first = next((event for event in item.events if event.kind == "half-close"), None)
            closed = next((event for event in item.events if event.kind == "closed"), None)
            if first is None:
                reset = next((event for event in item.events if event.kind in ("reset", "refused")), None)
                said = reset.text if reset else "nobody closed it"
                failure = failure or Verdict(wanted, False, said, reset.frames if reset else last(item))
            elif wanted.source and not is_meant(side_of(item, first), wanted.source):
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
        return any(is_meant(side, wanted.source) for side in item.sides)

    def reset(self, wanted: Expectation) -> Verdict:
        """A RST crosses, sent by the source: a refusal, or an open connection that is broken off (RFC 9293 section 3.5.2)."""
        return self.counted(wanted, "RST", lambda packet, _: bool(packet.flags & RST), "TCP")

    def refused(self, wanted: Expectation) -> Verdict:
        """A SYN of the source's is answered by a RST: nobody listens there."""
        for item in self.conversations(wanted):
            event = next((event for event in item.events if event.kind == "refused"), None)
            if event and is_meant(item.opener, wanted.source) and is_meant(item.answerer, wanted.target):
                return Verdict(wanted, True, event.text, event.frames)
        return (
            Verdict(wanted, False, "no connection was refused")
            if self.conversations(wanted)
            else self.none(wanted, "connection")
        )

    def unreachable(self, wanted: Expectation) -> Verdict:
        """ICMP says that what the source sent could not be delivered (RFC 792, RFC 4443)."""
        for item in self.conversations(wanted):
            event = next((event for event in item.events if event.kind == "unreachable"), None)
            if event:
                return Verdict(wanted, True, event.text, event.frames)
        return (
            Verdict(wanted, False, "no ICMP message said so")
            if self.conversations(wanted)
            else self.none(wanted, "conversation")
        )

    def retransmission(self, wanted: Expectation) -> Verdict:
        """The source sends octets again; `count` says how often, at least once where it does not."""
        items = [item for item in self.conversations(wanted) if item.kind == "TCP"]
        if not items:
            return self.none(wanted, "connection")
        events = [
            event for item in items for event in item.events if event.kind in REPEATS and is_by(event, wanted.source)
        ]
        count = wanted.count or AT_LEAST_ONE
        said = (
            f"{len(events)} segments were sent again"
            if len(events) != 1
            else f"1 segment was sent again: {events[0].text}"
        )
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

    def counted(
        self, wanted: Expectation, what: str, is_one: Callable[[Packet, Conversation], bool], kind: str
    ) -> Verdict:
        """Count the packets of one kind that the source sent."""
        items = [item for item in self.conversations(wanted) if item.kind == kind]
        if not items:
            return self.none(wanted, "connection" if kind == "TCP" else "conversation")
        found = [
            packet.number for item in items for packet in item.packets
            if is_one(packet, item) and is_meant(sender(item, packet), wanted.source) and is_meant(receiver(item, packet), wanted.target)
        ]  # fmt: skip
        count = wanted.count or AT_LEAST_ONE
        return Verdict(
            wanted, count.takes(len(found)), f"{len(found)} {what}{'' if len(found) == 1 else 's'}", tuple(found)
        )

    def octets(self, wanted: Expectation) -> Verdict:
        """So many octets of payload come from the source, each counted once."""
        items = self.conversations(wanted)
        if not items:
            return self.none(wanted, "conversation")
        sides = [
            side
            for item in items
            for side, far in (item.sides, item.sides[::-1])
            if is_meant(side, wanted.source) and is_meant(far, wanted.target)
        ]
        total = sum(side.octets for side in sides)
        frames = tuple(
            number for item in items for side in item.sides if side in sides for number in carriers(item, side)
        )
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
                if (not packet.payload and not packet.flags & SYN) or packet.kind != item.kind:
                    continue
                mine = is_meant(sender(item, packet), wanted.source) if wanted.source else item.from_opener(packet)
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
        return Verdict(wanted, fitting is not None, f"it took {duration(item.seconds)}", (*first(item), *last(item)))

    def state(self, wanted: Expectation) -> Verdict:
        """The source reaches a TCP state."""
        items = [item for item in self.conversations(wanted) if item.kind == "TCP"]
        if not items:
            return self.none(wanted, "connection")
        goal = State(wanted.state)
        reached: list[str] = []
        for item in items:
            for side, far in (item.sides, item.sides[::-1]):
                if is_meant(side, wanted.source) and is_meant(far, wanted.target):
                    frame = next((frame for frame, state in side.states if state is goal), None)
                    if frame is not None:
                        return Verdict(wanted, True, f"{side.name} was in {goal.value}", (frame,) if frame else ())
                    reached.append(f"{side.name}: {', '.join(state.value for _, state in side.states)}")
        return Verdict(wanted, False, f"it was never reached; {'; '.join(reached)}", last(items[0]))

    def call(self, wanted: Expectation) -> Verdict:
        """A host makes a system call; `error` is what it must fail with."""
        calls = [
            call
            for call in self.trace.calls
            if call.name == wanted.call and self.is_in_time(call) and _is_made(call, wanted)
        ]
        if not self.trace.calls:
            return Verdict(wanted, False, "no calls were recorded; `--calls` records them")
        fitting = (
            [call for call in calls if call.error == wanted.error]
            if wanted.error
            else [call for call in calls if not call.error]
        )
        count = wanted.count or AT_LEAST_ONE
        frames = tuple(frame for call in fitting for frame in call.frames)
        if count.takes(len(fitting)):
            return Verdict(wanted, True, f"{len(fitting)} such calls", frames, tuple(fitting))
        others = "; ".join(f"{call.host}: {call.name}({call.text}) = {call.error or call.result}" for call in calls[:3])
        return Verdict(
            wanted,
            False,
            f"{len(fitting)} such calls" + (f"; there was {others}" if others else ""),
            frames,
            tuple(calls),
        )

    def is_in_time(self, call: Call) -> bool:
        """Tell whether a call was entered in the stretch."""
        return call.time_ns >= self.since_ns and (self.until_ns is None or call.time_ns < self.until_ns)


def _is_made(call: Call, wanted: Expectation) -> bool:
    """Tell whether a call is made by the host that is meant, on a socket to the end that is meant."""
    to = not wanted.target or call.peer == wanted.target or is_named(wanted.target, *split_place(call.peer))
    return to and is_named(wanted.source, call.host, "")


WORDS = ("handshake", "data", "close", "reset", "refused", "unreachable", "retransmission", "no_retransmission", "segments", "datagrams",
         "octets", "round_trips", "duration", "state", "call")  # fmt: skip
RULES: dict[str, Callable[[Judge, Expectation], Verdict]] = {name: getattr(Judge, name) for name in WORDS}
