"""The framing of text protocols: lines that end in CRLF (RFC 5321 section 2.3.8), or in a bare LF where a service is lenient.

one CRLF two CRLF thr      two lines are complete, `thr` waits for more
"""

from services.wire.errors import RemoteProtocolError


class LineReader:
    """Cuts a stream into lines, wherever TCP cut it into segments.

    Args:
        limit: octets of a line, its end included.
    """

    __slots__ = ("_inbox", "_limit")

    def __init__(self, limit: int) -> None:
        self._inbox = b""
        self._limit = limit

    def receive_data(self, data: bytes) -> list[bytes]:
        """Take octets and return the lines that they complete, without CRLF or LF.

        Raises:
            RemoteProtocolError: a line is longer than the limit, complete or not. Lines before it are lost with the connection.
        """
        *lines, self._inbox = (self._inbox + data).split(b"\n")
        if len(self._inbox) >= self._limit or any(len(line) >= self._limit for line in lines):
            raise RemoteProtocolError(f"line longer than {self._limit} octets")
        return [line.removesuffix(b"\r") for line in lines]

    @property
    def pending(self) -> int:
        """Octets of the line that is not complete yet."""
        return len(self._inbox)
