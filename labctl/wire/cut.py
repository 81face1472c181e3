"""Partitions as the wire shows them: packets that crossed the bridge, and were dropped where they would have arrived."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from labctl.wire.icmp import is_of_neighbours
from labctl.wire.model import Packet


@dataclass(frozen=True, slots=True)
class Cut:
    """A time during which one host heard nothing of another.

    Args:
        host: that heard nothing.
        addresses: its own.
        other: of which it heard nothing; empty for all hosts, as after a power failure.
        sources: that host's addresses.
        since_ns: from when on it was surely in force.
        until_ns: how long it surely was; 0 for one that has no end yet.
    """

    host: str
    addresses: tuple[str, ...]
    other: str
    sources: tuple[str, ...]
    since_ns: int
    until_ns: int

    def drops(self, packet: Packet) -> bool:
        """Tell whether a packet that crossed the bridge was dropped by it; who has an address is asked and answered all the same."""
        return (
            self.since_ns <= packet.time_ns
            and (not self.until_ns or packet.time_ns <= self.until_ns)
            and packet.target in self.addresses
            and (not self.other or packet.source in self.sources)
            and packet.kind != "ARP"
            and not (self.other and is_of_neighbours(packet))
        )

    def __str__(self) -> str:
        if not self.other:
            return f"nothing reached {self.host} any more"
        return f"{self.host} was cut off from {self.other}"


def read_cuts(told: Iterable[Mapping[str, Any]]) -> list[Cut]:
    """Return what a host's shaper tells of its partitions."""
    return [
        Cut(
            item["host"],
            tuple(item["addresses"]),
            item["other"],
            tuple(item["sources"]),
            item["since_ns"],
            item["until_ns"],
        )
        for item in told
    ]
