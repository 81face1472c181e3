"""Ties calls to the segments that they caused or waited for.

Of a TCP connection the octets are counted: the n-th octet sent is the n-th after the SYN, whatever segments carry it. So a call is tied by
what it sent, not by when: two `send`s that share a segment are both tied to it. Of UDP the datagrams are counted.
"""

from bisect import bisect_right
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from labctl.wire.model import ACK, FIN, RST, SYN, Call, Conversation, Event, Side, Trace
from labctl.wire.shaped import Fates

WHOLE = (1 << 32) - 1
SEND = {"send", "sendto", "sendmsg", "write", "writev", "sendfile"}
CAUSES = {"connect", "close", "shutdown", *SEND}
MAKE = {"socket", "accept", "accept4"}
RECEIVE = {"recv", "recvfrom", "recvmsg", "read", "readv"}
SLACK_NS = 2_000_000  # strace stops a call on its way in and out; the kernel is not held up meanwhile
LOOKUP_NS = 20_000_000  # what strace's own work before a call may take
HELD_NS = 1_000_000  # a small segment that leaves this long after its send was held back


@dataclass
class _Stream:
    """One direction of a connection: which frame carries which octets."""

    begins: list[int] = field(default_factory=list)  # offsets, each once, ascending
    ends: list[int] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    fin: int = 0
    shut: bool = False  # `shutdown` has sent the FIN: what `close` does later shows in no segment
    count: int = 0  # octets that calls of one end have sent, or of the other have taken, so far

    def frames_of(self, begin: int, end: int) -> tuple[int, ...]:
        """Return the frames that first carried the octets from `begin` to before `end`."""
        at = max(0, bisect_right(self.begins, begin) - 1)
        found = []
        while at < len(self.begins) and self.begins[at] < end:
            if self.ends[at] > begin:
                found.append(self.frames[at])
            at += 1
        return tuple(found)


def tie(trace: Trace, calls: Iterable[Call]) -> None:
    """Put calls into a trace, each with its conversation and its frames."""
    trace.calls = sorted(calls, key=lambda call: call.time_ns)
    ties = _Ties(trace)
    for call in trace.calls:
        ties.take(call)
    trace.calls.sort(key=lambda call: call.time_ns)
    for call in trace.calls:
        call.peer, call.local = named(call.peer, trace.names), named(call.local, trace.names)


def named(place: str, names: Mapping[str, str]) -> str:
    """Return `host:port` for `address:port`."""
    host, _, port = place.rpartition(":")
    host = host.strip("[]")
    return f"{names[host]}:{port}" if host in names else place


