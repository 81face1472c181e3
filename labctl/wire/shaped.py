"""What the lab's shapers did to packets, beside what crossed the wire: the lost ones, which no tap sees, and how long others were held."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labctl.wire.again import Cause, by_acks, by_time
from labctl.wire.capture import Frame
from labctl.wire.model import Conversation, Event, Packet, Trace
from labctl.wire.packet import read_packet

HEAD = 96  # octets that a shaper keeps of a frame
SOON = 100_000_000  # ns after an ACK that told of a gap: less than the least time-out (RFC 6298 section 2.4, and Linux' 200 ms)
REPEATS = {"retransmission", "fast retransmission", "spurious retransmission", "out of order"}
WHOLE = (1 << 32) - 1
LATE = 250_000_000  # ns from when a shaper meant to send to when the tap saw it, on a machine that has much else to do
AT_ONCE = 20_000_000  # ns, at most, from data to the acknowledgment that its receiver did not delay
NEVER = {
    "lost": "lost on purpose",
    "too long": "too long for the path: it vanished",
    "overflowed": "the line's buffer was full: it was dropped",
}
ODDLY = {
    "corrupted": "one bit was flipped on its way",
    "duplicated": "it was sent twice",
    "reordered": "it overtook others",
}


@dataclass(frozen=True, slots=True)
class Shaped:
    """One packet's fate at its sender's shaper.

    Args:
        seen_ns: when its host sent it.
        sent_ns: when it went on the wire; 0 for never.
        verdict: `sent`, `delayed`, `lost`, `too long`, `overflowed`, `corrupted`, `duplicated`, `reordered`.
        rule: the impairment that did it.
        head: its first octets.
    """

    seen_ns: int
    sent_ns: int
    verdict: str
    rule: str
    head: bytes

    @property
    def packet(self) -> Packet:
        """Return it as a packet without a number: it is in no capture."""
        packet = read_packet(0, Frame(self.seen_ns, self.head, len(self.head)))
        packet.problem = ""  # that only its head was kept is no fault of the wire
        return packet


def read_events(events: Iterable[Sequence[object]]) -> list[Shaped]:
    """Return what a shaper's log tells."""
    return [
        Shaped(int(str(seen)), int(str(sent)), str(verdict), str(rule), bytes.fromhex(str(head)))
        for seen, sent, verdict, rule, head, _ in events
    ]


class Fates:
    """Finds the fate of a packet that was captured."""

    def __init__(self, shaped: Iterable[Shaped]) -> None:
        """Take all that shapers tell, in any order."""
        self.never = sorted((item for item in shaped if item.sent_ns == 0), key=lambda item: item.seen_ns)
        self._sent: dict[bytes, list[Shaped]] = {}
        for item in shaped:
            if item.sent_ns:
                self._sent.setdefault(item.head, []).append(item)

    def of(self, packet: Packet) -> Shaped | None:
        """Return what its sender's shaper did to it; None where it passed none."""
        alike = self._sent.get(bytes(packet.octets[:HEAD]), ()) if self._sent else ()
        near = [item for item in alike if -LATE <= packet.time_ns - item.sent_ns <= LATE]
        return min(near, key=lambda item: abs(packet.time_ns - item.sent_ns), default=None)


def told(item: Shaped) -> str:
    """Return a fate in words."""
    if item.verdict in NEVER:
        return f"{NEVER[item.verdict]} ({item.rule})"
    words = [ODDLY[item.verdict]] if item.verdict in ODDLY else []
    held = (item.sent_ns - item.seen_ns) / 1e6
    if held >= 0.5:
        words.append(f"held for {held:.1f} ms")
    return "; ".join(words)


def amend(trace: Trace) -> None:
    """Correct what the model could not know: what was lost before the tap was sent twice; an ACK that was held is not late."""
    if not trace.shaped:
        return
    fates = Fates(trace.shaped)
    for conversation in trace.conversations:
        conversation.events[:] = [
            event for event in conversation.events if event.kind != "delayed ack" or not _was_held(fates, trace, event)
        ]
    for item in fates.never:
        packet = item.packet
        if packet.kind == "TCP" and packet.payload:
            _tell_again(trace, fates, item, packet)


def _was_held(fates: Fates, trace: Trace, event: Event) -> bool:
    ack, data = trace.packet(event.frame), trace.packet(min(event.frames))
    fate = fates.of(ack) if ack else None
    return bool(fate and data and fate.seen_ns - data.time_ns < AT_ONCE)


def _tell_again(trace: Trace, fates: Fates, item: Shaped, lost: Packet) -> None:
    """Write down that a lost segment's octets were sent again, where they were, and why: by its sender's own times."""
    ends = (lost.source, lost.source_port)
    for conversation in trace.conversations:
        if conversation.kind != "TCP" or ends not in {(side.address, side.port) for side in conversation.sides}:
            continue
        again = next((packet for packet in conversation.packets if _is_again(packet, lost, item)), None)
        if again is None:
            continue
        side = conversation.opener if conversation.from_opener(again) else conversation.answerer
        kind, text, rfc = _cause(trace, fates, conversation, again, item)
        told = f"{text}; the shaper had dropped what was sent first"
        kept = [event for event in conversation.events if event.frame != again.number or event.kind not in REPEATS]
        conversation.events[:] = [*kept, Event(kind, again.number, told, side.host, (again.number,), rfc)]
        conversation.events.sort(key=lambda event: event.frame)


def _cause(trace: Trace, fates: Fates, conversation: Conversation, again: Packet, item: Shaped) -> Cause:
    """Return why a lost segment was sent again."""

    def left(packet: Packet) -> int:  # when its host sent it; the bridge sees it when the shaper lets it go
        fate = fates.of(packet)
        return fate.seen_ns if fate else packet.time_ns

    now, what = left(again), f"{again.payload} octets"
    told = [trace.packet(event.frame) for event in conversation.events if event.kind == "duplicate ack"]
    asked = [ack for ack in told if ack and ack.source == again.target and item.seen_ns < ack.time_ns <= now]
    if asked and now < asked[-1].time_ns + SOON:
        return by_acks(what, len(asked))
    ends = (again.source, again.source_port)
    before = [
        (left(packet), packet) for packet in conversation.packets if packet.number < again.number and packet.payload
    ]
    before += [(one.seen_ns, one.packet) for one in fates.never if one.seen_ns < now]
    mine = [(at, packet) for at, packet in before if (packet.source, packet.source_port) == ends and at < now]
    newest = max((packet.seq + packet.payload - again.seq & WHOLE for _, packet in mine), default=0, key=_signed)
    waited = now - max((at for at, packet in mine if packet.payload), default=item.seen_ns)
    return by_time(what, waited, last=newest == again.payload, since="the last segment")


def _signed(number: int) -> int:
    return number - WHOLE - 1 if number >> 31 else number


def _is_again(packet: Packet, lost: Packet, item: Shaped) -> bool:
    """Tell whether a segment carries the first octet of one that was lost before."""
    same = (packet.source, packet.source_port, packet.target) == (lost.source, lost.source_port, lost.target)
    return same and packet.seq == lost.seq and packet.payload > 0 and packet.time_ns > item.seen_ns
