"""The framing of text protocols: lines that end in CRLF (RFC 5321 section 2.3.8), or in a bare LF where a service is lenient.

    one CRLF two CRLF thr      two lines are complete, `thr` waits for more

Public: `LineReader`.
"""

from collections.abc import Iterator

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
        return list(self.each_line(data))

    def each_line(self, data: bytes) -> Iterator[bytes]:
        """Take octets and yield the lines that they complete, without CRLF or LF; to be used up before the next call.

        Raises:
            RemoteProtocolError: a line is longer than the limit, complete or not; the lines before it were yielded. What waits of
                it is dropped, so that it holds no memory.
        """
        *lines, rest = (self._inbox + data).split(b"\n")
        self._inbox = b""
        for line in lines:
            if len(line) >= self._limit:
                raise self._too_long()
            yield line.removesuffix(b"\r")
        if len(rest) >= self._limit:
            raise self._too_long()
        self._inbox = rest

    def _too_long(self) -> RemoteProtocolError:
        return RemoteProtocolError(f"line longer than {self._limit} octets")

    @property
    def pending(self) -> int:
        """Octets of the line that is not complete yet."""
        return len(self._inbox)
