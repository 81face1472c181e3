"""A lab's wire as it is now: packets as they cross, and what shapers drop and cut off meanwhile."""

import time
from collections.abc import Iterator, Mapping

from labctl.commands.names import names_of
from labctl.commands.shapers import log_of
from labctl.engine.base import Engine
from labctl.model import Found, FoundHost
from labctl.wire.build import TraceBuilder
from labctl.wire.cut import Cut, read_cuts
from labctl.wire.pcap import Stream
from labctl.wire.shaped import Shaped, read_events

LOOK = 1.0  # seconds between two looks for shapers: a fault may start one any time
ASK = 0.2  # seconds between two questions to them


class Live:
    """A trace that grows with the wire; its `shaped` are those that nobody was told of yet."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.builder = TraceBuilder(names)
        self._stream = Stream()
        self.newest = 0  # number of the last frame that is whole

    def feed(self, octets: bytes) -> None:
        """Take octets of the capture.

        Raises:
            ValueError: they are no capture.
        """
        frames = self._stream.feed(octets)
        self.builder.read(frames, self.newest + 1)
        self.newest += len(frames)

    def learn(self, shaped: list[Shaped], cuts: list[Cut]) -> None:
        """Take what shapers told: what is new to packets, and all that they cut off."""
        self.builder.trace.shaped, self.builder.trace.cuts = shaped, tuple(cuts)


class _Shapers:
    """Asks a lab's shapers, now and then, what they have done since the last time."""

    def __init__(self, engine: Engine, lab: str) -> None:
        self._engine, self._lab = engine, lab
        self._helpers: list[FoundHost] = []
        self._told: dict[str, int] = {}  # up to when each has told, by its monotonic clock
        self._cuts: dict[str, list[Cut]] = {}
        self._look_at = self._ask_at = 0.0

    def tell(self, live: Live) -> None:
        """Have a trace learn what is new."""
        now = time.monotonic()
        news: list[Shaped] = []
        if now >= self._look_at:
            self._look_at = now + LOOK
            self._helpers = [*self._engine.look(self._lab).shapers]
        if now >= self._ask_at:
            for helper in self._helpers:
                news += self._ask(helper)
            self._ask_at = time.monotonic() + ASK
        live.learn(news, [cut for cuts in self._cuts.values() for cut in cuts])

    def _ask(self, helper: FoundHost) -> list[Shaped]:
        log = log_of(self._engine, helper, self._told.get(helper.name, 0))
        if log is None:  # it has just gone, or does not answer: the next look tells
            self._helpers = [other for other in self._helpers if other is not helper]
            return []
        self._cuts[helper.name] = read_cuts(log["cuts"])
        if log["events"]:
            *_, self._told[helper.name] = log["events"][-1]
        return read_events(log["events"])


def follow(engine: Engine, tap: FoundHost, found: Found) -> Iterator[Live]:
    """Yield the growing trace each time there may be something new."""
    live, shapers = Live(names_of(found)), _Shapers(engine, tap.lab)
    for octets in engine.follow_tap(tap):
        live.feed(octets)
        shapers.tell(live)
        yield live
