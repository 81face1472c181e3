"""The host `file-server`: the file protocol joined to a store and to its sockets."""

import socket
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from services.file.grammar import PORT
from services.file.protocol import ServerConnection
from services.file.room import Room
from services.file.store import Store
from services.file.stream import Disk, FileStream
from services.runtime.limits import Limits
from services.runtime.log import Log
from services.runtime.service import allow_descriptors
from services.runtime.sockets import ANY, bind
from services.runtime.stream import Core, Stream, StreamServer

ROOT = Path("/srv/lab")
WORKERS = 8  # threads that read, write and wait for the disk, so that the loop never does
# Files that may be open beside the connections' sockets: each may have a file and a second descriptor of its socket.
SPARE_FILES = 64
FILES_A_CONNECTION = 3


@dataclass(frozen=True)
class Config:
    """What the server is started with.

    Args:
        port: 0 lets the system choose.
        root: the folder with `files` and `uploads`.
    """

    port: int = PORT
    hosts: tuple[str, ...] = ANY
    root: Path = ROOT
    room: Room = field(default_factory=Room)
    limits: Limits = field(default_factory=lambda: Limits(connections=4096, idle=60.0))


class FileServer:
    """The host: one store, one port."""

    def __init__(self, config: Config, log: Log) -> None:
        self.config = config
        self.log = log
        self.port = 0  # as bound

    async def start(self) -> None:
        """Open the store, bind the port, serve.

        Raises:
            OSError: the folder or the port cannot be had.
        """
        limits = self.config.limits
        allowed = allow_descriptors(limits.connections * FILES_A_CONNECTION + SPARE_FILES) - SPARE_FILES
        if allowed < limits.connections * FILES_A_CONNECTION:
            limits = replace(limits, connections=allowed // FILES_A_CONNECTION)
            self.log.event("limited", connections=limits.connections, reason="the system allows no more open files")
        self._disk = Disk(Store(self.config.root, self.config.room), WORKERS)
        self._streams = StreamServer(limits, self.log)
        # send_buffer=0: the kernel sizes it, a fast transfer over a long way needs more than the small services do
        sockets = bind(socket.SOCK_STREAM, self.config.port, self.config.hosts, send_buffer=0)
        self.port = sockets[0].getsockname()[1]
        await self._streams.listen(sockets, f"{self.port}/file", ServerConnection, self._stream)
        self.log.event("listening", port=self.port, root=str(self.config.root))

    def _stream(self, server: StreamServer, label: str, core: Callable[[], Core]) -> Stream:
        return FileStream(server, label, core, self._disk)

    async def stop(self, seconds: float) -> None:
        """Drain all connections within the seconds given; what a PUT brought so far is kept to be resumed."""
        await self._streams.drain(seconds)
        await self._disk.close()
