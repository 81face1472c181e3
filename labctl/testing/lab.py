"""`Lab`: a scenario's hosts as a context manager, up as long as the block; see the package for how it is used."""

import os
import secrets
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.commands.swap import BuilderFor, bring_in, put_in
from labctl.commands.up import up
from labctl.engine.compose import ComposeBuilder
from labctl.engine.lock import turn_to_remove
from labctl.errors import LabError, UsageError
from labctl.model import OWNER, RESET, FoundHost, HostSpec, LabSpec, TapSpec
from labctl.plan import plan_down
from labctl.progress import Progress, Silent
from labctl.scenario.catalog import Entry, find_scenario
from labctl.testing.faults import Faults
from labctl.testing.host import ExecResult, LabHost
from labctl.testing.network import GUEST, LabNetwork, do_without_ryuk
from labctl.testing.owner import owner, sweep
from labctl.testing.reaper import dismiss, watch_over
from labctl.testing.reset import reset
from labctl.testing.resident import Residents, written_volumes
from labctl.testing.taps import read_wire
from labctl.testing.waits import Strategy
from labctl.words import nearest

if TYPE_CHECKING:
    import docker

    from labctl.engine.sdk import DockerEngine
    from labctl.wire.ask import Wire

NEVER = "8760h"  # as Compose writes a duration
LONGEST_STEM = 20  # of the scenario's name in the lab's
HOST_VARIABLES = ("LABCTL_HOST", "TESTCONTAINERS_HOST_OVERRIDE")  # where published ports are, seen from this process

_up: set[str] = set()  # names of the labs of this process that the reaper watches over
_swept: set[int] = set()  # processes that have looked for what killed runs left


