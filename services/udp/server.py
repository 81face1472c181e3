"""The host `udp-server`: its cores joined to its ports."""

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from services.runtime.datagram import DatagramServer
from services.runtime.log import Log
from services.runtime.sockets import ANY, bind
from services.udp import protocol
from services.udp.protocol import PORTS, Responder


@dataclass(frozen=True)
class Config:
    """What the server is started with: service → UDP port (0 lets the system choose), and the addresses to listen on."""

    ports: Mapping[str, int] = field(default_factory=lambda: dict(PORTS))
    hosts: tuple[str, ...] = ANY


ANSWERS: Mapping[str, Callable[[], Callable[[bytes], bytes | None]]] = {
    "greeting": lambda: protocol.greeting,
    "echo": lambda: protocol.echo,
    "discard": lambda: protocol.discard,
    "daytime": lambda: protocol.daytime(time.time),
    "chargen": protocol.Chargen,
    "time": lambda: protocol.time_now(time.time),
}


class UdpServer:
    """All ports of the host."""

    def __init__(self, config: Config, log: Log) -> None:
        self.config = config
        self.log = log
        self.ports: dict[str, int] = {}  # as bound

    async def start(self) -> None:
        """Bind every port, then serve all of them.

        Raises:
            OSError: a port is in use, or may not be taken.
        """
        self._datagrams = DatagramServer(self.log)
        bound = {name: bind(socket.SOCK_DGRAM, port, self.config.hosts) for name, port in self.config.ports.items()}
        self.ports |= {name: sockets[0].getsockname()[1] for name, sockets in bound.items()}
        own = frozenset(self.ports.values())
        for name, sockets in bound.items():
            self._datagrams.serve(sockets, f"{self.ports[name]}/{name}", Responder(ANSWERS[name](), own))
        self.log.event("listening", **self.ports)

    async def stop(self, _seconds: float) -> None:
        """Receive no more; there is nothing to drain."""
        self._datagrams.close()
