"""The process `ftp-server`: pyftpdlib's loop on the lab's sockets, drained and ended by SIGTERM."""

import logging
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer

from services.ftp import accounts, seed
from services.ftp.session import DATA_PORT, Data, Passive, Session
from services.runtime.log import Log
from services.runtime.service import DRAIN, allow_descriptors
from services.runtime.sockets import ANY, bind

HOME = Path("/srv/ftp")
HANDOUT = Path("/handouts/ftp.json")
SPARE_FILES = 64  # for files that are being transferred, listening sockets, the log


@dataclass(frozen=True)
class Config:
    """What the server is started with.

    Args:
        home: folder with `files`, which FTP serves, and `credentials.json`, which it does not.
        handout: where the host `client` finds the same credentials.
        port: of control connections; 0 lets the system choose.
        data_port: from which active data connections come; 0 lets the system choose.
        sockets: open at once: control, data, and ports that wait for data.
        per_address: control connections of one address.
        idle: seconds of silence after which a connection is closed.
        accept: seconds in which a client has to open the data connection that it asked for.
    """

    home: Path = HOME
    handout: Path = HANDOUT
    port: int = 21
    data_port: int = DATA_PORT
    hosts: tuple[str, ...] = ANY
    sockets: int = 512
    per_address: int = 64
    idle: float = 300.0
    accept: float = 30.0


class Trouble(logging.Handler):
    """pyftpdlib's errors, as lines of the lab's log; its other words are dropped."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.ERROR)
        self.log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        if self.log.has_room("error"):
            self.log.event("error", reason=record.getMessage())


class Wake:
    """The end of a socket pair that signals write to: it wakes the loop, which then sees that it is to stop."""

    def __init__(self, loop: Any) -> None:
        self.ending = False
        self.reader, self.writer = socket.socketpair()
        for end in (self.reader, self.writer):
            end.setblocking(False)
        self._fileno = self.reader.fileno()  # the loop's name for it
        loop.register(self._fileno, self, loop.READ)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.set_wakeup_fd(self.writer.fileno())

    def _end(self, *_: object) -> None:
        self.ending = True

    def readable(self) -> bool:
        """Asked by the loop before it hands an event over."""
        return True

    def handle_read_event(self) -> None:
        """Take what the signal wrote."""
        self.reader.recv(64)

    def close(self) -> None:
        """Give the sockets back."""
        signal.set_wakeup_fd(-1)
        self.reader.close()
        self.writer.close()


class FtpServer:
    """All of the host: its files, its accounts, its ports."""

    def __init__(self, config: Config, log: Log) -> None:
        self.config = config
        self.log = log
        self._loop = IOLoop()
        self._listeners: list[Any] = []

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; return 0, or 1 where a port or the folder cannot be had."""
        wake = Wake(self._loop)
        try:
            self._start()
        except (OSError, ValueError) as error:
            self.log.event("failed", service="ftp-server", reason=str(error))
            return 1
        self.log.event("ready", service="ftp-server", loop="pyftpdlib")
        pause = None
        while not wake.ending:
            pause = self._loop.loop(pause, blocking=False)
        self.log.event("stopping", service="ftp-server")
        self._drain()
        self.log.sum_up()
        self.log.event("stopped", service="ftp-server")
        return 0

    def _start(self) -> None:
        config = self.config
        files = config.home / "files"
        seeded = seed.sow(files)
        password = accounts.read_or_make(config.home / "credentials.json", config.handout)
        self._set_rules(str(files.resolve()), password)
        allowed = allow_descriptors(config.sockets * 2 + SPARE_FILES)
        for bound in bind(socket.SOCK_STREAM, config.port, config.hosts, send_buffer=0):
            port = config.port or bound.getsockname()[1]
            listener = FTPServer(bound, Session, ioloop=self._loop)
            listener.max_cons = min(config.sockets, (allowed - SPARE_FILES) // 2)
            listener.max_cons_per_ip = config.per_address
            self._listeners.append(listener)
        self.log.event("listening", ftp=port, files=str(files), seeded=seeded)

    def _set_rules(self, files: str, password: str) -> None:
        authorizer = DummyAuthorizer()
        authorizer.add_anonymous(files, perm=accounts.READ)
        authorizer.add_user(accounts.USER, password, files, perm=accounts.WRITE)
        logger = logging.getLogger("pyftpdlib")
        logger.handlers = [Trouble(self.log)]
        logger.propagate = False
        Session.authorizer = authorizer
        Session.lab_log = self.log
        Session.data_port = self.config.data_port
        Session.timeout = Data.timeout = self.config.idle
        Passive.timeout = self.config.accept

    def _drain(self) -> None:
        """Accept no more, tell who is idle, let transfers end within `DRAIN` seconds, close."""
        for listener in self._listeners:
            listener.close()
        until = time.monotonic() + DRAIN
        self._say_goodbye()
        while self._sessions() and (left := until - time.monotonic()) > 0:
            self._loop.loop(min(left, 0.05), blocking=False)
            self._say_goodbye()
        self._loop.close()

    def _sessions(self) -> list[Session]:
        return [instance for instance in list(self._loop.socket_map.values()) if isinstance(instance, Session)]

    def _say_goodbye(self) -> None:
        for session in self._sessions():
            if session.data_channel is None and not session._closing:
                session.respond("421 The server stops; goodbye.")
                session.close_when_done()
