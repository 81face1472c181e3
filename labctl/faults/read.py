"""A fault as a scenario writes it: `crash mail-server`. One table says which there are; pure.

fault: crash mail-server
fault: heal
"""

from collections.abc import Sequence
from dataclasses import dataclass

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
    "heal": Verb(0, 1, "{}: what was paused or crashed runs again"),
}


@dataclass(frozen=True)
class Fault:
    """A verb and the hosts it is for; `heal` without one means all of the lab."""

    verb: str
    hosts: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """What happens, for a reader."""
        return VERBS[self.verb].told.format(" and ".join(self.hosts) or "every host")

    def __str__(self) -> str:
        return " ".join([self.verb, *self.hosts])


def read_fault(text: str, hosts: Sequence[str] | None = None) -> Fault:
    """Return the fault that a text names.

    Args:
        text: the verb and its hosts.
        hosts: the hosts there are; None where that is not known.

    Raises:
        ValueError: no such verb, too few or too many hosts, or a host that is not there; with the nearest known word.
    """
    verb, *named = text.split() or [""]
    if verb not in VERBS:
        raise ValueError(f"there is no fault `{verb}`{nearest(verb, VERBS)}")
    kind = VERBS[verb]
    if not kind.least <= len(named) <= kind.most:
        wanted = "one host" if kind.least else "one host or none"
        raise ValueError(f"`{verb}` takes {wanted}, not {len(named)}")
    for name in named:
        if hosts is not None and name not in hosts:
            raise ValueError(f"host `{name}` is not among the scenario's hosts{nearest(name, hosts)}")
    return Fault(verb, tuple(named))
