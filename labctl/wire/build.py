"""From packets to a `Trace`: conversations, fragments, names. Takes packets as they come, so that a live ladder grows with the wire."""

import ipaddress
from collections.abc import Iterable, Mapping
from struct import Struct

from labctl.wire.capture import ETHERNET, Capture, Frame
from labctl.wire.cut import Cut
from labctl.wire.dns import PORT as DNS_PORT
from labctl.wire.dns import read_dns
from labctl.wire.icmp import quoted_datagram
from labctl.wire.model import ACK, SYN, Conversation, Event, Kind, Packet, Side, Trace
from labctl.wire.packet import TCP, read_packet
from labctl.wire.pause import no_collection
from labctl.wire.tcp import Flow, Way

Key = tuple[object, ...]
TRANSPORTS = {6: "TCP", 17: "UDP"}
# of Ethernet, IPv4 and TCP: type, version, header length | total length | flags, offset | protocol | both ends | seq, ack, bits, window
_HEADS = Struct(">12x3sxH2xHxB2x12sIIHH").unpack_from
HEADS = 54  # octets
PLAIN_IPV4 = b"\x08\x00\x45"  # its type, and a header of version 4 and 20 octets
_new = Packet.__new__


def build_trace(capture: Capture, names: Mapping[str, str] | None = None, cuts: tuple[Cut, ...] = ()) -> Trace:
    """Return what a capture shows, where these partitions were; `names` go before those of its own name records."""
    builder = TraceBuilder({**capture.names, **(names or {})}, cuts)
    with no_collection():
        builder.read(capture.frames)
        builder.finish()
    trace = builder.trace
    trace.dropped = capture.dropped
    if capture.problem:
        trace.problems.append(capture.problem)
    return trace


