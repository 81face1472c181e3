"""Break and heal a lab: its hosts, and what is between them."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from labctl.commands.shapers import Image, bring_about, look_at_shapers
from labctl.engine.base import Breaking, Change
from labctl.engine.lock import lab_lock
from labctl.errors import LabError, UsageError
from labctl.faults.impairment import SEED, Impairment
from labctl.faults.read import Fault
from labctl.faults.state import CRASHED, HostFaults, after, aged, mirrored
from labctl.model import Found, FoundHost
from labctl.words import nearest

CHANGES: dict[str, Change] = {"crash": "kill", "restart": "restart", "pause": "pause"}
STARTED = ("restart", "heal")


def no_image() -> str:
    """Stand in where no shaper is needed.

    Raises:
        LabError: one is.
    """
    raise LabError("no shaper runs here", hint="`labctl build` builds the image that it needs")


def inflict(engine: Breaking, lab: str, fault: Fault, image: Image = no_image) -> dict[str, dict[str, Any]]:
    """Do what a fault says; it is in force when this returns. A host that was started has yet to open its ports.

    Args:
        image: of shapers that have to be started.

    Returns:
        What the shapers told that it took, by host.

    Raises:
        LabError: the host is not in a state for it, such as a crash of one that does not run; or the kernel cannot do it.
        UsageError: the lab has no such host, or impairments contradict each other.
    """
    with lab_lock(lab, lambda _: None):
        return _inflict(engine, lab, fault, image)


def impair_links(engine: Breaking, lab: str, impairments: Sequence[Impairment], image: Image = no_image) -> None:
    """Put a scenario's links in force; who calls holds the lab's lock.

    Raises:
        LabError: the kernel cannot do it.
    """
    if impairments:
        hosts = dict.fromkeys(name for item in impairments for name in (item.source, item.target) if name)
        _inflict(engine, lab, Fault("impair", tuple(hosts), tuple(impairments), text="impair (links)"), image)


def _inflict(engine: Breaking, lab: str, fault: Fault, image: Image) -> dict[str, dict[str, Any]]:
    found = engine.look(lab)
    names = [host.name for host in found.hosts if host.role == "host"]
    if not names:
        labs = engine.look().labs
        raise UsageError(f"there is no lab `{lab}`{nearest(lab, labs)}", hint="`labctl ls` shows what is up")
    for name in fault.hosts:
        if name not in names:
            raise UsageError(f"lab `{lab}` has no host `{name}`{nearest(name, names)}")
    if fault.verb in ("crash", "pause"):
        _refuse_what_does_not_run(found, fault)
    shapers = look_at_shapers(engine, found)
    now = {name: shaper.faults for name, shaper in shapers.items()}
    try:
        wanted = after(fault, now, names, time.monotonic_ns())
    except ValueError as error:
        raise UsageError(str(error)) from error
    started: list[str] = []
    started_ns, looked_at = time.time_ns(), time.monotonic()
    if fault.verb not in STARTED:
        _refuse_what_has_no_network(found, fault, wanted)
    else:
        chosen = fault.hosts or names
        started = [host.name for host in map(found.host, chosen) if host and _start(engine, host, fault.verb)]
        if started:
            found = engine.look(lab)
            passed = time.monotonic() - looked_at  # to stop a host and to start it takes its time
            wanted = {name: aged(state, passed) for name, state in _again(started, now, wanted).items()}
            shapers |= {
                name: replace(shapers[name], told={**shapers[name].told, "stale": True})
                for name in started
                if name in shapers
            }
    # A shaper that does not answer may have left its filter behind: healing puts another in its place.
    if fault.verb == "heal":
        wanted |= {name: wanted.get(name, now[name]) for name, shaper in shapers.items() if not shaper.works}
    told = bring_about(engine, found, shapers, wanted, image, started_ns) if wanted else {}
    if fault.verb in ("crash", "pause"):
        for name in fault.hosts:
            host = found.host(name)
            if host:
                engine.change(host, CHANGES[fault.verb])
    return told


def _refuse_what_does_not_run(found: Found, fault: Fault) -> None:
    for name in fault.hosts:
        host = found.host(name)
        if host and host.state != "running":
            raise LabError(
                f"host `{name}` is {host.state}, so `{fault}` has nothing to break",
                hint=f"`labctl heal {name}` has it run again",
            )


def _refuse_what_has_no_network(found: Found, fault: Fault, wanted: Iterable[str]) -> None:
    for name in wanted:
        host = found.host(name)
        if name in fault.hosts and host and host.state not in ("running", "paused"):
            raise LabError(
                f"host `{name}` is {host.state}, so it has no network in which `{fault.verb}` could do anything",
                hint=f"`labctl restart {name}` starts it",
            )


def _start(engine: Breaking, host: FoundHost, verb: str) -> bool:
    """Have a host run; tell whether it was started, which gives it another network namespace."""
    if host.state == "paused":
        engine.change(host, "unpause")
    if verb == "restart" or host.state not in ("running", "paused"):
        engine.change(host, "restart")
        return True
    return False


def _again(started: Sequence[str], now: dict[str, HostFaults], wanted: dict[str, HostFaults]) -> dict[str, HostFaults]:
    """Return what is wanted when hosts have been started: their shapers' faults are put in force again, and all learn their addresses."""
    wanted = wanted | {name: wanted.get(name, state) for name, state in now.items() if state or name in started}
    ends = {name: mirrored(wanted, name) for name in started}
    return wanted | {name: state for name, state in ends.items() if state or name in wanted}


