"""What was seen, as values: `Packet`, `Call`, `Conversation`, `Event`, `Trace`. Pure; renderers and expectations read nothing else.

Times are whole nanoseconds since 1970 (`…_ns`), since a float cannot hold them; differences are given in seconds.
"""

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from labctl.wire.address import joined

if TYPE_CHECKING:
    from labctl.wire.cut import Cut
    from labctl.wire.dialogue import Dialogues
    from labctl.wire.shaped import Shaped
    from labctl.wire.tcp import Way

NS = 10**9
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = 1, 2, 4, 8, 16, 32, 64, 128  # RFC 9293 section 3.1, RFC 3168
FLAG_NAMES = ((SYN, "SYN"), (FIN, "FIN"), (RST, "RST"), (PSH, "PSH"), (ACK, "ACK"), (URG, "URG"), (ECE, "ECE"), (CWR, "CWR"))  # fmt: skip

Kind = Literal["TCP", "UDP", "ICMP", "ARP", "IP", "other"]


class State(enum.Enum):
    """States of a TCP connection (RFC 9293 section 3.3.2), as far as the wire shows them."""

    CLOSED = "CLOSED"
    LISTEN = "LISTEN"
    SYN_SENT = "SYN-SENT"
    SYN_RECEIVED = "SYN-RECEIVED"
    ESTABLISHED = "ESTABLISHED"
    FIN_WAIT_1 = "FIN-WAIT-1"
    FIN_WAIT_2 = "FIN-WAIT-2"
    CLOSE_WAIT = "CLOSE-WAIT"
    CLOSING = "CLOSING"
    LAST_ACK = "LAST-ACK"
    TIME_WAIT = "TIME-WAIT"


@dataclass(slots=True)
class Packet:
    """One frame, read as far as it can be.

    Args:
        number: its place in the capture, from 1: the frame number that other programs show too.
        time_ns: when it was seen.
        length: octets on the wire.
        octets: what was kept of it.
        kind: what it carries; a fragment is of its datagram's kind.
        source, target: addresses as text (IP, or hardware where there is no IP).
        source_mac, target_mac: hardware addresses as text.
        source_port, target_port: of TCP and UDP; None elsewhere.
        payload_at: where in `octets` the transport's payload begins.
        payload: its length on the wire, in octets, also where the frame was cut short.
        flags, seq, ack, window: of TCP, as they stand in the segment.
        options_at: where TCP's options begin; they end at `payload_at`.
        network_at, transport_at: where the IP and the transport header begin; 0 where there is none.
        hops: IPv4's time to live, IPv6's hop limit.
        note: what a reader of the ladder should know beside the label: an ICMP's meaning, a question to the name server.
        code: ICMP's type and code; ARP's operation and 0.
        fragment: (identification, offset in octets, more to come), where it is a fragment.
        problem: why it could not be read further: cut short, or not as its RFC says.
        way: of a plain segment (Ethernet, IPv4 without options or fragments, TCP), its direction of its connection; None of all else.
            Such a segment is read when one of its fields is first asked for; until then it has its octets, and what is noted on it.
    """

    number: int
    time_ns: int
    length: int
    octets: bytes
    kind: Kind = "other"
    source: str = ""
    target: str = ""
    source_mac: str = ""
    target_mac: str = ""
    source_port: int | None = None
    target_port: int | None = None
    payload_at: int = 0
    payload: int = 0
    flags: int = 0
    seq: int = 0
    ack: int = 0
    window: int = 0
    options_at: int = 0
    network_at: int = 0
    transport_at: int = 0
    hops: int = 0
    note: str = ""
    code: tuple[int, int] = (0, 0)
    fragment: tuple[int, int, bool] | None = None
    problem: str = ""
    comment: str = ""
    way: "Way | None" = field(default=None, repr=False, compare=False)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            """Read a plain segment's octets, the first time that something of it is asked for."""
            if name not in Packet.__slots__:
                raise AttributeError(name)
            from labctl.wire.packet import fill_in

            fill_in(self)
            return getattr(self, name)

    @property
    def data(self) -> bytes:
        """The payload, as far as it was captured."""
        return self.octets[self.payload_at : self.payload_at + self.payload] if self.payload else b""

    @property
    def is_continued(self) -> bool:
        """Whether it is a further fragment of a datagram that began in another packet."""
        return self.fragment is not None and self.fragment[1] > 0

    @property
    def flag_names(self) -> str:
        """TCP's flags in words, SYN first: `SYN, ACK`."""
        return ", ".join(name for bit, name in FLAG_NAMES if self.flags & bit)


