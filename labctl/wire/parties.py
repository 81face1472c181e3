"""Who is meant in an expectation, and which frames show what they did."""

from labctl.wire.model import Conversation, Event, Packet, Side
from labctl.wire.verdict import Expectation, several


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


def is_by(event: Event, source: str) -> bool:
    """Tell whether an event is the doing of who is meant."""
    return not source or event.by == source.rpartition(":")[0] or event.by == source


def holds(octets: bytes, wanted: Expectation) -> bool:
    """Tell whether octets hold the texts that are expected, and none of those that are not."""
    has = all(text.encode() in octets for text in several(wanted.contains))
    return has and not any(text.encode() in octets for text in several(wanted.lacks))


def carriers(item: Conversation, side: Side) -> tuple[int, ...]:
    """Return the frames that carry octets of an end's."""
    return tuple(
        packet.number
        for packet in item.packets
        if packet.payload and packet.kind == item.kind and sender(item, packet) is side
    )


def showing(item: Conversation, side: Side, wanted: Expectation) -> tuple[int, ...]:
    """Return the frames that hold the text whole, where some do."""
    texts = [text.encode() for text in several(wanted.contains)]
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
