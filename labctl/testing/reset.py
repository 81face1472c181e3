"""A lab goes back to its start without being made again: what a test left in it is gone before the next begins.

A shell that stays running in each host (`resident`) tells whether anything happened there: no process was started, nothing came over
the network, no volume was written. Such a host is left alone. Any other is brought back by the cheapest way that is certain:

- what was swapped, crashed, paused or impaired is put right; the scenario's own links are put in force anew, with their seeds;
- hosts on a volume that was written are made again, with that volume; so is one that was taken off the network;
- what still runs of what a test started is ended, and what was written to a tmpfs since the start is removed;
- a host whose service has the label `labctl.reset` is told by that signal to start itself anew (`none`: it keeps nothing in mind);
- any other is started again, which empties its tmpfs; so is one in which a file of the start was changed.
"""

import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from labctl.commands.faults import impair_links, inflict
from labctl.commands.swap import await_swapped
from labctl.commands.up import tagged
from labctl.engine.lock import lab_lock
from labctl.errors import LabError
from labctl.faults.impairment import of_rule
from labctl.faults.read import Fault
from labctl.model import SHAPER, Found, FoundHost, HostSpec, LabSpec
from labctl.plan import RemoveHost, RemoveVolume, Step, Wait, asked, is_complete, plan_up
from labctl.progress import Silent
from labctl.testing.resident import BACK, INTACT, Residents, volumes, written_volumes

if TYPE_CHECKING:
    from labctl.engine.sdk import DockerEngine


def reset(engine: "DockerEngine", spec: LabSpec, residents: Residents, timeout: float) -> None:
    """Bring a lab back to its start.

    Args:
        timeout: seconds until hosts that were started again must answer.

    Raises:
        LabError: it cannot be brought back.
    """
    hosts = engine.hosts(spec.name)
    whole = is_whole(spec, hosts)
    if not whole:
        healed = _heal(engine, spec.name)
        hosts = engine.hosts(spec.name)
        whole = is_whole(spec, hosts, healed=healed)
    specs = {host.name: host for host in spec.hosts}
    usable = [(host, specs[host.name]) for host in hosts if host.name in specs and is_as_wanted(specs[host.name], host)]
    answers = residents.bring_back(usable)
    if not whole or any(answer != BACK for answer in answers.values()):
        _make_good(engine, spec, residents, answers, timeout)
    if spec.links:
        with lab_lock(spec.name, lambda _: None):
            links = [of_rule(source, rule) for source, rule in spec.links]
            impair_links(engine, spec.name, links, lambda: tagged(spec.tools_image))


def _heal(engine: "DockerEngine", lab: str) -> bool:
    """Lift all faults; tell whether that went well: what cannot be healed is made again."""
    try:
        inflict(engine, lab, Fault("heal"))
    except LabError:
        return False
    return True


def is_whole(spec: LabSpec, hosts: Collection[FoundHost], *, healed: bool = False) -> bool:
    """Tell whether each host is there, runs, is on the wire, and is what was wanted; and nothing impairs any.

    Args:
        healed: the shapers that are there do nothing.
    """
    there = {host.name: host for host in hosts if host.role == "host"}
    return (healed or not any(host.role == SHAPER for host in hosts)) and all(
        host.name in there and is_as_wanted(host, there[host.name]) for host in spec.hosts
    )


def is_as_wanted(spec: HostSpec, found: FoundHost) -> bool:
    """Tell whether a container is what was wanted, as far as it can be seen from outside."""
    return found.state == "running" and bool(found.addresses) and found.digest == spec.digest


def _make_good(
    engine: "DockerEngine", spec: LabSpec, residents: Residents, answers: dict[str, str], timeout: float
) -> None:
    """Make again, or start again, what did not come back by itself."""
    specs = {host.name: host for host in spec.hosts}
    intact = {
        mount["source"]
        for name, answer in answers.items()
        if answer in (BACK, INTACT)
        for mount in volumes(specs[name])
    }
    found = engine.look(spec.name)
    steps = plan_again(spec, found, written_volumes(spec.hosts) - intact)
    renewed = {step.host.name for step in steps if isinstance(step, RemoveHost)}
    again = [host for host in found.hosts if host.name in answers and host.name not in renewed]
    again = [host for host in again if answers[host.name] != BACK]
    for name in (*renewed, *(host.name for host in again)):
        residents.forget(name)
    with ThreadPoolExecutor(max(1, len(again))) as pool:
        list(pool.map(lambda host: engine.change(host, "restart"), again))
    if not is_complete(steps):
        engine.act(spec, steps, Silent(), timeout=timeout)
    elif again and spec.client:
        names = [host.name for host in again if host.name != spec.client.name]
        targets = tuple((name, port) for name in names for port in asked(specs[name]))
        engine.act(spec, (Wait(spec.client.name, targets),), Silent(), timeout=timeout)
    await_swapped(engine, spec, timeout)
    lacking = [host for host in engine.hosts(spec.name) if host.name in specs and residents.lacks(host)]
    residents.settle([(host, specs[host.name]) for host in lacking], time.time(), alone=True)
    for host in lacking:
        residents.await_host(host.name)


def plan_again(spec: LabSpec, found: Found, written: Collection[str] | None = None) -> tuple[Step, ...]:
    """Return the steps that make what has to be made again: hosts of another definition, and those on a volume that was written.

    Args:
        written: keys of those volumes; None: all that some host may write.
    """
    written = written_volumes(spec.hosts) if written is None else written
    on_volume = {host.name for host in spec.hosts if any(mount["source"] in written for mount in volumes(host))}
    gone_volumes = tuple(volume for volume in found.volumes if volume.key in written)
    off_the_wire = {host.name for host in found.hosts if host.state == "running" and not host.addresses}
    gone = [host for host in found.hosts if host.role == "host" and host.name in on_volume | off_the_wire]
    left = replace(
        found,
        hosts=tuple(host for host in found.hosts if host not in gone),
        volumes=tuple(volume for volume in found.volumes if volume not in gone_volumes),
    )
    removals: list[Step] = [
        *(RemoveHost(host, "off the wire" if host.name in off_the_wire else "it may have written") for host in gone),
        *map(RemoveVolume, gone_volumes),
    ]
    return (*removals, *plan_up(spec, left))
