"""Which replies are meant, and what becomes of them, decided from a seed alone. Pure: no clock, no socket.

Each rule counts the replies that it is for, of one client by one protocol, and draws for each of them: whoever knows the seed can tell
beforehand which are hit (`predict`). What other clients or verbs do shifts nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

NANO = 1_000_000_000
GREETING = "GREETING"  # what a server says before it is asked
UNKNOWN = "tcp"  # a protocol of which nothing is known: octets
COUNTERS = ("seen", "answered", "late", "stalled", "truncated", "unread")


class Act(NamedTuple):
    """What is done to one reply.

    Args:
        reply: it stands for the server's; empty for none. Without its line end, and in IMAP without the tag.
        wait: seconds by which it is late.
        stall: seconds that it rests after `after` octets.
        truncate: octets after which it ends, and the connection with it; 0 for all.
        counts: of the rule, to be counted when it comes to it.
    """

    reply: bytes = b""
    wait: float = 0.0
    stall: float = 0.0
    after: int = 0
    truncate: int = 0
    counts: dict[str, int] = {}  # noqa: RUF012 - never written where it is the default: an act of a rule brings the rule's own


@dataclass
class Rule:
    """What is done to a server's replies.

    Args:
        ident: what labctl calls it.
        source: the client that asks; empty for any.
        ports: of the server → the protocol spoken there; none for any port.
        at: the verb that is answered, or `GREETING`; empty for any verb.
        nth: ranges of numbers, from 1, of the matching replies that are meant; none for all.
        probability: share of these that are hit.
        greeting_ns, stall_ns: times.
        since: sets a rule apart from one before that was the same: it counts anew.
    """

    ident: str
    source: str = ""
    ports: Mapping[int, str] = field(default_factory=dict)
    at: str = ""
    nth: tuple[tuple[int, int], ...] = ()
    reply: str = ""
    probability: float = 1.0
    greeting_ns: int = 0
    stall_ns: int = 0
    after: int = 0
    truncate: int = 0
    seed: int = 1
    since: int = 0

    def __post_init__(self) -> None:
        self.counts = dict.fromkeys(COUNTERS, 0)
        self._matched: dict[str, int] = {}
        self._generators: dict[str, Random] = {}

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> "Rule":
        """Read a rule as labctl sends it; what is not said is off."""
        own = {name: facts[name] for name in cls.__dataclass_fields__ if facts.get(name) is not None}
        nth = tuple((int(first), int(last)) for first, last in facts.get("nth") or ())
        ports = {int(port): protocol for port, protocol in (facts.get("ports") or {}).items()}
        return cls(**own | {"source": facts.get("from", ""), "nth": nth, "ports": ports})

    def fits(self, client: str, port: int) -> bool:
        """Tell whether it is for what a client asks on a port."""
        return self.source in ("", client) and (not self.ports or port in self.ports)

    @property
    def asks(self) -> int:
        """How much it asks of a reply: the more, the earlier it is asked."""
        return 8 * bool(self.nth) + 4 * bool(self.source) + 2 * bool(self.at) + bool(self.ports)

    def act(self, verb: str, key: str) -> Act | None:
        """Count a reply, and return what becomes of it; None where it is not for it, or not hit."""
        if verb == GREETING:
            mine = bool(self.greeting_ns) or self.at == GREETING
        else:
            mine = self.at in ("", verb) and bool(self.reply or self.stall_ns or self.truncate)
        if not mine:
            return None
        stream = f"{key}|{'greeting' if verb == GREETING else 'reply'}"
        self.counts["seen"] += 1
        number = self._matched[stream] = self._matched.get(stream, 0) + 1
        if stream not in self._generators:
            self._generators[stream] = Random(f"{self.seed}|{stream}")  # a text as seed means the same in every Python
        hit = self._generators[stream].random() < self.probability
        if not hit or (self.nth and not any(first <= number <= last for first, last in self.nth)):
            return None
        if verb == GREETING and self.at != GREETING:
            return Act(wait=self.greeting_ns / NANO, counts=self.counts)
        wait = self.greeting_ns / NANO if verb == GREETING else 0.0
        return Act(self.reply.encode(), wait, self.stall_ns / NANO, self.after, self.truncate, self.counts)


def carried_over(before: Iterable[Rule], rules: Iterable[Rule]) -> list[Rule]:
    """Return rules, those that ask for more first; one that is the same as before keeps its counts and goes on with its decisions."""
    there = {repr(rule): rule for rule in before}
    return sorted((there.get(repr(rule), rule) for rule in rules), key=lambda rule: -rule.asks)


class Flow:
    """What is done to the replies of one connection. Its rules may change while it is open; what it speaks does not."""

    def __init__(self, rules: Sequence[Rule], client: str, server: str, port: int) -> None:
        """Follow the rules for a connection that `client` has opened to `server`'s `port`; the list may be filled anew."""
        self._all, self._client, self._port = rules, client, port
        self.protocol = next((rule.ports[port] for rule in self.rules if port in rule.ports), UNKNOWN)
        self._key = f"{self.protocol}|{client}|{server}"

    @property
    def rules(self) -> list[Rule]:
        """Those that are for it now."""
        return [rule for rule in self._all if rule.fits(self._client, self._port)]

    def act(self, verb: str) -> Act | None:
        """Return what becomes of the reply to a verb. Every rule that is for it counts it; the first that hits is its one."""
        acts = [rule.act(verb, self._key) for rule in self.rules]
        return next((act for act in acts if act), None)

    def unread(self) -> None:
        """Be told that nothing more can be seen of the connection."""
        for rule in self.rules:
            rule.counts["unread"] += 1


def predict(probability: float, seed: int, key: str, count: int) -> list[bool]:
    """Return which of the first `count` replies are hit; `key` is `PROTOCOL|CLIENT|SERVER`, such as `smtp|client|smtp-relay`."""
    rule = Rule("", reply="x", probability=probability, seed=seed)
    return [rule.act("X", key) is not None for _ in range(count)]
