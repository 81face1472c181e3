"""What stays running in the hosts of a lab under test: it knows how each was at its start, and brings it back there (`resident.sh`)."""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.engine.shell import Shell
from labctl.errors import LabError
from labctl.model import RESET, FoundHost, HostSpec

if TYPE_CHECKING:
    from labctl.engine.sdk import DockerEngine

SCRIPT = Path(__file__).with_name("resident.sh")
PATIENCE = 10.0  # seconds for an answer; then the container is started again
BACK, INTACT = "ok", "again intact"  # it is as at its start; it is not, but what it has on volumes is
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - every container's, beside its own tmpfs


def volumes(host: HostSpec) -> Sequence[Mapping[str, str]]:
    """Return the named volumes that a host mounts, as Compose writes them."""
    return [mount for mount in host.service.get("volumes", ()) if mount["type"] == "volume" and mount.get("source")]


def written_volumes(hosts: Collection[HostSpec]) -> frozenset[str]:
    """Return the keys of the volumes that some host may write."""
    return frozenset(mount["source"] for host in hosts for mount in volumes(host) if not mount.get("read_only"))


class Residents:
    """The shells in a lab's hosts, by name; a host whose shell has ended, or that never had one, is not known to be as at its start."""

    def __init__(self, engine: "DockerEngine", written: frozenset[str]) -> None:
        self._engine = engine
        self._written = written
        self._pool = ThreadPoolExecutor(16, thread_name_prefix="resident")
        self._shells: dict[str, Future[Shell]] = {}

    def settle(self, hosts: Sequence[tuple[FoundHost, HostSpec]], since: float, *, alone: bool) -> None:
        """Begin to open shells in hosts that are at their start.

        Args:
            since: when they came there, in seconds since the epoch.
            alone: whether nobody speaks to them until all shells are open.
        """
        for found, spec in hosts:
            self.forget(spec.name)  # of a container that is gone
            self._shells[spec.name] = self._pool.submit(self._open, found, spec, since, alone)

    def await_host(self, host: str) -> None:
        """Return once a host's shell has seen how the host is at its start."""
        if future := self._shells.get(host):
            future.exception()

    def lacks(self, host: FoundHost) -> bool:
        """Tell whether a container has no shell of ours that works."""
        future = self._shells.get(host.name)
        return future is None or future.exception() is not None or future.result().host != host.id

    def bring_back(self, hosts: Sequence[tuple[FoundHost, HostSpec]]) -> dict[str, str]:
        """Ask all of them at once to undo what happened; return the answers, by host: empty where there is none."""
        return dict(zip((spec.name for _, spec in hosts), self._pool.map(self._ask, hosts), strict=True))

    def close(self) -> None:
        """End all of them."""
        for future in self._shells.values():
            with suppress(Exception):
                future.result().close()
        self._shells.clear()
        self._pool.shutdown()

    def forget(self, host: str) -> None:
        """Close a host's shell, whose container is about to end."""
        if future := self._shells.pop(host, None):
            with suppress(Exception):
                future.result().close()

    def _open(self, found: FoundHost, spec: HostSpec, since: float, alone: bool) -> Shell:
        shell = Shell(self._engine, found, SCRIPT.read_text())
        shell.ask(["mark", f"{since:.3f}", "yes" if alone else "no", *_folders(spec)], PATIENCE)
        return shell

    def _ask(self, host: tuple[FoundHost, HostSpec]) -> str:
        found, spec = host
        if self.lacks(found):
            return ""
        targets = [mount["target"] for mount in volumes(spec) if mount["source"] in self._written]
        words = ["back", found.labels.get(RESET, "-"), *_folders(spec), *(["|", *targets] if targets else [])]
        try:
            return self._shells[spec.name].result().ask(words, PATIENCE)
        except LabError:
            self.forget(spec.name)
            return ""


def _folders(spec: HostSpec) -> list[str]:
    """Return where a host may write that ends with its container."""
    entries = spec.service.get("tmpfs") or ()
    return [*(entry.partition(":")[0] for entry in ([entries] if isinstance(entries, str) else entries)), SHARED_MEMORY]