class TraceBuilder:
    """Puts packets into conversations, one after the other; `trace` is what is known so far."""

    def __init__(self, names: Mapping[str, str] | None = None, cuts: tuple[Cut, ...] = ()) -> None:
        self.trace = Trace(names=dict(names or {}), cuts=cuts)
        self._known: dict[
            Key, tuple[Conversation, bool]
        ] = {}  # direction → (conversation, whether its opener sends so)
        self._flows: dict[int, Flow] = {}
        self._ways: dict[bytes, Way] = {}  # addresses and ports as they stand in a plain segment → its direction
        self._fragments: dict[Key, tuple[Packet, list[Packet]]] = {}
        self._macs: dict[str, str] = {}

    def read(self, frames: Iterable[Frame], first: int = 1) -> None:
        """Take frames in the order in which they were seen, numbered from `first`.

        What most frames of most captures are, a plain segment that only goes on with its connection, is neither read whole nor judged:
        `feed` and `read_packet` would say the same of it, in three times the time.
        """
        if self.trace.cuts:  # each packet has to be asked whether it was heard
            self.feed(read_packet(number, frame) for number, frame in enumerate(frames, first))
            return
        ways, of, keep = self._ways, self.trace.of, self.trace.packets.append
        for number, frame in enumerate(frames, first):
            time_ns, octets, length, link, comment = frame
            if link != ETHERNET or comment or len(octets) < HEADS:
                self.feed((read_packet(number, frame),))
                continue
            kind, total, place, protocol, ends, seq, ack, bits, window = _HEADS(octets)
            header = bits >> 10 & 60
            payload = total - 20 - header
            if kind != PLAIN_IPV4 or protocol != TCP or place & 0x3FFF or header < 20 or payload < 0:
                self.feed((read_packet(number, frame),))
                continue
            packet = _new(Packet)
            packet.number, packet.time_ns, packet.length, packet.octets = number, time_ns, length, octets
            packet.note = packet.problem = packet.comment = ""
            way = packet.way = ways.get(ends)
            keep(packet)
            if way is not None and bits & 0xF7 == ACK and way.take(time_ns, number, seq, ack, window, payload):
                way.keep(packet)
                of[number] = way.number
            else:
                packet.way = None
                packet.way = ways[ends] = self._take_segment(packet)

    def feed(self, packets: Iterable[Packet]) -> None:
        """Take packets in the order in which they were seen."""
        for packet in packets:
            self.trace.packets.append(packet)
            if cut := next((cut for cut in self.trace.cuts if cut.drops(packet)), None):
                self.trace.unheard[packet.number] = str(cut)
            if packet.kind == "TCP" and packet.fragment is None and packet.source_port is not None:
                self._take_segment(packet)
            else:
                self._take(packet)

    def _take_segment(self, packet: Packet) -> Way:
        """Take a segment of TCP, and return the direction of the connection that it belongs to."""
        key: Key = (packet.source, packet.source_port, packet.target, packet.target_port)
        found = self._known.get(key)
        if found is None or (packet.flags & (SYN | ACK) == SYN and self._is_new(found, packet)):
            if found is not None:
                self._ways.clear()  # the ports were another connection's
            found = self._begin(packet, key, (packet.target, packet.target_port, packet.source, packet.source_port))
        conversation, from_opener = found
        conversation.packets.append(packet)
        self.trace.of[packet.number] = conversation.number
        flow = self._flows[conversation.number]
        flow.take(packet, from_opener, heard=packet.number not in self.trace.unheard)
        return flow.ways[not from_opener]

    def _is_new(self, found: tuple[Conversation, bool], packet: Packet) -> bool:
        """Tell whether a SYN begins a new connection between ports that had one before (RFC 9293 section 3.6.1)."""
        conversation, from_opener = found
        side = conversation.opener if from_opener else conversation.answerer
        flow = self._flows[conversation.number]
        return side.first_seq != packet.seq and (flow.over or flow.established)

    def _take(self, packet: Packet) -> None:
        """Take anything but a segment of TCP."""
        if packet.fragment is not None and not self._join(packet):
            return
        conversation = self._quoted(packet)
        if conversation is None:
            key, back = self._keys(packet)
            found = self._known.get(key) or self._begin(packet, key, back)
            conversation, from_opener = found
            side = conversation.opener if from_opener else conversation.answerer
            side.packets += 1
            side.octets += packet.payload
            if packet.kind == "UDP" and DNS_PORT in (packet.source_port, packet.target_port):
                message = read_dns(packet.data)
                if message:
                    packet.note, conversation.topic = str(message), "DNS"
            if packet.kind == "TCP" and conversation.number in self._flows:
                heard = packet.number not in self.trace.unheard
                self._flows[conversation.number].take(packet, from_opener, heard=heard)
        conversation.packets.append(packet)
        self.trace.of[packet.number] = conversation.number
        if packet.problem:
            conversation.events.append(Event("cut short", packet.number, packet.problem, frames=(packet.number,)))

    def _keys(self, packet: Packet) -> tuple[Key, Key]:
        if packet.kind in ("UDP", "TCP"):
            return (
                (packet.kind, packet.source, packet.source_port, packet.target, packet.target_port),
                (packet.kind, packet.target, packet.target_port, packet.source, packet.source_port),
            )
        kind = packet.kind if packet.kind != "other" else packet.note
        return (kind, packet.source, packet.target), (kind, packet.target, packet.source)

    def _begin(self, packet: Packet, key: Key, back: Key) -> tuple[Conversation, bool]:
        number = len(self.trace.conversations) + 1
        sender = Side(self._name(packet.source, packet.source_mac), packet.source, packet.source_port)
        receiver = Side(self._name(packet.target, packet.target_mac), packet.target, packet.target_port)
        # A capture that begins in the middle of a connection: the end with the well-known port is the one that was called.
        turned = packet.kind == "TCP" and (
            packet.flags & (SYN | ACK) == (SYN | ACK)
            or (not packet.flags & SYN and (packet.source_port or 0) < (packet.target_port or 0))
        )
        opener, answerer = (receiver, sender) if turned else (sender, receiver)
        kind: Kind = packet.kind
        conversation = Conversation(number, kind, opener, answerer)
        self.trace.conversations.append(conversation)
        self._known[key] = (conversation, not turned)
        self._known[back] = (conversation, turned)
        if kind == "TCP":
            flow = self._flows[number] = Flow(conversation)
            flow.began = packet.time_ns
        return self._known[key]

    def _name(self, address: str, mac: str) -> str:
        names = self.trace.names
        name = names.get(address)
        if name and mac:
            self._macs.setdefault(mac, name)
        elif not name and mac and (address == mac or address.startswith("fe80:") or address == "::"):
            name = self._macs.get(mac) or names.get(link_local(mac))
            if name and address != "::":
                names[address] = name
        return name or address

    def _quoted(self, packet: Packet) -> Conversation | None:
        """Return the conversation that an ICMP error speaks of, and write the error down in it."""
        if packet.kind != "ICMP" or packet.fragment is not None:
            return None
        quoted = quoted_datagram(packet, six=":" in packet.source)
        if quoted is None:
            return None
        ends = (quoted.source, quoted.source_port, quoted.target, quoted.target_port)
        kind = TRANSPORTS.get(quoted.protocol, "ICMP")
        key: Key = ends if kind == "TCP" else (kind, *ends) if kind == "UDP" else (kind, quoted.source, quoted.target)
        found = self._known.get(key)
        if found is None:
            return None
        conversation = found[0]
        cause = next(
            (item.number for item in reversed(conversation.packets) if item.source == quoted.source), packet.number
        )
        host = self.trace.name(packet.source)
        packet.note = packet.note.replace(f"{quoted.target} ", f"{self.trace.name(quoted.target)} ")
        rfc = "RFC 4443 section 3.1" if ":" in packet.source else "RFC 1122 section 3.2.2.1"
        text = f"{host} says: {packet.note}"
        conversation.events.append(Event("unreachable", packet.number, text, host, (cause, packet.number), rfc))
        return conversation

    def _join(self, packet: Packet) -> bool:
        """Give a fragment the ports of its datagram's first one; the one that completes it is told of. False: it was put away already."""
        ident, offset, more = packet.fragment or (0, 0, False)
        key: Key = (packet.source, packet.target, ident, packet.kind)
        if offset == 0:
            if len(self._fragments) > 1024:  # datagrams that never became whole
                self._fragments.clear()
            self._fragments[key] = (packet, [packet])
            packet.note = f"fragment 1 of datagram {ident}"
            return True
        first, parts = self._fragments.get(key, (None, None))
        if first is None or parts is None:
            packet.note = f"fragment at octet {offset} of datagram {ident}, whose beginning was not seen"
            return True
        parts.append(packet)
        packet.source_port, packet.target_port = first.source_port, first.target_port
        packet.note = f"fragment {len(parts)} of datagram {ident}, octets from {offset}"
        if not more:
            del self._fragments[key]
            found = self._known.get(self._keys(first)[0])
            if found:
                total = sum(part.payload for part in parts)
                frames = tuple(part.number for part in parts)
                text = f"{total} octets in {len(parts)} fragments"
                found[0].events.append(
                    Event("fragments", packet.number, text, found[0].opener.host, frames, "RFC 791 section 3.2")
                )
        return True

    def finish(self) -> None:
        """Say what can only be said at the end: questions that nobody answered."""
        for conversation in self.trace.conversations:
            packets = conversation.packets
            told = conversation.answerer.packets or any(event.kind == "unreachable" for event in conversation.events)
            if conversation.kind == "TCP" and not told and packets and packets[0].flags & SYN:
                asked = tuple(packet.number for packet in packets)
                text = f"{conversation.answerer.host} did not answer {len(asked)} SYN"
                opener = conversation.opener.host
                conversation.events.append(
                    Event("unanswered", asked[-1], text, opener, asked, "RFC 9293 section 3.8.3")
                )


def link_local(mac: str) -> str:
    """Return the address that a host gives itself on a link (RFC 4291 appendix A); empty where `mac` is none."""
    try:
        octets = bytes.fromhex(mac.replace(":", ""))
    except ValueError:
        return ""
    if len(octets) != 6:
        return ""
    interface = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + interface))
