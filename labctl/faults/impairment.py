"""An impairment: what is done to the packets that A sends to B, or to the replies that A gets from B. Pure: text in, plain values out."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from labctl.faults import replies, units
from labctl.words import nearest

KINDS = ("data", "ack", "syn", "syn-ack", "fin", "rst")
PROTOCOLS = ("tcp", "udp", "icmp")
DISTRIBUTIONS = ("uniform", "normal")
ANYBODY = ""  # in place of a host: all others


def _count(text: str) -> int:
    if text.isdecimal():
        return int(text)
    raise ValueError(f"`{text}`: a whole number is expected")


def _length(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if value == 0 or value >= 1:
        return value
    raise ValueError(f"`{text}`: a mean number of packets is expected, 1 or more")


def _probability(text: str) -> float:
    share = units.read_share(text)
    if share:
        return share
    raise ValueError(f"`{text}` would never hit; more than `0%` is expected, `labctl heal` lifts it")


def _distribution(text: str) -> str:
    if text in DISTRIBUTIONS:
        return text
    raise ValueError(f"`{text}` is none{nearest(text, DISTRIBUTIONS)}")


def _shares(text: str) -> tuple[float, ...]:
    numbers = tuple(units.read_share(part if part.strip().endswith("%") else f"{part}%") for part in text.split(","))
    if len(numbers) != 4:
        raise ValueError(f"`{text}`: four percentages are expected: p,r,1-h,1-k")
    return numbers


@dataclass(frozen=True)
class Word:
    """A property: its name in a shaper's rule, how it is read and written, and what it does, for help texts."""

    rule: str
    read: Callable[[str], Any]
    write: Callable[[Any], str]
    help: str


WORDS = {
    "delay": Word("delay_ns", units.read_duration, units.write_duration, "each packet waits so long: `100ms`"),
    "jitter": Word("jitter_ns", units.read_duration, units.write_duration, "give or take so much: `20ms`"),
    "distribution": Word("distribution", _distribution, str, "of the jitter: `uniform` or `normal`"),
    "loss": Word("loss", units.read_share, units.write_share, "so many packets vanish: `5%`"),
    "burst": Word("burst", _length, lambda v: f"{v:g}", "they vanish in rows of so many, on average (Gilbert-Elliott)"),
    "gemodel": Word("gemodel", _shares, lambda v: ",".join(map(units.write_share, v)), "the same by its numbers: `p,r,1-h,1-k`"),
    "duplicate": Word("duplicate", units.read_share, units.write_share, "so many come twice"),
    "reorder": Word("reorder", units.read_share, units.write_share, "so many skip the delay"),
    "corrupt": Word("corrupt", units.read_share, units.write_share, "in so many one bit is flipped"),
    "rate": Word("rate", units.read_rate, units.write_rate, "the line carries so much: `1mbit`"),
    "buffer": Word("buffer", units.read_size, units.write_size, "so many octets may wait for the line: `64kb`"),
    "mtu": Word("mtu", units.read_size, units.write_size, "longer packets vanish: `1200b`"),
    "corrupt-octet": Word("corrupt_octet", _count, str, "in this octet of the payload a bit is flipped"),
    "reply": Word("reply", replies.read_reply, shlex.quote, "B answers so, whatever it would have said: `451 4.7.1 Try again later`"),
    "greeting": Word("greeting_ns", units.read_duration, units.write_duration, "B's greeting is so late: `5s`"),
    "stall": Word("stall_ns", units.read_duration, units.write_duration, "B's replies rest so long, at their beginning or behind `after`"),
    "truncate": Word("truncate", _count, str, "B's replies end after so many octets, and the connection with them"),
    "after": Word("after", _count, str, "octets of a reply that come before the stall, or of a transfer before the reply 426"),
    "probability": Word("probability", _probability, units.write_share, "only so many of these replies are hit: `30%`"),
}  # fmt: skip
AT = "of B's replies only those to this verb: `RCPT`, `GET`; `.` is the end of a text that was sent, `GREETING` what a server says first"
OF_RULE = {word.rule: name for name, word in WORDS.items()}


@dataclass(frozen=True)
class Filter:
    """Which packets: all, or those of a protocol, a port (either end's), a kind, and of those the first, the third, …

    Of replies those of a port, and to the verb `at`.
    """

    proto: str = ""
    port: int = 0
    of: str = ""
    nth: tuple[tuple[int, int], ...] = ()
    at: str = ""

    def __post_init__(self) -> None:
        if self.proto and self.proto not in PROTOCOLS:
            raise ValueError(f"there is no protocol `{self.proto}`{nearest(self.proto, PROTOCOLS)}")
        if not 0 <= self.port <= 65535 or (self.port and self.proto == "icmp"):
            raise ValueError(f"`{self.port}` is not a port of {self.proto or 'TCP or UDP'}")
        if self.of and self.of not in KINDS:
            raise ValueError(f"there is no kind of packet `{self.of}`{nearest(self.of, KINDS)}")
        if self.of not in ("", "data") and self.proto not in ("", "tcp"):
            raise ValueError(f"`{self.of}` is a kind of TCP's segments, and {self.proto} has none")

    def __str__(self) -> str:
        nth = "nth " + ",".join(str(a) if a == b else f"{a}-{b}" for a, b in self.nth) if self.nth else ""
        port = f"port {self.port}" if self.port else ""
        at = f"at {self.at}" if self.at else ""
        return " ".join(word for word in (self.proto, port, self.of, at, nth) if word)


