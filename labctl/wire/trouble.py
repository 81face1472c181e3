"""What went wrong on a connection's way: retransmissions, duplicate ACKs, lost order, closed windows, probes.

The rules are those that tshark documents in its user's guide under "TCP analysis", so that a learner finds the same in both programs.
"""

from collections import deque
from collections.abc import Iterable
from struct import Struct

from labctl.wire.again import by_time
from labctl.wire.model import FIN, RST, SYN, Conversation, Event, EventKind, Packet, Side

HALF, WHOLE = 1 << 31, (1 << 32) - 1
FAST_NS = 20_000_000  # a retransmission this soon after duplicate ACKs is their doing
ORDER_NS = 3_000_000  # before a round trip is known, a segment this late is out of order rather than sent again
UNACKED = 10_000  # segments that are remembered; no window holds more
SACK = 5  # option kind (RFC 2018)
_PAIR = Struct(">II").unpack_from


def after(a: int, b: int) -> bool:
    """Tell whether sequence number `a` comes after `b`, modulo 2³² (RFC 9293 section 3.4)."""
    return 0 < (a - b) & WHOLE < HALF


def tcp_options(packet: Packet) -> dict[int, bytes]:
    """Return a segment's options, kind → value; what is behind a broken one is not read."""
    octets = packet.octets[packet.options_at : packet.payload_at]
    found: dict[int, bytes] = {}
    at = 0
    while at < len(octets):
        kind = octets[at]
        if kind == 0:
            break
        if kind == 1:
            at += 1
            continue
        length = octets[at + 1] if at + 1 < len(octets) else 0
        if length < 2 or at + length > len(octets):
            break
        found[kind] = octets[at + 2 : at + length]
        at += length
    return found


class End:
    """What is known of one end: what it sent, what it acknowledged, its window."""

    __slots__ = ("ack", "ack_time", "again", "asked", "duplicates", "fin", "heard_fin", "hole", "last", "next", "next_time", "pending",
                 "probe", "sacked", "seen", "sent", "shift", "side", "window")  # fmt: skip

    def __init__(self, side: Side) -> None:
        self.side = side
        self.seen = False
        self.sent: deque[tuple[int, int]] = deque(maxlen=UNACKED)  # segments that were seen, and not acknowledged yet
        self.next = 0  # the sequence number after the last octet that it sent
        self.next_time = 0
        self.ack = -1  # the last acknowledgment number that it sent
        self.ack_time = 0
        self.again = 0  # when it last sent something again
        self.window = -1
        self.shift = -1  # unknown
        self.duplicates = 0
        self.sacked: list[tuple[int, int]] = []
        self.fin: int | None = None  # the number after its FIN
        self.heard_fin = False
        self.hole: int | None = None  # the first octet of its that was not seen, though later ones were
        self.last = ""  # what its last segment was, of "keep-alive" and "probe"
        self.probe = 0
        self.asked: list[int] = []  # frames of its SYNs
        # the oldest data of the peer's that it has not acknowledged yet: (number of the octet behind it, when it crossed, its frame)
        self.pending: tuple[int, int, int] | None = None


