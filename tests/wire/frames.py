"""Frames by hand: what a test says of a packet, and no more."""

import ipaddress
import struct

from labctl.wire.build import build_trace
from labctl.wire.capture import Capture, Frame

A, B = "10.0.0.1", "10.0.0.2"
NAMES = {A: "client", B: "server"}
SYN, FIN, RST, PSH, ACK = 2, 1, 4, 8, 16
MS = 1_000_000


def packed(address):
    return ipaddress.ip_address(address).packed


def ether(kind, body, source=b"\x02\0\0\0\0\x01", target=b"\x02\0\0\0\0\x02"):
    return target + source + struct.pack(">H", kind) + body


def ip(protocol, body, source=A, target=B, *, ident=1, place=0x4000):
    one, other = packed(source), packed(target)
    if len(one) == 16:
        return ether(0x86DD, struct.pack(">IHBB", 6 << 28, len(body), protocol, 64) + one + other + body)
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), ident, place, 64, protocol, 0)
    return ether(0x0800, head + one + other + body)


def tcp(flags, seq=0, ack=0, data=b"", ports=(4000, 7), window=1000, options=b"", **where):
    options += bytes(-len(options) % 4)
    bits = (5 + len(options) // 4) << 12 | flags
    body = struct.pack(">HHIIHHHH", *ports, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, bits, window, 0, 0) + options + data
    return ip(6, body, **where)


def udp(data, ports=(4000, 7), **where):
    return ip(17, struct.pack(">HHHH", *ports, 8 + len(data), 0) + data, **where)


class Talk:
    """Frames in a row; `a` and `b` are segments of a connection's two ends, at a time in milliseconds."""

    def __init__(self):
        self.frames = []

    def at(self, ms, octets, length=None):
        self.frames.append(Frame(round(ms * MS), octets, length or len(octets)))
        return self

    def a(self, ms, flags, seq=0, ack=0, data=b"", **more):
        return self.at(ms, tcp(flags, seq, ack, data, **more))

    def b(self, ms, flags, seq=0, ack=0, data=b"", **more):
        where = {"ports": (7, 4000), "source": B, "target": A}
        return self.at(ms, tcp(flags, seq, ack, data, **where | more))

    def opened(self):
        """The handshake: frames 1 to 3, initial sequence numbers 100 and 300."""
        return self.a(0, SYN, 100).b(1, SYN | ACK, 300, 101).a(2, ACK, 101, 301)

    @property
    def trace(self):
        return build_trace(Capture(self.frames), NAMES)

    @property
    def one(self):
        (conversation,) = self.trace.conversations
        return conversation


def kinds(conversation):
    return [event.kind for event in conversation.events]
