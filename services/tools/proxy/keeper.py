"""What the supervisor has of the proxy: its rules, its process, and the way to it. A verb leaves what was wanted, or nothing of ours."""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from services.tools.proxy import divert
from services.tools.shaper.engine import Lines
from services.tools.shaper.plumbing import PlumbingError

ANSWERS = 5.0  # seconds
DRAINS = 60.0  # seconds in which connections that went through a healed fault may end by themselves


class Keeper:
    """One host's faults of the application."""

    def __init__(self, own: str) -> None:
        """Serve the host of this name, and begin with nothing."""
        self.own = own
        self.rules: list[dict[str, Any]] = []
        self._hosts: Mapping[str, Sequence[str]] = {}
        self.ended = ""  # why the proxy is no more
        self.pid = 0
        self._drained_at: float | None = None
        self._lines: Lines | None = None
        divert.restore()

    def apply(self, rules: Sequence[dict[str, Any]], hosts: Mapping[str, Sequence[str]]) -> None:
        """Put exactly these rules in force; in none's place the proxy ends with its last connection.

        Raises:
            PlumbingError: this kernel diverts no connections; then there is no rule.
        """
        before, self.rules, self.ended = (_lasting(self.rules), dict(self._hosts)), list(rules), ""
        self._hosts = hosts
        if self.rules and self.pid and before == (_lasting(self.rules), dict(hosts)):
            return
        try:
            if self.rules:
                if not self.pid:
                    self._start()
                port = self._ask({"do": "rules", "rules": self.rules, "hosts": hosts, "own": self.own})["port"]
                divert.divert(self.rules, hosts, port)
                self._drained_at = None
            elif self.pid and self._drained_at is None:
                divert.let_in()
                self._drain()
        except PlumbingError:
            self.rules = []
            self.close()
            raise

    def facts(self) -> dict[str, Any]:
        """Return what was counted."""
        with suppress(PlumbingError):
            return self._ask({"do": "facts"}) if self.rules and self.pid else {}
        return {}

    def check(self) -> None:
        """See whether the proxy has ended by itself; the way to it is taken back then."""
        if not self.pid or not os.waitpid(self.pid, os.WNOHANG)[0]:
            return
        if self.rules:
            self.ended = "the proxy ended by itself; connections go to the server directly"
        self.pid, self.rules = 0, []
        self.close()

    def next_end(self) -> float | None:
        """Return when the last connections have had their time, by the monotonic clock."""
        return self._drained_at

    def expire(self) -> None:
        """End a proxy whose last connections have had their time."""
        if self._drained_at is not None and self._drained_at <= time.monotonic():
            self.close()

    def close(self) -> None:
        """Take everything back. Connections that go through the proxy end."""
        divert.restore()
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
        if self._lines:
            self._lines.close()
        self.pid, self._lines, self._drained_at = 0, None, None

    def _drain(self) -> None:
        try:
            self._ask({"do": "drain"})
            self._drained_at = time.monotonic() + DRAINS
        except PlumbingError:  # it had no connection, and has ended
            self.close()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        self.pid = fork(lambda: _be_the_proxy(theirs), ours, "proxy")
        theirs.close()
        ours.setblocking(False)
        self._lines = Lines(ours)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Ask the proxy, and return its answer.

        Raises:
            PlumbingError: it does not answer.
        """
        if self._lines is None:
            raise PlumbingError("there is no proxy")
        answer = self._lines.ask(request, ANSWERS)
        if answer is None:
            raise PlumbingError("the proxy does not answer")
        return answer


def _be_the_proxy(control: socket.socket) -> None:
    from services.tools.proxy import relay  # asyncio: the supervisor starts without it

    relay.run(control)


def _lasting(rules: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rules without their time."""
    return [{name: value for name, value in rule.items() if name != "until"} for rule in rules]


def fork(work: Callable[[], None], ours: socket.socket, name: str) -> int:
    """Have a child do the work; return its number. Whatever becomes of the work, the child never returns."""
    pid = os.fork()
    if pid:
        return pid
    try:
        ours.close()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        work()
    except BaseException as error:  # there must not be two parents
        sys.stderr.write(f"{name}: {error!r}\n")
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)
