"""A fault as a scenario writes it, and as the command line says it: `crash mail-server`, `impair client tcp-server delay 40ms`. Pure.

One table says which verbs there are; the grammar of each is in its line:

    crash HOST [cut first|cut after]         restart HOST        pause HOST        heal [HOST [HOST]]
    partition HOST [HOST] [for 30s]
    impair HOST [HOST] [both] [tcp|udp|icmp] [port N] [KIND] [at VERB] [nth N] PROPERTY VALUE … [seed N] [for 30s] [replace]
    impair client smtp-relay at RCPT reply "451 4.7.1 Try again later" probability 30%
    drop the third data segment from HOST [to HOST]
    delay the second ack from HOST by 80ms
    corrupt octet 10 of the first data segment from HOST
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace

from labctl.faults.impairment import (
    KINDS,
    PROTOCOLS,
    WORDS,
    Impairment,
    apart,
    checked,
    read_filter,
    read_lasting,
    read_nth,
    read_what,
)
from labctl.words import nearest


@dataclass(frozen=True)
class Verb:
    """What may be done to hosts: how many of them it takes, and what it means, `{}` being their names."""

    least: int
    most: int
    told: str


VERBS = {
    "crash": Verb(1, 1, "{} is killed with SIGKILL: no farewell, and its name is gone"),
    "restart": Verb(1, 1, "{} is started again, with what its volumes hold"),
    "pause": Verb(1, 1, "{} stands still: its kernel answers, its programs do not"),
    "partition": Verb(1, 2, "Nothing passes between {} any more, and nobody is told"),
    "impair": Verb(1, 2, "The way between {} becomes a bad one"),
    "drop": Verb(0, 0, "One packet will be lost"),
    "duplicate": Verb(0, 0, "One packet will come twice"),
    "delay": Verb(0, 0, "One packet will be late"),
    "corrupt": Verb(0, 0, "One packet will be spoilt"),
    "heal": Verb(0, 2, "{}: what was broken there is whole again"),
}
PICKING = ("drop", "duplicate", "delay", "corrupt")  # verbs for single packets; they read a sentence
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_SENTENCE = re.compile(
    rf"""(?:octet\s+(?P<octet>\d+)\s+of\s+)?(?:the\s+)?
    (?P<ordinal>{"|".join(ORDINALS)}|\d+(?:st|nd|rd|th)?)\s+
    (?:(?P<proto>{"|".join(PROTOCOLS)})\s+)?(?:(?P<of>{"|".join(sorted(KINDS, key=len, reverse=True))})\s*)?
    (?:segment|packet|datagram|reply|request)?\s*
    (?:(?:on\s+)?port\s+(?P<port>\d+)\s+)?
    from\s+(?P<source>[a-z0-9-]+)(?:\s+to\s+(?P<target>[a-z0-9-]+))?(?:\s+by\s+(?P<by>\S+))?""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Fault:
    """A verb and the hosts it is for; `heal` without one means all of the lab.

    Args:
        impairments: what `impair` and the verbs for single packets come to, one a direction.
        cut_first: `crash`: nothing leaves the host any more when it is killed, so no farewell of its kernel is on the wire.
        replacing: `impair`: what is said replaces what is there.
        lasts: `partition`: seconds; None for as long as the lab.
    """

    verb: str
    hosts: tuple[str, ...] = ()
    impairments: tuple[Impairment, ...] = ()
    cut_first: bool = False
    replacing: bool = False
    lasts: float | None = None
    text: str = ""

    @property
    def told(self) -> str:
        """What happens, for a reader."""
        told = VERBS[self.verb].told.format(" and ".join(self.hosts) or "every host")
        if self.verb == "partition" and len(self.hosts) == 1:
            told = f"Nothing passes between {self.hosts[0]} and all others any more, and nobody is told"
        return f"{told}: {self.text.removeprefix('impair ')}" if self.impairments else told

    def __str__(self) -> str:
        return self.text or " ".join([self.verb, *self.hosts])


def read_fault(text: str, hosts: Sequence[str] | None = None) -> Fault:
    """Return the fault that a text names.

    Args:
        text: the verb and its hosts.
        hosts: the hosts there are; None where that is not known.

    Raises:
        ValueError: no such verb, too few or too many hosts, or a host that is not there; with the nearest known word.
    """
    try:
        verb, *words = shlex.split(text) or [""]  # a reply is several words in quotes
    except ValueError:
        raise ValueError(f"`{text}`: a quote is not closed") from None
    if verb not in VERBS:
        raise ValueError(f"there is no fault `{verb}`{nearest(verb, VERBS)}")
    if verb in PICKING:
        fault = _picking(verb, " ".join(words))
    elif verb == "impair":
        fault = _impair(words, text)
    else:
        fault = _on_hosts(verb, words)
    for name in fault.hosts:
        if hosts is not None and name not in hosts:
            raise ValueError(f"host `{name}` is not among the scenario's hosts{nearest(name, hosts)}")
    return fault


