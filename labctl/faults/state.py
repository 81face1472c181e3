"""What is broken at each host, and what comes of a fault on top of it. Pure: commands read the old state, and bring the new one about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from labctl.faults.impairment import Impairment, merged, of_rule
from labctl.faults.read import Fault

CRASHED = "(crashed)"  # among a host's own cuts, in place of another's name: nothing leaves or reaches it until it is started again


@dataclass(frozen=True)
class HostFaults:
    """What one host's shaper does.

    Args:
        impairments: of what the host sends.
        cuts: hosts of which it hears nothing → seconds that are left, or None for no end.
        replies: impairments of what the host answers; their `target` is the host.
    """

    impairments: tuple[Impairment, ...] = ()
    cuts: Mapping[str, float | None] = field(default_factory=dict)
    replies: tuple[Impairment, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.impairments or self.cuts or self.replies)


WHOLE = HostFaults()
State = Mapping[str, HostFaults]


def of_told(host: str, told: Mapping[str, Any]) -> HostFaults:
    """Return what a host's shaper tells of itself."""
    return HostFaults(
        tuple(of_rule(host, rule) for rule in told.get("rules", ())),
        dict(told.get("cut", {})),
        tuple(of_rule(rule.get("from", ""), rule) for rule in told.get("replies", ())),
    )


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
            (host,) = fault.hosts
            new[host] = replace(new[host], cuts={**new[host].cuts, CRASHED: None})
        case "restart":
            _start_again(new, fault.hosts[0])
        case "heal":
            _heal(new, fault.hosts)
        case _:
            for said in spread(fault.impairments, hosts):
                item = replace(said, since=since) if said.where.nth else said
                replacing = fault.replacing or bool(item.where.nth)
                if item.is_of_replies:
                    there = new[item.target]
                    new[item.target] = replace(there, replies=merged(there.replies, [item], replacing=replacing))
                else:
                    there = new[item.source]
                    new[item.source] = replace(
                        there, impairments=merged(there.impairments, [item], replacing=replacing)
                    )
    changed = {item.target if item.is_of_replies else item.source for item in fault.impairments}
    return {name: state for name, state in new.items() if name in changed or state != now.get(name, WHOLE)}


def aged(state: HostFaults, seconds: float) -> HostFaults:
    """Return what is left of a host's faults so much later."""

    def lasting(items: Sequence[Impairment]) -> tuple[Impairment, ...]:
        left = ((item, _left(item.lasts, seconds)) for item in items)
        return tuple(replace(item, lasts=lasts) for item, lasts in left if lasts != 0)

    cuts = {host: _left(lasts, seconds) for host, lasts in state.cuts.items()}
    return HostFaults(
        lasting(state.impairments), {host: left for host, left in cuts.items() if left != 0}, lasting(state.replies)
    )


def _left(lasts: float | None, seconds: float) -> float | None:
    return None if lasts is None else max(0, lasts - seconds)


def mirrored(state: State, host: str) -> HostFaults:
    """Return a host's faults with its own end of partitions that were made while it did not run: the others have theirs."""
    theirs = {other: item.cuts[host] for other, item in state.items() if host in item.cuts}
    own = state.get(host, WHOLE)
    return replace(own, cuts={**theirs, **own.cuts})


def spread(impairments: Sequence[Impairment], hosts: Sequence[str]) -> list[Impairment]:
    """Return impairments of which each has a place: packets are impaired where they leave, replies where they are given."""
    return [
        replace(item, target=host) if item.is_of_replies else replace(item, source=host)
        for item in impairments
        for host in _places(item, hosts)
    ]


def _places(item: Impairment, hosts: Sequence[str]) -> list[str]:
    one, other = (item.target, item.source) if item.is_of_replies else (item.source, item.target)
    return [one] if one else [host for host in hosts if host != other]


def _pairs(named: Sequence[str], hosts: Sequence[str]) -> list[tuple[str, str]]:
    one, *rest = named
    return [(one, other) for other in rest or [host for host in hosts if host != one]]


def _cut(new: dict[str, HostFaults], one: str, other: str, lasts: float | None) -> None:
    for here, there in ((one, other), (other, one)):
        new[here] = replace(new[here], cuts={**new[here].cuts, there: lasts})


def _start_again(new: dict[str, HostFaults], host: str) -> None:
    """Lift what came of a crash; all else is the network's, and stays."""
    new[host] = replace(new[host], cuts={cut: left for cut, left in new[host].cuts.items() if cut != CRASHED})


def _heal(new: dict[str, HostFaults], named: Sequence[str]) -> None:
    """Lift all, all that concerns one host, or what is between two."""
    for name, state in new.items():

        def concerns(other: str, name: str = name) -> bool:
            if other == CRASHED:
                return not named or name in named
            ends = {name, other}
            return set(named) <= ends if len(named) == 2 else not named or named[0] in ends

        new[name] = HostFaults(
            tuple(item for item in state.impairments if not concerns(item.target)),
            {cut: left for cut, left in state.cuts.items() if not concerns(cut)},
            tuple(item for item in state.replies if not concerns(item.source)),
        )
