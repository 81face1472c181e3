"""One TCP connection as the wire shows it: both ends' states (RFC 9293 section 3.3.2), and what went wrong on the way.

The rules for retransmission, duplicate ACK, order and windows are those that tshark documents in the user's guide under "TCP analysis",
so that a learner finds in both programs the same; the states and the rules for delayed ACKs are ours.
"""

from struct import Struct

from labctl.wire.model import ACK, FIN, RST, SYN, Conversation, Event, EventKind, Packet, Side, State

HALF, WHOLE = 1 << 31, (1 << 32) - 1
FAST_NS = 20_000_000  # a retransmission this soon after duplicate ACKs is their doing
ORDER_NS = 3_000_000  # before a round trip is known, a segment this late is out of order rather than sent again
DELAYED_NS = (20_000_000, 500_000_000)  # an ACK later than a busy host's, and sooner than RFC 1122 section 4.2.3.2 allows
MSS, SHIFT, SACK = 2, 3, 5  # option kinds (RFC 9293 section 3.1, RFC 7323, RFC 2018)
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


class _End:
    """What is known of one end: what it sent, what it acknowledged, its window."""

    __slots__ = ("ack", "ack_time", "asked", "duplicates", "fin", "heard_fin", "last", "next", "next_time", "pending", "probe", "sacked",
                 "seen", "shift", "side", "window")  # fmt: skip

    def __init__(self, side: Side) -> None:
        self.side = side
        self.seen = False
        self.next = 0  # the sequence number after the last octet that it sent
        self.next_time = 0
        self.ack = -1  # the last acknowledgment number that it sent
        self.ack_time = 0
        self.window = -1
        self.shift = -1  # unknown
        self.duplicates = 0
        self.sacked: list[tuple[int, int]] = []
        self.fin: int | None = None  # the number after its FIN
        self.heard_fin = False
        self.last = ""  # what its last segment was, of "keep-alive" and "probe"
        self.probe = 0
        self.asked: list[int] = []  # frames of its SYNs
        self.pending: Packet | None = None  # the newest data of the peer's that it has not acknowledged yet


