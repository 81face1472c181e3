"""ICMP (RFC 792) and ICMPv6 (RFC 4443, 4861, 2710, 3810): what a message means, and which datagram it speaks of.

type 1 | code 1 | checksum 2 | four octets by type | of an error: the datagram that caused it, as much as fits
"""

from struct import Struct
from typing import NamedTuple

from labctl.wire.address import text_of
from labctl.wire.model import Packet

_SHORT = Struct(">H").unpack_from
_PORTS = Struct(">HH").unpack_from
TYPES = {0: "echo reply", 3: "unreachable", 4: "source quench", 5: "redirect", 8: "echo request", 9: "router advertisement",
         10: "router solicitation", 11: "time exceeded", 12: "parameter problem", 13: "timestamp", 14: "timestamp reply"}  # fmt: skip
UNREACHABLE = {0: "network unreachable", 1: "host unreachable", 2: "protocol unreachable", 3: "port unreachable",
               4: "fragmentation needed", 5: "source route failed", 9: "network prohibited",
               10: "host prohibited", 13: "prohibited"}  # fmt: skip
TYPES6 = {1: "unreachable", 2: "packet too big", 3: "time exceeded", 4: "parameter problem", 128: "echo request", 129: "echo reply",
          130: "listener query", 131: "listener report", 132: "listener done", 133: "router solicitation", 134: "router advertisement",
          135: "neighbour solicitation", 136: "neighbour advertisement", 137: "redirect", 143: "listener report"}  # fmt: skip
UNREACHABLE6 = {
    0: "no route",
    1: "prohibited",
    3: "address unreachable",
    4: "port unreachable",
    5: "source refused",
    6: "route rejected",
}
ERRORS, ERRORS6 = {3, 4, 5, 11, 12}, {1, 2, 3, 4}
ECHO = {8, 0, 128, 129}
NEIGHBOURS = {135, 136}


class Quoted(NamedTuple):
    """The datagram that an error speaks of."""

    source: str
    target: str
    protocol: int
    source_port: int | None
    target_port: int | None


def read_icmp(packet: Packet, octets: bytes, at: int, *, six: bool) -> None:
    """Fill in what an ICMP message says; raises `IndexError` or `struct.error` where it is cut short."""
    kind, code = octets[at], octets[at + 1]
    packet.code = (kind, code)
    if six:
        note = (
            UNREACHABLE6.get(code, f"unreachable, code {code}")
            if kind == 1
            else TYPES6.get(kind, f"ICMPv6 type {kind}")
        )
    else:
        note = UNREACHABLE.get(code, f"unreachable, code {code}") if kind == 3 else TYPES.get(kind, f"ICMP type {kind}")
    if kind in ECHO and kind in (TYPES6 if six else TYPES):
        note += f" {_SHORT(octets, at + 6)[0]}"
    elif six and kind in NEIGHBOURS:
        target = text_of(octets[at + 8 : at + 24])
        note = f"who has {target}?" if kind == 135 else f"{target} is here"
    elif (not six and (kind, code) == (3, 4)) or (six and kind == 2):
        octets_that_fit = int.from_bytes(octets[at + 4 : at + 8], "big") & (0xFFFFFFFF if six else 0xFFFF)
        note += f", at most {octets_that_fit} octets"
    quoted = quoted_datagram(packet, six=six)
    if quoted and quoted.target_port is not None:
        note += f": {quoted.target} port {quoted.target_port}"
    elif quoted:
        note += f": {quoted.target}"
    packet.note = note


def is_of_neighbours(packet: Packet) -> bool:
    """Tell whether it asks or says who has an address (RFC 4861): what ARP is to IPv4."""
    return packet.kind == "ICMP" and ":" in packet.source and packet.code[0] in NEIGHBOURS


def quoted_datagram(packet: Packet, *, six: bool) -> Quoted | None:
    """Return the datagram that an error message quotes; None where it quotes none, or too little of one."""
    if packet.code[0] not in (ERRORS6 if six else ERRORS):
        return None
    octets, at = packet.octets, packet.transport_at + 8
    try:
        if six:
            protocol, source, target = octets[at + 6], octets[at + 8 : at + 24], octets[at + 24 : at + 40]
            ports_at = at + 40
        else:
            protocol, source, target = octets[at + 9], octets[at + 12 : at + 16], octets[at + 16 : at + 20]
            ports_at = at + (octets[at] & 15) * 4
        if len(target) != (16 if six else 4):
            return None
        ports = _PORTS(octets, ports_at) if protocol in (6, 17) and len(octets) >= ports_at + 4 else (None, None)
    except IndexError:
        return None
    return Quoted(text_of(source), text_of(target), protocol, *ports)
