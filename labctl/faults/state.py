"""What is broken at each host, and what comes of a fault on top of it. Pure: commands read the old state, and bring the new one about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from labctl.faults.impairment import Impairment, merged, of_rule
from labctl.faults.read import Fault

CRASHED = " (crashed)"  # behind a host's name: cut off until it is started again


@dataclass(frozen=True)
class HostFaults:
    """What one host's shaper does.

    Args:
        impairments: of what the host sends.
        cuts: hosts of which it hears nothing → seconds that are left, or None for no end.
    """

    impairments: tuple[Impairment, ...] = ()
    cuts: Mapping[str, float | None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.impairments or self.cuts)


WHOLE = HostFaults()
State = Mapping[str, HostFaults]


def of_told(host: str, told: Mapping[str, Any]) -> HostFaults:
    """Return what a host's shaper tells of itself."""
    return HostFaults(tuple(of_rule(host, rule) for rule in told.get("rules", ())), dict(told.get("cut", {})))


def after(fault: Fault, now: State, hosts: Sequence[str], since: int = 0) -> dict[str, HostFaults]:
    """Return the state of each host that a fault changes.

    Args:
        fault: what is done.
        now: hosts that have something; the others are whole.
        hosts: all of the lab.
        since: a number that grows: from here on single packets are counted.

    Raises:
        ValueError: impairments that contradict each other come together.
    """
    new = {host: now.get(host, WHOLE) for host in hosts}
    match fault.verb:
        case "partition":
            for one, other in _pairs(fault.hosts, hosts):
                _cut(new, one, other, fault.lasts)
        case "crash" if fault.cut_first:
            for other in hosts:
                if other != fault.hosts[0]:
                    new[other] = replace(new[other], cuts={**new[other].cuts, fault.hosts[0] + CRASHED: None})
        case "restart":
            _start_again(new, fault.hosts[0])
        case "heal":
            _heal(new, fault.hosts)
        case _:
            for said in spread(fault.impairments, hosts):
                item = replace(said, since=since) if said.where.nth else said
                before = new[item.source].impairments
                replacing = fault.replacing or bool(item.where.nth)
                new[item.source] = replace(new[item.source], impairments=merged(before, [item], replacing=replacing))
    changed = {item.source for item in fault.impairments}
    return {name: state for name, state in new.items() if name in changed or state != now.get(name, WHOLE)}


def spread(impairments: Sequence[Impairment], hosts: Sequence[str]) -> list[Impairment]:
    """Return impairments of which each has a source: what comes from all others to one is one from each."""
    return [
        replace(item, source=source)
        for item in impairments
        for source in ([item.source] if item.source else [host for host in hosts if host != item.target])
    ]


def _pairs(named: Sequence[str], hosts: Sequence[str]) -> list[tuple[str, str]]:
    one, *rest = named
    return [(one, other) for other in rest or [host for host in hosts if host != one]]


def _cut(new: dict[str, HostFaults], one: str, other: str, lasts: float | None) -> None:
    for here, there in ((one, other), (other, one)):
        new[here] = replace(new[here], cuts={**new[here].cuts, there: lasts})


def _start_again(new: dict[str, HostFaults], host: str) -> None:
    """Lift what came of a crash; all else is the network's, and stays."""
    for name, state in new.items():
        new[name] = replace(state, cuts={cut: left for cut, left in state.cuts.items() if cut != host + CRASHED})


def _heal(new: dict[str, HostFaults], named: Sequence[str]) -> None:
    """Lift all, all that concerns one host, or what is between two."""
    for name, state in new.items():

        def concerns(other: str, name: str = name) -> bool:
            ends = {name, other.removesuffix(CRASHED)}
            return set(named) <= ends if len(named) == 2 else not named or named[0] in ends

        new[name] = HostFaults(
            tuple(item for item in state.impairments if not concerns(item.target)),
            {cut: left for cut, left in state.cuts.items() if not concerns(cut)},
        )
