"""The host `tcp-server`: its cores joined to its ports."""

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from services.runtime.limits import Limits
from services.runtime.log import Log
from services.runtime.service import allow_descriptors
from services.runtime.sockets import ANY, SEND_BUFFER, bind, bind_unix
from services.runtime.stream import Core, StreamServer
from services.tcp.chat import Room
from services.tcp.hall import Hall
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
        self._hall = Hall(Room(config.limits.line))

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
        bound = {
            # A member of the chat may be slow for a while: what the others say meanwhile is the kernel's to keep.
            name: bind(socket.SOCK_STREAM, port, self.config.hosts, send_buffer=0 if name == "chat" else SEND_BUFFER)
            for name, port in self.config.ports.items()
        }
        for name, sockets in bound.items():
            self.ports[name] = sockets[0].getsockname()[1]
            if name == "chat":
                await self._streams.listen(sockets, self._label(name), self._hall.enter, self._hall.stream)
            else:
                await self._streams.listen(sockets, self._label(name), CORES[name])
        if self.config.operator:
            await self._let_operator_in(self.config.operator)
        self.log.event("listening", **self.ports)

    async def _let_operator_in(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            sockets = [bind_unix(path)]
        except OSError as error:  # the chat works without one
            self.log.event("no operator", reason=error.strerror or str(error), hint="--operator PATH")
            return
        await self._streams.listen(sockets, "operator", self._hall.enter_operator, self._hall.stream)

    def _label(self, name: str) -> str:
        return f"{self.ports[name]}/{name}"

    async def stop(self, seconds: float) -> None:
        """Tell the chat, then drain all connections within the seconds given."""
        self._hall.announce("* the server stops; goodbye")
        await self._streams.drain(seconds)
        if self.config.operator:
            self.config.operator.unlink(missing_ok=True)
