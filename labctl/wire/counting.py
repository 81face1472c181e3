"""The words of the wire that count: segments, datagrams, packets of any kind, octets, round trips, and what went wrong."""

from collections.abc import Callable

from labctl.wire.describe import is_noise, label, octets_of
from labctl.wire.model import RST, SYN, Conversation, Event, Packet, Trace
from labctl.wire.parties import carriers, is_by, is_meant, is_named, receiver, sender
from labctl.wire.sentence import times
from labctl.wire.verdict import AT_LEAST_ONE, Count, Expectation, Verdict, several

REPEATS = {"retransmission", "fast retransmission", "spurious retransmission"}
EVENTS = {  # word → what is counted for it, and what one of them is called
    "retransmission": (REPEATS, "retransmission"),
    "fast_retransmission": ({"fast retransmission"}, "fast retransmission"),
    "duplicate_ack": ({"duplicate ack"}, "duplicate ACK"),
    "keep_alive": ({"keep-alive"}, "keep-alive probe"),
    "zero_window": ({"zero window"}, "closed window"),
    "window_probe": ({"zero window probe"}, "window probe"),
}


class Counting:
    """Looks for what is counted in a stretch of a trace."""

    def __init__(self, trace: Trace, since_ns: int, until_ns: int | None) -> None:
        self.trace = trace
        self.since_ns, self.until_ns = since_ns, until_ns

    def is_in_time(self, time_ns: int) -> bool:
        """Tell whether a moment is in the stretch."""
        return time_ns >= self.since_ns and (self.until_ns is None or time_ns < self.until_ns)

    def conversations(self, wanted: Expectation, kind: str = "") -> list[Conversation]:
        """Return those that began in the stretch, between the ends that are meant, whoever of the two opened."""
        found = []
        for item in self.trace.conversations:
            if item.kind not in ("TCP", "UDP") or (wanted.transport and item.kind != wanted.transport):
                continue
            if (kind and item.kind != kind) or not self.is_in_time(item.packets[0].time_ns if item.packets else 0):
                continue
            one, other = item.sides
            if any(
                is_meant(near, wanted.source) and is_meant(far, wanted.target)
                for near, far in ((one, other), (other, one))
            ):
                found.append(item)
        return found

    def none(self, wanted: Expectation, kind: str) -> Verdict:
        """Return that nothing of the kind was seen, with what there was instead."""
        others = [
            item for item in self.trace.conversations if item.packets and self.is_in_time(item.packets[0].time_ns)
        ]
        seen = ", ".join(item.title for item in others[:5])
        return Verdict(wanted, False, f"no {kind} between these ends was seen; there was {seen or 'nothing at all'}")

    # -- words ------------------------------------------------------------------------------------------------------------

    def event(self, wanted: Expectation) -> Verdict:
        """Something that the source does happens so often, at least once where no count is given."""
        items = self.conversations(wanted, "TCP")
        count = wanted.count or AT_LEAST_ONE
        if not items and not count.takes(0):
            return self.none(wanted, "connection")
        kinds, name = EVENTS[wanted.what]
        events: list[Event] = [
            event
            for item in items
            for event in item.events
            if event.kind in kinds and is_by(item, event, wanted.source)
        ]
        said = f"{name}, {events[0].text}" if len(events) == 1 else f"{name}s"
        return Verdict(
            wanted, count.takes(len(events)), f"{len(events)} {said}", tuple(event.frame for event in events)
        )

    def no_retransmission(self, wanted: Expectation) -> Verdict:
        """The source sends nothing twice, over a connection that was there."""
        if not self.conversations(wanted, "TCP"):
            return self.none(wanted, "connection")
        verdict = self.event(Expectation("retransmission", wanted.source, wanted.target, count=Count(0, 0)))
        return Verdict(wanted, verdict.met, verdict.said, verdict.frames)

    def reset(self, wanted: Expectation) -> Verdict:
        """A RST crosses, sent by the source: a refusal, or an open connection that is broken off (RFC 9293 section 3.5.2)."""
        return self.counted(wanted, "RST", lambda packet, _: bool(packet.flags & RST), "TCP")

    def segments(self, wanted: Expectation) -> Verdict:
        """So many segments carry octets from the source."""
        return self.counted(wanted, "segment", lambda packet, _: packet.payload > 0, "TCP")

    def datagrams(self, wanted: Expectation) -> Verdict:
        """So many datagrams come from the source, each counted once, in however many fragments."""
        return self.counted(
            wanted, "datagram", lambda packet, item: packet.kind == item.kind and not packet.is_continued, "UDP"
        )

    def counted(
        self, wanted: Expectation, what: str, is_one: Callable[[Packet, Conversation], bool], kind: str
    ) -> Verdict:
        """Count the packets of one kind that the source sent."""
        items = self.conversations(wanted, kind)
        count = wanted.count or AT_LEAST_ONE
        if not items and not count.takes(0):
            return self.none(wanted, "connection" if kind == "TCP" else "conversation")
        found = [
            packet.number for item in items for packet in item.packets
            if is_one(packet, item) and is_meant(sender(item, packet), wanted.source) and is_meant(receiver(item, packet), wanted.target)
        ]  # fmt: skip
        return Verdict(wanted, count.takes(len(found)), times(len(found), what), tuple(found))

    def packets(self, wanted: Expectation) -> Verdict:
        """So many packets of whatever kind cross in the stretch; the network's housekeeping is none."""
        by_number = {item.number: item for item in self.trace.conversations}
        found: list[int] = []
        for packet in self.trace.packets:
            item = by_number.get(self.trace.of.get(packet.number, 0))
            if self.is_in_time(packet.time_ns) and not is_noise(packet) and self._is_wanted(packet, item, wanted):
                found.append(packet.number)
        kind = f" of {wanted.kind}" if wanted.kind else ""
        said = f"{times(len(found), 'packet')}{kind}"
        return Verdict(wanted, (wanted.count or AT_LEAST_ONE).takes(len(found)), said, tuple(found))

    def _is_wanted(self, packet: Packet, item: Conversation | None, wanted: Expectation) -> bool:
        """Tell whether a packet is of the kind that is meant, between these ends, and its label holds the text."""
        topic = item.topic if item and item.kind == packet.kind else ""
        if wanted.kind and wanted.kind not in (packet.kind, topic):
            return False
        near = is_named(wanted.source, self.trace.name(packet.source), str(packet.source_port or ""))
        far = is_named(wanted.target, self.trace.name(packet.target), str(packet.target_port or ""))
        return (
            near and far and all(text in label(packet, item, most=packet.payload) for text in several(wanted.contains))
        )

    def octets(self, wanted: Expectation) -> Verdict:
        """So many octets of payload come from the source, each counted once."""
        items = self.conversations(wanted)
        count = wanted.count or AT_LEAST_ONE
        if not items and not count.takes(0):
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
        return Verdict(wanted, count.takes(total), f"{octets_of(total)} crossed", frames)

    def round_trips(self, wanted: Expectation) -> Verdict:
        """The source turns from sending octets to waiting for the other end's so many times: questions that were answered."""
        items = self.conversations(wanted)
        if not items:
            return self.none(wanted, "conversation")
        count, verdicts = wanted.count or AT_LEAST_ONE, []
        for item in items:
            turns = _turns(item, wanted.source)
            said = times(len(turns), "round trip") + (", the handshake among them" if item.kind == "TCP" else "")
            verdicts.append(Verdict(wanted, count.takes(len(turns)), said, turns))
        return next((verdict for verdict in verdicts if verdict.met), verdicts[0])


def _turns(item: Conversation, source: str) -> tuple[int, ...]:
    """Return the frames with which answers begin; what is sent again is no new question."""
    again = {event.frame for event in item.events if event.kind in REPEATS}
    turns: list[int] = []
    asking = False
    for packet in item.packets:
        if (not packet.payload and not packet.flags & SYN) or packet.kind != item.kind or packet.number in again:
            continue
        mine = is_meant(sender(item, packet), source) if source else item.from_opener(packet)
        if asking and not mine:
            turns.append(packet.number)
        asking = mine
    return tuple(turns)