def read_filter(text: str) -> Filter:
    """Return the filter that a text names: `tcp port 25`, `tcp data`, `udp`, `port 80 syn`, `port 25 at RCPT`.

    Raises:
        ValueError: it is none.
    """
    words = text.replace(",", " ").split()
    told: dict[str, Any] = {}
    while words:
        word = words.pop(0)
        name = _part_of_filter(word)
        if name in told:
            raise ValueError(f"`{word}`: a filter has one {PARTS[name]}, and this one has another already")
        if word in ("port", "at"):
            if not words:
                raise ValueError(f"`{word}` needs a value")
            word = words.pop(0)
        told[name] = _port(word) if name == "port" else replies.read_verb(word) if name == "at" else word
    return Filter(**told)


PARTS = {"port": "port", "at": "verb", "proto": "protocol", "of": "kind of packet"}


def _part_of_filter(word: str) -> str:
    name = word if word in ("port", "at") else "proto" if word in PROTOCOLS else "of" if word in KINDS else ""
    if not name:
        raise ValueError(f"`{word}` is no part of a filter{nearest(word, [*PROTOCOLS, *KINDS, 'port', 'at'])}")
    return name


def _port(text: str) -> int:
    if number := _count(text):
        return number
    raise ValueError(f"`{text}` is not a port of TCP or UDP")


def read_nth(text: str) -> tuple[tuple[int, int], ...]:
    """Return the numbers that a text names, as ranges: `3`, `2,5`, `4-6`.

    Raises:
        ValueError: it names none, or begins below 1.
    """
    ranges = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        ranges.append((_count(first), _count(last) if dash else _count(first)))
    if any(not 1 <= first <= last for first, last in ranges):
        raise ValueError(f"`{text}`: numbers from 1 are expected, such as `3`, `2,5` or `4-6`")
    return tuple(ranges)


def read_lasting(text: str) -> float:
    """Return how long something lasts, in seconds.

    Raises:
        ValueError: it is no duration, or none at all.
    """
    if seconds := units.read_duration(text) / 1e9:
        return seconds
    raise ValueError(f"for `{text}`: a duration above zero is expected; without it a fault lasts as long as the lab")


@dataclass(frozen=True)
class Impairment:
    """What is done to what `source` sends to `target` (all others where that is empty), or to what it is answered there.

    Args:
        what: by the names of a shaper's rule; zero is off.
        seed: of its decisions; None: as before, or `SEED`.
        lasts: seconds; None for as long as the lab.
        backend: what does it: `shaper`, `netem`, or `auto`: whichever does the same here for less.
        since: a number that grows: with another one, single packets (`nth`) are counted anew.
    """

    source: str
    target: str = ANYBODY
    where: Filter = field(default_factory=Filter)
    what: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    lasts: float | None = None
    since: int = 0
    backend: str = "auto"

    @property
    def ident(self) -> str:
        """What tells it from the others: two impairments of the same direction and filter are one."""
        kind = ": replies" if self.is_of_replies else ""
        return f"{self.source or 'all'} → {self.target or 'all'}{kind}" + (
            f" ({self.where})" if str(self.where) else ""
        )

    @property
    def is_of_replies(self) -> bool:
        """Whether it changes replies of `target` to `source`, and no packets."""
        return any(name in replies.RULES for name in self.what)

    @property
    def told(self) -> str:
        """What it does, in the words in which it is asked for."""
        words = [
            f"{OF_RULE[name]} {WORDS[OF_RULE[name]].write(value)}"
            for name, value in self.what.items()
            if name in OF_RULE
        ]
        return " ".join(words)

    def over(self, before: "Impairment") -> "Impairment":
        """Return this one merged over an earlier one: what it does not say stays."""
        merged = {**before.what, **self.what}
        seed = before.seed if self.seed is None else self.seed
        backend = before.backend if self.backend == "auto" else self.backend
        return checked(replace(self, what=merged, seed=seed, backend=backend))

    def rule(self) -> dict[str, Any]:
        """Return it as a shaper takes it."""
        what = {name: value for name, value in self.what.items() if value}
        where = {"proto": self.where.proto, "port": self.where.port, "of": self.where.of, "nth": self.where.nth}
        if self.is_of_replies:
            served = replies.ports(what, self.where.port, self.where.at)
            where |= {"from": self.source, "ports": served, "at": self.where.at}
        rule = {"ident": self.ident, "to": self.target, **where, **what}
        return (
            rule
            | ({} if self.seed is None else {"seed": self.seed})
            | ({"for": self.lasts} if self.lasts else {})
            | ({"since": self.since} if self.since else {})
            | self._backend()
        )

    def _backend(self) -> dict[str, str]:
        return {} if self.backend == "auto" else {"backend": self.backend}

    @property
    def is_off(self) -> bool:
        """Whether nothing is left of it."""
        return not any(value for name, value in self.what.items() if name not in ADVERBS)


