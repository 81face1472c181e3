"""A core joined to UDP sockets: datagrams in, datagrams out.

The socket is read in batches straight from the loop's reader: one wake-up serves what has come, without a task or a transport a datagram.
"""

import asyncio
import socket
from contextlib import suppress
from typing import Protocol

from services.runtime.log import Log

Address = tuple[str, int] | tuple[str, int, int, int]

# Datagrams served in one wake-up, so that a flood on one port leaves the others their turn.
BATCH = 64
LARGEST = 65535


class DatagramCore(Protocol):
    """What `protocol.py` gives for a UDP service: one for all its peers."""

    def receive_datagram(self, data: bytes, addr: Address) -> None:
        """Take a datagram."""

    def datagrams_to_send(self) -> list[tuple[bytes, Address]]:
        """Return what is to be sent now, and forget it."""


class DatagramServer:
    """All UDP sockets of one process."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._sockets: list[socket.socket] = []
        self._buffer = bytearray(LARGEST)

    def serve(self, sockets: list[socket.socket], label: str, core: DatagramCore) -> None:
        """Serve bound sockets with a core; `label` names the port in the log."""
        for bound in sockets:
            self._sockets.append(bound)
            self._loop.add_reader(bound.fileno(), self._readable, bound, label, core)

    def _readable(self, bound: socket.socket, label: str, core: DatagramCore) -> None:
        receive, send, view = bound.recvfrom_into, bound.sendto, memoryview(self._buffer)
        try:
            for _ in range(BATCH):
                count, addr = receive(view)
                core.receive_datagram(bytes(view[:count]), addr)
                for data, to in core.datagrams_to_send():
                    send(data, to)
        except BlockingIOError:
            return  # all read; or the send buffer is full, and UDP may drop
        except OSError as error:
            if self._log.has_room():
                self._log.event("not sent", port=label, reason=str(error))

    def close(self) -> None:
        """Receive no more."""
        for bound in self._sockets:
            with suppress(OSError, ValueError):
                self._loop.remove_reader(bound.fileno())
            bound.close()
        self._log.sum_up()
