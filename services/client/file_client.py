"""`FileClient`: the lab's file protocol as a library, over blocking sockets, for scripts and for the window client.

with FileClient("file-server") as files:
    for entry in files.list():
        print(entry.name, entry.size)
    files.download("notes.txt", Path("notes.txt"))
"""

import hashlib
import os
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from services.client.dial import dial
from services.client.errors import ClientError
from services.client.meter import Pace
from services.client.traffic import Traffic
from services.file.grammar import PORT, Delete, Entry, Get, Hash, List, Put, Quit, Request, Stat, parse_listing
from services.file.protocol import Answer, BodyEnded, BodyReceived, ClientConnection, Refused, Replied
from services.wire.errors import RemoteProtocolError

CHUNK = 256 << 10
Progress = Callable[[int, int | None], None]  # octets done, octets in all


class FileRefusedError(ClientError):
    """The server answered `ERR`; `code` is one of `grammar.CODES`."""

    def __init__(self, refused: Refused) -> None:
        name = getattr(refused.request, "name", "")
        super().__init__(f"{refused.request.verb}{f' `{name}`' if name else ''}: {refused.text} ({refused.code})")
        self.code = refused.code


@dataclass(frozen=True)
class Moved:
    """What a transfer came to: octets of the file, from which it began, its SHA-256."""

    size: int
    offset: int
    digest: str


def no_progress(_done: int, _total: int | None) -> None:
    """Show nothing."""