class _Ties:
    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.ends: dict[tuple[str, str], list[Conversation]] = {}
        self.with_peer: dict[str, list[Conversation]] = {}
        self.early: dict[tuple[str, int, int | None], list[Call]] = {}
        self.sockets: dict[tuple[str, int, int | None], tuple[Conversation, bool]] = {}
        for item in trace.conversations:
            if item.kind in ("TCP", "UDP"):
                one, other = _place(item.opener), _place(item.answerer)
                self.ends.setdefault((one, other), []).append(item)
                self.ends.setdefault((other, one), []).append(item)
                self.with_peer.setdefault(one, []).append(item)
                self.with_peer.setdefault(other, []).append(item)
        self.streams: dict[tuple[int, bool, bool], _Stream] = {}
        self.packets = {packet.number: packet for packet in trace.packets}
        self.fates = Fates(trace.shaped)

    def take(self, call: Call) -> None:
        """Tie one call; they come in the order of time."""
        key = (call.host, call.process, call.descriptor)
        if call.name in MAKE:
            self.sockets.pop(key, None)
            self.early[key] = []
        found = self.conversation(call) or self.unnamed(call) or (None if call.local else self.sockets.get(key))
        if found is None:
            self.early.setdefault(key, []).append(call)
            return
        for before in self.early.pop(key, ()):  # `socket`, `bind`: what they were for shows only now
            before.conversation = found[0].number
        if call.descriptor is not None and call.name != "close" and call.transport != "UDP":
            self.sockets[key] = found
        elif call.name == "close":
            self.sockets.pop(key, None)
        conversation, own = found
        call.conversation = conversation.number
        if conversation.kind == "TCP":
            self.take_tcp(call, conversation, own)
        else:
            self.take_udp(call, conversation, own)
        if call.name in CAUSES and call.frames:
            self.put_in_time(call)

    def put_in_time(self, call: Call) -> None:
        """Move a call to when it ran: strace tells its time before it has looked up the socket's addresses, which can take milliseconds."""
        first = self.packets[call.frames[0]]
        late = first.time_ns - call.end_ns
        if 0 < late < LOOKUP_NS and first.source in self.trace.addresses(call.host):
            call.time_ns += late

    def conversation(self, call: Call) -> tuple[Conversation, bool] | None:
        """Return a call's conversation, and whether the caller opened it."""
        if not call.local or not call.peer:
            return None
        choices = self.ends.get((call.local, call.peer), [])
        # the ports may have been used before: the last conversation that had begun by the end of the call
        begun = [item for item in choices if item.packets[0].time_ns <= call.end_ns + LOOKUP_NS]
        if not begun:
            return None
        return begun[-1], _place(begun[-1].opener) == call.local

    def unnamed(self, call: Call) -> tuple[Conversation, bool] | None:
        """Find the conversation of a socket whose own address strace did not know: by its peer, its port, and the time."""
        host, _, port = call.local.rpartition(":")
        if not call.peer or host not in ("", "0.0.0.0", "[::]") or call.name not in {"connect", *SEND, *RECEIVE}:
            return None
        for item in reversed(self.with_peer.get(call.peer, ())):
            own = _place(item.answerer) == call.peer
            near = item.opener if own else item.answerer
            if (
                near.host != call.host
                or (port and str(near.port) != port)
                or (call.transport and item.kind != call.transport)
            ):
                continue
            if (
                call.name == "connect"
                and not call.time_ns - SLACK_NS <= item.packets[0].time_ns <= call.end_ns + LOOKUP_NS
            ):
                continue
            if port or item.packets[0].time_ns >= call.time_ns - SLACK_NS:
                return item, own
        return None

    def stream(self, conversation: Conversation, from_opener: bool, *, taken: bool = False) -> _Stream:
        """Return one direction, as its sender's calls count it or, where it is `taken`, those of the other end."""
        key = (conversation.number, from_opener, taken)
        if key not in self.streams:
            self.streams[key] = _read_stream(conversation, from_opener, self.trace.unheard if taken else ())
        return self.streams[key]

    def take_tcp(self, call: Call, conversation: Conversation, own: bool) -> None:
        if call.name == "connect":
            call.frames = _handshake(call, conversation)
        elif call.name in ("accept", "accept4"):
            call.frames = tuple(event.frame for event in conversation.events if event.kind == "handshake")
        elif call.name in SEND and (call.result or 0) > 0:
            stream = self.stream(conversation, own)
            begin = stream.count
            stream.count += call.result or 0
            call.frames = stream.frames_of(begin, stream.count)
            self.judge_nagle(call, conversation, own)
        elif call.name in RECEIVE and call.result is not None:
            stream = self.stream(conversation, not own, taken=True)
            if call.result > 0:
                call.frames = stream.frames_of(stream.count, stream.count + call.result)
                stream.count += call.result
            elif call.result == 0 and stream.fin:
                call.frames = (stream.fin,)
            elif call.error == "ECONNRESET":
                call.frames = tuple(packet.number for packet in conversation.packets if packet.flags & RST)[:1]
        elif call.name in ("close", "shutdown"):
            stream = self.stream(conversation, own)
            frame = None if stream.shut or "SHUT_RD" in call.text.split(", ") else self.packets.get(stream.fin)
            if frame and call.time_ns - SLACK_NS <= frame.time_ns <= call.end_ns + LOOKUP_NS:
                call.frames = (stream.fin,)
                stream.shut = call.name == "shutdown"
            elif call.name == "close":
                resets = (
                    packet
                    for packet in conversation.packets
                    if packet.flags & RST and conversation.from_opener(packet) == own
                )
                call.frames = tuple(
                    packet.number for packet in resets if abs(packet.time_ns - call.time_ns) <= SLACK_NS
                )[:1]

    def judge_nagle(self, call: Call, conversation: Conversation, own: bool) -> None:
        """Tell of a small segment that waited for the acknowledgment of what was sent before (RFC 9293 section 3.7.4)."""
        if len(call.frames) != 1:
            return
        packet = self.packets[call.frames[0]]
        fate = self.fates.of(packet)
        left = (
            fate.seen_ns if fate else packet.time_ns
        )  # its host's time; the bridge sees it when its shaper lets it go
        mss = (conversation.answerer if own else conversation.opener).mss
        if left - call.end_ns < HELD_NS or (mss and packet.payload >= mss):
            return
        before = [item for item in conversation.packets if item.number < packet.number and item.time_ns <= left]
        if (
            before
            and conversation.from_opener(before[-1]) != own
            and before[-1].flags & ACK
            and (left - before[-1].time_ns) * 4 < left - call.end_ns  # much sooner after the ACK than it had waited
        ):
            held = (left - call.time_ns) / 1e6
            text = f"held back {held:.0f} ms, until what was sent before had been acknowledged (Nagle)"
            frames = (before[-1].number, packet.number)
            if not any(event.kind == "nagle" and event.frame == packet.number for event in conversation.events):
                conversation.events.append(
                    Event("nagle", packet.number, text, call.host, frames, "RFC 9293 section 3.7.4")
                )

    def take_udp(self, call: Call, conversation: Conversation, own: bool) -> None:
        if call.error == "ECONNREFUSED":
            call.frames = tuple(event.frame for event in conversation.events if event.kind == "unreachable")[:1]
            return
        sends = call.name in SEND
        if (not sends and call.name not in RECEIVE) or call.result is None or call.result < 0:
            return
        stream = self.stream(conversation, own if sends else not own, taken=not sends)
        if stream.count < len(stream.frames):
            call.frames = (stream.frames[stream.count],)
            stream.count += 1


