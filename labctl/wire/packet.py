"""From a frame's octets to a `Packet`: Ethernet, VLAN, ARP, IPv4, IPv6, ICMP, TCP, UDP. Takes any octets; what cannot be read is said.

Ethernet      target 6 | source 6 | type 2                                            IEEE 802.3
VLAN tag      priority and number 2 | type 2                                          IEEE 802.1Q
IPv4          version, header length 1 | … | total length 2 | id 2 | flags, offset 2  RFC 791 section 3.1
IPv6          version … 4 | payload length 2 | next header 1 | hop limit 1 | 16 | 16  RFC 8200 section 3
TCP           ports 4 | sequence 4 | acknowledgment 4 | offset, flags 2 | window 2    RFC 9293 section 3.1
UDP           ports 4 | length 2 | checksum 2                                         RFC 768
"""

import struct
from collections.abc import Iterable
from struct import Struct

from labctl.wire.address import _KNOWN, text_of
from labctl.wire.arp import read_arp
from labctl.wire.capture import ETHERNET, LINUX_SLL, LINUX_SLL2, RAW_IP, Frame
from labctl.wire.icmp import read_icmp
from labctl.wire.model import Packet

IPV4, ARP, VLAN, QINQ, IPV6 = 0x0800, 0x0806, 0x8100, 0x88A8, 0x86DD
ICMP, IGMP, TCP, UDP, ICMP6 = 1, 2, 6, 17, 58
FRAGMENT, AUTHENTICATION, NO_NEXT = 44, 51, 59
EXTENSIONS = {0, 43, 60, 135, 139, 140}  # extension headers that say their own length in units of 8 octets
PROTOCOLS = {
    IGMP: "IGMP",
    4: "IP in IP",
    41: "IPv6 in IPv4",
    47: "GRE",
    50: "ESP",
    89: "OSPF",
    103: "PIM",
    112: "VRRP",
    132: "SCTP",
}
_IP4 = Struct(">BxHHHBB2x4s4s").unpack_from
_IP6 = Struct(">IHBB16s16s").unpack_from
_TCP = Struct(">HHIIHH").unpack_from
_UDP = Struct(">HHH").unpack_from
_ETHER = Struct(">6s6sH").unpack_from
_SHORT = Struct(">H").unpack_from
_PLAIN = Struct(">6s6s4xH4xB3x4s4sHHIIHH").unpack_from


def read_packets(frames: Iterable[Frame]) -> list[Packet]:
    """Return a packet for each frame, numbered from 1."""
    return [read_packet(number, frame) for number, frame in enumerate(frames, 1)]


def read_packet(number: int, frame: Frame) -> Packet:
    """Return a frame read as far as it can be; never raises, whatever its octets."""
    time_ns, octets, length, link, comment = frame
    packet = Packet(number, time_ns, length, octets)
    if comment:
        packet.comment = comment
    try:
        if link == ETHERNET:
            target, source, kind = _ETHER(octets)
            packet.source_mac = _KNOWN.get(source) or text_of(source)
            packet.target_mac = _KNOWN.get(target) or text_of(target)
            _read_type(packet, octets, kind, 14)
        else:
            _read_other_link(packet, octets, link)
    except (struct.error, IndexError):
        packet.problem = packet.problem or _cut(packet)
    return packet


def fill_in(packet: Packet) -> None:
    """Read a plain segment's octets into the rest of its fields: what the functions below would say of it too, in a third of their time."""
    octets = packet.octets
    to, by, total, hops, source, target, source_port, target_port, seq, ack, bits, window = _PLAIN(octets)
    header = bits >> 12 << 2
    known = _KNOWN.get
    Packet.__init__(
        packet, packet.number, packet.time_ns, packet.length, octets, "TCP", known(source) or text_of(source),
        known(target) or text_of(target), known(by) or text_of(by), known(to) or text_of(to), source_port, target_port, 34 + header,
        total - 20 - header, bits & 0xFF, seq, ack, window, 54, 14, 34, hops, packet.note, problem=packet.problem, comment=packet.comment,
        way=packet.way,
    )  # fmt: skip


def _cut(packet: Packet) -> str:
    if len(packet.octets) < packet.length:
        return f"cut short: {len(packet.octets)} of {packet.length} octets were captured"
    return "it ends within a header"


def _read_other_link(packet: Packet, octets: bytes, link: int) -> None:
    if link == RAW_IP or link in (228, 229):
        _read_type(packet, octets, IPV6 if octets[0] >> 4 == 6 else IPV4, 0)
    elif link == LINUX_SLL:
        _read_type(packet, octets, _SHORT(octets, 14)[0], 16)
    elif link == LINUX_SLL2:
        _read_type(packet, octets, _SHORT(octets, 0)[0], 20)
    else:
        packet.problem = f"link type {link} is not known here"