@dataclass(slots=True)
class Call:
    """One system call of a host on a socket.

    Args:
        host: where it was made.
        process: its process (or thread) number in that host.
        program: what runs there: the name of a step or of the host's server.
        time_ns: when it was entered.
        seconds: how long it took; None where it never returned.
        name: such as `connect`.
        descriptor: the socket's number; None where the call makes one and failed, or waits for several.
        result: what it returned; None where it never did.
        error: the errno's name, such as `ECONNREFUSED`; empty where it succeeded.
        text: its arguments, as strace tells them.
        local, peer: addresses of the socket as `host:port`, where they are known.
        transport: `TCP`, `UDP`, or empty.
        octets: a cut of what was sent or received.
        conversation: number of the conversation that it belongs to; 0 where none is known.
        frames: numbers of the frames that it caused, or waited for.
    """

    host: str
    process: int
    program: str
    time_ns: int
    seconds: float | None
    name: str
    descriptor: int | None
    result: int | None
    error: str
    text: str
    local: str = ""
    peer: str = ""
    transport: str = ""
    octets: bytes = b""
    conversation: int = 0
    frames: tuple[int, ...] = ()

    @property
    def end_ns(self) -> int:
        """When it returned; when it was entered, where it never did."""
        return self.time_ns + round((self.seconds or 0.0) * NS)


EventKind = Literal[
    "handshake", "refused", "unanswered", "closed", "reset", "half-close", "retransmission", "fast retransmission",
    "spurious retransmission",
    "out of order", "lost segment", "duplicate ack", "keep-alive", "keep-alive ack", "zero window", "zero window probe", "window full",
    "window update", "delayed ack", "nagle", "simultaneous open", "port reused", "unreachable", "answered", "fragments", "cut short",
]  # fmt: skip


@dataclass(slots=True)
class Event:
    """Something that happened in a conversation, with the frames that show it.

    Args:
        kind: what happened.
        frame: number of the frame that shows it.
        text: the same in a few words, for a reader.
        by: host or address whose doing it was.
        frames: all frames that it rests on, `frame` among them.
        rfc: the section that speaks of it.
    """

    kind: EventKind
    frame: int
    text: str
    by: str = ""
    frames: tuple[int, ...] = ()
    rfc: str = ""


@dataclass(slots=True)
class Side:
    """One end of a conversation.

    Args:
        host: its name, or its address where no name is known.
        address: IP address; hardware address where there is no IP.
        port: of TCP and UDP.
        packets: how many it sent.
        octets: payload that it sent, each octet of TCP counted once.
        states: TCP's states as they changed: (frame number, state); the first entry's frame is 0.
        first_seq: initial sequence number, once seen.
        mss: maximum segment size that it announced; 0 where it did not.
        shift: window scale that it announced; None where it did not.
    """

    host: str
    address: str
    port: int | None = None
    packets: int = 0
    octets: int = 0
    states: list[tuple[int, State]] = field(default_factory=list)
    first_seq: int | None = None
    mss: int = 0
    shift: int | None = None

    @property
    def name(self) -> str:
        """`host:port`."""
        return joined(self.host, self.port)

    @property
    def state(self) -> State | None:
        """The state it was in when the capture ended."""
        return self.states[-1][1] if self.states else None


