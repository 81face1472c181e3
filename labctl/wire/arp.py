"""ARP (RFC 826): who has an address, and the answer.

hardware 2 | protocol 2 | lengths 1 1 | operation 2 | sender's hardware and protocol address | target's
"""

from struct import Struct

from labctl.wire.address import text_of
from labctl.wire.model import Packet

REQUEST, REPLY = 1, 2
_HEAD = Struct(">HHBBH").unpack_from


def read_arp(packet: Packet, octets: bytes, at: int) -> None:
    """Fill in what an ARP packet says; raises `IndexError` or `struct.error` where it is cut short."""
    _, _, hardware, protocol, operation = _HEAD(octets, at)
    packet.kind, packet.code = "ARP", (operation, 0)
    end = at + 8 + 2 * (hardware + protocol)
    packet.payload_at = end
    if len(octets) < end:
        raise IndexError
    place = at + 8
    sender_mac = octets[place : place + hardware]
    sender = octets[place + hardware : place + hardware + protocol]
    place += hardware + protocol
    target = octets[place + hardware : place + hardware + protocol]
    packet.source, packet.target = text_of(sender), text_of(target)
    if operation == REQUEST and sender == target:
        packet.note = f"{packet.source} is at {text_of(sender_mac)} (announced)"
    elif operation == REQUEST and not any(sender):
        packet.note = f"does anybody have {packet.target}? (RFC 5227)"
    elif operation == REQUEST:
        packet.note = f"who has {packet.target}?"
    elif operation == REPLY:
        packet.note = f"{packet.source} is at {text_of(sender_mac)}"
    else:
        packet.note = f"operation {operation}"
