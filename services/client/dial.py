"""Connect by name, and carry octets between a socket and a core: what all the clients over TCP share."""

import socket
import time
from typing import Protocol

from services.client.errors import ClientError

CHUNK = 65536


class Core(Protocol):
    """A client's end of a conversation; see each `protocol.py`."""

    closing: bool

    def receive_data(self, data: bytes) -> None:
        """Take octets of the server."""

    def receive_eof(self) -> None:
        """Take the server's FIN."""

    def data_to_send(self) -> bytes:
        """Return what is to be sent now."""


def family_of(options: object) -> socket.AddressFamily:
    """Return the address family that `-4` or `-6` asks for."""
    if getattr(options, "ipv4", False):
        return socket.AF_INET
    return socket.AF_INET6 if getattr(options, "ipv6", False) else socket.AF_UNSPEC


def dial(host: str, port: int, family: socket.AddressFamily, timeout: float) -> socket.socket:
    """Connect to a name: each of its addresses is tried, in getaddrinfo's order.

    Raises:
        OSError: the name does not resolve, or no address takes the connection; that of the last try.
    """
    error: OSError = OSError(f"{host} has no address")
    for found, kind, protocol, _, address in socket.getaddrinfo(host, port, family, socket.SOCK_STREAM):
        conn = socket.socket(found, kind, protocol)
        conn.settimeout(timeout)
        try:
            conn.connect(address)
        except OSError as failed:
            conn.close()
            error = failed
        else:
            return conn
    raise error


def converse(conn: socket.socket, core: Core, timeout: float, *, half_close: bool = False) -> None:
    """Carry octets both ways until the server closes, or the core has all it wants (`complete`).

    Args:
        timeout: seconds for the whole conversation.
        half_close: send our FIN once the core has said all, so that the server knows.

    Raises:
        OSError: the connection broke, or it took longer than `timeout`.
        ClientError: the server closed in the midst.
    """
    deadline = time.monotonic() + timeout
    outbox = memoryview(core.data_to_send())
    conn.setblocking(False)
    import select

    poll = select.poll()
    finished = False
    while not core.closing and not getattr(core, "complete", False):
        if not outbox and half_close and not finished:
            conn.shutdown(socket.SHUT_WR)
            finished = True
        poll.register(conn, select.POLLIN | (select.POLLOUT if outbox else 0))
        events = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
        if not events:
            raise TimeoutError
        state = events[0][1]
        if state & select.POLLOUT:
            outbox = outbox[conn.send(outbox[:CHUNK]) :]
        if state & (select.POLLIN | select.POLLHUP | select.POLLERR):
            data = conn.recv(CHUNK)
            if data:
                core.receive_data(data)
            else:
                core.receive_eof()
    if outbox:
        raise ClientError("the server closed before all was sent")