@dataclass(slots=True)
class Conversation:
    """Packets between the same two ends, from the first to the last.

    Args:
        number: from 1, in the order in which they began.
        kind: TCP, UDP, ICMP, ARP, or IP where the transport is another.
        opener: the end that sent the first packet (of TCP: the SYN).
        answerer: the other one.
        packets: all of them, in their order.
        events: what happened, in order.
    """

    number: int
    kind: Kind
    opener: Side
    answerer: Side
    packets: list[Packet] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    topic: str = ""

    @property
    def sides(self) -> tuple[Side, Side]:
        """Both ends, the opener first."""
        return self.opener, self.answerer

    @property
    def seconds(self) -> float:
        """From its first to its last packet."""
        return (self.packets[-1].time_ns - self.packets[0].time_ns) / NS if self.packets else 0.0

    @property
    def title(self) -> str:
        """`TCP client:40000 → tcp-server:12345`."""
        return f"{self.topic or self.kind} {self.opener.name} → {self.answerer.name}"

    def from_opener(self, packet: Packet) -> bool:
        """Tell whether the opener sent it."""
        return packet.source == self.opener.address and packet.source_port == self.opener.port

    def stream(self, side: Side) -> bytes:
        """Return the octets that an end sent, put in order, each once; a gap ends them. Not for TCP: all payloads in a row."""
        from labctl.wire.stream import stream_of

        return stream_of(self, side)


@dataclass(slots=True)
class Trace:
    """All that is known of a stretch of time on the wire.

    Args:
        packets: all, in the order of the capture.
        conversations: in the order in which they began.
        calls: by the time they were entered.
        names: address → host.
        of: frame number → number of its conversation.
        dropped: frames that the capture lost; None where it does not say.
        problems: what is amiss with the capture itself.
        shaped: what the lab's shapers say that they did to packets.
        cuts: when which hosts were cut off from which.
        unheard: frames that crossed and were dropped where they arrived → why.
        dialogues: what the connections' ends said, once somebody asked (`dialogues_of`).
    """

    packets: list[Packet] = field(default_factory=list)
    conversations: list[Conversation] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    of: dict[int, int] = field(default_factory=dict)
    dropped: int | None = None
    problems: list[str] = field(default_factory=list)
    shaped: "list[Shaped]" = field(default_factory=list)
    cuts: "tuple[Cut, ...]" = ()
    unheard: dict[int, str] = field(default_factory=dict)
    dialogues: "Dialogues | None" = field(default=None, repr=False, compare=False)

    @property
    def doubts(self) -> tuple[str, ...]:
        """What a reader has to know of the capture: what is amiss with it, and what it lost."""
        lost = f"the capture lost {self.dropped} frames, for want of buffer: gaps may be its own"
        return (*self.problems, lost) if self.dropped else tuple(self.problems)

    def name(self, address: str) -> str:
        """Return the host at an address, or the address."""
        return self.names.get(address, address)

    def addresses(self, host: str) -> set[str]:
        """Return the addresses of a host."""
        return {address for address, name in self.names.items() if name == host}

    def packet(self, number: int) -> Packet | None:
        """Return the frame of that number."""
        if 0 < number <= len(self.packets) and self.packets[number - 1].number == number:
            return self.packets[number - 1]
        return next((packet for packet in self.packets if packet.number == number), None)

    def conversation(self, number: int) -> Conversation | None:
        """Return the conversation of that number."""
        if 0 < number <= len(self.conversations) and self.conversations[number - 1].number == number:
            return self.conversations[number - 1]
        return next((item for item in self.conversations if item.number == number), None)

    @property
    def hosts(self) -> list[str]:
        """Whoever sent a packet or made a call, in the order of first sight."""
        found: dict[str, None] = {}
        for conversation in self.conversations:
            for side in conversation.sides:
                if side.packets:
                    found.setdefault(side.host)
        for call in self.calls:
            found.setdefault(call.host)
        return list(found)