class FileClient:
    """One client of a file server; connects when first needed, and again where the connection was lost between two requests.

    Args:
        family: IPv4 or IPv6 alone.
        timeout: seconds without an octet after which a request fails.
        rate: octets a second that transfers are held to.

    All verbs raise `FileRefusedError` where the server says `ERR`, `ClientError` where it breaks the protocol or closes in the midst,
    `OSError` where the network or a local file fails.
    """

    def __init__(
        self,
        host: str,
        port: int = PORT,
        *,
        family: socket.AddressFamily = socket.AF_UNSPEC,
        timeout: float = 10.0,
        rate: int | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.traffic = Traffic()
        self._family = family
        self._timeout = timeout
        self._rate = rate
        self._conn: socket.socket | None = None
        self._core = ClientConnection()

    def __enter__(self) -> "FileClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Say goodbye and close; the client may be used again."""
        if self._conn and not self._core.awaited:
            with suppress(OSError, ClientError):
                list(self._exchange(Quit()))  # a server that has closed does not answer it
        self._drop()

    def _drop(self) -> None:
        if self._conn:
            with suppress(OSError):
                self.traffic.add_kernel_counts(self._conn)
            self._conn.close()
            self._conn = None

    # -- requests -----------------------------------------------------------------------------------------------------

    def list(self) -> "list[Entry]":
        """Return all files of the server, by name."""
        body = b"".join(event.data for event in self._exchange(List()) if isinstance(event, BodyReceived))
        try:
            return parse_listing(body)
        except RemoteProtocolError as error:
            raise ClientError(str(error)) from error

    def stat(self, name: str) -> Entry:
        """Return size and time of a file."""
        size, modified = self._ask(Stat(name)).words
        return Entry(name, int(size), int(modified))

    def hash(self, name: str) -> str:
        """Return the SHA-256 of a file, as the server has it."""
        return self._ask(Hash(name)).words[0]

    def delete(self, name: str) -> None:
        """Remove a file."""
        self._ask(Delete(name))

    def get(
        self, name: str, sink: Callable[[bytes], object], offset: int = 0, length: int | None = None, progress: Progress = no_progress
    ) -> int:  # fmt: skip
        """Hand a file's octets to `sink`, piece by piece, and return how many there were."""
        pace, done, total = Pace(self._rate), 0, None
        for event in self._exchange(Get(name, offset, length)):
            if isinstance(event, Replied):
                total = offset + event.number
            elif isinstance(event, BodyReceived):
                sink(event.data)
                done += len(event.data)
                progress(offset + done, total)
                pace.keep(len(event.data))
        return done

    def download(self, name: str, path: Path, *, resume: bool = False, progress: Progress = no_progress) -> Moved:
        """Get a file into `path`: into `path.part` first, which takes its name once its digest is the server's.

        Args:
            resume: go on with a `path.part` that an earlier download left.
        """
        part = path.with_name(path.name + ".part")
        with part.open("r+b" if resume and part.exists() else "w+b") as file:
            total, offset = _digest_of_file(file)
            size = self.stat(name).size
            if offset > size:
                offset, total = 0, hashlib.sha256()
                file.truncate(0)
                file.seek(0)

            def take(data: bytes) -> None:
                total.update(data)
                file.write(data)

            self.get(name, take, offset, progress=progress)
            size = file.tell()
        theirs = self.hash(name)
        if theirs != total.hexdigest():
            part.unlink()
            raise ClientError(
                f"the digest of `{name}` is {total.hexdigest()} here and {theirs} on the server",
                "it was changed meanwhile: get it again" + (", without --resume" if resume else ""),
            )
        part.replace(path)
        return Moved(size, offset, theirs)

    def upload(self, path: Path, name: str = "", *, resume: bool = False, progress: Progress = no_progress) -> Moved:
        """Put a file there, under `name` or its own.

        Args:
            resume: go on where an earlier, broken upload of the same octets ended.
        """
        with path.open("rb") as file:
            digest, size = _digest_of_file(file)
            put = Put(name or path.name, size, digest.hexdigest())
            if resume:
                asked = Put(put.name, size, put.digest, None, fresh=False)
                put = Put(put.name, size, put.digest, min(size, self._ask(asked).number), fresh=False)
            stored = self._put(put, file, progress)
        return Moved(size, put.offset or 0, stored)

    def _put(self, put: Put, file: BinaryIO, progress: Progress) -> str:
        conn = self._send(put)
        pace, at = Pace(self._rate), put.offset or 0
        poll = select.poll()
        poll.register(conn, select.POLLIN | select.POLLOUT)
        while at < put.size:
            ready = poll.poll(self._timeout * 1000)
            if not ready:
                raise TimeoutError
            if ready[0][1] & ~select.POLLOUT:  # an answer before its time can only be a refusal
                break
            sent = os.sendfile(conn.fileno(), file.fileno(), at, min(put.size - at, pace.portion))
            if not sent:
                self._drop()
                raise ClientError("the file became shorter while it was sent")
            at += sent
            self._core.body_sent(sent)
            self.traffic.sent += sent
            progress(at, put.size)
            pace.keep(sent)
        try:
            answer = next(iter(self._events(conn)))
        finally:
            if at < put.size:  # it would take what follows for the rest of the body
                self._drop()
        if isinstance(answer, Refused):
            raise FileRefusedError(answer)
        assert isinstance(answer, Replied)  # noqa: S101 - a PUT has no body in its reply
        return answer.words[0]

    # -- octets -------------------------------------------------------------------------------------------------------

    def _connect(self) -> socket.socket:
        if self._conn:
            poll = select.poll()
            poll.register(self._conn, select.POLLIN)
            if not poll.poll(0):
                return self._conn
            self._drop()  # nothing was asked and something came: it has closed, or is about to
        self._core = ClientConnection()
        self._conn = dial(self.host, self.port, self._family, self._timeout)
        self._conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.traffic.turns += 1
        return self._conn

    def _send(self, *requests: Request) -> socket.socket:
        conn = self._connect()
        for request in requests:
            self._core.request(request)
        out = self._core.data_to_send()
        self.traffic.sent += len(out)
        self.traffic.turns += 1
        conn.sendall(out)
        return conn

    def _ask(self, request: Request) -> Replied:
        answers = list(self._exchange(request))
        assert isinstance(answers[0], Replied)  # noqa: S101 - `_exchange` raises otherwise
        return answers[0]

    def _exchange(self, request: Request) -> Iterator[Answer]:
        """Ask, and yield the answer and what of a body comes after it."""
        for answer in self.pipeline(request):
            if isinstance(answer, Refused):
                raise FileRefusedError(answer)
            yield answer

    def pipeline(self, *requests: Request) -> Iterator[Answer]:
        """Ask for several things at once, and yield the answers in their order; a `Refused` does not end it. For all but PUT."""
        conn = self._send(*requests)
        left = len(requests)
        try:
            for answer in self._events(conn):
                left -= isinstance(answer, Refused | BodyEnded) or (
                    isinstance(answer, Replied) and not isinstance(answer.request, List | Get)
                )
                yield answer
                if not left:
                    break
        finally:
            if left:  # what is still to come would be taken for the next answer
                self._drop()

    def _events(self, conn: socket.socket) -> Iterator[Answer]:
        while True:
            try:
                data = conn.recv(CHUNK)
                self.traffic.received += len(data)
                self._core.receive_data(data) if data else self._core.receive_eof()
                yield from self._core.events()
            except RemoteProtocolError as error:
                self._drop()
                raise ClientError(str(error)) from error
            except OSError:
                self._drop()
                raise
            if not data:
                return


def _digest_of_file(file: BinaryIO) -> "tuple[hashlib._Hash, int]":
    """Read a file from where it stands to its end; return its SHA-256, to be updated with more, and its octets."""
    total, octets = hashlib.sha256(), 0
    while data := file.read(CHUNK):
        total.update(data)
        octets += len(data)
    return total, octets
