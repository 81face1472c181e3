"""Which host is meant, and what it is asked: `ps`, `logs`, `exec`."""

import json
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from labctl.engine.base import Engine, Looking, Speaking
from labctl.errors import LabError, UsageError
from labctl.model import CREDENTIALS, SUMMARY, Executed, FoundHost
from labctl.words import nearest

PATIENCE = 2.0  # seconds for a host to tell of itself
LONGEST_SUMMARY = 200  # characters of it that are shown


def choose_lab(engine: Looking, lab: str | None) -> tuple[FoundHost, ...]:
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


def choose_host(engine: Looking, name: str, lab: str | None) -> FoundHost:
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


@dataclass(frozen=True)
class Listed:
    """A host and what it tells of itself: how it goes, in a line, and the passwords that the lab made (None: not asked, or none)."""

    host: FoundHost
    summary: str = ""
    credentials: object = None


def ps(engine: Speaking, lab: str | None, *, credentials: bool = False) -> tuple[Listed, ...]:
    """Return the hosts of one lab, or of all; those whose service has a label for it are asked, all at once.

    Args:
        credentials: ask for those too.

    Raises:
        UsageError: there is no lab of that name.
    """
    hosts = choose_lab(engine, lab) if lab is not None else tuple(h for h in engine.look().hosts if h.role == "host")
    if not hosts:
        return ()
    with ThreadPoolExecutor(len(hosts)) as pool:
        return tuple(pool.map(lambda host: _listed(engine, host, credentials), hosts))


def _listed(engine: Speaking, host: FoundHost, credentials: bool) -> Listed:
    summary = _ask(engine, host, SUMMARY)
    line = next(iter(summary.stdout.decode(errors="replace").splitlines()), "") if summary else ""
    if summary and summary.exit:
        why = summary.stderr.decode(errors="replace").strip() or f"exit code {summary.exit}"
        line = f"({host.labels[SUMMARY]}: {why})"
    told = _ask(engine, host, CREDENTIALS) if credentials else None
    try:
        found = json.loads(told.stdout) if told and told.exit == 0 else None
    except ValueError:
        found = None  # not ready yet, or not JSON
    return Listed(host, line[:LONGEST_SUMMARY], found)


def _ask(engine: Speaking, host: FoundHost, label: str) -> Executed | None:
    """Return what the command of a label came to, None where there is no such label; a host that does not answer holds nothing up."""
    command = host.labels.get(label)
    if not command or host.state != "running":
        return None
    try:
        return engine.exec(host, ["sh", "-c", command], timeout=PATIENCE)
    except TimeoutError:
        return Executed(124, stderr=f"no answer for {PATIENCE:g} s".encode())
    except LabError as error:
        return Executed(1, stderr=error.what.encode())


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