class Trouble:
    """Judges segments against what both ends sent before, and writes events into a conversation."""

    conversation: Conversation
    round_trip = 0  # ns, of the handshake

    def tell(
        self, kind: EventKind, packet: Packet, text: str, rfc: str, by: str = "", frames: tuple[int, ...] = ()
    ) -> None:
        """Write down what a segment shows."""
        self.conversation.events.append(Event(kind, packet.number, text, by, (*frames, packet.number), rfc))

    def analyse(self, packet: Packet, end: End, peer: End, *, heard: bool = True) -> None:
        """Judge a segment; an acknowledgment that was not heard counts for nothing."""
        flags, seq, length, window = packet.flags, packet.seq, packet.payload, packet.window
        plain = not flags & (SYN | FIN | RST)
        host = end.side.host
        if length == 1 and seq == end.next and peer.window == 0:
            end.last = "probe"
            self.tell(
                "zero window probe", packet, "asks whether the window has opened", "RFC 9293 section 3.8.6.1", host
            )
            return
        if window == 0 and plain:
            self.tell("zero window", packet, f"{host} can take nothing more", "RFC 9293 section 3.8.6", host)
        if plain and length <= 1 and seq == end.next - 1 & WHOLE:
            end.last = "keep-alive"
            if peer.window == 0:  # Linux probes a closed window so
                text = "asks whether the window has opened"
                self.tell("zero window probe", packet, text, "RFC 9293 section 3.8.6.1", host)
            else:
                text = "asks whether the other end is still there"
                self.tell("keep-alive", packet, text, "RFC 9293 section 3.8.4", host)
            return
        if after(seq, end.next) and not flags & (RST | SYN):
            lost = seq - end.next & WHOLE
            self.tell("lost segment", packet, f"{lost} octets before it were not seen", "RFC 9293 section 3.8", host)
        if plain and not length:
            if heard:
                self._analyse_ack(packet, end, peer)
            return
        end.duplicates = 0
        scaled = plain and peer.shift >= 0 and end.shift >= 0 and peer.ack >= 0
        if scaled and length and seq + length & WHOLE == peer.ack + (peer.window << peer.shift) & WHOLE:
            self.tell("window full", packet, f"fills the window of {peer.side.host}", "RFC 9293 section 3.8.6", host)
        if (length or flags & (SYN | FIN)) and after(end.next, seq):
            self._analyse_repeat(packet, end, peer)

    def _analyse_ack(self, packet: Packet, end: End, peer: End) -> None:
        """A segment that carries nothing but an acknowledgment."""
        window, host = packet.window, end.side.host
        if packet.seq != end.next or packet.ack != end.ack:
            end.duplicates = 0
            return
        sacks = tcp_options(packet).get(SACK, b"") if packet.payload_at - packet.options_at >= 10 else b""
        end.sacked = [_PAIR(sacks, at) for at in range(0, len(sacks) - 7, 8)]
        if window and window == end.window and peer.last == "keep-alive":
            self.tell("keep-alive ack", packet, f"{host} is still there", "RFC 9293 section 3.8.4", host)
        elif window == end.window == 0:
            return  # the answer to a probe: still closed
        elif (
            window and window != end.window and not sacks
        ):  # RFC 5681 section 2 (e); with a SACK it is one (RFC 6675 section 2)
            end.duplicates = 0
            if end.window == 0:
                self.tell("window update", packet, f"{host} takes data again", "RFC 9293 section 3.8.6", host)
        elif window:
            end.duplicates += 1
            text = f"{host} still waits for octet {self.relative(peer.side, packet.ack)} (duplicate {end.duplicates})"
            self.tell("duplicate ack", packet, text, "RFC 5681 section 2", host)

    def _analyse_repeat(self, packet: Packet, end: End, peer: End) -> None:
        """A segment that holds what was sent before."""
        seq, length, now, host = packet.seq, packet.payload, packet.time_ns, end.side.host
        what = "SYN" if packet.flags & SYN else "FIN" if not length else f"{length} octets"
        threshold = self.round_trip or ORDER_NS
        behind = seq + length + bool(packet.flags & (SYN | FIN)) & WHOLE
        answered = now - peer.ack_time < FAST_NS
        if peer.duplicates >= 2 and peer.ack == seq and answered:
            text = f"{what} again, after {peer.duplicates} duplicate ACKs"
            self.tell("fast retransmission", packet, text, "RFC 5681 section 3.2", host)
        elif length and peer.ack >= 0 and not after(behind, peer.ack):
            self.tell(
                "spurious retransmission",
                packet,
                f"{what} again, though {peer.side.host} had acknowledged it",
                "RFC 6298 section 5",
                host,
            )
        elif peer.duplicates >= 2 and answered and _is_missing(seq, behind, peer.sacked):
            self.tell(
                "fast retransmission",
                packet,
                f"{what} again, which no SACK had acknowledged",
                "RFC 6675 section 5",
                host,
            )
        elif now - end.next_time < threshold and behind != end.next and not _was_seen(seq, behind, end.sent):
            self.tell("out of order", packet, f"{what} that should have come before", "RFC 9293 section 3.8", host)
        else:
            waited, since = now - end.next_time, "the last new octet"
            if end.again > end.next_time:
                waited, since = now - end.again, "the last time"
            kind, text, rfc = by_time(what, waited, last=behind == end.next, since=since)
            self.tell(kind, packet, text, rfc, host)
        end.again = now
        peer.pending = None  # the ACK that comes may be for either

    def relative(self, side: Side, number: int) -> int:
        """Return a sequence number as counted from the side's first: its SYN is 0."""
        return number - (side.first_seq or 0) & WHOLE


def _was_seen(begin: int, end: int, sent: Iterable[tuple[int, int]]) -> bool:
    """Tell whether a segment that is not acknowledged yet held all of these octets: then they are sent again, not late."""
    return any(not after(left, begin) and not after(end, right) for left, right in sent)


def _is_missing(begin: int, end: int, sacked: list[tuple[int, int]]) -> bool:
    """Tell whether SACKs (RFC 2018) acknowledged some octets and not these."""
    return bool(sacked) and not any(not after(left, begin) and not after(end, right) for left, right in sacked)