def _read_type(packet: Packet, octets: bytes, kind: int, at: int) -> None:
    if not packet.source:
        packet.source, packet.target = packet.source_mac, packet.target_mac
    while kind in (VLAN, QINQ):
        tag, kind = _SHORT(octets, at)[0], _SHORT(octets, at + 2)[0]
        packet.note = f"VLAN {tag & 0xFFF}"
        at += 4
    if kind == IPV4:
        _read_ip4(packet, octets, at)
    elif kind == IPV6:
        _read_ip6(packet, octets, at)
    elif kind == ARP:
        packet.network_at = at
        read_arp(packet, octets, at)
    else:
        packet.payload_at, packet.payload = at, max(0, packet.length - at)
        packet.note = "IEEE 802.3 frame" if kind < 1536 else f"Ethernet type 0x{kind:04x}"


def _read_ip4(packet: Packet, octets: bytes, at: int) -> None:
    first, total, ident, place, hops, protocol, source, target = _IP4(octets, at)
    packet.network_at, packet.hops = at, hops
    packet.source = _KNOWN.get(source) or text_of(source)
    packet.target = _KNOWN.get(target) or text_of(target)
    packet.kind = "IP"
    header = (first & 15) * 4
    if first >> 4 != 4 or header < 20:
        packet.problem = f"no IPv4 header: version {first >> 4}, {header} octets"
        return
    if total < header:  # 0 where the sender's card was to cut a large segment (offload)
        if total:
            packet.problem = f"total length {total} is less than its own header"
            return
        total = packet.length - at
    if place & 0x3FFF:
        packet.fragment = (ident, (place & 0x1FFF) * 8, bool(place & 0x2000))
        if packet.fragment[1]:
            _read_fragment(packet, at + header, total - header, protocol)
            return
    _read_transport(packet, octets, at + header, total - header, protocol)


def _read_ip6(packet: Packet, octets: bytes, at: int) -> None:
    first, length, protocol, hops, source, target = _IP6(octets, at)
    packet.network_at, packet.hops = at, hops
    packet.source = _KNOWN.get(source) or text_of(source)
    packet.target = _KNOWN.get(target) or text_of(target)
    packet.kind = "IP"
    if first >> 28 != 6:
        packet.problem = f"no IPv6 header: version {first >> 28}"
        return
    if not length:
        length = packet.length - at - 40
    at += 40
    end = at + length
    while True:
        if protocol in EXTENSIONS:
            protocol, size = octets[at], 8 + 8 * octets[at + 1]
        elif protocol == AUTHENTICATION:
            protocol, size = octets[at], 8 + 4 * octets[at + 1]
        elif protocol == FRAGMENT:
            following, place = octets[at], _SHORT(octets, at + 2)[0]
            ident = int.from_bytes(octets[at + 4 : at + 8], "big")
            packet.fragment = (ident, place & 0xFFF8, bool(place & 1))
            protocol, size = following, 8
            if packet.fragment[1]:
                _read_fragment(packet, at + size, end - at - size, protocol)
                return
        else:
            break
        at += size
    _read_transport(packet, octets, at, end - at, protocol)


def _read_fragment(packet: Packet, at: int, length: int, protocol: int) -> None:
    packet.payload_at, packet.payload = at, max(0, length)
    packet.kind = (
        "TCP" if protocol == TCP else "UDP" if protocol == UDP else "ICMP" if protocol in (ICMP, ICMP6) else "IP"
    )


def _read_transport(packet: Packet, octets: bytes, at: int, length: int, protocol: int) -> None:
    packet.transport_at = at
    if protocol == TCP:
        packet.kind = "TCP"
        source, target, packet.seq, packet.ack, bits, packet.window = _TCP(octets, at)
        packet.source_port, packet.target_port, packet.flags = source, target, bits & 0xFF
        header = (bits >> 12) * 4
        packet.options_at, packet.payload_at = at + 20, at + header
        if header < 20 or header > length:
            packet.problem = f"TCP header of {header} octets in {length}"
            packet.payload_at = at + 20
            return
        packet.payload = length - header
    elif protocol == UDP:
        packet.kind = "UDP"
        packet.source_port, packet.target_port, said = _UDP(octets, at)
        packet.payload_at, packet.payload = at + 8, max(0, length - 8)
        if packet.fragment is None and said != length and not (said == 0 and length > 65535):
            if said < 8 or said > length:
                packet.problem = f"UDP length {said} in a datagram of {length}"
            else:
                packet.payload = said - 8
    elif protocol in (ICMP, ICMP6):
        packet.kind = "ICMP"
        packet.payload_at, packet.payload = at + 8, max(0, length - 8)
        read_icmp(packet, octets, at, six=protocol == ICMP6)
    else:
        packet.payload_at, packet.payload = at, max(0, length)
        packet.note = "no next header" if protocol == NO_NEXT else PROTOCOLS.get(protocol, f"protocol {protocol}")
