"""A core joined to a stream socket: octets in, octets out, limits kept.

Every connection ends in an orderly way: what the core wants to say is sent, then FIN; what the peer still sends is read and dropped
until its own FIN, because closing a socket with unread octets makes TCP answer RST, and the peer may lose our last words to it
(RFC 9293 section 3.10.4, RFC 1122 section 4.2.2.13).
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol, cast

from services.runtime.limits import Limits
from services.runtime.log import Log, peer_name
from services.wire.errors import RemoteProtocolError

# Seconds that a peer has to send its FIN after ours.
LINGER = 2.0
# Octets that may wait for a peer before we stop reading from it; resumed at a quarter.
HIGH_WATER = 64 << 10
BACKLOG = 4096


class Core(Protocol):
    """What `protocol.py` gives: one end of one connection, without socket, clock or thread."""

    closing: bool

    def receive_data(self, data: bytes) -> None:
        """Take octets from the peer."""

    def receive_eof(self) -> None:
        """Take the peer's FIN."""

    def data_to_send(self) -> bytes:
        """Return what is to be sent now, and forget it."""


class StreamServer:
    """All stream connections of one process: their number, their idleness, what waits for them."""

    def __init__(self, limits: Limits, log: Log) -> None:
        self.limits = limits
        self.log = log
        self.streams: set[Stream] = set()
        self.held = 0  # octets that wait for peers who do not read
        self.loop = asyncio.get_running_loop()
        self._servers: list[asyncio.Server] = []
        self._tick = max(0.05, min(1.0, limits.idle / 8))
        self._sweeper = self.loop.call_later(self._tick, self._sweep)

    async def listen(
        self, sockets: list[socket.socket], label: str, core: Callable[[], Core], kind: "type[Stream] | None" = None
    ) -> None:
        """Accept connections on bound sockets; `core` makes the core of each, `label` names the port in the log."""
        stream = kind or Stream
        for listener in sockets:
            factory = cast(Callable[[], asyncio.Protocol], lambda: stream(self, label, core))
            if listener.family == socket.AF_UNIX:
                server = await self.loop.create_unix_server(factory, sock=listener, backlog=BACKLOG)
            else:
                server = await self.loop.create_server(factory, sock=listener, backlog=BACKLOG)
            self._servers.append(server)

    def _sweep(self) -> None:
        """Close what was silent too long: a walk each second costs less than a timer a connection."""
        now = self.loop.time()
        for stream in list(self.streams):
            if stream.active:
                stream.active = False
                stream.silent_since = now
            elif now - stream.silent_since >= (LINGER if stream.finished else self.limits.idle):
                stream.time_out()
        self.log.sum_up()
        self._sweeper = self.loop.call_later(self._tick, self._sweep)

    async def drain(self, seconds: float) -> None:
        """Accept no more, let every connection send what it has, and end those that take longer than `seconds`."""
        self._sweeper.cancel()
        for server in self._servers:
            server.close()
        for stream in list(self.streams):
            stream.finish("server stops")
        deadline = self.loop.time() + seconds
        while self.streams and self.loop.time() < deadline:
            await asyncio.sleep(0.01)
        for stream in list(self.streams):
            stream.abort("server stops")
        await asyncio.sleep(0)
        self.log.sum_up()


