"""Wait for a condition of one host, every 20 ms: `lab.host("tcp-server").waiting_for(wait_for_log("ready"))`.

testcontainers' own strategies work on a `LabHost` just as well, and poll as often there (their own second is long for a lab that is up
in one). These here need nothing but the standard library.
"""

import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from labctl.errors import LabError

if TYPE_CHECKING:
    from labctl.testing.host import LabHost

POLL = 0.02  # seconds
SLOW_POLL = 0.2  # of what costs the engine an exec each time
ATTEMPT = 2.0  # seconds for one try of a network condition
TIMEOUT = 30.0

Condition = Callable[["LabHost"], bool]


class Strategy(Protocol):
    """What testcontainers calls a wait strategy."""

    def wait_until_ready(self, container: Any) -> None:
        """Return once the container is ready; raise where that takes too long."""


class Wait:
    """A condition, how often it is asked and for how long."""

    def __init__(self, told: str, condition: Condition, poll: float = POLL) -> None:
        self._told = told
        self._condition = condition
        self._poll = poll
        self._timeout = TIMEOUT

    def with_startup_timeout(self, timeout: float) -> "Wait":
        """Set for how many seconds the condition may not hold."""
        self._timeout = timeout
        return self

    def with_poll_interval(self, interval: float) -> "Wait":
        """Set how many seconds lie between two looks."""
        self._poll = interval
        return self

    def wait_until_ready(self, container: "LabHost") -> None:
        """Return once the condition holds.

        Raises:
            TimeoutError: it did not within the time.
            LabError: the host has ended, so it never will.
        """
        deadline = time.monotonic() + self._timeout
        while not self._condition(container):
            if container.status == "exited":
                raise LabError(f"host `{container.name}` ended while it was waited for {self._told}")
            if time.monotonic() > deadline:
                lines = b"".join(container.get_logs()).decode(errors="replace")[-500:]
                raise TimeoutError(
                    f"host `{container.name}`: no {self._told} within {self._timeout:g} s; its log:\n{lines}"
                )
            time.sleep(self._poll)


def wait_for_log(pattern: str, times: int = 1) -> Wait:
    """Wait until a regular expression was found so often in what the host logged."""
    found = re.compile(pattern, re.MULTILINE)

    def holds(host: "LabHost") -> bool:
        return sum(len(found.findall(part.decode(errors="replace"))) for part in host.get_logs()) >= times

    return Wait(f"log line `{pattern}`", holds)


def wait_for_port(port: int) -> Wait:
    """Wait until a TCP port takes a connection from this process."""

    def holds(host: "LabHost") -> bool:
        try:
            with socket.create_connection(host.address(port), ATTEMPT):
                return True
        except OSError:
            return False

    return Wait(f"answer at port {port}", holds)


def wait_for_http(port: int, path: str = "/", status: int = 200) -> Wait:
    """Wait until an HTTP request is answered with a status."""

    def holds(host: "LabHost") -> bool:
        name, number = host.address(port)
        url = f"http://[{name}]:{number}{path}" if ":" in name else f"http://{name}:{number}{path}"
        try:
            with urllib.request.urlopen(url, timeout=ATTEMPT) as reply:  # noqa: S310 - http, as written above
                return bool(reply.status == status)
        except urllib.error.HTTPError as error:
            return error.code == status
        except OSError:
            return False

    return Wait(f"status {status} for {path} at port {port}", holds)


def wait_for_exit(command: str | Sequence[str], code: int = 0) -> Wait:
    """Wait until a command in the host ends with a code."""
    return Wait(f"`{command}` with exit code {code}", lambda host: host.run(command).exit == code, SLOW_POLL)


def wait_for_health() -> Wait:
    """Wait until the host's own healthcheck passes; it is run here and now, since labctl has the engine run it only every 30 s."""

    def holds(host: "LabHost") -> bool:
        test = host.healthcheck
        if test is None:
            raise LabError(f"host `{host.name}` has no healthcheck", hint="wait for a port or a log line")
        return host.run(test).exit == 0

    return Wait("passing healthcheck", holds, SLOW_POLL)
