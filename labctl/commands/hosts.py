"""Which host is meant, and what it is asked: `ps`, `logs`, `exec`."""

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from labctl.engine.base import Engine
from labctl.errors import LabError, UsageError
from labctl.model import FoundHost
from labctl.words import nearest


def choose_lab(engine: Engine, lab: str | None) -> tuple[FoundHost, ...]:
    """Return the hosts of the lab that is meant: the named one, or the only one.

    Raises:
        UsageError: there is none of that name, or several and none was named.
        LabError: nothing is up.
    """
    found = engine.look()
    if lab is not None and lab not in found.labs:
        raise UsageError(f"there is no lab `{lab}`{nearest(lab, found.labs)}", hint="`labctl ls` shows what is up")
    if lab is None and len(found.labs) > 1:
        names = ", ".join(f"`{name}`" for name in found.labs)
        raise UsageError(f"several labs are up: {names}", hint="say which with --lab NAME")
    if not found.labs:
        raise LabError("no lab is up", hint="`labctl up tcp-demo` brings one up; `labctl ls` lists the scenarios")
    return tuple(host for host in found.of(lab or found.labs[0]).hosts if host.role == "host")


def choose_host(engine: Engine, name: str, lab: str | None) -> FoundHost:
    """Return the host of that name in the lab that is meant.

    Raises:
        UsageError: the lab has no such host; those it has are listed.
    """
    hosts = choose_lab(engine, lab)
    for host in hosts:
        if host.name == name:
            return host
    raise UsageError(
        f"lab `{hosts[0].lab if hosts else lab}` has no host `{name}`{nearest(name, [h.name for h in hosts])}"
    )


def ps(engine: Engine, lab: str | None) -> tuple[FoundHost, ...]:
    """Return the hosts of one lab, or of all.

    Raises:
        UsageError: there is no lab of that name.
    """
    return choose_lab(engine, lab) if lab is not None else tuple(h for h in engine.look().hosts if h.role == "host")


@dataclass(frozen=True)
class LogLine:
    """One line of a host's log."""

    host: str
    text: str


def logs(
    engine: Engine, names: Sequence[str], lab: str | None, *, follow: bool = False, tail: int | None = None
) -> Iterator[LogLine]:
    """Yield the log of the named hosts, or of all of the lab: one after the other, or as they come where `follow` is set.

    Raises:
        UsageError: no such host.
    """
    hosts = [choose_host(engine, name, lab) for name in names] or list(choose_lab(engine, lab))
    if not follow:
        for host in hosts:
            yield from (LogLine(host.name, _text(line)) for line in engine.logs(host, tail=tail))
        return
    lines: queue.SimpleQueue[LogLine | None] = queue.SimpleQueue()

    def read(host: FoundHost) -> None:
        try:
            for line in engine.logs(host, follow=True, tail=tail):
                lines.put(LogLine(host.name, _text(line)))
        finally:
            lines.put(None)

    for host in hosts:
        threading.Thread(target=read, args=(host,), daemon=True).start()
    for _ in hosts:
        yield from iter(lines.get, None)


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r")