class Lab:
    """A lab that is up between `start` and `stop`, or within a `with` block; then nothing of it is left, however the process ends.

    Args:
        scenario: a name from `labctl ls`, or the path of a scenario file.
        name: of the lab; a fresh one where it is left out.
        worker: put into a fresh name, such as that of an xdist worker.
        timeout: seconds until each port must answer.
        keep: leave the lab up at `stop`; then nothing else takes it away either.
        engine: an engine that is connected already.
        resets: whether `reset` may be asked for; a shell that knows the start then stays running in each host.
    """

    def __init__(
        self,
        scenario: str | Path = "tcp-demo",
        *,
        name: str | None = None,
        worker: str = "",
        timeout: float = 30,
        keep: bool = False,
        engine: "DockerEngine | None" = None,
        resets: bool = True,
    ) -> None:
        self.entry: Entry = find_scenario(str(scenario))
        self._named = name is not None
        self.name = name or fresh_name(self.entry.name, worker)
        self.keep = keep
        self.used = False
        self._resets = resets
        self._residents: Residents | None = None
        self._timeout = timeout
        self._engine = engine
        self._own_engine = engine is None
        self._changes: list[tuple[str, Callable[[HostSpec], HostSpec]]] = []
        self._swaps: dict[str, str] = {}
        self._swap_builder: BuilderFor = self._builder
        self._waits: list[tuple[str, Strategy]] = []
        self._publish = False
        self._build = False
        self._tap: TapSpec | None = None
        self._progress: Progress = Silent()
        self._spec: LabSpec | None = None
        self._since = 0.0  # when it was last as at its start; seconds since the epoch

    def __repr__(self) -> str:
        return f"<lab `{self.name}` of {self.entry.name}, {'up' if self.is_up else 'down'}>"

    # -- before it is up ----------------------------------------------------------------------------------------------

    def with_name(self, name: str) -> "Lab":
        """Name the lab; two of one name cannot be up at once."""
        self._named = True
        self.name = name
        return self

    def with_env(self, host: str, key: str, value: str) -> "Lab":
        """Set an environment variable of a host."""

        def change(service: dict[str, Any]) -> None:
            service["environment"] = {**(service.get("environment") or {}), key: value}

        return self._change(host, change)

    def with_service(self, host: str, keys: Mapping[str, Any]) -> "Lab":
        """Set keys of a host's Compose service, such as `mem_limit`, as `docker compose config` writes them."""
        return self._change(host, lambda service: service.update(keys))

    def with_command(self, host: str, command: str | Sequence[str]) -> "Lab":
        """Start a host with another command (after its entrypoint, as in Compose)."""
        argv = command.split() if isinstance(command, str) else list(command)
        return self._change(host, lambda service: service.update(command=argv))

    def with_swap(self, host: str, program: str | Path, builder: BuilderFor | None = None) -> "Lab":
        """Put a program of your own in a host's place: a file, a folder with a Dockerfile (which `builder` builds), or an image."""
        self._swaps[host] = str(program)
        self._swap_builder = builder or self._swap_builder
        return self

    def with_tap(self, spec: TapSpec | None = None) -> "Lab":
        """Capture what crosses the wire, from the first frame on; then `wire` can be asked."""
        self._tap = spec or TapSpec()
        return self

    def with_published_ports(self) -> "Lab":
        """Publish the hosts' ports on 127.0.0.1, at ports of the engine's choice."""
        self._publish = True
        return self

    with_exposed_ports = with_published_ports

    def with_build(self) -> "Lab":
        """Build the images even where they are up to date."""
        self._build = True
        return self

    def with_timeout(self, seconds: float) -> "Lab":
        """Set how long each port may take until it answers."""
        self._timeout = seconds
        return self

    def with_progress(self, progress: Progress) -> "Lab":
        """Tell what happens while the lab comes up."""
        self._progress = progress
        return self

    def waiting_for(self, strategies: Mapping[str, Strategy]) -> "Lab":
        """Add conditions, by host, after which the lab counts as up; each port answers by then anyway."""
        self._waits += strategies.items()
        return self

    def _change(self, host: str, change: Callable[[dict[str, Any]], None]) -> "Lab":
        def changed(spec: HostSpec) -> HostSpec:
            if spec.name != host:
                return spec
            service = dict(spec.service)
            change(service)
            return replace(spec, service=service)

        self._changes.append((host, changed))
        return self

    # -- up and down --------------------------------------------------------------------------------------------------

    def start(self) -> "Lab":
        """Bring the lab up.

        Raises:
            LabError: it does not come up; then nothing of it is left. Or the name is another lab's, which stays as it is.
        """
        engine = self.engine
        if os.getpid() not in _swept:
            _swept.add(os.getpid())
            sweep(engine)
        self._refuse_taken()
        do_without_ryuk(engine)
        if not self.keep:
            _up.add(self.name)
            watch_over(owner())
        publish = self._publish or _must_publish(engine)

        def adapt(spec: LabSpec) -> LabSpec:
            self._known([host for host, _ in [*self._swaps.items(), *self._changes, *self._waits]], spec)
            hosts = tuple(map(_unasked, spec.hosts)) if self._resets else spec.hosts
            for _, change in self._changes:
                hosts = tuple(change(host) for host in hosts)
            labels = () if self.keep else ((OWNER, owner()),)
            spec = replace(spec, hosts=hosts, labels=labels, any_port=True)
            self._spec = put_in(spec, self._swaps, self._swap_builder, self._progress)
            return self._spec

        try:
            up(engine, self._builder, self.entry, self._progress, lab=self.name, build=self._build, publish=publish,
               timeout=self._timeout, adapt=adapt, tap=self._tap)  # fmt: skip
            self._since = time.time()
            if self._resets:
                self._settle()
            for host, strategy in self._waits:
                self.host(host).waiting_for(strategy)
        except BaseException:
            if self._is_ours():
                self.stop()
            else:
                self._let_go()
            raise
        return self

    def stop(self) -> None:
        """Take the lab down; nothing of it is left. A lab that is to be kept stays."""
        if self._engine is None:
            return
        try:
            if not (self.keep and self._spec):
                found = self.engine.look(self.name)
                ours = frozenset(host.id for host in found.hosts)
                for network in found.networks:
                    guests = LabNetwork(self.engine, network.name, network.id).guests(ours)
                    self.engine.send_away(network.id, guests, made_by=GUEST)
                with turn_to_remove():
                    self.engine.act(LabSpec(self.name, self.entry.name, ()), plan_down(found), self._progress)
        finally:
            self._let_go()

    def __enter__(self) -> "Lab":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def reset(self) -> None:
        """Bring the lab back to its start: processes, files, volumes, faults, swaps. The containers stay where that can be.

        Raises:
            LabError: it cannot be brought back.
        """
        if self._residents is None:
            self._residents = Residents(self.engine, written_volumes(self.spec.hosts))
        reset(self.engine, self.spec, self._residents, self._timeout)
        self.used = False
        self._since = time.time()

    # -- what is in it ------------------------------------------------------------------------------------------------

    @property
    def engine(self) -> "DockerEngine":
        """The engine that it runs on."""
        if self._engine is None:
            from labctl.engine.sdk import DockerEngine  # the Docker SDK: 0.15 s

            self._engine = DockerEngine()
        return self._engine

    @property
    def spec(self) -> LabSpec:
        """What the lab was started as.

        Raises:
            LabError: it is not up.
        """
        if self._spec is None:
            raise LabError(f"lab `{self.name}` is not up", hint="`with Lab(...) as lab:`, or `lab.start()`")
        return self._spec

    @property
    def is_up(self) -> bool:
        """Whether it has been started, and not been stopped."""
        return self._spec is not None

    @property
    def since_ns(self) -> int:
        """When it was last as at its start, in ns since the epoch."""
        return int(self._since * 1e9)

    @property
    def hosts(self) -> tuple[LabHost, ...]:
        """Its hosts, in the scenario's order."""
        return tuple(LabHost(self, host.name) for host in self.spec.hosts)

    def host(self, name: str) -> LabHost:
        """Return a host.

        Raises:
            UsageError: the lab has no such host; those it has are listed.
        """
        self.spec_of(name)
        self.used = True
        return LabHost(self, name)

    __getitem__ = host
    get_container = host

    def spec_of(self, name: str) -> HostSpec:
        """Return what a host was started as; raises as `host` does."""
        self._known((name,), self.spec)
        return next(host for host in self.spec.hosts if host.name == name)

    def find(self, name: str) -> FoundHost:
        """Return a host as the engine reports it now.

        Raises:
            LabError: it is gone.
        """
        self.spec_of(name)
        found = next((host for host in self.engine.hosts(self.name) if host.name == name and host.role == "host"), None)
        if found is None:
            raise LabError(f"host `{name}` of lab `{self.name}` is gone")
        return found

    def address(self, host: str, port: int, transport: str = "tcp") -> tuple[str, int]:
        """Return where a host's port is reached from this process: on the lab's own wire where that is possible, else as published.

        Raises:
            LabError: it is not published, where it would have to be.
        """
        self.used = True
        found = self.find(host)
        for text in found.published:
            outside, _, inside = text.partition("->")
            if inside == f"{port}/{transport}":
                address, _, number = outside.rpartition(":")
                return _host_override() or address, int(number)
        if found.addresses and not (self._publish or _must_publish(self.engine)):
            return found.addresses[0], port
        raise LabError(f"port {port}/{transport} of host `{host}` is not reached from here", where=f"lab `{self.name}`")

    # -- as testcontainers' users know it -----------------------------------------------------------------------------

    def get_service_host_and_port(self, service_name: str, port: int) -> tuple[str, int]:
        """Return where a host's port is reached from this process."""
        return self.address(service_name, port)

    def get_service_host(self, service_name: str, port: int) -> str:
        """Return the address of a host's port."""
        return self.address(service_name, port)[0]

    def get_service_port(self, service_name: str, port: int) -> int:
        """Return the number under which a host's port is reached."""
        return self.address(service_name, port)[1]

    def exec(self, service_name: str, command: str | Sequence[str]) -> ExecResult:
        """Run a command in a host; the code is the command's own."""
        return self.host(service_name).exec(command)

    exec_in_container = exec  # noqa: A003 - its name there

    def get_logs(self, *services: str) -> tuple[bytes, bytes]:
        """Return what the named hosts, or all, wrote to stdout and to stderr."""
        parts = [self.host(name).get_logs() for name in services or [host.name for host in self.spec.hosts]]
        return b"".join(out for out, _ in parts), b"".join(err for _, err in parts)

    @property
    def network(self) -> LabNetwork:
        """The lab's wire, which containers of your own join: `DockerContainer(...).with_network(lab.network)`."""
        self.used = True
        do_without_ryuk(self.engine)
        network = next(item for item in self.engine.look(self.name).networks if item.key == "lab")
        return LabNetwork(self.engine, network.name, network.id)

    def docker_client(self) -> "docker.DockerClient":
        """Return the Docker SDK's client over this lab's connection."""
        return self.engine.client()

    # -- change it ----------------------------------------------------------------------------------------------------

    def swap(self, host: str, program: str | Path) -> LabHost:
        """Put a program of your own in a host's place while the lab is up; `reset` puts the reference back.

        Args:
            program: a file, a folder with a Dockerfile, or an image.

        Raises:
            LabError: it ends at once, or none of the host's ports answers in time.
        """
        from labctl.commands.swap import exchange

        self.spec_of(host)
        self.used = True
        swap = bring_in(str(program), host, self.name, self._builder, self._progress)
        exchange(self.engine, self.spec, {host: swap}, self._progress, timeout=self._timeout)
        return LabHost(self, host)

    @property
    def faults(self) -> Faults:
        """What breaks and heals: `lab.faults.crash("tcp-server")`, `lab.faults("pause tcp-server")`."""
        self.used = True
        return Faults(self.engine, self.name)

    @property
    def wire(self) -> "Wire":
        """What crossed the wire so far: `lab.wire.tcp("client", "tcp-server:12345").closes_first("tcp-server")`.

        Raises:
            LabError: the lab has no tap.
        """
        return read_wire(self.engine, self.name, self._since)

    # -- within -------------------------------------------------------------------------------------------------------

    def _refuse_taken(self) -> None:
        """Raise where a lab of that name is up, whatever it is: `up` would put it right, as one of its own that was left half up."""
        if self.is_up:
            raise LabError(f"lab `{self.name}` is up already", hint="it was started before")
        if self._named and (self.name in _up or self.engine.look(self.name)):
            self._disconnect()
            raise LabError(f"lab `{self.name}` is up already", hint="leave the name out: a fresh one is taken")

    def _is_ours(self) -> bool:
        """Tell whether all that is there of a lab that did not come up was made here, and not by whom its name belongs to."""
        found = self.engine.look(self.name)
        labels = [item.labels for items in (found.hosts, found.networks, found.volumes) for item in items]
        return not self.keep and all(of.get(OWNER) == owner() for of in labels)

    def _let_go(self) -> None:
        """Close what this process holds of the lab."""
        self._spec = None
        if self._residents:
            self._residents.close()
            self._residents = None
        _up.discard(self.name)
        if not _up:
            dismiss(owner())
        self._disconnect()

    def _disconnect(self) -> None:
        if self._own_engine and self._engine:
            self._engine.close()
            self._engine = None

    def await_start(self, host: str) -> None:
        """Wait until it is known how a host is at its start; called before anything is run in it."""
        if self._residents:
            self._residents.await_host(host)

    def _settle(self) -> None:
        """Have the start known of hosts that can go back to it without another start of their container; beside what is done next."""
        specs = {host.name: host for host in self.spec.hosts if RESET in (host.service.get("labels") or {})}
        self._residents = Residents(self.engine, written_volumes(self.spec.hosts))
        hosts = [host for host in self.engine.hosts(self.name) if host.name in specs]
        self._residents.settle([(host, specs[host.name]) for host in hosts], self._since, alone=False)

    def _builder(self, compose_file: Path) -> ComposeBuilder:
        return ComposeBuilder(compose_file, self.engine)

    def _known(self, names: Sequence[str] | Mapping[str, str], spec: LabSpec) -> None:
        known = [host.name for host in spec.hosts]
        for name in names:
            if name not in known:
                raise UsageError(f"lab `{self.name}` has no host `{name}`{nearest(name, known)}")


def fresh_name(scenario: str, worker: str = "") -> str:
    """Return a name that no other lab has, on whatever worker and machine."""
    return "-".join(part for part in (scenario[:LONGEST_STEM], worker, secrets.token_hex(4)) if part)


def _unasked(host: HostSpec) -> HostSpec:
    """Return a host whose health the engine does not ask for: each time, it would look as if somebody had run something there."""
    check = host.service.get("healthcheck")
    return replace(host, service={**host.service, "healthcheck": {**check, "interval": NEVER}}) if check else host


def _host_override() -> str:
    return next((value for name in HOST_VARIABLES if (value := os.environ.get(name))), "")


def _must_publish(engine: "DockerEngine") -> bool:
    """Tell whether the lab's wire is out of this process's reach: the engine runs on another machine, or in a virtual one."""
    return bool(_host_override()) or engine.endpoint.socket is None or sys.platform != "linux"
