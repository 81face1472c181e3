"""One connection of the file server: requests in, files out by sendfile(2), files in through threads that wait for the disk.

The loop never waits for the disk but to open a file and to read a small one. While a request is answered nothing more is read from its
client, and of a PUT no more is read than is written at once: what waits in memory is bounded.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

from services.file import grammar
from services.file.grammar import Delete, Get, Hash, List, Put, RefusalError, Request, Stat
from services.file.protocol import BodyBroken, BodyEnded, BodyReceived, Event, ServerConnection
from services.file.room import refusal
from services.file.store import Store
from services.file.uploads import Upload
from services.runtime.log import peer_name
from services.runtime.stream import Core, Stream, StreamServer
from services.wire.errors import RemoteProtocolError

SMALL = 64 << 10  # octets of a body that is read and sent with its reply, in one call
# Octets of one file in one turn of the loop, for then the others have theirs; few files under way share `ALL_TURNS`. A fast peer takes
# all of a turn, so that small ones cost more calls, and more than 8 MiB would let the others wait for more than some milliseconds.
TURN, ALL_TURNS = 1 << 20, 8 << 20
# Octets that a thread takes from a socket at once (they are still in the processor's cache when they are written), and in one turn.
BUFFER, WRITING_TURN = 256 << 10, 4 << 20

T = TypeVar("T")


class Disk:
    """The store, and the threads that wait for it.

    Args:
        workers: how many.
    """

    def __init__(self, store: Store, workers: int) -> None:
        self.store = store
        self.outgoing = 0  # files on their way out
        self._workers = ThreadPoolExecutor(workers, thread_name_prefix="disk")
        self._tasks: set[asyncio.Task[None]] = set()
        self._own = threading.local()

    def buffer(self) -> memoryview:
        """Return the calling thread's own buffer."""
        if not hasattr(self._own, "buffer"):
            self._own.buffer = memoryview(bytearray(BUFFER))
        return cast(memoryview, self._own.buffer)

    def turn(self) -> int:
        """Return how many octets of a file go out in one turn of the loop."""
        return max(TURN, ALL_TURNS // max(1, self.outgoing))

    async def do(self, work: Callable[[], T]) -> T:
        """Do in a thread what waits for the disk."""
        return await asyncio.get_running_loop().run_in_executor(self._workers, work)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Let something go on beside the loop's other work."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Let come to its end what was started, then close the store."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._workers.shutdown()
        self.store.close()


class Outgoing:
    """A body on its way out: a file, or octets in memory.

    Args:
        handle: descriptor of the file; closed in the end.
        octets: what is sent where there is no file.
    """

    def __init__(self, left: int, *, handle: int = -1, offset: int = 0, octets: bytes = b"") -> None:
        self.left = left
        self._handle = handle
        self._offset = offset
        self._octets = memoryview(octets)

    @property
    def held(self) -> int:
        """Octets that wait in this process's memory."""
        return self.left if self._octets else 0

    def send(self, to: int, octets: int) -> int:
        """Give the kernel what it takes, at most so many octets, and return how many.

        Raises:
            BlockingIOError: it takes none now.
            OSError: the connection is broken, or the file is shorter than it was.
        """
        octets = min(self.left, octets)
        if self._handle >= 0:
            sent = os.sendfile(to, self._handle, self._offset, octets)
            if not sent:
                raise OSError("the file became shorter")
        else:
            sent = os.write(to, self._octets[self._offset : self._offset + octets])
        self._offset += sent
        self.left -= sent
        return sent

    def close(self) -> None:
        """Give the file back."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


class FileStream(Stream):
    """One connection; see `Stream`, whose limits, idleness and endings hold."""

    __slots__ = ("_disk", "_intake", "_out", "_reentered", "_socket", "_working")

    core: ServerConnection

    def __init__(self, server: StreamServer, label: str, core: Callable[[], Core], disk: Disk) -> None:
        super().__init__(server, label, core)
        self._disk = disk
        self._out: Outgoing | None = None
        self._socket = -1  # a second descriptor of the socket, for the loop to watch while a body goes out
        self._intake: Intake | None = None
        self._working = False  # at something that takes time
        self._reentered = False

    # -- octets in ----------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self.finished:
            return
        self.active = True
        self.core.receive_data(data)
        self._advance()

    def eof_received(self) -> bool:
        self.active = self.peer_done = True
        if not self.finished:
            self.core.receive_eof()
            self._advance()
        return not self.finished

    def _advance(self) -> None:
        """Deal with what came, as far as it goes: until a request takes time, more octets are needed, or the peer does not read."""
        if self._reentered or self.finished:
            return
        self._reentered = True  # a write may call `resume_writing`
        try:
            for event in self.core.events():
                self._handle(event)
                if self.core.waiting >= TURN:
                    self.transport.write(self.core.data_to_send())
                if not self.writable and not self._intake:  # what came of a body with its request goes before the rest
                    break
        except RemoteProtocolError as error:
            self.finish(str(error), self.core.data_to_send() + error.reply)
            return
        finally:
            self._reentered = False
        if self.finished:
            return
        if out := self.core.data_to_send():
            self.transport.write(out)
        if self._out:
            self._pump()
        elif self.core.closing:
            self.finish("")
        self.choose_reading()

    def choose_reading(self) -> None:
        """Read on only where there is room for it; reading on after a pause is the loop's, so that turns alternate."""
        if self.finished or self.transport.is_closing() or self.peer_done:
            return
        if self.takes_more():
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def takes_more(self) -> bool:
        """Wait with more while a request is answered; the body of a PUT is taken by its `Intake`."""
        return self.writable and self.core.reads and not self._intake

    def _handle(self, event: Event) -> None:
        match event:
            case BodyReceived(data):
                if self._intake:
                    self._intake.add(data)
            case BodyEnded() | BodyBroken():
                pass  # the `Intake` asks how many octets are missing
            case Request():
                try:
                    self._answer(event)
                except RefusalError as error:
                    self.core.refuse(error.code, error.text)

    def _answer(self, request: Request) -> None:
        store = self._disk.store
        match request:
            case Get():
                self._get(request)
            case Put(offset=None):
                self._later(lambda: store.held(request), self.core.reply)
            case Put():
                self._intake = Intake(self, self._disk, request)
                self._working = True
                self._disk.start(self._intake.run())
            case Stat(name):
                entry = store.stat(name)
                self.core.reply(entry.size, entry.modified)
            case Hash(name):
                if known := store.known_digest(name):
                    self.core.reply(known)
                else:
                    self._later(lambda: store.digest(name), self.core.reply)
            case Delete(name):
                self._later(lambda: store.delete(name), lambda _: self._deleted(name))
            case List():
                self._later(lambda: b"".join(map(grammar.format_entry, store.entries())), self._send_octets)

    def _deleted(self, name: str) -> None:
        self.core.reply()
        self.tell("deleted", name=name)

    # -- what takes time ----------------------------------------------------------------------------------------------

    def _later(self, work: Callable[[], T], then: Callable[[T], None]) -> None:
        """Do some work in a thread, answer with what comes of it, go on with the next request."""

        async def go() -> None:
            try:
                result = await self._disk.do(work)
            except RefusalError as error:
                self.refuse(error)
            else:
                self.answer(lambda: then(result))

        self._working = True
        self._disk.start(go())

    def refuse(self, error: RefusalError) -> None:
        """Answer the request that took its time with `ERR`."""
        self.answer(lambda: self.core.refuse(error.code, error.text))

    def answer(self, how: Callable[[], None]) -> None:
        """Answer the request that took its time."""
        self.active = True
        self._working = False
        self._intake = None
        if self.finished or self.transport.is_closing():
            return
        try:
            how()
        except RemoteProtocolError as error:
            self.finish(str(error), self.core.data_to_send() + error.reply)
            return
        self._advance()

    # -- octets out ---------------------------------------------------------------------------------------------------

    def _get(self, request: Get) -> None:
        handle, facts = self._disk.store.open(request.name)
        try:
            left = facts.st_size - request.offset
            if left < 0:
                raise RefusalError(416, f"the file has {facts.st_size} octets")
            octets = left if request.length is None else min(left, request.length)
            if octets > SMALL:
                self.core.reply_with_body(octets, facts.st_size)
                self._begin_body(Outgoing(octets, handle=os.dup(handle), offset=request.offset))
            else:
                self.core.reply_with_octets(os.pread(handle, octets, request.offset), facts.st_size)
        except OSError as error:
            raise RefusalError(500, f"the server could not read it: {error.strerror}") from error
        finally:
            os.close(handle)
        self.tell("sent", name=request.name, octets=octets)

    def _send_octets(self, octets: bytes) -> None:
        if len(octets) > SMALL:
            self.core.reply_with_body(len(octets))
            self._begin_body(Outgoing(len(octets), octets=octets))
        else:
            self.core.reply_with_octets(octets)

    def _begin_body(self, out: Outgoing) -> None:
        self._out = out
        self._disk.outgoing += 1

    def _pump(self) -> None:
        """Send of the body what the kernel takes; called again by the loop when it takes more."""
        out = self._out
        if not out or self.finished:
            return
        if self.transport.get_write_buffer_size():
            return  # the reply's line goes first; `resume_writing` calls again
        try:
            if self._socket < 0:
                self._socket = self.own_socket()
                self.server.loop.add_writer(self._socket, self._pump)
            sent = out.send(self._socket, self._disk.turn())
        except BlockingIOError:
            self.server.hold(self, self.waiting())
            return
        except OSError as error:
            self.abort(error.strerror or str(error))
            return
        self.active = True
        self.core.body_sent(sent)
        if not out.left:
            self._end_body()
            self.server.loop.call_soon(self._advance)

    def own_socket(self) -> int:
        """Return a second descriptor of the socket, to be closed by the caller: the loop lets nobody else watch a transport's own."""
        return os.dup(self.transport.get_extra_info("socket").fileno())

    def _end_body(self) -> None:
        if self._socket >= 0:
            self.server.loop.remove_writer(self._socket)
            os.close(self._socket)
            self._socket = -1
        if self._out:
            self._out.close()
            self._out = None
            self._disk.outgoing -= 1
            self.server.hold(self, self.waiting())

    def waiting(self) -> int:
        """Count also a body that goes out of memory."""
        return super().waiting() + (self._out.held if self._out else 0)

    def pause_writing(self) -> None:
        """The peer does not read: neither do we."""
        self.writable = False
        self.choose_reading()
        self.server.hold(self, self.waiting())

    def resume_writing(self) -> None:
        self.writable = self.active = True
        self.server.hold(self, 0)
        if self.finished or self.transport.is_closing():
            return
        if self._out:
            self._pump()
        else:
            self._advance()
        self.choose_reading()

    # -- endings ------------------------------------------------------------------------------------------------------

    def ended(self) -> None:
        """Give back what the conversation held; of a PUT in its midst, what came is kept to be resumed."""
        self._end_body()
        if self._intake:
            self._intake.end()

    def abort(self, reason: str) -> None:
        super().abort(reason)
        self.ended()

    def time_out(self) -> None:
        """Whoever waits for our disk is not idle."""
        if self._working and not self._intake and not self.finished:
            self.active = True
        else:
            super().time_out()

    def farewell(self, reason: str) -> bytes:
        """Tell why."""
        return grammar.error_line(408 if "silent" in reason else 503, reason)

    def tell(self, event: str, **facts: Any) -> None:
        """Write a line to the log, where it has room."""
        if self.server.log.has_room(event):
            peer = self.peer or peer_name(self.transport.get_extra_info("peername"))
            self.server.log.event(event, peer=peer, **facts)


class Intake:
    """A PUT's body on its way to the disk.

    A thread takes it from the socket, into one small buffer that it hashes and writes from: through the loop each octet would be copied
    once more, into memory that is new each time. The loop only tells when there is more.

    Raises:
        RefusalError: the process has too many files open.
    """

    def __init__(self, stream: FileStream, disk: Disk, put: Put) -> None:
        self._stream = stream
        self._disk = disk
        self._put = put
        try:
            self._socket = stream.own_socket()
        except OSError as error:
            raise refusal(error) from error
        self._first: list[bytes] = []  # what came with the request
        self._taken = 0  # octets from the socket that the core was not told of yet
        self._gone = False  # the client closed
        self._over = False
        self._more = asyncio.Event()

    def add(self, data: bytes) -> None:
        """Take octets that came with the request."""
        self._first.append(data)

    def end(self) -> None:
        """Be told that no more is wanted; a body that came whole is stored all the same."""
        self._over = True
        self._more.set()

    async def run(self) -> None:
        """Write all of it, then answer; of one that breaks off, what came is kept."""
        core = self._stream.core
        try:
            upload = await self._disk.do(lambda: self._disk.store.begin(self._put))
            await self._disk.do(lambda: upload.write(self._first))
            self._first = []
            while core.missing and not self._over:
                await self._receive(upload)
            if not core.missing:
                digest = await self._disk.do(upload.finish)
                self._stream.tell("stored", name=self._put.name, octets=self._put.size)
                self._stream.answer(lambda: core.reply(digest))
            else:
                await self._disk.do(upload.break_off)
        except RefusalError as error:
            self._stream.refuse(error)
        finally:
            os.close(self._socket)
        if self._gone:
            self._stream.eof_received()

    async def _receive(self, upload: Upload) -> None:
        """Take what is there, or wait until more is."""
        core = self._stream.core
        try:
            await self._disk.do(lambda: self._take(upload, min(core.missing, WRITING_TURN)))
        finally:
            taken, self._taken = self._taken, 0
            if not self._over:
                core.body_received(taken)
        if self._gone:
            self._over = True
        elif taken:
            self._stream.active = True
        elif not self._over:
            await self._wait()

    async def _wait(self) -> None:
        loop = self._stream.server.loop
        self._more.clear()
        loop.add_reader(self._socket, self._more.set)
        try:
            await self._more.wait()
        finally:
            loop.remove_reader(self._socket)

    def _take(self, upload: Upload, octets: int) -> None:
        """Write what the socket has, in a worker's thread."""
        buffer = self._disk.buffer()
        while self._taken < octets:
            try:
                count = os.readv(self._socket, [buffer[: octets - self._taken]])
            except BlockingIOError:
                return
            except OSError:
                count = 0
            if self._over:  # the loop reads too now: what came here may not be what comes next
                return
            self._taken += count
            if not count:
                self._gone = True
                return
            upload.write([buffer[:count]])
