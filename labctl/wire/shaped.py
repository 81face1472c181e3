"""What the lab's shapers did to packets, beside what crossed the wire: the lost ones, which no tap sees, and how long others were held."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labctl.wire.capture import Frame
from labctl.wire.model import Packet
from labctl.wire.packet import read_packet

HEAD = 96  # octets that a shaper keeps of a frame
LATE = 20_000_000  # ns from a shaper's own time of sending to the tap's time stamp, at most
NEVER = {
    "lost": "lost on purpose",
    "too long": "too long for the path: it vanished",
    "overflowed": "the line's buffer was full: it was dropped",
}
ODDLY = {
    "corrupted": "one bit was flipped on its way",
    "duplicated": "it was sent twice",
    "reordered": "it overtook others",
}


@dataclass(frozen=True, slots=True)
class Shaped:
    """One packet's fate at its sender's shaper.

    Args:
        seen_ns: when its host sent it.
        sent_ns: when it went on the wire; 0 for never.
        verdict: `sent`, `delayed`, `lost`, `too long`, `overflowed`, `corrupted`, `duplicated`, `reordered`.
        rule: the impairment that did it.
        head: its first octets.
    """

    seen_ns: int
    sent_ns: int
    verdict: str
    rule: str
    head: bytes

    @property
    def packet(self) -> Packet:
        """Return it as a packet without a number: it is in no capture."""
        packet = read_packet(0, Frame(self.seen_ns, self.head, len(self.head)))
        packet.problem = ""  # that only its head was kept is no fault of the wire
        return packet


def read_events(events: Iterable[Sequence[object]]) -> list[Shaped]:
    """Return what a shaper's log tells."""
    return [
        Shaped(int(str(seen)), int(str(sent)), str(verdict), str(rule), bytes.fromhex(str(head)))
        for seen, sent, verdict, rule, head in events
    ]


class Fates:
    """Finds the fate of a packet that was captured."""

    def __init__(self, shaped: Iterable[Shaped]) -> None:
        """Take all that shapers tell, in any order."""
        self.never = sorted((item for item in shaped if item.sent_ns == 0), key=lambda item: item.seen_ns)
        self._sent: dict[bytes, list[Shaped]] = {}
        for item in shaped:
            if item.sent_ns:
                self._sent.setdefault(item.head, []).append(item)

    def of(self, packet: Packet) -> Shaped | None:
        """Return what its sender's shaper did to it; None where it passed none."""
        alike = self._sent.get(bytes(packet.octets[:HEAD]), ()) if self._sent else ()
        near = [item for item in alike if -LATE <= packet.time_ns - item.sent_ns <= LATE]
        return min(near, key=lambda item: abs(packet.time_ns - item.sent_ns), default=None)


def told(item: Shaped) -> str:
    """Return a fate in words."""
    if item.verdict in NEVER:
        return f"{NEVER[item.verdict]} ({item.rule})"
    words = [ODDLY[item.verdict]] if item.verdict in ODDLY else []
    held = (item.sent_ns - item.seen_ns) / 1e6
    if held >= 0.5:
        words.append(f"held for {held:.1f} ms")
    return "; ".join(words)