@dataclass(frozen=True)
class Broken:
    """One thing that is in force.

    Args:
        kind: `impair`, `reply`, `partition`, `paused`, `crashed`, `shaper` (one that does not work).
        backend: what does it.
        told: in words.
        seed: of its decisions; None where nothing is drawn by one.
        seconds_left: None for as long as the lab.
        measured: counts and times, as the shaper tells them.
    """

    kind: str
    host: str
    to: str = ""
    told: str = ""
    backend: str = ""
    seed: int | None = None
    seconds_left: float | None = None
    measured: dict[str, Any] | None = None


def faults(engine: Breaking, lab: str) -> tuple[Broken, ...]:
    """Return what is in force in a lab, and what was measured of it."""
    found = engine.look(lab)
    result = []
    for host in found.hosts:
        if host.role == "host" and host.state != "running":
            kind = "paused" if host.state == "paused" else "crashed"
            result.append(Broken(kind, host.name, told=host.status, backend="engine"))
    for name, shaper in look_at_shapers(engine, found).items():
        place = found.host(name)
        if not shaper.works and place and place.state in ("running", "paused"):
            words = shaper.told.get("ended") or ("its host was started again" if shaper.told else "it does not answer")
            result.append(Broken("shaper", name, told=f"{words}; `labctl heal {name}` mends it"))
        if not shaper.answers:
            continue
        measured = shaper.told.get("measured", {})
        backend = shaper.told.get("backend", "shaper")
        for item in shaper.faults.impairments:
            result.append(_impaired(item, backend, measured))
        for item in shaper.faults.replies:
            result.append(_replied(item, shaper.told.get("replied", {})))
        for other, left in shaper.faults.cuts.items():
            to, words = ("all", "nothing leaves it") if other == CRASHED else (other, "hears nothing of it")
            result.append(Broken("partition", name, to, words, "nftables", None, left))
    return tuple(result)


def _impaired(item: Impairment, backend: str, measured: dict[str, Any]) -> Broken:
    counts = dict(measured.get("rules", {}).get(item.ident, {}))
    if measured:
        counts |= {name: measured[name] for name in ("overrun", "late_us", "held") if name in measured}
    where = f" ({item.where})" if str(item.where) else ""
    seed = None if backend == "netem" else _seed(item)
    return Broken("impair", item.source, item.target or "all", item.told + where, backend, seed, item.lasts, counts)


def _replied(item: Impairment, measured: dict[str, Any]) -> Broken:
    counts = dict(measured.get("rules", {}).get(item.ident, {}))
    if measured:
        counts["connections"] = measured["connections"]
    where = f" ({item.where})" if str(item.where) else ""
    return Broken(
        "reply", item.source or "all", item.target, item.told + where, "proxy", _seed(item), item.lasts, counts
    )


def _seed(item: Impairment) -> int:
    return SEED if item.seed is None else item.seed
