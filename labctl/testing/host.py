"""A host of a lab, for tests: run something in it, put and get files, read its log, reach its ports."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from labctl.commands.swap import called, through
from labctl.errors import LabError
from labctl.model import Executed, FoundHost, Port
from labctl.testing.waits import POLL, Strategy, wait_for_health

if TYPE_CHECKING:
    from labctl.engine.sdk import DockerEngine
    from labctl.testing.lab import Lab

TIMEOUT = 60.0  # seconds for a command, where nothing else is said
PUT = 'mkdir -p "$(dirname "$1")" && head -c "$2" >"$1.part" && chmod "$3" "$1.part" && mv "$1.part" "$1"'


class ExecResult(NamedTuple):
    """What testcontainers' users get of `exec`: the code, and stdout and stderr in one."""

    exit_code: int
    output: bytes


@dataclass(frozen=True)
class Ran:
    """What a command came to; a failed assertion about it shows all of it."""

    command: str
    exit: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether it ended with 0."""
        return self.exit == 0


class LabHost:
    """One host of a lab that is up. It is looked up anew each time: a host may be swapped, crashed and started again."""

    def __init__(self, lab: "Lab", name: str) -> None:
        self.lab = lab
        self.name = name

    def __repr__(self) -> str:
        return f"<host `{self.name}` of {self.lab!r}>"

    # -- as labctl says it --------------------------------------------------------------------------------------------

    def run(self, command: str | Sequence[str], *, timeout: float = TIMEOUT, check: bool = False) -> Ran:
        """Run a shell's command line, or an argument list, and return what it came to.

        Args:
            timeout: seconds; the command is ended after them.
            check: an exit code other than 0 is an error.

        Raises:
            TimeoutError: it was not through in time.
            AssertionError: it failed, and `check` was asked for.
            LabError: the host does not run.
        """
        engine, found = self._touch(), self.found
        argv = ["sh", "-c", through(found, command)] if isinstance(command, str) else called(found, command)
        done = engine.exec(found, argv, timeout=timeout)
        ran = Ran(
            command if isinstance(command, str) else shlex.join(command),
            done.exit,
            done.stdout.decode(errors="replace"),
            done.stderr.decode(errors="replace"),
            done.seconds,
        )
        if check and not ran.ok:
            raise AssertionError(f"`{ran.command}` on {self.name}: exit code {ran.exit}\n{ran.stdout}{ran.stderr}")
        return ran

    def put(self, source: str | Path | bytes, target: str, mode: int = 0o644) -> None:
        """Write a file of this machine, or octets, to a path in the host; whole or not at all.

        Raises:
            LabError: the host's user may not write there.
        """
        octets = source if isinstance(source, bytes) else Path(source).read_bytes()
        argv = ["sh", "-c", PUT, "put", target, str(len(octets)), f"{mode:o}"]
        done = self._touch().feed(self.found, argv, octets)
        if done.exit:
            raise LabError(f"`{target}` could not be written on host `{self.name}`: {_said(done)}")

    def get(self, source: str, target: str | Path | None = None) -> bytes:
        """Return the octets of a file in the host, and write them to a path of this machine where one is named.

        Raises:
            LabError: there is no such file, or the host's user may not read it.
        """
        done = self._touch().exec(self.found, ["cat", "--", source])
        if done.exit:
            raise LabError(f"`{source}` could not be read on host `{self.name}`: {_said(done)}")
        if target is not None:
            Path(target).write_bytes(done.stdout)
        return done.stdout

    def logs(self) -> str:
        """Return all that the host has logged."""
        return b"".join(line + b"\n" for line in self.lab.engine.logs(self.found)).decode(errors="replace")

    def address(self, port: int, transport: str = "tcp") -> tuple[str, int]:
        """Return where a port of the host is reached from this process.

        Raises:
            LabError: it is not published, where it would have to be.
        """
        return self.lab.address(self.name, port, transport)

    @property
    def found(self) -> FoundHost:
        """The host as the engine reports it now.

        Raises:
            LabError: it is gone, or the lab is not up.
        """
        return self.lab.find(self.name)

    @property
    def healthcheck(self) -> list[str] | None:
        """The command of the host's healthcheck."""
        test = self._inspect()["Config"].get("Healthcheck", {}).get("Test") or ["NONE"]
        kinds = {"CMD": test[1:], "CMD-SHELL": ["sh", "-c", *test[1:]]}
        return kinds.get(test[0])

    # -- as testcontainers says it ------------------------------------------------------------------------------------

    def exec(self, command: str | Sequence[str]) -> ExecResult:
        """Run a command, split into words where it is a string, as `DockerContainer.exec` does."""
        argv = shlex.split(command) if isinstance(command, str) else list(command)
        both = bytearray()
        done = self._touch().exec(self.found, argv, on_output=lambda _, octets: both.extend(octets))
        return ExecResult(done.exit, bytes(both))

    def get_logs(self) -> tuple[bytes, bytes]:
        """Return what the host wrote to stdout and to stderr."""
        return self.lab.engine.output(self.found)

    def get_container_host_ip(self) -> str:
        """Return the address at which this process reaches the host's ports."""
        ports = self.lab.spec_of(self.name).ports or (Port(0),)
        return self.address(ports[0].number, ports[0].transport)[0]

    def get_exposed_port(self, port: int) -> int:
        """Return the port at that address which is the host's `port`."""
        return self.address(port)[1]

    def get_wrapped_container(self) -> Any:
        """Return the container as an object of the Docker SDK."""
        self._touch()
        return self.lab.docker_client().containers.get(self.found.id)

    def get_container_info(self) -> Mapping[str, Any]:
        """Return what `docker inspect` says."""
        return self._inspect()

    @property
    def status(self) -> str:
        """The container's state: `running`, `paused`, `exited`."""
        return self.found.state

    def reload(self) -> None:
        """Do nothing: a host is looked up each time."""

    def waiting_for(self, strategy: Strategy) -> "LabHost":
        """Wait here and now, by a strategy of labctl's or of testcontainers', which then asks every 20 ms and not once a second.

        Raises:
            TimeoutError: the condition did not come about in time.
        """
        if type(strategy).__name__ == "HealthcheckWaitStrategy":  # labctl has the engine check only every 30 s
            strategy = wait_for_health().with_startup_timeout(getattr(strategy, "_startup_timeout", TIMEOUT))
        # testcontainers' default is a second; a user who chose another interval keeps it
        if getattr(strategy, "_poll_interval", None) == _default_poll():
            strategy.with_poll_interval(POLL)  # type: ignore[attr-defined]
        strategy.wait_until_ready(self)
        return self

    # -- within -------------------------------------------------------------------------------------------------------

    def _touch(self) -> "DockerEngine":
        self.lab.await_start(self.name)
        return self.lab.engine

    def _inspect(self) -> dict[str, Any]:
        return dict(self.lab.engine.api.inspect_container(self.found.id))


def _default_poll() -> object:
    import sys

    module = sys.modules.get("testcontainers.core.config")
    return float(module.testcontainers_config.sleep_time) if module else object()


def _said(done: Executed) -> str:
    return done.stderr.decode(errors="replace").strip() or f"exit code {done.exit}"