ADVERBS = ("distribution", "after", "probability")  # they say how, not what
SEED = 1  # the shaper's and the proxy's, where none is said: a lesson is the same each time it is played


def of_rule(source: str, rule: Mapping[str, Any]) -> Impairment:
    """Return the impairment of a rule that a shaper tells."""
    what = {name: rule[name] for name in OF_RULE if rule.get(name)}
    nth = tuple((int(first), int(last)) for first, last in rule.get("nth") or ())
    where = Filter(rule.get("proto", ""), rule.get("port", 0), rule.get("of", ""), nth, rule.get("at", ""))
    return Impairment(
        source,
        rule.get("to", ""),
        where,
        what,
        rule.get("seed"),
        rule.get("left") or rule.get("for"),
        rule.get("since", 0),
        rule.get("backend", "auto"),
    )


def read_what(words: Mapping[str, str]) -> dict[str, Any]:
    """Return properties by the names of a shaper's rule.

    Raises:
        ValueError: an unknown one, or a value that is none; with the nearest known word.
    """
    what = {}
    for name, text in words.items():
        if name not in WORDS:
            raise ValueError(f"there is no property `{name}`{nearest(name, WORDS)}")
        try:
            what[WORDS[name].rule] = WORDS[name].read(text)
        except ValueError as error:
            raise ValueError(f"{name} {error}") from error
    return what


NEEDS = (  # what does nothing without the other
    ("jitter_ns", "delay_ns"),
    ("reorder", "delay_ns"),
    ("distribution", "jitter_ns"),
    ("burst", "loss"),
    ("buffer", "rate"),
)


WHOLE_STREAMS = ("reorder", "rate", "buffer", "mtu")  # what a single packet cannot have done to it


def apart(impairment: Impairment) -> list[Impairment]:
    """Return what is done to packets, and what is done to replies, each as one of its own; `at` and `nth` pick replies where both are said.

    Raises:
        ValueError: only packets are touched, and `at` picks none; or what is spoken at the port has no such verb or reply.
    """
    packets = {name: value for name, value in impairment.what.items() if name not in replies.RULES}
    answers = {name: value for name, value in impairment.what.items() if name in replies.RULES}
    if impairment.where.at and not answers:
        raise ValueError(f"`at {impairment.where.at}` picks replies; say a `reply`, `stall` or `truncate`")
    where = impairment.where
    one = replace(impairment, what=packets, where=replace(where, at=""))
    other = replace(impairment, what=answers, where=replace(where, proto="" if where.proto == "tcp" else where.proto))
    if answers:
        replies.ports(answers, where.port, where.at)
    return [item for item in (one, other) if item.what]


def checked(impairment: Impairment) -> Impairment:
    """Return it if it makes sense.

    Raises:
        ValueError: its properties contradict each other, or do nothing by themselves.
    """
    what = {name: value for name, value in impairment.what.items() if value}
    for one, other in NEEDS:
        if one in what and other not in what:
            raise ValueError(f"`{OF_RULE[one]}` needs a `{OF_RULE[other]}`")
    if what.get("distribution", "uniform") == "uniform" and what.get("jitter_ns", 0) > what.get("delay_ns", 0):
        raise ValueError("`jitter` is longer than `delay`; nothing arrives before it was sent")
    if "burst" in what and what["loss"] > what["burst"] / (what["burst"] + 1):
        raise ValueError(f"a loss of {units.write_share(what['loss'])} needs longer rows than {what['burst']:g}")
    if "gemodel" in what and "loss" in what:
        raise ValueError("`gemodel` says the loss itself; leave `loss` out")
    replies.check(what, impairment.where)
    if "corrupt_octet" in what and not impairment.where.nth:
        raise ValueError("`corrupt-octet` needs `nth`: which packets")
    if impairment.where.nth and (of_line := [OF_RULE[name] for name in WHOLE_STREAMS if name in what]):
        raise ValueError(f"`{of_line[0]}` is for all packets, and `nth` picks single ones; say it without `nth`")
    if impairment.backend == "netem" and impairment.seed is not None:
        raise ValueError("netem draws by itself, and not what a seed says; what has a seed needs the shaper")
    return impairment


def merged(
    before: Sequence[Impairment], more: Sequence[Impairment], *, replacing: bool = False
) -> tuple[Impairment, ...]:
    """Return what is in force when `more` comes on top of `before`.

    Args:
        replacing: what is said replaces what is there of the same direction and filter, and is not merged with it.

    Raises:
        ValueError: what comes of it makes no sense.
    """
    result = {item.ident: item for item in before}
    for item in more:
        there = result.get(item.ident)
        result[item.ident] = item.over(there) if there and not replacing else checked(item)
    return tuple(item for item in result.values() if not item.is_off)
