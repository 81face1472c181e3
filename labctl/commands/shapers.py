"""Shapers as commands see them: what each does now, and how another state is brought about."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from labctl.engine.base import Breaking
from labctl.errors import LabError
from labctl.faults.state import HostFaults, of_told
from labctl.model import Found, FoundHost

Image = Callable[[], str]  # returns the helpers' image; builds it first where it is missing or old
AT_ONCE = 16


@dataclass(frozen=True)
class Shaper:
    """A host's shaper and what it told of itself; nothing where it does not answer."""

    host: str
    helper: FoundHost
    told: Mapping[str, Any] = field(default_factory=dict)

    @property
    def answers(self) -> bool:
        """Whether it is alive, and in the namespace that its host has now."""
        return bool(self.told) and not self.told.get("stale")

    @property
    def works(self) -> bool:
        """Whether it also does what it was told: its engine has not ended by itself."""
        return self.answers and not self.told.get("ended")

    @property
    def faults(self) -> HostFaults:
        """What it does, or did before its host was started again."""
        return of_told(self.host, self.told)


def look_at_shapers(engine: Breaking, found: Found) -> dict[str, Shaper]:
    """Return the shapers of a lab by host, all asked at once."""
    pairs = [(host, helper) for host in found.hosts if host.role == "host" and (helper := found.shaper(host.name))]
    if not pairs:
        return {}

    def ask(pair: tuple[FoundHost, FoundHost]) -> Shaper:
        host, helper = pair
        try:
            told = engine.ask_helper(helper, {"do": "state"}) if helper.state == "running" else {}
        except LabError:
            told = {}
        return Shaper(host.name, helper, told)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return {shaper.host: shaper for shaper in pool.map(ask, pairs)}


def bring_about(
    engine: Breaking,
    found: Found,
    shapers: Mapping[str, Shaper],
    wanted: Mapping[str, HostFaults],
    image: Image,
    started_ns: int = 0,
) -> dict[str, dict[str, Any]]:
    """Give hosts the faults that are wanted of them; in force when this returns. Returns what each shaper told.

    Args:
        found: the lab.
        shapers: what there is.
        wanted: hosts whose state changes.
        image: of a shaper that is to be started.
        started_ns: when hosts were about to be started again; 0 where none was.

    Raises:
        LabError: a shaper cannot do it. Then it does nothing at all: its traffic flows.
    """
    addresses = known_addresses(found, shapers)
    cold = [
        name
        for name, state in wanted.items()
        if state and not (name in shapers and shapers[name].answers) and _has_network(found.host(name))
    ]
    chosen = image() if cold else ""

    def do(name: str) -> tuple[str, dict[str, Any]]:
        state, shaper = wanted[name], shapers.get(name)
        host = found.host(name)
        helper = shaper.helper if shaper else None
        rules = [item.rule() for item in state.impairments]
        replies = [item.rule() for item in state.replies]
        request = {"do": "apply", "rules": rules, "replies": replies, "cut": dict(state.cuts), "hosts": addresses}
        if helper and shaper and not shaper.answers:
            # Of a host that does not run, it remembers what is to be when that runs again, and what it did.
            if shaper.told and not _has_network(host):
                return name, engine.ask_helper(helper, request)
            if log := _handed_on(engine, shaper, started_ns):
                request["log"] = log
            engine.remove_helper(helper)
            helper = None
        if helper is None:
            if host is None or not _has_network(host):
                return name, {}  # it has no network to break; what was there went with it
            # A dead shaper may have left its filter in the way: the next one clears it when it starts.
            if not state and "log" not in request and (shaper is None or shaper.told):
                return name, {}
            helper = engine.start_helper(host, chosen or image())
        return name, engine.ask_helper(helper, request)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(pool.map(do, wanted))


def _has_network(host: FoundHost | None) -> bool:
    return host is not None and host.state in ("running", "paused")


def log_of(engine: Breaking, helper: FoundHost, after: int = 0) -> dict[str, Any] | None:
    """Return what a shaper tells that it did; None where it does not answer.

    Args:
        after: only what became of packets that it saw later, by its monotonic clock, ns.
    """
    try:
        return engine.ask_helper(helper, {"do": "log", "after": after})
    except LabError:
        return None


def _handed_on(engine: Breaking, shaper: Shaper, started_ns: int) -> dict[str, Any]:
    """Return what a shaper did that is about to be replaced, for the next one to remember; nothing where it does not answer."""
    log = log_of(engine, shaper.helper) if shaper.told else None
    if not log or not (log["events"] or log["cuts"]):
        return {}
    ended = [cut | {"until_ns": cut["until_ns"] or started_ns or cut["since_ns"]} for cut in log["cuts"]]
    return {"events": log["events"], "cuts": ended}


def known_addresses(found: Found, shapers: Mapping[str, Shaper]) -> dict[str, Sequence[str]]:
    """Return each host's addresses; of one that does not run, those that shapers remember."""
    known: dict[str, Sequence[str]] = {}
    for shaper in shapers.values():
        known.update(shaper.told.get("hosts") or {})
    for host in found.hosts:
        if host.role == "host" and host.addresses:
            known[host.name] = list(host.addresses)
    return known
