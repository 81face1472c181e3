"""The octets that an end of a connection sent, in order, each once."""

from labctl.wire.model import SYN, Conversation, Side

WHOLE = (1 << 32) - 1
MOST = 1 << 31  # further apart than half the sequence space is behind, not ahead


def stream_of(conversation: Conversation, side: Side) -> bytes:
    """Return what a side sent; of TCP in the order of sequence numbers, as far as no octet is missing."""
    sent = [
        item
        for item in conversation.packets
        if item.source == side.address and item.source_port == side.port and item.payload
    ]
    if conversation.kind != "TCP":
        return b"".join(packet.data for packet in sent if packet.kind == conversation.kind)
    if side.first_seq is None:
        return b""
    pieces: list[tuple[int, bytes]] = []
    for packet in sent:
        place = packet.seq + bool(packet.flags & SYN) - side.first_seq - 1 & WHOLE
        if place < MOST and packet.data:
            pieces.append((place, packet.data))
    whole = bytearray()
    for place, data in sorted(pieces, key=lambda piece: piece[0]):
        if place > len(whole):
            break
        whole += data[len(whole) - place :]
    return bytes(whole)
