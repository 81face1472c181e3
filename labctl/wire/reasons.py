"""Why something happened in a conversation, by rules on what was seen before it; None where no rule applies."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from labctl.wire.describe import octets_of, relative_ack
from labctl.wire.model import ACK, FIN, NS, Call, Conversation, Event, Packet, Trace
from labctl.wire.shaped import Shaped
from labctl.wire.tie import RECEIVE

PORT_UNREACHABLE = {(3, 3), (1, 4)}  # ICMP (RFC 792), ICMPv6 (RFC 4443)
ENOUGH = 3  # time-outs in a row that show whether they double


class Reason(NamedTuple):
    """Why: in words that follow a sentence, with the frames that show it."""

    words: str
    frames: tuple[int, ...]
    rfc: str


def why_reset(conversation: Conversation, packet: Packet, calls: Sequence[Call]) -> Reason | None:
    """Return why a RST was sent."""
    own = conversation.from_opener(packet)
    before = [item for item in conversation.packets if item.number < packet.number and item.kind == "TCP"]
    mine = [item for item in before if conversation.from_opener(item) == own]
    theirs = [item for item in before if conversation.from_opener(item) != own]
    newest = theirs[-1] if theirs else None
    host = (conversation.opener if own else conversation.answerer).host
    asked = _unanswered_probes(conversation, host, newest.number if newest else 0, packet.number)
    if len(asked) > 1:
        return Reason(f": its {len(asked)} probes were not answered", asked, "RFC 1122 section 4.2.3.6")
    fin = next((item.number for item in mine if item.flags & FIN), 0)
    if newest and fin and newest.payload and newest.number > fin:
        return Reason(": octets came after it had closed", (newest.number,), "RFC 1122 section 4.2.2.13")
    # RFC 9293 section 3.10.7.1: who has no such connection answers with the acknowledgment number as its sequence number, and no ACK.
    if newest and not packet.flags & ACK and newest.flags & ACK and packet.seq == newest.ack:
        return Reason(
            f": it knew no such connection, or none any more, when frame {newest.number} came", (newest.number,), "RFC 9293 section 3.5.1"
        )  # fmt: skip
    return _by_calls(conversation, packet, host, calls)


def _unanswered_probes(conversation: Conversation, host: str, since: int, until: int) -> tuple[int, ...]:
    kinds = ("keep-alive", "zero window probe")
    return tuple(
        event.frame
        for event in conversation.events
        if event.kind in kinds and event.by == host and since < event.frame < until
    )


def _by_calls(conversation: Conversation, packet: Packet, host: str, calls: Sequence[Call]) -> Reason | None:
    """Return why a program's own close() became a RST."""
    own = [call for call in calls if call.host == host]
    if not any(call.name == "close" and packet.number in call.frames for call in own):
        return None
    if any(call.name == "setsockopt" and "SO_LINGER" in call.text and "l_linger=0" in call.text for call in own):
        return Reason(
            ": its program had set SO_LINGER to 0 s, which makes close() an abort", (), "RFC 9293 section 3.10.5"
        )
    side = conversation.opener if conversation.from_opener(packet) else conversation.answerer
    acks = [item for item in conversation.packets if item.number <= packet.number and item.flags & ACK]
    mine = [item for item in acks if conversation.from_opener(item) == (side is conversation.opener)]
    closed = any(item.flags & FIN for item in conversation.packets if item not in mine and item.number < packet.number)
    came = relative_ack(mine[-1], conversation) - 1 - closed if mine else 0
    read = sum(
        call.result or 0
        for call in own
        if call.name in RECEIVE and (call.result or 0) > 0 and "MSG_PEEK" not in call.text
    )
    if came <= read:
        return None
    return Reason(f": its program closed while {octets_of(came - read)} lay unread", (), "RFC 1122 section 4.2.2.13")


def time_outs_in_a_row(conversation: Conversation) -> list[list[Event]]:
    """Return the rows of at least `ENOUGH` time-outs by which one end sent the same again and again."""
    packets = {packet.number: packet for packet in conversation.packets}
    rows: dict[tuple[str, int], list[Event]] = {}
    for event in conversation.events:
        if event.kind == "retransmission" and event.rfc == "RFC 6298 section 5" and event.frame in packets:
            rows.setdefault((event.by, packets[event.frame].seq), []).append(event)
    return [row for row in rows.values() if len(row) >= ENOUGH]


def waits(conversation: Conversation, row: Iterable[Event]) -> list[float]:
    """Return the seconds from each time-out of a row to the next."""
    times = {packet.number: packet.time_ns for packet in conversation.packets}
    at = [times[event.frame] for event in row]
    return [(later - earlier) / NS for earlier, later in pairwise(at)]


def doubles(seconds: Sequence[float]) -> bool:
    """Tell whether time spans double, as RFC 6298 section 5.5 has it."""
    return all(1.6 < later / earlier < 2.6 for earlier, later in pairwise(seconds) if earlier > 0)


def lost_of(conversation: Conversation, trace: Trace) -> list[Shaped]:
    """Return what shapers dropped of a conversation, after it had begun."""
    if not conversation.packets:
        return []
    ends = {(side.address, side.port) for side in conversation.sides}
    began = conversation.packets[0].time_ns
    later = [
        item.packets[0].time_ns
        for item in trace.conversations
        if item is not conversation and item.packets and item.packets[0].time_ns > began
        and {(side.address, side.port) for side in item.sides} == ends
    ]  # fmt: skip
    until = min(later, default=None)
    found = []
    for item in trace.shaped:
        if item.sent_ns or item.seen_ns < began or (until is not None and item.seen_ns >= until):
            continue
        packet = item.packet
        if (
            packet.kind == conversation.kind
            and {(packet.source, packet.source_port), (packet.target, packet.target_port)} == ends
        ):
            found.append(item)
    return found
