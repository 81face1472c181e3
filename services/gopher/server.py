"""The host `gopher-server`: accepts connections, and gives each that asked something to a gophernicus of its own, as inetd would.

gophernicus reads one request from its standard input, which is the socket, answers, and exits. Before it is started the request is
peeked at: a peer that says nothing costs no process, and the log tells what was asked.
"""

import asyncio
import errno
import os
import signal
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from services.gopher.protocol import MAX_LINE, PORT, Item
from services.runtime.log import Log, peer_name
from services.runtime.service import allow_descriptors
from services.runtime.sockets import ANY, bind

ROOT = Path("/srv/gopher")
PROGRAM = "/usr/sbin/gophernicus"
# No shared memory, syslog, virtual hosts, home folders, status page, proxy protocol, footer: a host of the lab has no use for them.
FLAGS = ("-nm", "-ns", "-nv", "-nu", "-nt", "-np", "-nf")
SPARE_FILES = 64
PEEK = 0.05  # seconds between two looks at a request that is not whole yet
LOOK = 1.0  # seconds after which a silent connection is looked at: a reset does not wake uvloop's reader
ESTABLISHED = 1  # first octet of Linux's `struct tcp_info`
LINGER = 2.0  # seconds that a peer has to close after the answer
BACKLOG = 1024


@dataclass(frozen=True)
class Config:
    """What the server is started with.

    Args:
        port: 0 lets the system choose.
        name: host name in menus.
        connections: open at once; further ones are told so and closed.
        processes: gophernicus processes at once; further requests wait for their turn.
        idle: seconds in which a request must come, and in which a reader must take something.
        lifetime: seconds for a whole answer.
        program: gophernicus, and its first arguments.
    """

    root: Path = ROOT
    port: int = PORT
    hosts: tuple[str, ...] = ANY
    name: str = field(default_factory=socket.gethostname)
    connections: int = 512
    processes: int = 8
    idle: float = 30.0
    lifetime: float = 120.0
    program: tuple[str, ...] = (PROGRAM,)


class RefusedError(Exception):
    """A request that no process is started for; the text is for the peer and the log."""


class GopherServer:
    """The listener, and the answers under way."""

    def __init__(self, config: Config, log: Log) -> None:
        self.config = config
        self.log = log
        self.port = config.port
        self._listeners: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(config.processes)

    async def start(self) -> None:
        """Bind, then accept.

        Raises:
            OSError: the port is in use, or there is no gophernicus.
        """
        os.stat(self.config.program[0])  # noqa: PTH116 - a missing program is told now, not at the first request
        allow_descriptors(self.config.connections + SPARE_FILES)
        loop = asyncio.get_running_loop()
        for bound in bind(socket.SOCK_STREAM, self.config.port, self.config.hosts):
            self.port = bound.getsockname()[1]
            bound.listen(BACKLOG)
            self._listeners.append(bound)
            loop.add_reader(bound.fileno(), self._accept, bound)
        self.log.event("listening", gopher=self.port, root=str(self.config.root))

    def _accept(self, listener: socket.socket) -> None:
        try:
            conn, address = listener.accept()
        except OSError as error:  # gone again, or no descriptor is left: the others are served on
            if self.log.has_room("error"):
                self.log.event("not accepted", reason=error.strerror or str(error))
            return
        conn.setblocking(False)
        task = asyncio.get_running_loop().create_task(self._converse(conn, peer_name(address)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _converse(self, conn: socket.socket, peer: str) -> None:
        """Serve one connection from its request to its end."""
        began = time.monotonic()
        asked = ""
        result = "answered"
        with conn:
            try:
                asked = await self._request(conn)
                async with self._turns:
                    await self._answer(conn)
            except RefusedError as error:
                result = str(error)
                with suppress(OSError):
                    conn.send(Item("3", result, "", "error.host", 1).line() + b".\r\n")
            except OSError as error:
                result = error.strerror or str(error)
            finally:
                await self._linger(conn)
        if not (peer.startswith(("127.", "[::1]")) and result == "answered") and self.log.has_room(
            result
        ):  # not the healthcheck's
            self.log.event("request", peer=peer, selector=asked, result=result, seconds=time.monotonic() - began)

    async def _request(self, conn: socket.socket) -> str:
        """Wait until a whole request has come, and return it for the log; it stays in the socket.

        Raises:
            RefusedError: too many connections, too long a request, or none in time.
        """
        if len(self._tasks) > self.config.connections:
            raise RefusedError(f"{self.config.connections} connections are open, no more are allowed")
        until = time.monotonic() + self.config.idle
        while (left := until - time.monotonic()) > 0:
            open_still = (
                conn.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == ESTABLISHED
            )  # asked before: then all has come
            try:
                seen = conn.recv(MAX_LINE, socket.MSG_PEEK)
            except BlockingIOError:
                seen = b""
            line, end, _ = seen.partition(b"\n")
            if end:
                return line.decode("utf-8", "replace").rstrip("\r")
            if len(seen) == MAX_LINE:
                raise RefusedError(f"a request is longer than {MAX_LINE} octets")
            if not open_still:
                raise RefusedError("closed in the midst of a request" if seen else "closed without a request")
            if seen:
                await asyncio.sleep(PEEK)  # what was peeked at would wake us at once
            else:
                await self._readable(conn, min(left, LOOK))
        raise RefusedError(f"no request in {self.config.idle:g} s")

    async def _readable(self, conn: socket.socket, seconds: float) -> None:
        """Wait until something comes, or for so long."""
        loop = asyncio.get_running_loop()
        readable = loop.create_future()
        loop.add_reader(conn.fileno(), _done, readable)
        with suppress(TimeoutError):
            try:
                await asyncio.wait_for(readable, seconds)
            finally:
                loop.remove_reader(conn.fileno())

    async def _answer(self, conn: socket.socket) -> None:
        """Let a gophernicus answer.

        Raises:
            RefusedError: it took too long, or ended by a signal.
        """
        config = self.config
        timeval = struct.pack("ll", int(config.idle), int(config.idle % 1 * 1e6))
        conn.setblocking(
            True
        )  # for the program, which knows nothing of event loops; the kernel ends what waits too long
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)
        argv = (*config.program, "-h", config.name, "-p", str(self.port), "-r", str(config.root), *FLAGS)
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=conn.fileno(), stdout=conn.fileno(), stderr=asyncio.subprocess.DEVNULL, start_new_session=True
        )
        try:
            code = await asyncio.wait_for(process.wait(), config.lifetime)
        except TimeoutError:
            raise RefusedError(f"the answer took longer than {config.lifetime:g} s") from None
        finally:
            if process.returncode is None:  # out of time, or the server stops; a search's own process goes with it
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
            conn.setblocking(False)
        if code == -signal.SIGPIPE:
            raise BrokenPipeError(errno.EPIPE, "the peer went away")
        if code < 0:
            raise RefusedError(f"gophernicus ended by signal {-code}")

    async def _linger(self, conn: socket.socket) -> None:
        """Send FIN and read what the peer still sends: closing with unread octets would reset the answer away (RFC 1122, 4.2.2.13)."""
        loop = asyncio.get_running_loop()
        with suppress(OSError, TimeoutError):
            conn.setblocking(False)
            conn.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(LINGER):
                while await loop.sock_recv(conn, 65536):
                    pass

    async def stop(self, seconds: float) -> None:
        """Accept no more, let answers end within the seconds given, and end the rest."""
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            loop.remove_reader(listener.fileno())
            listener.close()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=seconds)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=1)
        self.log.sum_up()


def _done(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
