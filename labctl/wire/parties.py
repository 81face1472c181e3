"""Who is meant in an expectation, and which frames show what they did."""

import re
from typing import TYPE_CHECKING

from labctl.wire.model import Conversation, Event, Packet, Side
from labctl.wire.verdict import Expectation, Words, several

if TYPE_CHECKING:
    from services.dialogue import Line


def is_meant(side: Side, wanted: str) -> bool:
    """Tell whether a side is meant by `host`, `host:port`, `:port`, or nothing at all."""
    return not wanted or wanted in (side.host, side.address, side.name, f":{side.port}")


def is_named(wanted: str, host: str, port: str) -> bool:
    """Tell whether `host:port` is meant by `host`, `host:port`, `:port`, or nothing at all."""
    return not wanted or wanted in (host, f"{host}:{port}", f":{port}")


def split_place(place: str) -> tuple[str, str]:
    """Return the host and the port of `host:port`."""
    host, _, port = place.rpartition(":")
    return host, port


def sender(item: Conversation, packet: Packet) -> Side:
    """Return the end that sent a packet."""
    return item.opener if item.from_opener(packet) else item.answerer


def receiver(item: Conversation, packet: Packet) -> Side:
    """Return the end that a packet is for."""
    return item.answerer if item.from_opener(packet) else item.opener


def side_of(item: Conversation, event: Event) -> Side:
    """Return the end that sent the frame of an event."""
    packet = next(packet for packet in item.packets if packet.number == event.frame)
    return sender(item, packet)


def is_by(item: Conversation, event: Event, source: str) -> bool:
    """Tell whether an event is the doing of who is meant."""
    return any(side.host == event.by and is_meant(side, source) for side in item.sides)


def holds(octets: bytes, words: Words) -> bool:
    """Tell whether octets hold every one of some texts."""
    return all(text.encode() in octets for text in several(words))


def is_line(line: "Line", wanted: Expectation) -> bool:
    """Tell whether a line is the one that is expected, as a whole or, of a reply of several lines, by one of them."""
    texts = (line.text, *line.said)
    whole = not wanted.equals or wanted.equals in texts
    has = all(any(part in text for text in texts) for part in several(wanted.contains))
    lacks = not any(part in text for text in texts for part in several(wanted.lacks))
    return whole and has and lacks and (not wanted.matches or any(re.search(wanted.matches, text) for text in texts))


def carriers(item: Conversation, side: Side) -> tuple[int, ...]:
    """Return the frames that carry octets of an end's."""
    return tuple(
        packet.number
        for packet in item.packets
        if packet.payload and packet.kind == item.kind and sender(item, packet) is side
    )


def showing(item: Conversation, side: Side, words: Words) -> tuple[int, ...]:
    """Return the frames that hold a text whole, where some do."""
    texts = [text.encode() for text in several(words)]
    frames = (
        packet.number for packet in item.packets
        if texts and packet.payload and sender(item, packet) is side and any(text in packet.data for text in texts)
    )  # fmt: skip
    return tuple(frames)


def first(item: Conversation) -> tuple[int, ...]:
    """Return a conversation's first frame."""
    return (item.packets[0].number,)


def last(item: Conversation) -> tuple[int, ...]:
    """Return a conversation's last frame."""
    return (item.packets[-1].number,)
