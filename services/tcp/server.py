"""The host `tcp-server`: its cores joined to its ports."""

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from services.runtime.limits import Limits
from services.runtime.log import Log
from services.runtime.service import allow_descriptors
from services.runtime.sockets import ANY, bind, bind_unix
from services.runtime.stream import HIGH_WATER, Core, Stream, StreamServer
from services.tcp.chat import Member, Room, encode
from services.tcp.protocol import PORTS, Chargen, Daytime, Discard, Echo, Greeting, Time

OPERATOR_SOCKET = Path("/tmp/lab-chat.sock")  # noqa: S108 - the container's own tmpfs
SPARE_FILES = 64  # for listening sockets, the log, and a connection that is being turned away


@dataclass(frozen=True)
class Config:
    """What the server is started with.

    Args:
        ports: service → TCP port; 0 lets the system choose.
        operator: path of the Unix socket for `lab-say`; None for none.
    """

    ports: Mapping[str, int] = field(default_factory=lambda: dict(PORTS))
    hosts: tuple[str, ...] = ANY
    operator: Path | None = OPERATOR_SOCKET
    limits: Limits = field(default_factory=Limits)


CORES: Mapping[str, Callable[[], Core]] = {
    "greeting": Greeting,
    "echo": Echo,
    "discard": Discard,
    "daytime": lambda: Daytime(time.time()),
    "chargen": Chargen,
    "time": lambda: Time(time.time()),
}


class TcpServer:
    """All ports of the host."""

    def __init__(self, config: Config, log: Log) -> None:
        self.config = config
        self.log = log
        self.ports: dict[str, int] = {}  # as bound
        self._room = Room(config.limits.line)

    async def start(self) -> None:
        """Bind every port, then serve all of them.

        Raises:
            OSError: a port is in use, or may not be taken.
        """
        limits = self.config.limits
        room = allow_descriptors(limits.connections + SPARE_FILES) - SPARE_FILES
        if room < limits.connections:
            self.log.event("limited", connections=room, reason="the system allows no more open files")
            limits = replace(limits, connections=room)
        self._streams = StreamServer(limits, self.log)
        bound = {name: bind(socket.SOCK_STREAM, port, self.config.hosts) for name, port in self.config.ports.items()}
        for name, sockets in bound.items():
            self.ports[name] = sockets[0].getsockname()[1]
            if name == "chat":
                await self._streams.listen(sockets, self._label(name), self._room.enter, ChatStream)
            else:
                await self._streams.listen(sockets, self._label(name), CORES[name])
        if self.config.operator:
            self.config.operator.parent.mkdir(parents=True, exist_ok=True)
            operator = [bind_unix(self.config.operator)]
            await self._streams.listen(operator, "operator", lambda: self._room.enter(operator=True), ChatStream)
        self.log.event("listening", **self.ports)

    def _label(self, name: str) -> str:
        return f"{self.ports[name]}/{name}"

    async def stop(self, seconds: float) -> None:
        """Tell the chat, then drain all connections within the seconds given."""
        self._room.tell_all("* the server stops; goodbye")
        flush_room(self._room)
        await self._streams.drain(seconds)
        if self.config.operator:
            self.config.operator.unlink(missing_ok=True)


class ChatStream(Stream):
    """A chat connection: what it says is sent through the others' connections."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._pass_on()

    def connection_made(self, transport: object) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        if not self.finished and isinstance(self.core, Member):
            self.core.owner = self
        self._pass_on()

    def ended(self) -> None:
        """Tell the room."""
        if isinstance(self.core, Member):
            self.core.leave()
            self._pass_on()

    def refusal(self, reason: str) -> bytes:
        """Tell why, as the protocol's other lines from the server."""
        return encode(f"* {reason}; goodbye")

    def _pass_on(self) -> None:
        core = getattr(self, "core", None)
        if isinstance(core, Member):
            flush_room(core.room)


def flush_room(room: Room) -> None:
    """Send what waits in the members' cores; one who does not read what the others say is put out of the room."""
    while room.talkative:
        waiting, room.talkative = room.talkative, set()
        for stream in [member.owner for member in waiting]:
            if not isinstance(stream, ChatStream) or stream.finished:
                continue
            if stream.transport.get_write_buffer_size() > HIGH_WATER:
                stream.abort(f"{HIGH_WATER} octets wait for it, and it does not read")
            else:
                stream.flush()
