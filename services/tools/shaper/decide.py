"""What becomes of each packet, decided from a seed alone: no clock, no socket. Whoever knows the seed can tell every fate beforehand.

Each property of each stream has a generator of its own, so neither background traffic nor another jitter shifts a stream's losses.
A stream is all that one host sends to another by one protocol; its key names hosts, not addresses, which change from lab to lab.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

NANO = 1_000_000_000
MIN_BUFFER = 64_000  # octets that wait for the transmitter, where nothing else is said …
BUFFER_SECONDS = 0.1  # … or what it sends in this time, if that is more


@dataclass(frozen=True)
class Effect:
    """What is done to a stream; zero is off.

    Args:
        delay_ns, jitter_ns: each packet waits `delay_ns`, give or take `jitter_ns`.
        distribution: of the jitter: `uniform` (at most `jitter_ns`), or `normal` (its standard deviation).
        loss, duplicate, reorder, corrupt: shares of the packets, 0 to 1. A reordered packet skips the delay.
        burst: mean length of a row of losses, by a Gilbert-Elliott model whose mean loss is `loss`; 0 for independent losses.
        gemodel: the same model by its own numbers (p, r, 1-h, 1-k), 0 to 1: to bad, to good, loss in bad, loss in good.
        rate: bit/s, counted from the IP header on.
        buffer: octets that may wait for the transmitter; 0 for the default.
        mtu: octets; a longer packet vanishes without a word (a black hole).
        corrupt_octet: the octet of the payload, from 1, whose lowest bit is flipped in every packet; 0 for none.
    """

    delay_ns: int = 0
    jitter_ns: int = 0
    distribution: str = "uniform"
    loss: float = 0.0
    burst: float = 0.0
    gemodel: tuple[float, float, float, float] | None = None
    duplicate: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    rate: int = 0
    buffer: int = 0
    mtu: int = 0
    corrupt_octet: int = 0

    @classmethod
    def of(cls, facts: dict[str, Any]) -> "Effect":
        """Read it from plain values; what is not said is off."""
        given = {name: facts[name] for name in cls.__dataclass_fields__ if facts.get(name) is not None}
        if "gemodel" in given:
            given["gemodel"] = tuple(given["gemodel"])
        return cls(**given)


class Fate(NamedTuple):
    """What becomes of one packet.

    Args:
        copies: how often it is sent: 0 is lost, 2 is duplicated.
        place: where in the payload a bit is flipped, as a share of its length; None for nowhere.
        early: it skips the delay, and overtakes.
        delay_ns: how long it waits, behind the transmitter.
    """

    copies: int = 1
    place: float | None = None
    early: bool = False
    delay_ns: int = 0


def bursty(loss: float, burst: float) -> tuple[float, float, float, float]:
    """Return the Gilbert-Elliott numbers for a mean loss and a mean length of a row of losses, in packets (at least 1)."""
    to_good = 1 / burst
    return (to_good * loss / (1 - loss), to_good, 1.0, 0.0)


def _sure(share: float, generator: Random) -> Callable[[], bool]:
    return lambda: generator.random() < share


class Stream:
    """Decides for the packets of one stream, in their order."""

    def __init__(self, effect: Effect, seed: int, key: str) -> None:
        """Begin a stream: `key` is `PROTOCOL|FROM|TO`, such as `udp|client|udp-server`."""
        self._effect = effect

        def generator(name: str) -> Random:
            return Random(f"{seed}|{key}|{name}")  # a text as seed means the same in every Python

        self._copies: Callable[[], bool] | None = None
        self._lost: Callable[[], bool] | None = None
        self._corrupt: Random | None = None
        self._early: Callable[[], bool] | None = None
        self._jitter: Random | None = None
        if effect.duplicate:
            self._copies = _sure(effect.duplicate, generator("duplicate"))
        if effect.gemodel or effect.burst:
            self._lost = _gilbert_elliott(
                effect.gemodel or bursty(effect.loss, effect.burst), generator("loss"), generator("state")
            )
        elif effect.loss:
            self._lost = _sure(effect.loss, generator("loss"))
        if effect.corrupt:
            self._corrupt = generator("corrupt")
        if effect.reorder:
            self._early = _sure(effect.reorder, generator("reorder"))
        if effect.jitter_ns:
            self._jitter = generator("jitter")
        chance = self._copies or self._lost or self._corrupt or self._early or self._jitter
        self._usual = Fate(delay_ns=effect.delay_ns)
        self.always = None if chance else self._usual

    def decide(self) -> Fate:
        """Return the fate of the next packet. Every property draws for every packet, so none shifts another."""
        if self.always:
            return self.always
        copies = 1
        if self._copies and self._copies():
            copies += 1
        if self._lost and self._lost():
            copies -= 1
        place = None
        if self._corrupt:
            chance = self._corrupt.random()
            where = self._corrupt.random()
            if chance < self._effect.corrupt:
                place = where
        early = bool(self._early and self._early())
        if copies == 1 and place is None and not early and not self._jitter:
            return self._usual
        delay = self._effect.delay_ns
        if self._jitter:
            delay = max(0, delay + self._deviation(self._jitter))
        return Fate(copies, place, early, delay)

    def _deviation(self, generator: Random) -> int:
        if self._effect.distribution == "normal":
            return int(generator.gauss(0, self._effect.jitter_ns))
        return int((2 * generator.random() - 1) * self._effect.jitter_ns)


def _gilbert_elliott(numbers: tuple[float, float, float, float], loss: Random, state: Random) -> Callable[[], bool]:
    """Return what tells of each packet whether it is lost: a chain of two states, each with a loss of its own."""
    to_bad, to_good, in_bad, in_good = numbers
    bad = False

    def lost() -> bool:
        nonlocal bad
        turn, chance = state.random(), loss.random()
        bad = turn >= to_good if bad else turn < to_bad
        return chance < (in_bad if bad else in_good)

    return lost


@dataclass
class Transmitter:
    """A virtual line of a given rate, with a buffer in front of it that drops what does not fit (drop-tail)."""

    rate: int
    buffer: int = 0
    free_at: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.buffer = self.buffer or max(MIN_BUFFER, int(self.rate / 8 * BUFFER_SECONDS))

    def send(self, now: int, size: int) -> int | None:
        """Return when a packet of `size` octets has left the line, in ns; None where the buffer has no room for it."""
        start = max(now, self.free_at)
        if (start - now) * self.rate // (8 * NANO) + size > self.buffer:
            return None
        # Rounded up: the line is never faster than it says.
        self.free_at = start - (-size * 8 * NANO // self.rate)
        return self.free_at


def predict(effect: Effect, seed: int, key: str, count: int) -> list[Fate]:
    """Return the fates of a stream's first `count` packets."""
    stream = Stream(effect, seed, key)
    return [stream.decide() for _ in range(count)]
