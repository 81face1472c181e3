"""The proxy's loop: takes connections that were diverted to it, opens each anew to the server under the client's own address, and carries
what both say through a conversation.

A process of its own under the supervisor, which speaks to it in lines of JSON over a socket pair.
"""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Iterable, Mapping
from itertools import cycle
from typing import Any

from services.tools.proxy.conversation import (
    Conversation,
    Data,
    Item,
    Leave,
    Reset,
    ToClient,
    ToServer,
    Wait,
)
from services.tools.proxy.divert import MARK
from services.tools.proxy.dotted import Nntp, Pop3
from services.tools.proxy.ftp import DataConnection, Ftp
from services.tools.proxy.http import Http
from services.tools.proxy.imap import Imap
from services.tools.proxy.rules import UNKNOWN, Flow, Rule, carried_over
from services.tools.proxy.smtp import Lmtp, Smtp

READERS = {
    "smtp": Smtp, "lmtp": Lmtp, "ftp": Ftp, "http": Http, "imap": Imap, "pop3": Pop3, "nntp": Nntp, UNKNOWN: Conversation,
}  # fmt: skip
CHUNK = 256 << 10
QUEUED = 16  # items that wait for the client before no more is read from the server
LINGERS = 5.0  # seconds in which a client may close what was ended
CONNECTS = 10.0
# Not where kernels choose ports by themselves (32768–60999): what the client opens directly must not meet what we open in its name.
PORTS = cycle(range(61000, 65500))
IP_TRANSPARENT, IPV6_TRANSPARENT, SO_MARK = 19, 75, 36
Address = tuple[str, int]


def listen() -> tuple[list[socket.socket], int]:
    """Return sockets that take what is diverted, and their port; nobody can connect to them from outside."""
    first = _transparent(socket.AF_INET)
    first.bind(("127.0.0.1", 0))
    port = int(first.getsockname()[1])
    sockets = [first]
    with contextlib.suppress(OSError):  # a kernel without IPv6
        second = _transparent(socket.AF_INET6)
        second.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        second.bind(("::1", port))
        sockets.append(second)
    return sockets, port


def _transparent(family: socket.AddressFamily) -> socket.socket:
    conn = socket.socket(family, socket.SOCK_STREAM)
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        conn.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
    else:
        conn.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
    return conn


