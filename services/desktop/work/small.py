"""The small services over TCP and UDP, and the chat, on the lab's own protocol cores."""

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from services.client.dial import CHUNK, Core
from services.client.errors import ClientError
from services.desktop.worker import Job, Work
from services.tcp.chat import Talker
from services.tcp.protocol import Collector, EchoCheck
from services.udp.protocol import Question

TIMEOUT = 10.0


async def _dial(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.wait_for(asyncio.open_connection(host, port), TIMEOUT)


def _peer(writer: asyncio.StreamWriter) -> str:
    address, port = writer.get_extra_info("peername")[:2]
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


async def _converse(job: Job, host: str, port: int, core: Core, *, half_close: bool = False) -> float:
    """Carry octets until the server closes or the core has all it wants; return the seconds from connect to the end."""
    began = time.perf_counter()
    reader, writer = await _dial(host, port)
    try:
        job.say("note", f"connected to {host}, {_peer(writer)}")
        writer.write(core.data_to_send())
        await writer.drain()
        if half_close:
            writer.write_eof()
        while not core.closing and not getattr(core, "complete", False):
            data = await asyncio.wait_for(reader.read(CHUNK), TIMEOUT)
            core.receive_data(data) if data else core.receive_eof()
    finally:
        writer.close()
    return time.perf_counter() - began


def greet(host: str, port: int) -> Work:
    """Return the job that reads what a server says until it closes."""

    async def work(job: Job) -> str:
        core = Collector(1 << 16)
        spent = await _converse(job, host, port, core)
        job.say("received", bytes(core.data).decode("utf-8", "replace").rstrip("\r\n"))
        closed = "the server closed" if core.closing else "it would go on for ever: closed after 64 KiB"
        return f"{len(core.data)} octets in {spent * 1000:.1f} ms; {closed}"

    return work


def echo(host: str, port: int, text: str) -> Work:
    """Return the job that sends a text and compares what comes back (RFC 862)."""

    async def work(job: Job) -> str:
        message = text.encode()
        core = EchoCheck(message)
        job.say("sent", text)
        spent = await _converse(job, host, port, core, half_close=True)
        job.say("received", bytes(core.data).decode("utf-8", "replace"))
        if bytes(core.data) != message:
            raise ClientError(f"{len(message)} octets were sent and {len(core.data)} came back, and they differ")
        return f"{len(message)} octets there and back in {spent * 1000:.1f} ms, alike"

    return work


class Chat:
    """A conversation that stays open; `say` may be called from the loop's thread while its work runs."""

    def __init__(self, host: str, port: int, name: str) -> None:
        self.host = host
        self.port = port
        self.name = name
        self._talker = Talker()
        self._writer: asyncio.StreamWriter | None = None
        self._job: Job | None = None
        self._leaving = False

    def leave(self) -> bool:
        """Tell whether a word of farewell is worth a try: once, and only where the conversation is open."""
        first, self._leaving = not self._leaving, True
        return first and self._writer is not None

    async def work(self, job: Job) -> str:
        """Stay in the room until the server closes."""
        self._job = job
        reader, self._writer = await _dial(self.host, self.port)
        try:
            job.learn("joined", True)
            if self.name:
                self._send(f"/name {self.name}")
            while not self._talker.closing:
                data = await reader.read(CHUNK)
                self._talker.receive_data(data) if data else self._talker.receive_eof()
                for kind, lines in _runs(self._talker.events()):
                    job.say(kind, *lines)
                await job.pause_where_crowded()
        finally:
            self._writer.close()
        return "you left the chat" if self._leaving else "the server ended the chat"

    def say(self, text: str) -> None:
        """Say a line; a command where it begins with `/`."""
        if self._job and self._writer and not self._writer.is_closing():
            self._leaving = self._leaving or text.strip() == "/quit"
            self._send(text)
            self._job.say("sent", text)

    def _send(self, text: str) -> None:
        self._talker.say(text)
        if self._writer:
            self._writer.write(self._talker.data_to_send())


def _runs(lines: list[str]) -> list[tuple[str, list[str]]]:
    """Group lines by what they are: the server's own (`* …`), or somebody's."""
    runs: list[tuple[str, list[str]]] = []
    for line in lines:
        kind = "note" if line.startswith("* ") else "received"
        if not runs or runs[-1][0] != kind:
            runs.append((kind, []))
        runs[-1][1].append(line)
    return runs


class _Answers(asyncio.DatagramProtocol):
    """Hands datagrams to a question, and wakes whoever waits for its answer."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.news = asyncio.Event()
        self.error: Exception | None = None

    def datagram_received(self, data: bytes, _addr: object) -> None:
        self.question.receive_datagram(data)
        self.news.set()

    def error_received(self, exc: Exception) -> None:
        self.error = exc
        self.news.set()


def ask(host: str, port: int, text: str, show: Callable[[bytes], str] | None = None) -> Work:
    """Return the job that sends a datagram until an answer comes, three times at most."""

    async def work(job: Job) -> str:
        question = Question(text.encode(), tries=3, interval=1.0)
        loop = asyncio.get_running_loop()
        began = loop.time()
        # connected: then the kernel tells us where the host refuses (ICMP port unreachable)
        infos = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        transport, answers = await loop.create_datagram_endpoint(
            lambda: _Answers(question), remote_addr=(str(infos[0][4][0]), port), family=infos[0][0]
        )
        try:
            while question.data is None:
                for datagram in question.datagrams_to_send(loop.time()):
                    transport.sendto(datagram)
                    job.say("sent", f"datagram {question.sent} to {infos[0][4][0]}: {text or '(empty)'}")
                if question.gave_up(loop.time()):
                    raise ClientError(
                        f"no answer, asked {question.sent} times: the question or the answer was lost, or nobody is there",
                        "UDP tells nobody what became of a datagram",
                    )
                answers.news.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(answers.news.wait(), max(0.001, question.next_deadline() - loop.time()))
                if answers.error:
                    raise answers.error
        finally:
            transport.close()
        spent = loop.time() - began
        said = question.data.decode("utf-8", "replace").rstrip("\r\n")
        job.say("received", show(question.data) if show else said)
        return f"{len(question.data)} octets came back in {spent * 1000:.1f} ms, after {question.sent} datagram{'s' * (question.sent > 1)}"

    return work
