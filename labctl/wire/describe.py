"""Packets and calls in a few words, for whoever draws them."""

import re

from labctl.wire.model import ACK, FIN, NS, PSH, RST, SYN, Call, Conversation, Packet
from labctl.wire.packet import IGMP, PROTOCOLS

WHOLE = (1 << 32) - 1
TEXT = bytes(range(32, 127)) + b"\t\r\n"
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
SHOWN = 48  # octets of a payload that a label quotes
NOISE = {130, 131, 132, 133, 134, 143}  # ICMPv6: who listens to which group, and where routers are


def preview(data: bytes, most: int = SHOWN) -> str:
    """Return the beginning of a payload in quotes, its unprintable octets escaped; empty where it is not text at all."""
    if not data:
        return ""
    begin = data[:most]
    strange = len(begin.translate(None, TEXT))
    if strange * 4 > len(begin) and begin.isascii():
        return ""
    text = begin.decode("utf-8", errors="replace")
    if strange:
        readable = sum(char.isprintable() or char in "\r\n\t" for char in text.replace("\ufffd", "\0"))
        if readable * 4 < len(text) * 3:
            return ""
    if not text.isprintable() or "\ufffd" in text:
        text = "".join(char if char.isprintable() and char != "\ufffd" else _escaped(char) for char in text)
    return f'"{text}{"…" if len(data) > most else ""}"'


def _escaped(char: str) -> str:
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(char, "·")


def label(packet: Packet, conversation: Conversation | None, said: str = "", most: int = SHOWN) -> str:
    """Return what a packet is, in a few words: `SYN`, `24 octets "Thank you…"`, `who has 10.0.0.2?`.

    Args:
        packet: what is told of.
        conversation: which it belongs to.
        said: what it says in its protocol (`Dialogue.text`), to be told instead of its octets.
        most: octets that are quoted.
    """
    if packet.problem:
        return packet.problem
    if packet.kind == "TCP" and packet.source_port is not None and not (packet.fragment and packet.fragment[1]):
        return _tcp(packet, conversation, said, most)
    if packet.kind == "UDP" and not packet.note:
        return f"{octets_of(packet.payload)} {preview(packet.data, most)}".rstrip()
    return packet.note or f"{packet.kind} {octets_of(packet.payload)}"


def _tcp(packet: Packet, conversation: Conversation | None, said: str, most: int) -> str:
    flags = packet.flags
    if flags & (SYN | FIN | RST | ACK) == ACK and not packet.payload and not said and conversation is not None:
        return f"ACK {relative_ack(packet, conversation)}"
    words = [name for bit, name in ((SYN, "SYN"), (FIN, "FIN"), (RST, "RST")) if flags & bit]
    if flags & ACK and (flags & SYN or not (words or packet.payload)):
        words.append("ACK" if flags & SYN or conversation is None else f"ACK {relative_ack(packet, conversation)}")
    parts = [", ".join(words)] if words else []
    if said:
        parts.insert(0, said)
    elif packet.payload:
        parts.insert(0, f"{octets_of(packet.payload)} {preview(packet.data, most)}".rstrip())
    return " + ".join(parts) or "no flags"


def octets_of(count: int) -> str:
    """Return a count of octets in words."""
    return f"{count} octet" if count == 1 else f"{count} octets"


def relative_seq(packet: Packet, conversation: Conversation) -> int:
    """Return a segment's sequence number, counted from its sender's first."""
    side = conversation.opener if conversation.from_opener(packet) else conversation.answerer
    return packet.seq - (side.first_seq or 0) & WHOLE


def relative_ack(packet: Packet, conversation: Conversation) -> int:
    """Return a segment's acknowledgment number, counted from its receiver's first."""
    side = conversation.answerer if conversation.from_opener(packet) else conversation.opener
    return packet.ack - (side.first_seq if side.first_seq is not None else packet.ack) & WHOLE


def detail(packet: Packet, conversation: Conversation | None) -> str:
    """Return what a label leaves out: flags, numbers, window."""
    if packet.kind != "TCP" or conversation is None or packet.source_port is None:
        return f"{packet.length} octets on the wire"
    side = conversation.opener if conversation.from_opener(packet) else conversation.answerer
    shift = (
        (side.shift or 0)
        if not packet.flags & SYN and None not in (conversation.opener.shift, conversation.answerer.shift)
        else 0
    )
    ack = f", ack {relative_ack(packet, conversation)}" if packet.flags & ACK else ""
    push = ", PSH" if packet.flags & PSH else ""
    return f"seq {relative_seq(packet, conversation)}{ack}, window {packet.window << shift}{push}"


def is_noise(packet: Packet) -> bool:
    """Tell whether a packet belongs to a network's housekeeping, not to what its hosts say: group reports, address checks."""
    if packet.kind == "ICMP":
        return (packet.code[0] in NOISE and ":" in packet.source) or packet.source == "::"
    return packet.kind == "IP" and packet.note == PROTOCOLS[IGMP]


def call_text(call: Call, hidden: bool = False) -> str:
    """Return a call in a line: `connect(3, tcp-server:12345) = 0`; `hidden` where its octets hold a password."""
    result = "…" if call.result is None else call.error or str(call.result)
    return f"{call.name}({call_arguments(call, hidden)}) = {result}"


def call_arguments(call: Call, hidden: bool) -> str:
    """Return a call's arguments; what stands in quotes, that is its octets, is left out where it is to be hidden."""
    return QUOTED.sub('"(hidden)"', call.text) if hidden else call.text


def duration(seconds: float | None) -> str:
    """Return a time span in a unit that suits it."""
    if seconds is None:
        return "never returned"
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def since(time_ns: int, begin_ns: int) -> float:
    """Return the seconds between two times."""
    return (time_ns - begin_ns) / NS