class Flow:
    """One connection; takes its segments in the order of the capture and writes events and states into its conversation."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.ends = (_End(conversation.opener), _End(conversation.answerer))
        self.round_trip = 0  # ns, of the handshake
        self.began = conversation.packets[0].time_ns if conversation.packets else 0
        self.over = False  # both ends closed, or reset
        self.established = False

    def tell(self, kind: EventKind, packet: Packet, text: str, rfc: str, by: str = "", frames: tuple[int, ...] = ()) -> None:
        """Write down what a segment shows."""
        self.conversation.events.append(Event(kind, packet.number, text, by, (*frames, packet.number), rfc))

    # -- a segment ----------------------------------------------------------------------------------------------------

    def take(self, packet: Packet, from_opener: bool) -> None:
        """Take a segment, sent by the opener or by the answerer."""
        end, peer = self.ends if from_opener else (self.ends[1], self.ends[0])
        flags, seq, length = packet.flags, packet.seq, packet.payload
        side = end.side
        side.packets += 1
        if flags & SYN:
            self._take_syn(packet, end, peer)
        if not end.seen:
            end.seen = True
            side.first_seq = side.first_seq if side.first_seq is not None else (seq if flags & SYN else seq - 1 & WHOLE)
            end.next, end.next_time = seq, packet.time_ns
        last, end.last = end.last, ""
        if length or flags & (SYN | FIN | RST) or not seq == end.next or packet.ack == end.ack or not packet.window or last:
            self._analyse(packet, end, peer)
        else:
            end.duplicates = 0
        following = seq + length + bool(flags & SYN) + bool(flags & FIN) & WHOLE
        if end.last not in ("keep-alive", "probe") and after(following, end.next):
            side.octets += (following - end.next & WHOLE) - bool(flags & SYN) - bool(flags & FIN)
            end.next, end.next_time = following, packet.time_ns
        if flags & ACK:
            self._take_ack(packet, end, peer)
        if length and not peer.pending:
            peer.pending = packet
        end.window = packet.window
        if flags & FIN:
            self._take_fin(packet, end, peer, following)
        if flags & RST:
            self._take_reset(packet, end, peer)

    def _take_syn(self, packet: Packet, end: _End, peer: _End) -> None:
        options = tcp_options(packet)
        if len(options.get(MSS, b"")) == 2:
            end.side.mss = int.from_bytes(options[MSS], "big")
        if len(options.get(SHIFT, b"")) == 1:
            end.side.shift = end.shift = min(options[SHIFT][0], 14)
        end.side.first_seq = packet.seq
        if not end.seen:
            end.seen, end.next, end.next_time = True, packet.seq, packet.time_ns
        end.asked.append(packet.number)
        state = end.side.state
        if not packet.flags & ACK:
            if state in (None, State.CLOSED, State.LISTEN):
                self._to(end, State.SYN_SENT, packet)
            if peer.side.state is None:
                peer.side.states.append((0, State.LISTEN))
            elif peer.side.state is State.SYN_SENT and state is not State.SYN_SENT:
                self._to(end, State.SYN_RECEIVED, packet)
                self.tell("simultaneous open", packet, "both ends opened at once", "RFC 9293 section 3.5", frames=tuple(peer.asked[:1]))
        elif state in (None, State.LISTEN, State.CLOSED):
            self._to(end, State.SYN_RECEIVED, packet)

    def _take_ack(self, packet: Packet, end: _End, peer: _End) -> None:
        state, theirs = end.side.state, peer.side.state
        if state is None and not packet.flags & SYN:  # the capture began in the middle
            self._to(end, State.ESTABLISHED, packet)
            if theirs is None:
                self._to(peer, State.ESTABLISHED, packet)
            self.established = True
        if packet.flags & SYN:
            if theirs is State.SYN_SENT:
                self._to(peer, State.ESTABLISHED, packet)
        elif state in (State.SYN_SENT, State.ESTABLISHED) and theirs is State.SYN_RECEIVED:
            self._to(end, State.ESTABLISHED, packet)
            self._to(peer, State.ESTABLISHED, packet)
            if not self.established:
                self.established = True
                self.round_trip = packet.time_ns - self.began
                frames = (*end.asked[-1:], *peer.asked[-1:])
                self.tell("handshake", packet, f"connection open after {self.round_trip / 1e6:.2f} ms", "RFC 9293 section 3.5", end.side.host, frames)
        pending = end.pending
        if pending and not after(pending.seq + pending.payload & WHOLE, packet.ack):
            waited = packet.time_ns - pending.time_ns
            if not packet.payload and not packet.flags & (FIN | RST) and DELAYED_NS[0] <= waited <= DELAYED_NS[1]:
                text = f"acknowledged {waited / 1e6:.0f} ms after it came"
                self.tell("delayed ack", packet, text, "RFC 1122 section 4.2.3.2", end.side.host, (pending.number,))
            end.pending = None
        end.ack, end.ack_time = packet.ack, packet.time_ns
        if peer.fin is not None and not after(peer.fin, packet.ack):
            if not end.heard_fin:
                self._hear_fin(packet, end)
            now = peer.side.state
            if now is State.FIN_WAIT_1:
                self._to(peer, State.FIN_WAIT_2, packet)
            elif now is State.CLOSING:
                self._to(peer, State.TIME_WAIT, packet)
            elif now is State.LAST_ACK:
                self._to(peer, State.CLOSED, packet)
                self._close(packet)

    def _take_fin(self, packet: Packet, end: _End, peer: _End, following: int) -> None:
        first = end.fin is None
        end.fin = following
        if first:
            if end.side.state in (State.ESTABLISHED, State.SYN_RECEIVED):
                self._to(end, State.FIN_WAIT_1, packet)
                if peer.fin is None:
                    self.tell("half-close", packet, f"{end.side.host} closes first", "RFC 9293 section 3.6", end.side.host)
            elif end.side.state is State.CLOSE_WAIT:
                self._to(end, State.LAST_ACK, packet)
        if not peer.heard_fin and packet.seq + packet.payload + 1 & WHOLE == end.next:
            self._hear_fin(packet, peer)

    def _hear_fin(self, packet: Packet, end: _End) -> None:
        """The other end's FIN reached this one, in order."""
        end.heard_fin = True
        state = end.side.state
        if state in (State.ESTABLISHED, State.SYN_RECEIVED):
            self._to(end, State.CLOSE_WAIT, packet)
        elif state is State.FIN_WAIT_1:
            self._to(end, State.CLOSING, packet)
        elif state is State.FIN_WAIT_2:
            self._to(end, State.TIME_WAIT, packet)

    def _close(self, packet: Packet) -> None:
        self.over = True
        waits = [end.side.host for end in self.ends if end.side.state is State.TIME_WAIT]
        text = f"closed; {waits[0]} keeps TIME-WAIT" if waits else "closed"
        self.tell("closed", packet, text, "RFC 9293 section 3.6", waits[0] if waits else "")

    def _take_reset(self, packet: Packet, end: _End, peer: _End) -> None:
        if self.over and end.side.state is State.CLOSED and peer.side.state is State.CLOSED:
            return
        refused = peer.side.state is State.SYN_SENT and not self.established
        if refused and not end.side.packets - 1:
            end.side.states[:] = [(0, State.CLOSED)]  # nobody listened there
        self._to(end, State.CLOSED, packet)
        self._to(peer, State.CLOSED, packet)
        self.over = True
        host = end.side.host
        if refused:
            self.tell("refused", packet, f"{host} refuses: nobody listens on port {end.side.port}", "RFC 9293 section 3.5.2", host, tuple(peer.asked[:1]))
        else:
            self.tell("reset", packet, f"{host} resets the connection", "RFC 9293 section 3.5.2", host)

    def _to(self, end: _End, state: State, packet: Packet) -> None:
        if end.side.state is not state:
            if not end.side.states:
                end.side.states.append((0, State.CLOSED if state is State.SYN_SENT else State.LISTEN if state is State.SYN_RECEIVED else state))
            if end.side.state is not state:
                end.side.states.append((packet.number, state))

    # -- what went wrong ----------------------------------------------------------------------------------------------

    def _analyse(self, packet: Packet, end: _End, peer: _End) -> None:
        flags, seq, length, window = packet.flags, packet.seq, packet.payload, packet.window
        plain = not flags & (SYN | FIN | RST)
        host = end.side.host
        if length == 1 and seq == end.next and peer.window == 0:
            end.last = "probe"
            self.tell("zero window probe", packet, "asks whether the window has opened", "RFC 9293 section 3.8.6.1", host)
            return
        if window == 0 and plain:
            self.tell("zero window", packet, f"{host} can take nothing more", "RFC 9293 section 3.8.6", host)
        if plain and length <= 1 and seq == end.next - 1 & WHOLE:
            end.last = "keep-alive"
            self.tell("keep-alive", packet, "asks whether the other end is still there", "RFC 9293 section 3.8.4", host)
            return
        if after(seq, end.next) and not flags & (RST | SYN):
            lost = seq - end.next & WHOLE
            self.tell("lost segment", packet, f"{lost} octets before it were not seen", "RFC 9293 section 3.8", host)
        if plain and not length:
            self._analyse_ack(packet, end, peer)
            return
        end.duplicates = 0
        if plain and peer.shift >= 0 and end.shift >= 0 and peer.ack >= 0 and length:
            if seq + length & WHOLE == peer.ack + (peer.window << peer.shift) & WHOLE:
                self.tell("window full", packet, f"fills the window of {peer.side.host}", "RFC 9293 section 3.8.6", host)
        if (length or flags & (SYN | FIN)) and after(end.next, seq):
            self._analyse_repeat(packet, end, peer)

    def _analyse_ack(self, packet: Packet, end: _End, peer: _End) -> None:
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
        elif window and window != end.window:  # no duplicate, though it acknowledges nothing new (RFC 5681 section 2 (e))
            end.duplicates = 0
            if end.window == 0:
                self.tell("window update", packet, f"{host} takes data again", "RFC 9293 section 3.8.6", host)
        elif window:
            end.duplicates += 1
            text = f"{host} still waits for octet {self.relative(peer.side, packet.ack)} (duplicate {end.duplicates})"
            self.tell("duplicate ack", packet, text, "RFC 5681 section 2", host)

    def _analyse_repeat(self, packet: Packet, end: _End, peer: _End) -> None:
        """A segment that holds what was sent before."""
        seq, length, now, host = packet.seq, packet.payload, packet.time_ns, end.side.host
        what = "SYN" if packet.flags & SYN else "FIN" if not length else f"{length} octets"
        threshold = self.round_trip or ORDER_NS
        behind = seq + length + bool(packet.flags & (SYN | FIN)) & WHOLE
        answered = now - peer.ack_time < FAST_NS
        if peer.duplicates >= 2 and peer.ack == seq and answered:
            text = f"{what} again, after {peer.duplicates} duplicate ACKs"
            self.tell("fast retransmission", packet, text, "RFC 5681 section 3.2", host)
        elif now - end.next_time < threshold and behind != end.next:
            self.tell("out of order", packet, f"{what} that should have come before", "RFC 9293 section 3.8", host)
        elif length and peer.ack >= 0 and not after(behind, peer.ack):
            self.tell("spurious retransmission", packet, f"{what} again, though {peer.side.host} had acknowledged it", "RFC 6298 section 5", host)
        elif answered and _is_hole(seq, behind, peer.sacked):
            self.tell("fast retransmission", packet, f"{what} again, which a SACK showed missing", "RFC 6675 section 5", host)
        else:
            ms = (now - end.next_time) / 1e6
            self.tell("retransmission", packet, f"{what} again, {ms:.0f} ms after the last new octet", "RFC 6298 section 5", host)

    def relative(self, side: Side, number: int) -> int:
        """Return a sequence number as counted from the side's first: its SYN is 0."""
        return number - (side.first_seq or 0) & WHOLE


def _is_hole(begin: int, end: int, sacked: list[tuple[int, int]]) -> bool:
    """Tell whether a SACK (RFC 2018) shows octets after these and not these."""
    behind = any(after(right, begin) for _, right in sacked)
    return behind and not any(not after(left, begin) and not after(end, right) for left, right in sacked)
