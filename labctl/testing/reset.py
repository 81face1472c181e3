"""A lab goes back to its start without being made again: what a test left in it is gone before the next begins.

Each host by the cheapest way that is certain:

- what was swapped, crashed, paused or impaired is put right;
- a host that mounts a volume which some host may write is made again, with that volume; so is one that was taken off the network;
- a host whose service has the label `labctl.reset` is told by that signal to start itself anew (`none`: it keeps nothing in mind), and
  where a test ran something in it, what still runs of that and what was written to its tmpfs since the lab was ready is removed;
- any other is started again, which empties its tmpfs.
"""

import queue
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from labctl.commands.faults import inflict
from labctl.commands.swap import await_swapped
from labctl.errors import LabError
from labctl.faults.read import Fault
from labctl.model import RESET, Found, FoundHost, HostSpec, LabSpec
from labctl.plan import RemoveHost, RemoveVolume, Step, Wait, asked, is_complete, plan_up
from labctl.progress import Silent

if TYPE_CHECKING:
    from labctl.engine.sdk import DockerEngine

READY = b"ready"  # what a server logs when it has started itself anew
PATIENCE = 5.0  # seconds for that; then the container is started again

# Kept are PID 1, its first child (the host's own program) with all that descends from it, and this shell with its parent. A process
# that was started by an `exec` has no parent here (PPid 0); one whose parent ended is PID 1's.
CLEAN = r"""
read -r main rest < /proc/1/task/1/children
belongs() {
    while [ "${1:-0}" -gt 1 ]; do
        if [ "$1" = "$main" ] || [ "$1" = $$ ] || [ "$1" = $PPID ]; then return 0; fi
        set -- "$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null)"
    done
    return 1
}
for folder in /proc/[0-9]*; do
    pid=${folder#/proc/}
    [ "$pid" = 1 ] || belongs "$pid" || kill -KILL "$pid" 2>/dev/null
done
since=$1; shift
[ $# = 0 ] || find "$@" -xdev -mindepth 1 -depth -newerct "@$since" -delete 2>/dev/null
true
"""


def reset(engine: "DockerEngine", spec: LabSpec, ready: float, touched: frozenset[str], timeout: float) -> None:
    """Bring a lab back to its start.

    Args:
        ready: when it was ready first, in seconds since the epoch.
        touched: the hosts that a test ran something in or wrote to.
        timeout: seconds until hosts that were started again must answer.

    Raises:
        LabError: it cannot be brought back.
    """
    found = engine.look(spec.name)
    if any(host.role == "shaper" or host.state != "running" for host in found.hosts if host.role in ("host", "shaper")):
        with suppress(LabError):  # what cannot be healed is made again below
            inflict(engine, spec.name, Fault("heal"))
        found = engine.look(spec.name)
    steps = plan_again(spec, found)
    renewed = {step.host.name for step in steps if isinstance(step, RemoveHost)}
    hosts = [
        host for host in found.hosts if host.role == "host" and host.name not in renewed and host.state == "running"
    ]
    specs = {host.name: host for host in spec.hosts}
    with ThreadPoolExecutor(max(1, len(hosts))) as pool:
        restarted = list(pool.map(lambda host: _reset_host(engine, host, specs[host.name], ready, touched), hosts))
    again = [host.name for host, started in zip(hosts, restarted, strict=True) if started]
    if not is_complete(steps):
        engine.act(spec, steps, Silent(), timeout=timeout)
    elif again and spec.client:
        targets = tuple((name, port) for name in again if name != spec.client.name for port in asked(specs[name]))
        engine.act(spec, (Wait(spec.client.name, targets),), Silent(), timeout=timeout)
    if again or not is_complete(steps):
        await_swapped(engine, spec, timeout)


def plan_again(spec: LabSpec, found: Found) -> tuple[Step, ...]:
    """Return the steps that make what has to be made again: hosts of another definition, and those on a volume that may be written."""
    written = {mount["source"] for host in spec.hosts for mount in _volumes(host) if not mount.get("read_only")}
    on_volume = {host.name for host in spec.hosts if any(mount["source"] in written for mount in _volumes(host))}
    volumes = tuple(volume for volume in found.volumes if volume.key in written)
    off_the_wire = {host.name for host in found.hosts if host.state == "running" and not host.addresses}
    gone = [host for host in found.hosts if host.role == "host" and host.name in on_volume | off_the_wire]
    left = replace(
        found,
        hosts=tuple(host for host in found.hosts if host not in gone),
        volumes=tuple(volume for volume in found.volumes if volume not in volumes),
    )
    removals: list[Step] = [
        *(RemoveHost(host, "off the wire" if host.name in off_the_wire else "it may have written") for host in gone),
        *map(RemoveVolume, volumes),
    ]
    return (*removals, *plan_up(spec, left))


def _volumes(host: HostSpec) -> Sequence[Mapping[str, str]]:
    return [mount for mount in host.service.get("volumes", ()) if mount["type"] == "volume" and mount.get("source")]


def _reset_host(engine: "DockerEngine", host: FoundHost, spec: HostSpec, ready: float, touched: frozenset[str]) -> bool:
    """Bring one host back; tell whether it was started again, so that its ports have to be waited for."""
    how = host.labels.get(RESET, "")
    clean = bool(how) and (host.name not in touched or _cleaned(engine, host, spec, ready))
    if clean and (how == "none" or _begun_anew(engine, host, how)):
        return False
    engine.change(host, "restart")
    return True


def _cleaned(engine: "DockerEngine", host: FoundHost, spec: HostSpec, ready: float) -> bool:
    entries = spec.service.get("tmpfs") or ()
    folders = [entry.partition(":")[0] for entry in ([entries] if isinstance(entries, str) else entries)]
    try:
        return engine.exec(host, ["sh", "-c", CLEAN, "reset", f"{ready:.3f}", *folders], timeout=PATIENCE).exit == 0
    except (LabError, TimeoutError):
        return False


def _begun_anew(engine: "DockerEngine", host: FoundHost, signal: str) -> bool:
    """Send the signal and wait until the host logs that it is ready; tell whether it did."""
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def read() -> None:
        with suppress(Exception):  # the host may go meanwhile
            for line in engine.logs(host, follow=True, tail=0):
                lines.put(line)
                if READY in line:
                    return
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    try:
        engine.signal(host, signal)
        while (line := lines.get(timeout=PATIENCE)) is not None:
            if READY in line:
                return True
    except (queue.Empty, LabError):
        pass
    return False
