"""The host `smtp-relay`: its port, its queue and its deliveries joined."""

import os
import random
import socket
import sqlite3
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from services.runtime.limits import Limits
from services.runtime.log import Log
from services.runtime.service import allow_descriptors
from services.runtime.sockets import ANY, bind
from services.runtime.stream import Core, Stream, StreamServer
from services.smtp_relay.backoff import Backoff
from services.smtp_relay.delivery import Deliveries, Settings
from services.smtp_relay.protocol import Policy, ServerConnection
from services.smtp_relay.routes import Routes, parse_routes
from services.smtp_relay.session import MailStream, Office
from services.smtp_relay.store import Store
from services.smtp_relay.writer import Writer

SPOOL = Path("/var/spool/smtp-relay")
ROUTES = Path(__file__).with_name("routes.yaml")  # copied into the queue's folder at first start
SPARE_FILES = 256  # listening sockets, deliveries, the queue's files
THREADS = 4  # that write big texts


@dataclass(frozen=True)
class Config:
    """What the relay is started with.

    Args:
        port: 0 lets the system choose.
        folder: of the queue.
        routes: the route table; None for `routes.yaml` in the queue's folder.
        tls: certificate and key; STARTTLS is offered where both are there.
        seed: of the generator that jitter comes from; None for a fresh one.
        greet_delay: seconds in which a client that talks before the greeting is found out.
    """

    name: str = "smtp-relay"
    port: int = 25
    hosts: tuple[str, ...] = ANY
    folder: Path = SPOOL
    routes: Path | None = None
    tls: tuple[Path, Path] | None = None
    backoff: Backoff = field(default_factory=Backoff)
    connections: int = 10  # as many as Dovecot takes for one mailbox
    max_size: int = 64 << 20
    max_recipients: int = 1000
    max_hops: int = 100
    seed: int | None = None
    greet_delay: float = 0.05
    limits: Limits = field(default_factory=Limits)


class SmtpRelay:
    """The relay."""

    def __init__(self, config: Config, log: Log) -> None:
        self.config = config
        self.log = log
        self.port = 0  # as bound
        self._routes = Routes()
        self._last = 0

    async def start(self) -> None:
        """Open the queue, then the port; begin to deliver.

        Raises:
            OSError: the port is in use, the queue cannot be opened, or the route table is wrong.
        """
        config = self.config
        limits = config.limits
        room = allow_descriptors(limits.connections + SPARE_FILES) - SPARE_FILES
        limits = replace(limits, connections=min(room, limits.connections))
        began = time.monotonic()
        try:
            self._store = Store(config.folder)
        except sqlite3.Error as error:
            raise OSError(f"the queue in {config.folder} cannot be opened: {error}") from error
        (config.folder / "relay.pid").write_text(str(os.getpid()))  # for `lab-queue reload`
        self._last = self._store.last_id
        self._table = config.routes or self._own_table()
        self._routes = self._read_routes()
        self._writer = Writer(self._store, self._look_again)
        settings = Settings(config.name, random.Random(config.seed).uniform, config.backoff, config.connections)
        self._deliveries = Deliveries(settings, self._store, self._writer, self.log, self._number)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="spool")
        self._office = Office(
            config.name, self._store, self._writer, self._threads, self._number, self._deliveries.wake, config.max_hops,
            config.greet_delay, self._tls(*config.tls) if config.tls else None,
        )  # fmt: skip
        self._streams = StreamServer(limits, self.log)
        sockets = bind(socket.SOCK_STREAM, config.port, config.hosts)
        port = sockets[0].getsockname()[1]

        def stream(server: StreamServer, label: str, core: Callable[[], Core]) -> Stream:
            return MailStream(server, label, core, self._office)

        await self._streams.listen(sockets, f"{port}/smtp", self._core, stream)
        self._routes = self._read_routes()  # it may have changed since
        self._deliveries.use(self._routes)
        self.port = port
        self.log.event(
            "listening", smtp=self.port, starttls=self._office.tls is not None, seconds=time.monotonic() - began
        )

    def _core(self) -> Core:
        """Make the core of a connection that was just accepted."""
        config = self.config
        if config.tls and self._office.tls is None:
            self._office.tls = self._tls(*config.tls)
        return ServerConnection(
            Policy(
                config.name, self._routes.by_domain.__contains__, postmaster=self._routes.postmaster,
                tls=self._office.tls is not None, max_size=config.max_size, max_recipients=config.max_recipients,
            )
        )  # fmt: skip

    def _number(self) -> int:
        """Return a new message's number: the time in microseconds, and never the same again."""
        self._last = max(self._last + 1, int(time.time() * 1_000_000))
        return self._last

    def _look_again(self) -> None:
        self._deliveries.wake_all()

    # -- the route table ----------------------------------------------------------------------------------------------

    def _own_table(self) -> Path:
        path = self.config.folder / "routes.yaml"
        if not path.exists():
            path.write_bytes(ROUTES.read_bytes())
        return path

    def _read_routes(self) -> Routes:
        try:
            return parse_routes(self._table.read_text())
        except (OSError, ValueError) as error:
            raise OSError(f"the route table {self._table} cannot be used: {error}") from error

    def reload(self) -> None:
        """Read the route table again; one that is wrong is told of, and the old one stays."""
        if not self.port:  # not started yet: it will read the table
            return
        try:
            self._routes = self._read_routes()
        except OSError as error:
            self.log.event("routes kept", reason=str(error))
            return
        self._office.tls = None  # the certificate may be a new one, too
        self._deliveries.use(self._routes)
        self.log.event("routes read", domains=len(self._routes.by_domain))

    # -- TLS ----------------------------------------------------------------------------------------------------------

    def _tls(self, certificate: Path, key: Path) -> ssl.SSLContext | None:
        """Return what STARTTLS needs, as soon as the files are there: the lab's CA may start later than its hosts."""
        if not (certificate.exists() and key.exists()):
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(certificate, key)
        except OSError as error:  # `ssl.SSLError` is one
            if self.log.has_room("no STARTTLS"):
                self.log.event("no STARTTLS", reason=f"{certificate}: {error}")
            return None
        return context

    async def stop(self, seconds: float) -> None:
        """Let sessions end and deliveries finish, write what is to be written, close the queue."""
        await self._streams.drain(seconds / 2)
        await self._deliveries.stop(seconds / 2)
        await self._writer.stop()
        self._threads.shutdown(cancel_futures=True)
        self._store.close()
        (self.config.folder / "relay.pid").unlink(missing_ok=True)
