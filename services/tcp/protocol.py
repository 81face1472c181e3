"""The small services over TCP, each end of one connection: greeting, echo, discard, daytime, chargen, time.

Servers' ends: `Greeting`, `Echo`, `Discard`, `Daytime`, `Chargen`, `Time`. The clients' end of all but echo is `Collector`, which
reads until the server closes; of echo, `EchoCheck`. Chat has a module of its own, `chat`.

    port 12345   S: Thank you for connecting <FIN>          the lab's own; no line end, 24 octets
    port     7   C: any octets      S: the same octets      RFC 862
    port     9   C: any octets      S: nothing              RFC 863
    port    13   S: Monday, November 23, 2026 11:54:05-UTC CRLF <FIN>    RFC 867
    port    19   S: lines of 72 characters CRLF, without end             RFC 864
    port    37   S: four octets, seconds since 1900 <FIN>                RFC 868
"""

from services.wire import small

PORTS = {"greeting": 12345, "chat": 12346, "echo": 7, "discard": 9, "daytime": 13, "chargen": 19, "time": 37}


class Statement:
    """Say one thing and close; what the peer sends is not read as anything. The base of greeting, daytime and time."""

    __slots__ = ("_out", "closing")

    def __init__(self, words: bytes) -> None:
        self._out = words
        self.closing = True

    def receive_data(self, data: bytes) -> None:
        """Take octets that mean nothing here."""

    def receive_eof(self) -> None:
        """Take the peer's FIN."""

    def data_to_send(self) -> bytes:
        """Return what is to be sent now, and forget it."""
        out, self._out = self._out, b""
        return out


class Greeting(Statement):
    """The lab's greeting, `Thank you for connecting`, then close."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(small.GREETING)


class Daytime(Statement):
    """RFC 867: the date and time as a line of ASCII, then close. `now` is Unix time in seconds."""

    __slots__ = ()

    def __init__(self, now: float) -> None:
        super().__init__(small.daytime(now))


class Time(Statement):
    """RFC 868: the time as 32 bits, then close. `now` is Unix time in seconds."""

    __slots__ = ()

    def __init__(self, now: float) -> None:
        super().__init__(small.time_now(now))


class Echo:
    """RFC 862: send back what comes, until the peer closes."""

    __slots__ = ("_out", "closing")

    def __init__(self) -> None:
        self._out = b""
        self.closing = False

    def receive_data(self, data: bytes) -> None:
        """Take octets; the same wait in `data_to_send`."""
        self._out = self._out + data if self._out else data

    def receive_eof(self) -> None:
        """Take the peer's FIN: after what is still to be echoed, this end closes too."""
        self.closing = True

    def data_to_send(self) -> bytes:
        """Return what is to be echoed now, and forget it."""
        out, self._out = self._out, b""
        return out


class Discard:
    """RFC 863: throw away what comes, say nothing, until the peer closes."""

    __slots__ = ("closing",)

    def __init__(self) -> None:
        self.closing = False

    def receive_data(self, data: bytes) -> None:
        """Take octets and forget them."""

    def receive_eof(self) -> None:
        """Take the peer's FIN."""
        self.closing = True

    def data_to_send(self) -> bytes:
        """Return nothing, ever."""
        return b""


class Chargen:
    """RFC 864: send the rotating pattern for as long as the peer takes it; what it sends is thrown away.

    Each call of `data_to_send` has more to say, one cycle of the pattern (95 lines, 7,030 octets): who calls paces it.
    """

    __slots__ = ("closing",)

    def __init__(self) -> None:
        self.closing = False

    def receive_data(self, data: bytes) -> None:
        """Take octets and forget them."""

    def receive_eof(self) -> None:
        """Take the peer's FIN: nobody is left to read."""
        self.closing = True

    def data_to_send(self) -> bytes:
        """Return the next cycle of the pattern; nothing once the peer has closed."""
        return b"" if self.closing else small.CYCLE


class Collector:
    """The client's end of greeting, daytime, time and chargen: keep what comes until the server closes.

    Args:
        limit: octets to keep; more are counted as `overflow` and dropped. Where a service has no end (chargen), `complete` turns
            true at the limit.
    """

    def __init__(self, limit: int = 1 << 20) -> None:
        self.data = bytearray()
        self.overflow = 0
        self.complete = False
        self.closing = False
        self._limit = limit

    def receive_data(self, data: bytes) -> None:
        """Take octets of the server."""
        room = self._limit - len(self.data)
        self.data += data[:room]
        self.overflow += max(0, len(data) - room)
        if len(self.data) >= self._limit:
            self.complete = True

    def receive_eof(self) -> None:
        """Take the server's FIN: what it had to say is whole."""
        self.complete = self.closing = True

    def data_to_send(self) -> bytes:
        """Return nothing: these services need no request."""
        return b""


class EchoCheck:
    """The client's end of echo: send, and compare what comes back.

    `matches` is False from the first octet that differs; `complete` is True when as many octets came back as were sent.
    """

    def __init__(self, message: bytes) -> None:
        self.data = bytearray()
        self.closing = False
        self._message = message
        self._out = message

    @property
    def matches(self) -> bool:
        """Whether what came back so far is what was sent."""
        return self._message.startswith(self.data)

    @property
    def complete(self) -> bool:
        """Whether all of it is back."""
        return len(self.data) >= len(self._message)

    def receive_data(self, data: bytes) -> None:
        """Take octets of the server."""
        self.data += data

    def receive_eof(self) -> None:
        """Take the server's FIN."""
        self.closing = True

    def data_to_send(self) -> bytes:
        """Return the message, once."""
        out, self._out = self._out, b""
        return out
