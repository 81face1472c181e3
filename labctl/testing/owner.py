"""Whose lab it is: a label names the process that made it, so that what a killed run left is found, and nothing else.

    labctl.owner = MACHINE.BOOT.PIDSPACE.PID.STARTED.RUN

A process id alone says little: it comes again, and in another container or on another machine it is somebody else. Only who shares
machine, boot and the space of process ids can tell whether the owner lives; labs of all others are left alone.
"""

import os
import re
import secrets
import socket
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.engine.lock import lab_lock, turn_to_remove
from labctl.model import OWNER, Found, LabSpec
from labctl.plan import plan_down
from labctl.progress import Progress, Silent
from labctl.testing.network import GUEST

if TYPE_CHECKING:
    from labctl.engine.sdk import DockerEngine


@cache
def _place() -> str:
    boot = _read("/proc/sys/kernel/random/boot_id")
    try:
        space = re.sub(r"\D", "", os.readlink("/proc/self/ns/pid"))  # noqa: PTH115 - a name, not a path
    except OSError:
        space = "0"
    machine = _read("/etc/machine-id") or re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())
    return f"{machine}.{boot}.{space}"


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Return when a process was started, in clock ticks since the boot; empty where there is none (proc(5), `starttime`)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


_runs: dict[int, str] = {}  # by process: a fork is another owner


def owner() -> str:
    """Return the label's value for this process."""
    pid = os.getpid()
    if pid not in _runs:
        _runs[pid] = f"{_place()}.{pid}.{_started(pid)}.{secrets.token_hex(4)}"
    return _runs[pid]


def is_gone(value: str) -> bool:
    """Tell whether an owner is known to have ended."""
    place, _, rest = value.rpartition(".")[0].rpartition(".")[0].rpartition(".")
    started = value.split(".")[-2] if value.count(".") >= 5 else ""
    if place != _place() or not rest.isdigit() or not started:
        return False
    return _started(int(rest)) != started


def sweep(engine: "DockerEngine", progress: Progress | None = None, *, only: str = "") -> tuple[str, ...]:
    """Remove the labs whose owner has ended, and return their names.

    Args:
        only: an owner whose labs are removed, ended or not; nobody else's are then.
    """
    progress = progress or Silent()
    there = engine.look()
    names = sorted({lab for lab, value in _owners(there) if (value == only if only else is_gone(value))})
    for name in names:
        with lab_lock(name, progress.note), turn_to_remove():
            found = engine.look(name)
            ours = {host.id for host in found.hosts}
            for network in found.networks:
                engine.send_away(
                    network.id, [item for item in engine.guests(network.id) if item not in ours], made_by=GUEST
                )
            engine.act(LabSpec(name, "", ()), plan_down(found), progress)
    return tuple(names)


def _owners(there: Found) -> list[tuple[str, str]]:
    hosts = [(host.lab, host.labels) for host in there.hosts]
    rest = [(item.lab, item.labels) for items in (there.networks, there.volumes) for item in items]
    return [(lab, value) for lab, labels in hosts + rest if (value := labels.get(OWNER))]