async def connect(client: Address, server: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection to a server of this host in a client's name.

    Raises:
        OSError: the server does not take it.
    """
    conn = _transparent(socket.AF_INET6 if ":" in server[0] else socket.AF_INET)
    try:
        conn.setsockopt(socket.SOL_SOCKET, SO_MARK, MARK)
        conn.setblocking(False)
        for _ in range(4500):
            with contextlib.suppress(OSError):
                conn.bind((client[0], next(PORTS)))
                break
        await asyncio.wait_for(asyncio.get_running_loop().sock_connect(conn, server), CONNECTS)
        return await asyncio.open_connection(sock=conn, limit=CHUNK)
    except BaseException:
        conn.close()
        raise


class Link:
    """One connection of a client, and the one to the server that belongs to it."""

    def __init__(
        self, relay: "Relay", talk: Conversation, client: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    ) -> None:
        self.relay = relay
        self.talk = talk
        self.reader, self.writer = client
        self.client: Address = self.writer.get_extra_info("peername")[:2]
        self.server: Address = self.writer.get_extra_info("sockname")[:2]
        self._items: asyncio.Queue[Item | None] = asyncio.Queue()
        self._room = asyncio.Event()
        self._left = False
        self._to_server: asyncio.StreamWriter | None = None

    async def run(self) -> None:
        """Carry on until both ends are done."""
        tasks: list[asyncio.Task[None]] = []
        try:
            reader, self._to_server = await connect(self.client, self.server)
            tasks = [
                asyncio.create_task(way) for way in (self._from_client(), self._from_server(reader), self._sends())
            ]
            # What is sent to the client ends a connection; a client may close its half long before, or after.
            await tasks[2]
            await asyncio.wait(tasks[:1], timeout=LINGERS if self.talk.over else None)
        except OSError:
            _reset(self.writer)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for writer in (self.writer, self._to_server):
                if writer:
                    writer.close()

    async def _from_client(self) -> None:
        if self._to_server is None:
            return
        try:
            while octets := await self.reader.read(CHUNK):
                self._do(self.talk.client_said(octets))
                if not self._left:
                    await self._to_server.drain()
            self._do(self.talk.client_ended())
            if not self._left:
                self._to_server.write_eof()
        except OSError:
            _reset(self._to_server)

    async def _from_server(self, reader: asyncio.StreamReader) -> None:
        try:
            while octets := await reader.read(CHUNK):
                self._do(self.talk.server_said(octets))
                while self._items.qsize() > QUEUED:  # the client is slow, or has to wait
                    self._room.clear()
                    await self._room.wait()
            if not self._left:
                self._do(self.talk.server_ended())
        except OSError:
            if not self._left:
                _reset(self.writer)
        if not self._left:
            self._items.put_nowait(None)

    def _do(self, items: Iterable[Item]) -> None:
        """Do what the conversation wants, without waiting: so what both ends say keeps its order, and neither waits for the other."""
        for item in items:
            match item:
                case ToServer(octets):
                    if self._to_server and not self._left:
                        self._to_server.write(octets)
                case Data(port):
                    self.relay.announced[self.client[0], port] = self.talk
                case Leave():
                    self._leave(item)
                case Reset():  # the server learns it before the client
                    self._leave(item)
                    self._items.put_nowait(item)
                case _:
                    self._items.put_nowait(item)
        self.relay.look(self)

    def _leave(self, item: Item) -> None:
        """Part from the server: by a RST, which no server takes for the end of a file, or in order."""
        if self._to_server and not self._left:
            self._left = True
            if isinstance(item, Reset):
                _reset(self._to_server)
            else:
                self._to_server.close()

    async def _sends(self) -> None:
        """Give the client its items, in their order and time."""
        with contextlib.suppress(OSError):
            while (item := await self._items.get()) is not None:
                self._room.set()
                match item:
                    case ToClient(octets):
                        self.writer.write(octets)
                        await self.writer.drain()
                    case Wait(seconds):
                        await asyncio.sleep(seconds)
                    case _:
                        self._leave(item)
                        break
            if not self.writer.transport.is_closing():
                self.writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with a RST: what was sent may be lost, and the other end is told that it was no end in order."""
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()


class Relay:
    """All connections, and the rules for them."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self.own = ""
        self.links: set[asyncio.Task[Any] | None] = set()
        self.announced: dict[tuple[str, int], Conversation] = {}
        self.draining = asyncio.Event()
        self.port = 0
        self._names: dict[str, str] = {}
        self._flows: dict[Link, Flow] = {}
        self._taken = 0

    def set_rules(self, request: Mapping[str, Any]) -> None:
        """Take other rules, for connections that are open too."""
        self.rules[:] = carried_over(self.rules, map(Rule.of_facts, request["rules"]))
        self.own = request.get("own", "")
        hosts: Mapping[str, Iterable[str]] = request.get("hosts") or {}
        self._names = {address: name for name, addresses in hosts.items() for address in addresses}
        self.draining.clear()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        address, (_, port) = writer.get_extra_info("peername")[0], writer.get_extra_info("sockname")[:2]
        if port == self.port:  # nobody's, but a program's of this host that knocks at our door
            writer.transport.abort()
            return
        task = asyncio.current_task()
        self.links.add(task)
        self._taken += 1
        flow = Flow(self.rules, self._names.get(address, address), self.own, port)
        control = self.announced.pop((address, port), None)
        talk = DataConnection(control) if isinstance(control, Ftp) else READERS[flow.protocol](flow.act)
        link = Link(self, talk, (reader, writer))
        self._flows[link] = flow
        try:
            await link.run()
        finally:
            self._flows.pop(link, None)
            self.links.discard(task)
            if not self.links and self.draining.is_set():
                os._exit(0)  # the last one: the supervisor takes the rest back

    def look(self, link: Link) -> None:
        """See whether a conversation can still be read; if not, count it once."""
        if link.talk.opaque and (flow := self._flows.pop(link, None)):
            flow.unread()

    def facts(self) -> dict[str, Any]:
        """Return what was counted, by rule."""
        rules = {rule.ident: rule.counts for rule in self.rules}
        return {"rules": rules, "connections": self._taken, "open": len(self.links), "port": self.port}


def run(control: socket.socket) -> None:
    """Work until `control` closes, or says to drain and the last connection has ended."""
    asyncio.run(_serve(control))


async def _serve(control: socket.socket) -> None:
    relay = Relay()
    sockets, relay.port = listen()
    servers = [await asyncio.start_server(relay.take, sock=sock, limit=CHUNK, backlog=1024) for sock in sockets]
    reader, writer = await asyncio.open_connection(sock=control)
    while line := await reader.readline():
        request = json.loads(line)
        match request["do"]:
            case "rules":
                relay.set_rules(request)
            case "drain":
                relay.set_rules({"rules": []})
                if not relay.links:
                    break
                relay.draining.set()
        writer.write(json.dumps(relay.facts()).encode() + b"\n")
        await writer.drain()
    for server in servers:
        server.close()