class Stream(asyncio.Protocol):
    """One connection."""

    __slots__ = (
        "active", "began", "core", "finished", "held", "label", "make_core", "peer_done", "reason", "server",
        "silent_since", "transport", "writable",
    )  # fmt: skip

    transport: asyncio.Transport
    core: Core

    def __init__(self, server: StreamServer, label: str, make_core: Callable[[], Core]) -> None:
        self.server = server
        self.label = label
        self.make_core = make_core
        self.active = True
        self.finished = False
        self.peer_done = False
        self.writable = True
        self.held = 0
        self.reason = ""
        self.began = self.silent_since = 0.0

    # -- called by asyncio --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        server = self.server
        self.began = self.silent_since = server.loop.time()
        if len(server.streams) >= server.limits.connections:
            self.refuse(f"{server.limits.connections} connections are open, no more are allowed")
            return
        server.streams.add(self)
        self.transport.set_write_buffer_limits(HIGH_WATER)
        self.core = self.make_core()
        self.flush()

    def data_received(self, data: bytes) -> None:
        self.active = True
        if self.finished:
            return
        core = self.core
        try:
            core.receive_data(data)
        except RemoteProtocolError as error:
            self.finish(str(error), error.reply)
            return
        out = core.data_to_send()
        if out:
            self.transport.write(out)
        if core.closing:
            self.finish("")

    def eof_received(self) -> bool:
        self.active = self.peer_done = True
        if not self.finished:
            self.core.receive_eof()
            self.flush()
        # False: asyncio sends what waits and closes. True: half-closed; what waits is sent, then `resume_writing` ends it.
        return not (self.writable or self.finished)

    def pause_writing(self) -> None:
        """The peer does not read: stop reading from it, so that what waits for it stays bounded."""
        self.writable = False
        server = self.server
        self.held = self.transport.get_write_buffer_size()
        server.held += self.held
        if server.held > server.limits.buffered:
            self.abort(f"{server.limits.buffered} octets wait for clients who do not read, no more are kept")
        elif not self.peer_done:
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.writable = self.active = True
        self._let_go()
        if self.peer_done:
            self.transport.close()
            return
        self.transport.resume_reading()
        if not self.finished:
            self.flush()

    def connection_lost(self, error: Exception | None) -> None:
        server = self.server
        self._let_go()
        if self not in server.streams:
            return
        server.streams.discard(self)
        self.ended()
        if server.log.has_room():
            seconds = server.loop.time() - self.began
            reason = self.reason or getattr(error, "strerror", None) or str(error or "")
            told = {"reason": reason} if reason else {}
            peer = peer_name(self.transport.get_extra_info("peername"))
            server.log.event("closed", port=self.label, peer=peer, seconds=seconds, **told)

    # -- for the server and for kinds of streams ----------------------------------------------------------------------

    def ended(self) -> None:
        """Be told that the conversation is over: when we finish it, and again when the connection is gone."""

    def flush(self) -> None:
        """Send what the core has to say, and finish where it has nothing more."""
        if self.finished:
            return
        core = self.core
        sent = 0
        while out := core.data_to_send():
            self.transport.write(out)
            sent += len(out)
            if not self.writable:
                return  # `resume_writing` goes on
            if sent > HIGH_WATER:  # a core may never be at its end (chargen): the others have their turn first
                self.server.loop.call_soon(self.flush)
                return
        if core.closing:
            self.finish("")

    def finish(self, reason: str, last_words: bytes = b"") -> None:
        """Send FIN after what is to be sent, and wait for the peer's; what it sends meanwhile is dropped."""
        if self.finished:
            return
        self.finished = True
        self.reason = reason
        self.ended()
        if last_words:
            self.transport.write(last_words)
        if self.peer_done or not self.writable:
            self.transport.close()
            return
        self.silent_since = self.server.loop.time()
        self.transport.write_eof()

    def refuse(self, reason: str) -> None:
        """Turn a connection away, in words where its protocol has them."""
        self.finished = True
        if self.server.log.has_room():
            self.server.log.event("refused", port=self.label, reason=reason)
        if words := self.refusal(reason):
            self.transport.write(words)
        self.transport.close()

    def refusal(self, reason: str) -> bytes:  # noqa: ARG002 - for kinds of streams
        """Return what a peer is told before it is turned away; nothing, in protocols without words."""
        return b""

    def time_out(self) -> None:
        """End a silent connection."""
        if self.finished:
            self.abort(self.reason or "the peer did not close")
        else:
            self.finish(f"silent for {self.server.limits.idle:g} s")

    def abort(self, reason: str) -> None:
        """End a connection at once; what waits for the peer is dropped."""
        self.finished = True
        self.reason = reason
        self.transport.abort()

    def _let_go(self) -> None:
        self.server.held -= self.held
        self.held = 0
