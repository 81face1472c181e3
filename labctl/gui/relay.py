"""The host's end of the X relay: streams of the container's agent, each joined to the user's X server.

The first packet of an X connection carries a cookie. The container's is a throw-away one that this relay made; here it is checked, and
replaced by the one that the X server knows. So the real cookie never enters a container, and nothing in it can reach the display but
through this relay, for as long as it runs.
"""

import asyncio
import hmac
import json
import struct
import subprocess
from contextlib import suppress
from dataclasses import dataclass

from labctl.gui.agent import HEAD
from labctl.gui.display import Display, padded
from labctl.gui.xauth import COOKIE

CHUNK = 65536
LONGEST = 1024  # octets that a setup packet may have: two names and a cookie take 48


@dataclass
class Counts:
    """What the relay carried."""

    connections: int = 0
    denied: int = 0
    to_display: int = 0
    from_display: int = 0


class SetupError(Exception):
    """A client's first packet is none, or it does not carry the throw-away cookie."""


def swap_cookie(packet: bytes, fake: bytes, real: bytes | None) -> bytes | None:
    """Return a setup packet with the real cookie in place of the fake one, what follows it unchanged; None where more must come.

    Args:
        real: None for a server that asks for none.

    Raises:
        SetupError: it is no setup packet, or carries another cookie.
    """
    if packet and packet[:1] not in (b"l", b"B"):
        raise SetupError("that is no X client")
    if len(packet) < 12:
        return None
    order = "<" if packet[:1] == b"l" else ">"
    name_size, data_size = struct.unpack_from(order + "HH", packet, 6)
    data_at = 12 + (name_size + 3 & ~3)
    end = data_at + (data_size + 3 & ~3)
    if end > LONGEST:
        raise SetupError("its first packet is too long")
    if len(packet) < end:
        return None
    name, data = packet[12 : 12 + name_size], packet[data_at : data_at + data_size]
    if name != COOKIE or not hmac.compare_digest(data, fake):
        raise SetupError("it does not have the cookie")
    head = packet[:6]
    if real is None:
        return head + bytes(6) + packet[end:]
    return head + struct.pack(order + "HHxx", len(COOKIE), len(real)) + padded(COOKIE) + padded(real) + packet[end:]


def refusal(packet: bytes, reason: str) -> bytes:
    """Return the X server's way of saying no to a setup packet."""
    order = ">" if packet[:1] == b"B" else "<"
    text = reason.encode()
    return struct.pack(order + "BBHHH", 0, len(text), 11, 0, len(padded(text)) // 4) + padded(text)


class Relay:
    """Carries one window's X connections.

    Args:
        real: the cookie that the display wants; None: it wants none.
        fake: the cookie that the container's programs have.
    """

    def __init__(self, display: Display, real: bytes | None, fake: bytes) -> None:
        self.display = display
        self.fake = fake
        self.counts = Counts()
        self._real = real
        self._streams: dict[int, asyncio.StreamWriter] = {}
        self._beginnings: dict[int, bytes] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._to_agent: asyncio.StreamWriter | None = None

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        """Carry until the agent tells the window's exit code, or is gone, and return that code."""
        self._to_agent = writer
        try:
            while True:
                stream, length = HEAD.unpack(await reader.readexactly(HEAD.size))
                body = await reader.readexactly(length) if length else b""
                if stream == 0:
                    return int(json.loads(body)["exit"])
                await self._take(stream, body)
        except (asyncio.IncompleteReadError, ConnectionError):
            return 1
        finally:
            for conn in self._streams.values():
                conn.close()
            for task in self._tasks:
                task.cancel()

    async def _take(self, stream: int, body: bytes) -> None:
        conn = self._streams.get(stream)
        if not body:
            self._beginnings.pop(stream, None)
            if conn:
                self._streams.pop(stream).close()
            return
        self.counts.to_display += len(body)
        if conn:
            conn.write(body)
            with suppress(ConnectionError):
                await conn.drain()  # all streams wait then, but all go to the same display
            return
        packet = self._beginnings.get(stream, b"") + body
        try:
            swapped = swap_cookie(packet, self.fake, self._real)
        except SetupError as error:
            self.counts.denied += 1
            self._beginnings.pop(stream, None)
            await self._tell(stream, refusal(packet, f"labctl: {error}"))
            await self._tell(stream, b"")
            return
        if swapped is None:
            self._beginnings[stream] = packet
            return
        self._beginnings.pop(stream, None)
        await self._open(stream, swapped)

    async def _open(self, stream: int, packet: bytes) -> None:
        try:
            conn = await asyncio.get_running_loop().run_in_executor(None, self.display.connect)
            conn.setblocking(False)
            if self.display.path:
                reader, writer = await asyncio.open_unix_connection(sock=conn)
            else:
                reader, writer = await asyncio.open_connection(sock=conn)
        except Exception:  # the display went away meanwhile
            await self._tell(stream, refusal(packet, "labctl: the display does not answer"))
            await self._tell(stream, b"")
            return
        self.counts.connections += 1
        self._streams[stream] = writer
        writer.write(packet)
        task = asyncio.create_task(self._pump(stream, reader))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pump(self, stream: int, reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(CHUNK):
                self.counts.from_display += len(data)
                await self._tell(stream, data)
        if stream in self._streams:
            self._streams.pop(stream).close()
            with suppress(ConnectionError):
                await self._tell(stream, b"")

    async def _tell(self, stream: int, body: bytes) -> None:
        assert self._to_agent  # noqa: S101 - set by `carry`
        self._to_agent.write(HEAD.pack(stream, len(body)) + body)
        await self._to_agent.drain()


async def carry_for(agent: "subprocess.Popen[bytes]", relay: Relay) -> int:
    """Carry while the window is open, and return the window's exit code; where the window needs no relay, its connections are none."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(CHUNK * 2)
    incoming, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), agent.stdout)
    outgoing, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, agent.stdin)
    try:
        return await relay.carry(reader, asyncio.StreamWriter(outgoing, protocol, reader, loop))
    finally:
        incoming.close()
        outgoing.close()