def _on_hosts(verb: str, words: list[str]) -> Fault:
    kind = VERBS[verb]
    named, options = list(words), {}
    for option in ("for", "cut"):
        if option in named[:-1]:
            place = named.index(option)
            options[option] = named[place + 1]
            del named[place : place + 2]
    if ("for" in options and verb != "partition") or ("cut" in options and verb != "crash"):
        raise ValueError(f"`{verb}` takes no `{next(iter(options))}`")
    if options.get("cut", "after") not in ("first", "after"):
        raise ValueError(f"`cut {options['cut']}`: `cut first` or `cut after` is expected")
    if not kind.least <= len(named) <= kind.most:
        wanted = {(1, 1): "one host", (0, 2): "two hosts, one or none", (1, 2): "one host or two"}[
            kind.least, kind.most
        ]
        raise ValueError(f"`{verb}` takes {wanted}, not {len(named)}")
    if len(named) == 2 and named[0] == named[1]:
        raise ValueError(f"`{verb}` takes two different hosts, not `{named[0]}` twice")
    lasts = read_lasting(options["for"]) if "for" in options else None
    text = " ".join([verb, *words])
    return Fault(verb, tuple(named), cut_first=options.get("cut") == "first", lasts=lasts, text=text)


def _impair(words: list[str], text: str) -> Fault:
    """Read `HOST [HOST] [both] [filter] [at VERB] [nth N] PROPERTY VALUE … [seed N] [for D] [replace]`."""
    plain = {"both", "replace", "nth", "seed", "for", "port", "at", *PROTOCOLS, *KINDS, *WORDS}
    rest = list(words)
    hosts: list[str] = []
    while rest and rest[0] not in plain and len(hosts) < 2:
        hosts.append(rest.pop(0))
    if not hosts:
        raise ValueError("`impair` takes one host or two, not 0")
    flags, told, filters = set(), {}, []
    while rest:
        word = rest.pop(0)
        if word in ("both", "replace"):
            flags.add(word)
        elif word in PROTOCOLS or word in KINDS:
            filters.append(word)
        elif not rest:
            raise ValueError(
                f"`{word}` needs a value" if word in plain else f"there is no property `{word}`{nearest(word, WORDS)}"
            )
        elif word in ("port", "at"):
            filters += [word, rest.pop(0)]
        else:
            told[word] = rest.pop(0)
    return impair(
        hosts,
        told,
        " ".join(filters),
        both="both" in flags,
        replacing="replace" in flags,
        text=text,
    )


def impair(
    hosts: Sequence[str],
    told: dict[str, str],
    filters: str = "",
    *,
    both: bool = False,
    replacing: bool = False,
    text: str = "",
    backend: str = "auto",
) -> Fault:
    """Return the fault `impair` of one or two hosts.

    Args:
        told: properties, `nth`, `seed` and `for`, as text.
        filters: as `read_filter` takes it.
        both: the other direction too.
        backend: what is to do it.

    Raises:
        ValueError: something of it is wrong.
    """
    if len(hosts) == 2 and hosts[0] == hosts[1]:
        raise ValueError(f"`impair` takes two different hosts, not `{hosts[0]}` twice")
    own = {name: told[name] for name in told if name not in ("nth", "seed", "for")}
    if not own:
        raise ValueError(
            f"`impair` needs a property, such as `delay 40ms`; known: {', '.join(f'`{name}`' for name in WORDS)}"
        )
    where = read_filter(filters)
    if "nth" in told:
        where = replace(where, nth=read_nth(told["nth"]))
    if "seed" in told and not told["seed"].isdecimal():
        raise ValueError(f"seed `{told['seed']}`: a whole number is expected")
    seed = int(told["seed"]) if "seed" in told else None
    lasts = read_lasting(told["for"]) if "for" in told else None
    source, target = hosts[0], hosts[1] if len(hosts) > 1 else ""
    ways = apart(Impairment(source, target, where, read_what(own), seed, lasts, backend=backend))
    for one in ways:
        if replacing:
            checked(one)
    if both:  # the way back: from the other, or from all others
        ways += [replace(one, source=one.target, target=one.source) for one in ways]
    return Fault("impair", tuple(hosts), tuple(ways), replacing=replacing, text=text)


def _picking(verb: str, sentence: str) -> Fault:
    """Read `drop the third data segment from client`, and its like."""
    match = _SENTENCE.fullmatch(sentence.strip())
    example = (
        "corrupt octet 10 of the first data segment from tcp-server"
        if verb == "corrupt"
        else f"{verb} the third data segment from client"
    )
    if not match or (verb == "delay") != bool(match["by"]) or (verb != "corrupt" and match["octet"]):
        example += " by 80ms" if verb == "delay" else ""
        raise ValueError(f"`{verb}` takes a sentence, such as `{example}`")
    if match["octet"] and not int(match["octet"]):
        raise ValueError("`octet 0`: octets of a payload are counted from 1")
    word = match["ordinal"]
    number = ORDINALS.index(word) + 1 if word in ORDINALS else int(re.sub(r"\D", "", word))
    of = match["of"] or ("data" if re.search(r"\b(reply|request)\b", sentence) else "")
    proto = match["proto"] or ("tcp" if " segment " in sentence else "udp" if " datagram " in sentence else "")
    filters = " ".join(part for part in (proto, of, f"port {match['port']}" if match["port"] else "") if part)
    what = {
        "drop": {"loss": "100%"},
        "duplicate": {"duplicate": "100%"},
        "delay": {"delay": match["by"]},
        "corrupt": {"corrupt-octet": match["octet"]} if match["octet"] else {"corrupt": "100%"},
    }[verb]
    hosts = [match["source"], *([match["target"]] if match["target"] else [])]
    fault = impair(hosts, {**what, "nth": str(number)}, filters)
    return Fault(verb, tuple(hosts), fault.impairments, text=f"{verb} {sentence}")
