"""Break and heal the hosts of a lab."""

from labctl.engine.base import Change, Engine
from labctl.errors import LabError, UsageError
from labctl.faults.read import Fault
from labctl.model import FoundHost
from labctl.words import nearest

CHANGES: dict[str, Change] = {"crash": "kill", "restart": "restart", "pause": "pause"}


def inflict(engine: Engine, lab: str, fault: Fault) -> None:
    """Do what a fault says; it is in force when this returns. A host that was started has yet to open its ports.

    Raises:
        LabError: the host is not in a state for it, such as a crash of one that does not run.
        UsageError: the lab has no such host.
    """
    found = {host.name: host for host in engine.look(lab).hosts if host.role == "host"}
    for name in fault.hosts:
        if name not in found:
            raise UsageError(f"lab `{lab}` has no host `{name}`{nearest(name, found)}")
    if fault.verb == "heal":
        for host in [found[name] for name in fault.hosts] or found.values():
            _heal(engine, host)
        return
    for name in fault.hosts:
        host = found[name]
        if fault.verb != "restart" and host.state != "running":
            raise LabError(f"host `{name}` is {host.state}, so `{fault}` has nothing to break")
        if host.state == "paused":
            engine.change(host, "unpause")
        engine.change(host, CHANGES[fault.verb])


def _heal(engine: Engine, host: FoundHost) -> None:
    if host.state == "paused":
        engine.change(host, "unpause")
    elif host.state != "running":
        engine.change(host, "restart")
