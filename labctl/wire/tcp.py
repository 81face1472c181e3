"""One TCP connection as the wire shows it: both ends' states (RFC 9293 section 3.3.2), who opens, closes, resets, and late ACKs."""

from labctl.wire.model import ACK, FIN, RST, SYN, Conversation, Packet, State
from labctl.wire.trouble import WHOLE, End, Trouble, after, tcp_options

DELAYED_NS = (
    20_000_000,
    500_000_000,
)  # an ACK later than a busy host's, and sooner than RFC 1122 section 4.2.3.2 allows
MSS, SHIFT = 2, 3  # option kinds (RFC 9293 section 3.1, RFC 7323)


class Flow(Trouble):
    """One connection; takes its segments in the order of the capture and writes events and states into its conversation."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.ends = (End(conversation.opener), End(conversation.answerer))
        self.round_trip = 0  # ns, from the last SYN to the end of the handshake
        self.asked = 0  # when the last SYN crossed
        self.began = conversation.packets[0].time_ns if conversation.packets else 0
        self.over = False  # both ends closed, or reset
        self.established = False

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
        if length or flags & (SYN | FIN | RST) or seq != end.next or packet.ack == end.ack or not packet.window or last:
            self.analyse(packet, end, peer)
        else:
            end.duplicates = 0
        following = seq + length + bool(flags & SYN) + bool(flags & FIN) & WHOLE
        if end.last not in ("keep-alive", "probe") and after(following, end.next):
            if seq != end.next and end.hole is None and after(seq, end.next):
                end.hole = end.next
            side.octets += (following - end.next & WHOLE) - bool(flags & SYN) - bool(flags & FIN)
            end.next, end.next_time = following, packet.time_ns
        if flags & ACK:
            self._take_ack(packet, end, peer)
        if following != seq:
            end.sent.append((seq, following))
        if length and not peer.pending:
            peer.pending = packet
        end.window = packet.window
        if flags & FIN:
            self._take_fin(packet, end, peer, following)
        if flags & RST:
            self._take_reset(packet, end, peer)

    def _take_syn(self, packet: Packet, end: End, peer: End) -> None:
        options = tcp_options(packet)
        if len(options.get(MSS, b"")) == 2:
            end.side.mss = int.from_bytes(options[MSS], "big")
        if len(options.get(SHIFT, b"")) == 1:
            end.side.shift = end.shift = min(options[SHIFT][0], 14)
        end.side.first_seq = packet.seq
        if not end.seen:
            end.seen, end.next, end.next_time = True, packet.seq, packet.time_ns
        end.asked.append(packet.number)
        if not packet.flags & ACK:
            self.asked = packet.time_ns
        state = end.side.state
        if packet.flags & ACK:
            if state in (None, State.LISTEN, State.CLOSED):
                self._to(end, State.SYN_RECEIVED, packet)
        elif state in (None, State.CLOSED, State.LISTEN):
            crossing = peer.side.state is State.SYN_SENT
            self._to(end, State.SYN_SENT, packet)
            if crossing:  # RFC 9293 figure 7
                self._to(end, State.SYN_RECEIVED, packet)
                self._to(peer, State.SYN_RECEIVED, packet)
                asked = tuple(peer.asked[:1])
                self.tell("simultaneous open", packet, "both ends opened at once", "RFC 9293 section 3.5", frames=asked)
            elif peer.side.state is None:
                peer.side.states.append((0, State.LISTEN))

    def _take_ack(self, packet: Packet, end: End, peer: End) -> None:
        state, theirs = end.side.state, peer.side.state
        if state is None and not packet.flags & SYN:  # the capture began in the middle
            self._to(end, State.ESTABLISHED, packet)
            if theirs is None:
                self._to(peer, State.ESTABLISHED, packet)
            self.established = True
        if packet.flags & SYN:
            if theirs in (State.SYN_SENT, State.SYN_RECEIVED):
                self._to(peer, State.ESTABLISHED, packet)
        elif state in (State.SYN_SENT, State.ESTABLISHED) and theirs is State.SYN_RECEIVED:
            self._to(end, State.ESTABLISHED, packet)
            self._to(peer, State.ESTABLISHED, packet)
            if not self.established:
                self.established = True
                self.round_trip = packet.time_ns - self.asked
                took = packet.time_ns - self.began
                frames = (*end.asked[-1:], *peer.asked[-1:])
                self.tell(
                    "handshake",
                    packet,
                    f"connection open after {took / 1e6:.2f} ms",
                    "RFC 9293 section 3.5",
                    end.side.host,
                    frames,
                )
        pending = end.pending
        if pending and not after(pending.seq + pending.payload & WHOLE, packet.ack):
            waited = packet.time_ns - pending.time_ns
            if not packet.payload and not packet.flags & (FIN | RST) and DELAYED_NS[0] <= waited <= DELAYED_NS[1]:
                text = f"acknowledged {waited / 1e6:.0f} ms after it came"
                self.tell("delayed ack", packet, text, "RFC 1122 section 4.2.3.2", end.side.host, (pending.number,))
            end.pending = None
        end.ack, end.ack_time = packet.ack, packet.time_ns
        sent = peer.sent
        while sent and not after(sent[0][1], packet.ack):
            sent.popleft()
        if peer.hole is not None and after(packet.ack, peer.hole):
            peer.hole = None
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

    def _take_fin(self, packet: Packet, end: End, peer: End, following: int) -> None:
        first = end.fin is None
        end.fin = following
        if first:
            if end.side.state in (State.ESTABLISHED, State.SYN_RECEIVED):
                self._to(end, State.FIN_WAIT_1, packet)
                if peer.fin is None:
                    self.tell(
                        "half-close", packet, f"{end.side.host} closes first", "RFC 9293 section 3.6", end.side.host
                    )
            elif end.side.state is State.CLOSE_WAIT and peer.fin is not None and after(peer.fin, packet.ack):
                # Both closed at once (RFC 9293 figure 13): the peer's FIN crossed the bridge, and had not come yet when this one left.
                end.side.states.pop()
                self._to(end, State.FIN_WAIT_1, packet)
                self._to(end, State.CLOSING, packet)
            elif end.side.state is State.CLOSE_WAIT:
                self._to(end, State.LAST_ACK, packet)
        if not peer.heard_fin and end.hole is None:
            self._hear_fin(packet, peer)

    def _hear_fin(self, packet: Packet, end: End) -> None:
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

    def _take_reset(self, packet: Packet, end: End, peer: End) -> None:
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
            self.tell(
                "refused",
                packet,
                f"{host} refuses: nobody listens on port {end.side.port}",
                "RFC 9293 section 3.5.2",
                host,
                tuple(peer.asked[:1]),
            )
        else:
            self.tell("reset", packet, f"{host} resets the connection", "RFC 9293 section 3.5.2", host)

    def _to(self, end: End, state: State, packet: Packet) -> None:
        if end.side.state is not state:
            if not end.side.states:
                end.side.states.append(
                    (
                        0,
                        State.CLOSED
                        if state is State.SYN_SENT
                        else State.LISTEN
                        if state is State.SYN_RECEIVED
                        else state,
                    )
                )
            if end.side.state is not state:
                end.side.states.append((packet.number, state))
