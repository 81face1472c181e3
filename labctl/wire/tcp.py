"""One TCP connection as the wire shows it: both ends' states (RFC 9293 section 3.3.2), who opens, closes, resets, and late ACKs."""

from labctl.wire.model import ACK, FIN, RST, SYN, Conversation, Packet, State
from labctl.wire.trouble import HALF, WHOLE, End, Trouble, after, tcp_options

DELAYED_NS = (
    20_000_000,
    500_000_000,
)  # an ACK later than a busy host's, and sooner than RFC 1122 section 4.2.3.2 allows
MSS, SHIFT = 2, 3  # option kinds (RFC 9293 section 3.1, RFC 7323)


class Way:
    """One direction of a connection; takes those segments of which `Flow.take` would have nothing to say, in a quarter of its time."""

    __slots__ = ("conversation", "end", "flow", "from_opener", "keep", "number", "peer")

    def __init__(self, flow: "Flow", end: End, peer: End) -> None:
        self.flow, self.end, self.peer = flow, end, peer
        self.conversation = flow.conversation
        self.number = self.conversation.number
        self.keep = self.conversation.packets.append
        self.from_opener = end.side is self.conversation.opener

    def take(self, time_ns: int, number: int, seq: int, ack: int, window: int, length: int) -> bool:
        """Take a segment with no flags but ACK and PSH; False, and nothing is changed, where it has to be looked at more closely.

        Does to both ends what `Flow.take` does; that they agree on any segments is tested.
        """
        end, peer = self.end, self.peer
        if seq != end.next or not window or end.last or not self.flow.calm:
            return False
        if not length:
            if ack == end.ack:
                return False
        elif (length == 1 and not peer.window) or (
            peer.shift >= 0 <= end.shift and not (seq + length - peer.ack - (peer.window << peer.shift)) & WHOLE
        ):
            return False
        pending = end.pending
        if pending is not None and not 0 < (pending[0] - ack) & WHOLE < HALF:
            if not length and DELAYED_NS[0] <= time_ns - pending[1] <= DELAYED_NS[1]:
                return False
            end.pending = None
        end.duplicates = 0
        end.ack, end.ack_time, end.window = ack, time_ns, window
        sent = peer.sent
        while sent and not 0 < (sent[0][1] - ack) & WHOLE < HALF:
            sent.popleft()
        side = end.side
        side.packets += 1
        if length:
            following = seq + length & WHOLE
            side.octets += length
            end.next, end.next_time = following, time_ns
            end.sent.append((seq, following))
            if peer.pending is None:
                peer.pending = (following, time_ns, number)
        return True


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
        self.calm = False  # open, in order, and nothing pending but acknowledgments
        self.ways = (Way(self, *self.ends), Way(self, *self.ends[::-1]))

    def take(self, packet: Packet, from_opener: bool, *, heard: bool = True) -> None:
        """Take a segment, sent by the opener or by the answerer; one that its receiver did not hear changes its sender alone."""
        end, peer = self.ends if from_opener else (self.ends[1], self.ends[0])
        flags, seq, length = packet.flags, packet.seq, packet.payload
        side = end.side
        side.packets += 1
        if flags & SYN:
            self._take_syn(packet, end, peer, heard)
        if not end.seen:
            end.seen = True
            side.first_seq = side.first_seq if side.first_seq is not None else (seq if flags & SYN else seq - 1 & WHOLE)
            end.next, end.next_time = seq, packet.time_ns
        last, end.last = end.last, ""
        if length or flags & (SYN | FIN | RST) or seq != end.next or packet.ack == end.ack or not packet.window or last:
            self.analyse(packet, end, peer, heard=heard)
        else:
            end.duplicates = 0
        following = seq + length + bool(flags & SYN) + bool(flags & FIN) & WHOLE
        if end.last not in ("keep-alive", "probe") and after(following, end.next):
            if seq != end.next and end.hole is None and after(seq, end.next):
                end.hole = end.next
            side.octets += (following - end.next & WHOLE) - bool(flags & SYN) - bool(flags & FIN)
            end.next, end.next_time = following, packet.time_ns
        if flags & ACK:
            self._take_ack(packet, end, peer, heard)
        if following != seq:
            end.sent.append((seq, following))
        if length and not heard and end.hole is None:
            end.hole = seq
        if length and heard and not peer.pending:
            peer.pending = (seq + length & WHOLE, packet.time_ns, packet.number)
        if heard:
            end.window = packet.window
        if flags & FIN:
            self._take_fin(packet, end, peer, following, heard)
        if flags & RST:
            self._take_reset(packet, end, peer, heard)
        self.calm = all(
            item.side.state is State.ESTABLISHED and item.ack >= 0 and item.fin is None and item.hole is None
            for item in self.ends
        )

    def _take_syn(self, packet: Packet, end: End, peer: End, heard: bool) -> None:
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
            crossing = heard and peer.side.state is State.SYN_SENT
            self._to(end, State.SYN_SENT, packet)
            if crossing:  # RFC 9293 figure 7
                self._to(end, State.SYN_RECEIVED, packet)
                self._to(peer, State.SYN_RECEIVED, packet)
                asked = tuple(peer.asked[:1])
                self.tell("simultaneous open", packet, "both ends opened at once", "RFC 9293 section 3.5", frames=asked)
            elif peer.side.state is None:
                peer.side.states.append((0, State.LISTEN))

    def _take_ack(self, packet: Packet, end: End, peer: End, heard: bool) -> None:
        state, theirs = end.side.state, peer.side.state
        if state is None and not packet.flags & SYN:  # the capture began in the middle
            self._to(end, State.ESTABLISHED, packet)
            if theirs is None:
                self._to(peer, State.ESTABLISHED, packet)
            self.established = True
        if packet.flags & SYN:
            if heard and theirs in (State.SYN_SENT, State.SYN_RECEIVED):
                self._to(peer, State.ESTABLISHED, packet)
        elif state in (State.SYN_SENT, State.ESTABLISHED) and theirs is State.SYN_RECEIVED:
            self._to(end, State.ESTABLISHED, packet)
            if heard:
                self._to(peer, State.ESTABLISHED, packet)
            if heard and not self.established:
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
        if pending and not after(pending[0], packet.ack):
            waited = packet.time_ns - pending[1]
            if not packet.payload and not packet.flags & (FIN | RST) and DELAYED_NS[0] <= waited <= DELAYED_NS[1]:
                text = f"acknowledged {waited / 1e6:.0f} ms after it came"
                self.tell("delayed ack", packet, text, "RFC 1122 section 4.2.3.2", end.side.host, (pending[2],))
            end.pending = None
        if peer.hole is not None and after(packet.ack, peer.hole):
            peer.hole = None
        if heard:  # an end is judged by what it can know
            end.ack, end.ack_time = packet.ack, packet.time_ns
            sent = peer.sent
            while sent and not after(sent[0][1], packet.ack):
                sent.popleft()
        if peer.fin is not None and not after(peer.fin, packet.ack):
            if not end.heard_fin:
                self._hear_fin(packet, end)
            if not heard:
                return
            now = peer.side.state
            if now is State.FIN_WAIT_1:
                self._to(peer, State.FIN_WAIT_2, packet)
            elif now is State.CLOSING:
                self._to(peer, State.TIME_WAIT, packet)
                if end.side.state is State.TIME_WAIT:
                    self._close(packet)
            elif now is State.LAST_ACK:
                self._to(peer, State.CLOSED, packet)
                self._close(packet)

    def _take_fin(self, packet: Packet, end: End, peer: End, following: int, heard: bool) -> None:
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
        if heard and not peer.heard_fin and end.hole is None:
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
        keep = f"{waits[0]} keeps" if len(waits) == 1 else f"{' and '.join(waits)} keep"
        text = f"closed; {keep} TIME-WAIT" if waits else "closed"
        self.tell("closed", packet, text, "RFC 9293 section 3.6", waits[0] if waits else "")

    def _take_reset(self, packet: Packet, end: End, peer: End, heard: bool) -> None:
        if self.over and end.side.state is State.CLOSED and peer.side.state is State.CLOSED:
            return
        refused = heard and peer.side.state is State.SYN_SENT and not self.established
        if refused and not end.side.packets - 1:
            end.side.states[:] = [(0, State.CLOSED)]  # nobody listened there
        self._to(end, State.CLOSED, packet)
        if heard:
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