def _read_stream(conversation: Conversation, from_opener: bool, unheard: Container[int]) -> _Stream:
    stream = _Stream()
    side = conversation.opener if from_opener else conversation.answerer
    for packet in conversation.packets:
        if (
            packet.kind != conversation.kind
            or conversation.from_opener(packet) != from_opener
            or packet.number in unheard
        ):
            continue
        if conversation.kind == "UDP":
            stream.frames.append(packet.number)
            continue
        if packet.flags & FIN and not stream.fin:
            stream.fin = packet.number
        begin = packet.seq + bool(packet.flags & SYN) - (side.first_seq or 0) - 1 & WHOLE
        end = begin + packet.payload
        known = stream.ends[-1] if stream.ends else 0
        if (
            packet.payload and end > known and begin < 1 << 31
        ):  # what was sent before is tied to the frame that first carried it
            stream.begins.append(max(begin, known))
            stream.ends.append(end)
            stream.frames.append(packet.number)
    return stream


def _handshake(call: Call, conversation: Conversation) -> tuple[int, ...]:
    """Return the frames between which `connect` waits: SYNs, and the answer to them."""
    found: list[int] = []
    for packet in conversation.packets[:32]:
        opening = conversation.from_opener(packet)
        if opening and packet.flags & SYN:
            found.append(packet.number)
        elif not opening and packet.flags & (SYN | RST):
            if call.error != "EINPROGRESS":
                found.append(packet.number)
            break
    return tuple(found)


def _place(side: Side) -> str:
    return f"[{side.address}]:{side.port}" if ":" in side.address else f"{side.address}:{side.port}"
