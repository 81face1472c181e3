"""A core joined to a stream socket: octets in, octets out, limits kept.

Every connection ends in an orderly way: what the core wants to say is sent, then FIN; what the peer still sends is read and dropped
until its own FIN, because closing a socket with unread octets makes TCP answer RST, and the peer may lose our last words to it
(RFC 9293 section 3.10.4, RFC 1122 section 4.2.2.13).

A peer that does not read stops us from reading what it sends: at most one read waits for it here, and what waits for all peers
together is bounded by `Limits.buffered`. Past that, the connection that has been stuck the longest is ended.

Public: `StreamServer`, `Stream`, `Core`.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Protocol, cast

from services.runtime.limits import Limits
from services.runtime.log import Log, peer_name
from services.wire.errors import RemoteProtocolError

# Seconds that a peer has to send its FIN after ours, or to take more of what waits for it.
LINGER = 2.0
# The same while the server stops: whoever has been sent everything is closed after it, whether its FIN came or not.
LINGER_STOPPING = 0.25
# Octets of one connection in one turn of the loop (chargen never ends by itself): the others have their turn then.
TURN = 16 << 10
HANDSHAKE = 10.0  # seconds for a TLS handshake
BACKLOG = 4096  # the kernel takes the smaller of this and `net.core.somaxconn`
# Connections over the limit that may be open just to be told so in words; past these the door is shut without a word.
TURNED_AWAY = 64


class Core(Protocol):
    """What `protocol.py` gives: one end of one connection, without socket, clock or thread."""

    @property
    def closing(self) -> bool:
        """Whether nothing is left but to close, after what is to be sent."""

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
        self.stuck: dict[Stream, None] = {}  # whose peers do not read, the longest first
        self.held = 0  # octets that wait for them
        self.upgrading: set[asyncio.Task[str]] = set()  # handshakes under way
        self.loop = asyncio.get_running_loop()
        self._servers: list[asyncio.Server] = []
        self._tick = max(0.05, min(1.0, limits.idle / 8))
        self._sweeper = self.loop.call_later(self._tick, self._sweep)

    async def listen(
        self, sockets: list[socket.socket], label: str, core: Callable[[], Core], kind: "Kind | None" = None
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

    def hold(self, stream: "Stream", octets: int) -> None:
        """Count what waits for a peer; past the limit of all together, end who has been stuck the longest."""
        self.held += octets - stream.held
        stream.held = octets
        if octets:
            self.stuck.setdefault(stream)
        else:
            self.stuck.pop(stream, None)
        while self.held > self.limits.buffered and self.stuck:
            longest = next(iter(self.stuck))
            longest.abort(f"{self.limits.buffered} octets wait for clients who do not read, no more are kept")
            self.hold(longest, 0)

    def _sweep(self) -> None:
        """Close what was silent too long: a walk each second costs less than a timer a connection."""
        now = self.loop.time()
        for stream in list(self.streams):
            if stream.active or (stream.held and stream.has_moved()):
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
            stream.stop()
        began = self.loop.time()
        while self.streams and (elapsed := self.loop.time() - began) < seconds:
            if elapsed >= LINGER_STOPPING:
                for stream in list(self.streams):
                    if not stream.transport.get_write_buffer_size():
                        stream.transport.close()
            await asyncio.sleep(0.01)
        for stream in list(self.streams):
            stream.abort("server stops")
        await asyncio.sleep(0)
        self.log.sum_up()


class Stream(asyncio.Protocol):
    """One connection."""

    __slots__ = (
        "active", "began", "core", "finished", "going_on", "held", "label", "make_core", "peer", "peer_done", "reason",
        "server", "silent_since", "transport", "writable",
    )  # fmt: skip

    transport: asyncio.Transport
    core: Core

    def __init__(self, server: StreamServer, label: str, make_core: Callable[[], Core]) -> None:
        self.server = server
        self.label = label
        self.make_core = make_core
        self.active = True  # since the last sweep
        self.finished = False  # our FIN is sent, or waits behind the last octets
        self.going_on = False  # `flush` will be called again by the loop
        self.peer_done = False
        self.writable = True
        self.held = 0
        self.peer = ""  # known where it was logged
        self.reason = ""
        self.began = self.silent_since = 0.0

    # -- called by asyncio --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        server = self.server
        self.began = self.silent_since = server.loop.time()
        # 0: be told of the first octet that the kernel does not take, so that all that waits is counted.
        self.transport.set_write_buffer_limits(0)
        limit = server.limits.connections
        if len(server.streams) >= limit:
            self._refuse(
                f"{limit} connections are open, no more are allowed", len(server.streams) < limit + TURNED_AWAY
            )
            return
        server.streams.add(self)
        if server.log.has_room("connected"):
            self.peer = peer_name(self.transport.get_extra_info("peername"))
            server.log.event("connected", port=self.label, peer=self.peer)
        self.core = self.make_core()
        self.flush()

    def data_received(self, data: bytes) -> None:
        if self.finished:
            return
        self.active = True
        core = self.core
        try:
            core.receive_data(data)
        except RemoteProtocolError as error:
            self.finish(str(error), error.reply)
            return
        if self.writable:
            out = core.data_to_send()
            if out:
                self.transport.write(out)
            if core.closing:
                self.flush()

    def eof_received(self) -> bool:
        self.active = self.peer_done = True
        if not self.finished:
            self.core.receive_eof()
            self.flush()
        # False: asyncio sends what waits and closes. True: half-closed; `resume_writing` goes on with what the core still has.
        return not self.finished

    def pause_writing(self) -> None:
        """The peer does not read: stop reading from it, so that what waits for it stays bounded."""
        self.writable = False
        if not (self.finished or self.peer_done):
            self.transport.pause_reading()
        self.server.hold(self, self.waiting())

    def resume_writing(self) -> None:
        self.writable = self.active = True
        self.server.hold(self, 0)
        if self.transport.is_closing() or self.finished:
            return
        if not self.peer_done and self.takes_more():
            self.transport.resume_reading()
        self.flush()

    def connection_lost(self, error: Exception | None) -> None:
        server = self.server
        server.hold(self, 0)
        if self not in server.streams:
            return
        server.streams.discard(self)
        self.finished = True
        self.ended()
        reason = self.reason or (error.strerror if isinstance(error, OSError) and error.strerror else str(error or ""))
        if server.log.has_room("ended" if self.reason else "closed"):
            seconds = server.loop.time() - self.began
            peer = self.peer or peer_name(self.transport.get_extra_info("peername"))
            facts = {"reason": reason} if reason else {}
            server.log.event("closed", port=self.label, peer=peer, seconds=seconds, **facts)

    # -- for the server and for kinds of streams ----------------------------------------------------------------------

    def stop(self) -> None:
        """End in an orderly way, since the server stops."""
        self.finish("server stops")

    def start_tls(self, context: ssl.SSLContext | None, then: Callable[[], None]) -> None:
        """Take the peer's handshake, and go on under TLS: `then` is called. A handshake that fails ends the connection."""
        self.transport.pause_reading()  # what the peer sent in the clear after its wish must not pass for something under TLS
        task = self.server.loop.create_task(self._start_tls(context))
        self.server.upgrading.add(task)  # the loop itself holds no task fast

        def done(task: "asyncio.Task[str]") -> None:
            self.server.upgrading.discard(task)
            if self.finished or task.cancelled():
                return
            if problem := task.result():
                self.abort(f"no TLS: {problem}")
                if self in self.server.streams:  # the transport under TLS may be gone without a word to us
                    self.connection_lost(None)
            else:
                then()

        task.add_done_callback(done)

    async def _start_tls(self, context: ssl.SSLContext | None) -> str:
        """Return why it did not come about, if so."""
        try:
            transport = await self.server.loop.start_tls(
                self.transport, self, context or ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), server_side=True,
                ssl_handshake_timeout=HANDSHAKE,
            )  # fmt: skip
        except (OSError, RuntimeError) as error:  # `ssl.SSLError` is an OSError
            return str(error) or type(error).__name__
        if transport is None:
            return "the peer is gone"
        self.transport = transport
        # Its limits stay the loop's own: uvloop's TLS takes a limit near 0 for "full" until something is written.
        self.writable = True  # what was told of the transport below was told to its new protocol
        self.server.hold(self, 0)
        return ""

    def ended(self) -> None:
        """Be told that the conversation is over: when we finish it, and again when the connection is gone."""

    def waiting(self) -> int:
        """Return how many octets wait for the peer in this process."""
        return self.transport.get_write_buffer_size()

    def takes_more(self) -> bool:
        """Tell whether this end is ready to read on."""
        return True

    def has_moved(self) -> bool:
        """Tell whether the peer has taken something of what waits for it since the last time."""
        before = self.held
        self.server.hold(self, self.waiting())
        return self.held < before

    def flush(self) -> None:
        """Send what the core has to say, and finish where it has nothing more."""
        core = self.core
        sent = 0
        while self.writable and not self.finished:
            out = core.data_to_send()
            if not out:
                if core.closing:
                    self.finish("")
                return
            if self.transport.is_closing():
                return
            self.transport.write(out)
            sent += len(out)
            if sent >= TURN:
                if not self.going_on:
                    self.going_on = True
                    self.server.loop.call_soon(self._go_on)
                return

    def _go_on(self) -> None:
        self.going_on = False
        self.flush()

    def finish(self, reason: str, last_words: bytes = b"") -> None:
        """Send FIN after what is to be sent, and wait for the peer's; what it sends meanwhile is dropped."""
        if self.finished:
            return
        self.finished = True
        self.reason = reason
        self.silent_since = self.server.loop.time()
        self.ended()
        if self.transport.is_closing():
            return
        if last_words:
            self.transport.write(last_words)
        if (
            self.peer_done or not self.transport.can_write_eof()
        ):  # TLS has no half-closed connections: its close says so
            self.transport.close()
            return
        self.transport.write_eof()
        self.transport.resume_reading()

    def _refuse(self, reason: str, in_words: bool) -> None:
        """Turn a connection away, in words where its protocol has them and there is room for another that lingers."""
        if self.server.log.has_room("ended"):
            self.server.log.event("refused", port=self.label, reason=reason)
        words = self.farewell(reason)
        if in_words and words:
            self.server.streams.add(self)
            self.finish(reason, words)
        else:
            self.finished = True
            self.transport.close()

    def farewell(self, reason: str) -> bytes:  # noqa: ARG002 - for kinds of streams
        """Return what a peer is told when the server ends its connection; nothing, in protocols without words."""
        return b""

    def time_out(self) -> None:
        """End a silent connection."""
        if self.finished:
            self.abort(self.reason or "the peer did not close")
        else:
            reason = f"silent for {self.server.limits.idle:g} s"
            self.finish(reason, self.farewell(reason))

    def abort(self, reason: str) -> None:
        """End a connection at once; what waits for the peer is dropped."""
        self.finished = True
        self.reason = reason
        self.transport.abort()


Kind = Callable[[StreamServer, str, Callable[[], Core]], Stream]
