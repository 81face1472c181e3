"""Both ways of a connection that the engine turned over to a process in a container (exec, attach), and how streams are ended.

The SDK reads such a connection at its socket. What the engine sent together with its reply's head is in the reader of that head by then, so
the process's first words would be lost, or, where half a frame's head was among them, all that follows would be misread.
"""

import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Self

HEAD = struct.Struct(">BxxxI")  # stream (1 stdout, 2 stderr), octets that follow
PART = 1 << 16


class Channel:
    """One connection's octets, in full: first those that came with the reply's head, then the socket's.

    Args:
        conn: what `exec_start(…, socket=True)` or `attach_socket` of the SDK returned.
    """

    def __init__(self, conn: Any) -> None:
        self._conn = conn
        self._wire: Any = getattr(conn, "_sock", conn)
        file = getattr(getattr(getattr(getattr(conn, "_response", None), "raw", None), "_fp", None), "fp", None)
        self._take = getattr(file, "read1", None) or self._wire.recv
        self.settimeout(None)  # a process may be silent for as long as it likes

    def recv(self, most: int = PART) -> bytes:
        """Return what is there, or comes next; nothing at its end."""
        return bytes(self._take(most))

    def sendall(self, octets: bytes) -> None:
        """Send to the process's stdin."""
        self._wire.sendall(octets)

    def settimeout(self, seconds: float | None) -> None:
        """Have `recv` raise `TimeoutError` after so long; None: never."""
        with suppress(AttributeError):
            self._wire.settimeout(seconds)

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Yield the process's output as it comes, each part with the number of its stream."""
        while len(head := self._exactly(HEAD.size)) == HEAD.size:
            stream, left = HEAD.unpack(head)
            while left:
                part = self.recv(min(left, PART))
                if not part:
                    return
                left -= len(part)
                yield stream, part

    def _exactly(self, count: int) -> bytes:
        octets = b""
        while len(octets) < count and (part := self.recv(count - len(octets))):
            octets += part
        return octets

    def close(self) -> None:
        """End it; the process's stdin ends with it."""
        with suppress(OSError):
            self._wire.close()
        close_stream(self._conn)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def close_stream(stream: Any) -> None:
    """Close a stream's connection; the SDK leaves a file of the socket to the collector, which with warnings as errors fails tests."""
    response: Any = getattr(stream, "_response", None)
    with suppress(AttributeError, OSError):  # at its end there is none any more
        file = response.raw._fp.fp
        wire = file.raw._sock
        file.close()
        wire.close()
    with suppress(Exception):
        response.close()
