"""The launcher: listens, and gives each connection a process of its own (`session.py`), as inetd did.

It forks, so it has no threads and no event loop: one `select` waits for connections, for the ends of sessions, and for SIGTERM.
"""

import contextlib
import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import NoReturn

from services.runtime.log import Log, peer_name
from services.runtime.sockets import ANY, bind
from services.telnet.session import Programs, main_of_session

PORT = 23
DRAIN = 1.5  # seconds that sessions have to end when the server stops
FULL = b"All %d terminals of this host are in use; try again later.\r\n"


@dataclass(frozen=True)
class Config:
    """What the server is started with: TCP port (0: any), addresses, sessions at once, and what a session is made of."""

    port: int = PORT
    hosts: tuple[str, ...] = ANY
    sessions: int = 10
    programs: Programs = field(default_factory=Programs)


@dataclass
class Running:
    """A session's process, as the launcher sees it: `report` is where its last words come from."""

    pid: int
    peer: str
    began: float
    report: int


class TelnetServer:
    """The launcher's loop."""

    def __init__(self, config: Config, log: Log) -> None:
        self.config = config
        self.log = log
        self.port = 0  # as bound
        self.running: dict[int, Running] = {}  # by `report`
        self._listeners: list[socket.socket] = []
        self._stop, self._stopping = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; exits with 0, or 1 where the port cannot be had."""
        try:
            self._listeners = bind(socket.SOCK_STREAM, self.config.port, self.config.hosts, send_buffer=0)
        except OSError as error:
            self.log.event("failed", service="telnet-server", reason=error.strerror)
            return 1
        self.port = self._listeners[0].getsockname()[1]
        for listener in self._listeners:
            listener.listen(64)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: os.write(self._stopping, b"."))
        self.log.event("listening", telnet=self.port)
        self.log.event("ready", service="telnet-server")
        while self.turn(None):
            pass
        self._end()
        return 0

    def turn(self, timeout: float | None) -> bool:
        """Wait for news and deal with it; False when the server is to stop."""
        listeners = {listener.fileno(): listener for listener in self._listeners}
        readable, _, _ = select.select([*listeners, *self.running, self._stop], [], [], timeout)
        for ready in readable:
            if ready in listeners:
                self._accept(listeners[ready])
            elif ready != self._stop:
                self._ended(self.running.pop(ready))
        return self._stop not in readable

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # gone again, or no descriptor left
            conn, address = listener.accept()
            peer = peer_name(address)
            if len(self.running) >= self.config.sessions:
                self._refuse(conn, peer)
                return
            conn.setblocking(True)
            report, ours = os.pipe()
            pid = os.fork()
            if pid == 0:
                self._become_session(conn, str(address[0]), ours)
            os.close(ours)
            conn.close()
            self.running[report] = Running(pid, peer, time.monotonic(), report)
            if self.log.has_room("connected"):
                self.log.event("connected", port=self.port, peer=peer)

    def _become_session(self, conn: socket.socket, host: str, report: int) -> NoReturn:
        """In the child: let go of what is the launcher's, and serve."""
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, lambda *_: sys.exit("server stops"))
            for descriptor in (*self.running, self._stop, self._stopping):
                os.close(descriptor)
            for listener in self._listeners:
                listener.close()
            main_of_session(conn, host, self.config.programs, report)
        finally:
            os._exit(1)

    def _refuse(self, conn: socket.socket, peer: str) -> None:
        with contextlib.suppress(OSError), conn:
            conn.setblocking(False)
            conn.send(FULL % self.config.sessions)
            conn.shutdown(socket.SHUT_WR)
        if self.log.has_room("ended"):
            self.log.event("refused", port=self.port, peer=peer, reason="no terminal free")

    def _ended(self, session: Running) -> None:
        why = os.read(session.report, 500).decode("utf-8", "replace")
        os.close(session.report)
        os.waitpid(session.pid, 0)
        if self.log.has_room("closed"):
            seconds = time.monotonic() - session.began
            self.log.event("closed", port=self.port, peer=session.peer, seconds=seconds, reason=why or "killed")

    def _end(self) -> None:
        """Accept no more, and end every session: each takes what runs in it along."""
        self.log.event("stopping", service="telnet-server")
        for listener in self._listeners:
            listener.close()
        self._listeners = []
        for session in self.running.values():
            os.kill(session.pid, signal.SIGTERM)
        deadline = time.monotonic() + DRAIN
        while self.running and (left := deadline - time.monotonic()) > 0:
            self._stop_seen()
            self.turn(left)
        self.log.event("stopped", service="telnet-server")

    def _stop_seen(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._stop, 64)
