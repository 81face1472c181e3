"""Which rule is for which packet. Pure.

Two kinds. A rule with `nth` counts the packets that it matches and acts on some of them, beside all other rules. Of the rules without,
the first that matches a packet is its one: the more a rule asks for, the earlier it is asked.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.tools.shaper.decide import Effect, Stream, Transmitter
from services.tools.shaper.frames import Packet

COUNTERS = ("seen", "octets", "sent", "lost", "duplicated", "corrupted", "reordered", "overflowed", "too_long")


@dataclass
class Rule:
    """What is done to the packets that a filter lets through.

    Args:
        ident: what labctl calls it.
        to: the host they go to; empty for any.
        proto, port: `tcp`, `udp`, `icmp`; either port of the packet; empty and 0 for any.
        of: the kind of packet, as `Packet.kinds` has it; empty for any.
        nth: ranges of numbers, from 1, of the matching packets that are meant; none for all.
        effect: what is done.
        seed: of its decisions.
        since: sets a rule apart from one before that was the same: it counts anew.
    """

    ident: str
    to: str = ""
    proto: str = ""
    port: int = 0
    of: str = ""
    nth: tuple[tuple[int, int], ...] = ()
    effect: Effect = field(default_factory=Effect)
    seed: int = 1
    since: int = 0

    def __post_init__(self) -> None:
        self.counts = dict.fromkeys(COUNTERS, 0)
        self.matched = 0
        self.waited: deque[int] = deque(maxlen=1000)  # how long packets were held lately, ns
        self.line = Transmitter(self.effect.rate, self.effect.buffer) if self.effect.rate else None
        self._streams: dict[str, Stream] = {}

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> "Rule":
        """Read a rule as labctl sends it."""
        own = {
            name: facts[name]
            for name in ("ident", "to", "proto", "port", "of", "seed", "since")
            if facts.get(name) is not None
        }
        nth = tuple((int(first), int(last)) for first, last in facts.get("nth") or ())
        return cls(**own, nth=nth, effect=Effect.of(dict(facts)))

    @property
    def same(self) -> tuple[object, ...]:
        """What tells that a rule is the one that was there before."""
        return (self.ident, self.to, self.proto, self.port, self.of, self.nth, self.effect, self.seed, self.since)

    @property
    def asks(self) -> int:
        """How much it asks of a packet: the more, the earlier it is asked."""
        return 4 * bool(self.of) + 2 * bool(self.port) + bool(self.proto) + 8 * bool(self.to)

    def fits_flow(self, packet: Packet, target: str) -> bool:
        """Tell whether it is for packets between these ends; `target` is the name of the host that the packet goes to."""
        if self.to and self.to != target:
            return False
        if self.proto and self.proto != packet.protocol:
            return False
        return not self.port or self.port in packet.ports

    def fits(self, packet: Packet) -> bool:
        """Tell whether it is for this kind of packet."""
        return not self.of or self.of in packet.kinds

    def is_meant(self) -> bool:
        """Count a packet that matches, and tell whether its number is meant."""
        self.matched += 1
        return any(first <= self.matched <= last for first, last in self.nth)

    def facts(self) -> dict[str, int]:
        """Return what was counted, and the median of how long packets were held lately, in microseconds."""
        waited = sorted(self.waited)
        return self.counts | {
            "matched": self.matched,
            "waited_us": waited[len(waited) // 2] // 1000 if waited else 0,
        }

    def stream(self, key: str) -> Stream:
        """Return what decides for a stream."""
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = Stream(self.effect, self.seed, key)
        return stream


@dataclass(frozen=True)
class Flow:
    """What is done to the packets between two ends: rules that pick single packets, and those that are for all of a kind."""

    key: str
    picking: tuple[Rule, ...]
    lasting: tuple[Rule, ...]


class Rules:
    """All rules of one host, and the names behind addresses."""

    def __init__(
        self, rules: Sequence[Rule] = (), hosts: Mapping[str, Sequence[str]] | None = None, own: str = ""
    ) -> None:
        """Set the rules of host `own`; `hosts` tells each host's addresses."""
        self.rules = tuple(rules)
        self._names = {address: name for name, addresses in (hosts or {}).items() for address in addresses}
        self._own = own
        self._picking = tuple(rule for rule in self.rules if rule.nth)
        self._lasting = tuple(sorted((rule for rule in self.rules if not rule.nth), key=lambda rule: -rule.asks))

    def flow(self, packet: Packet) -> Flow:
        """Return what is done between the ends of a packet."""
        target = self._names.get(packet.target, packet.target)
        key = f"{packet.protocol}|{self._own}|{target}"
        lasting = []
        for rule in self._lasting:
            if rule.fits_flow(packet, target):
                lasting.append(rule)
                if not rule.of:
                    break  # it takes all that is left
        return Flow(key, tuple(rule for rule in self._picking if rule.fits_flow(packet, target)), tuple(lasting))
