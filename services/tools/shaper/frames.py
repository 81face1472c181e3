"""As much of a frame as a rule can ask for: hosts, protocol, ports, and what kind of segment it is. Pure."""

import struct
from ipaddress import ip_address
from typing import NamedTuple

ETHERNET = 14  # octets in front of the IP header
IPV4, IPV6 = b"\x08\x00", b"\x86\xdd"
NAMES = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp"}
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10


class Packet(NamedTuple):
    """Where things are in a frame.

    Args:
        source, target: addresses, as text.
        protocol: `tcp`, `udp`, `icmp`, or its number.
        ports: source and destination; (0, 0) where it has none.
        payload: where its data begin: behind the TCP or UDP header.
        end: where the packet ends; what follows is padding.
        flags: TCP's.
    """

    source: str
    target: str
    protocol: str
    ports: tuple[int, int]
    payload: int
    end: int
    flags: int = 0

    @property
    def kinds(self) -> frozenset[str]:
        """What it is: `data` (any payload), and for TCP `syn`, `syn-ack`, `ack` (nothing but that), `fin`, `rst`."""
        kinds = {"data"} if self.end > self.payload else set()
        if self.protocol != "tcp":
            return frozenset(kinds)
        if self.flags & SYN:
            kinds.add("syn-ack" if self.flags & ACK else "syn")
        kinds |= {name for name, flag in (("fin", FIN), ("rst", RST)) if self.flags & flag}
        return frozenset(kinds or ({"ack"} if self.flags & ACK else set()))


def parse(frame: bytes) -> Packet | None:
    """Return what a frame carries; None where it is no IP, or cut short."""
    try:
        if frame[12:14] == IPV4:
            return _ipv4(frame)
        return _ipv6(frame) if frame[12:14] == IPV6 else None
    except (IndexError, ValueError, struct.error):
        return None


def _ipv4(frame: bytes) -> Packet:
    (length,) = struct.unpack_from("!H", frame, ETHERNET + 2)
    start = ETHERNET + (frame[ETHERNET] & 15) * 4
    source, target = str(ip_address(frame[26:30])), str(ip_address(frame[30:34]))
    later_fragment = struct.unpack_from("!H", frame, ETHERNET + 6)[0] & 0x1FFF
    return _transport(frame, source, target, frame[23], start, ETHERNET + length, bool(later_fragment))


def _ipv6(frame: bytes) -> Packet:
    (length,) = struct.unpack_from("!H", frame, ETHERNET + 4)
    source, target = str(ip_address(frame[22:38])), str(ip_address(frame[38:54]))
    return _transport(frame, source, target, frame[20], ETHERNET + 40, ETHERNET + 40 + length, False)


def _transport(frame: bytes, source: str, target: str, number: int, start: int, end: int, later: bool) -> Packet:
    """Read the header behind the IP header; a later fragment has none."""
    protocol = NAMES.get(number, str(number))
    if later or protocol not in ("tcp", "udp"):
        return Packet(source, target, protocol, (0, 0), start, end)
    ports = struct.unpack_from("!HH", frame, start)
    if protocol == "udp":
        return Packet(source, target, protocol, ports, start + 8, end)
    return Packet(source, target, protocol, ports, start + (frame[start + 12] >> 4) * 4, end, frame[start + 13])


def flipped(frame: bytes, place: float) -> bytes:
    """Return a frame with one bit of its payload flipped; `place` is where, as a share of it.

    Without a payload a bit of the packet's last four octets is: TCP and UDP have nothing there that could lead it elsewhere.
    """
    packet = parse(frame)
    if packet is None:
        return frame
    start = packet.payload if packet.payload < packet.end else packet.end - 4
    bit = int(place * (packet.end - start) * 8)
    return _flip(frame, start + bit // 8, bit % 8)


def flipped_octet(frame: bytes, number: int) -> bytes:
    """Return a frame with the lowest bit of one octet of its payload flipped; the first is 1. Too short a payload stays as it is."""
    packet = parse(frame)
    if packet is None or packet.payload + number > packet.end:
        return frame
    return _flip(frame, packet.payload + number - 1, 0)


def _flip(frame: bytes, octet: int, bit: int) -> bytes:
    changed = bytearray(frame)
    changed[octet] ^= 1 << bit
    return bytes(changed)
