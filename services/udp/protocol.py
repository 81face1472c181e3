"""The small services over UDP: greeting, echo, discard, daytime, chargen, time. One core serves all peers of a port.

    port 12345   C: any datagram    S: Thank you for connecting             the lab's own
    port     7   C: any octets      S: the same octets                      RFC 862
    port     9   C: any octets      S: nothing                              RFC 863
    port    13   C: any datagram    S: Monday, November 23, 2026 11:54:05-UTC CRLF    RFC 867
    port    19   C: any datagram    S: 0 to 512 octets of the pattern       RFC 864
    port    37   C: any datagram    S: four octets, seconds since 1900      RFC 868

Guard against amplification and loops: a datagram from a well-known port (below 1024), or from a port of this very service (12345), is
never answered by any of them. Two such services that answer each other would never end (CA-1996-01), and a forged source of port 53 or
123 would hit a real server. Echo answers with as many octets as came, chargen with at most 512 (RFC 864), the others with one line.

Public: `PORTS`; the servers' end `Responder` with `greeting`, `echo`, `discard`, `daytime`, `time_now`, `Chargen`; the client's end
`Question`.
"""

from collections.abc import Callable, Collection

from services.wire import small

PORTS = {"greeting": 12345, "echo": 7, "discard": 9, "daytime": 13, "chargen": 19, "time": 37}

WELL_KNOWN = 1024  # RFC 6335 section 6: system ports are those below
CHARGEN_LIMIT = 512  # octets of a chargen datagram (RFC 864)

Address = tuple[str, int] | tuple[str, int, int, int]


class Responder:
    """Answer each datagram with one, which `answer` makes from it.

    Args:
        answer: octets in, octets out; None for no answer at all.
        own: ports on which services like this one answer; a datagram that says it is from one of them is forged, or the start of a loop.
    """

    def __init__(
        self, answer: Callable[[bytes], bytes | None], own: Collection[int] = frozenset(PORTS.values())
    ) -> None:
        self._answer = answer
        self._own = own
        self._out: list[tuple[bytes, Address]] = []

    def receive_datagram(self, data: bytes, addr: Address) -> None:
        """Take a datagram from `addr`; one from a well-known port, or from one of our own, is dropped."""
        port = addr[1]
        if port >= WELL_KNOWN and port not in self._own:
            answer = self._answer(data)
            if answer is not None:
                self._out.append((answer, addr))

    def datagrams_to_send(self) -> list[tuple[bytes, Address]]:
        """Return what is to be sent now, and forget it."""
        out, self._out = self._out, []
        return out


def greeting(_data: bytes) -> bytes:
    """Return the lab's greeting."""
    return small.GREETING


def echo(data: bytes) -> bytes:
    """Return the octets that came (RFC 862)."""
    return data


def discard(_data: bytes) -> None:
    """Answer nothing (RFC 863)."""


def daytime(clock: Callable[[], float]) -> Callable[[bytes], bytes]:
    """Return an answerer of RFC 867; `clock` gives Unix time."""
    return lambda _data: small.daytime(clock())


def time_now(clock: Callable[[], float]) -> Callable[[bytes], bytes]:
    """Return an answerer of RFC 868; `clock` gives Unix time."""
    return lambda _data: small.time_now(clock())


class Chargen:
    """RFC 864: answer with whole lines of the pattern, at most 512 octets; each answer begins where the one before ended.

    The RFC asks for a random number of octets; seven lines (518 octets) do not fit, so an answer has six.
    """

    LINES = CHARGEN_LIMIT // (small.LINE + 2)

    def __init__(self) -> None:
        self._line = 0

    def __call__(self, _data: bytes) -> bytes:
        """Return the next lines."""
        start = self._line
        self._line = (start + self.LINES) % len(small.PATTERN)
        return small.chargen_lines(start, self.LINES)


class Question:
    """The client's end of one exchange: send a datagram, take the first answer.

    UDP may lose either, so `due` says when to ask again; `data` is the answer, None until it is there.

    Args:
        message: what is sent.
        tries: datagrams to send in all.
        interval: seconds between them.
    """

    def __init__(self, message: bytes, *, tries: int = 3, interval: float = 1.0) -> None:
        self.data: bytes | None = None
        self.tries = tries
        self.sent = 0
        self._message = message
        self._interval = interval
        self._next = float("-inf")

    def receive_datagram(self, data: bytes) -> None:
        """Take an answer; a second one is a duplicate and changes nothing."""
        if self.data is None:
            self.data = data

    def datagrams_to_send(self, now: float) -> list[bytes]:
        """Return the datagram where it is due. `now` is in monotonic seconds."""
        if self.data is not None or self.sent >= self.tries or now < self._next:
            return []
        self.sent += 1
        self._next = now + self._interval
        return [self._message]

    def next_deadline(self) -> float:
        """Return when to ask again, or to give up."""
        return self._next

    def gave_up(self, now: float) -> bool:
        """Tell whether the last try went unanswered."""
        return self.data is None and self.sent >= self.tries and now >= self._next
