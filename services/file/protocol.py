"""The lab's file protocol, both ends of one connection; `grammar` says what their lines look like.

    C: GET notes.txt CRLF                        S: OK 26 26 CRLF, then 26 octets
    C: PUT a%20b.txt 5 2cf24dba…9824 CRLF hello  S: OK 2cf24dba…9824 CRLF
    C: STAT nothing CRLF                         S: ERR 404 there is no such file CRLF

Public: `ServerConnection`, `ClientConnection`, their events.
"""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from services.file.grammar import (
    MAX_ERRORS,
    MAX_LINE,
    MAX_SKIP,
    Delete,
    Get,
    Hash,
    List,
    Put,
    Quit,
    RefusalError,
    Request,
    Stat,
    error_line,
    format_request,
    number,
    parse_request,
)  # fmt: skip
from services.wire.errors import LocalProtocolError, RemoteProtocolError


@dataclass(frozen=True)
class BodyReceived:
    """Octets of a body, in their order."""

    data: bytes


@dataclass(frozen=True)
class BodyEnded:
    """All octets of a body came; on the server's end the PUT is to be answered now."""


@dataclass(frozen=True)
class BodyBroken:
    """The connection ended inside a body."""

    missing: int


Event = Request | BodyReceived | BodyEnded | BodyBroken


class _Inbox:
    """Octets that came and are not read yet: lines and counted bodies, cut anywhere."""

    def __init__(self) -> None:
        self._octets = b""
        self._at = 0  # what is before it is read: many short requests in one segment cost no copy each
        self._searched = 0

    def __len__(self) -> int:
        return len(self._octets) - self._at

    def add(self, data: bytes) -> None:
        self._searched = max(0, self._searched - self._at) if self else 0
        self._octets = self._octets[self._at :] + data if self else data
        self._at = 0

    def line(self) -> bytes | None:
        """Take a line off, without its end; None where it is not complete yet.

        Raises:
            RemoteProtocolError: it is too long, complete or not.
        """
        end = self._octets.find(b"\n", max(self._at, self._searched))
        if (end if end >= 0 else len(self._octets)) - self._at >= MAX_LINE:
            self._octets, self._at = b"", 0  # what waits holds no memory
            raise RemoteProtocolError(f"line longer than {MAX_LINE} octets", error_line(414))
        if end < 0:
            self._searched = len(self._octets)
            return None
        line, self._at = self._octets[self._at : end], end + 1
        return line.removesuffix(b"\r")

    def take(self, limit: int) -> bytes:
        """Take at most `limit` octets off."""
        if self._at == 0 and len(self._octets) <= limit:
            taken, self._octets = self._octets, b""
        else:
            taken = self._octets[self._at : self._at + limit]
            self._at += len(taken)
        return taken


class ServerState(Enum):
    """What the server's end awaits."""

    AWAITING_REQUEST = "a request of the client's"
    AWAITING_REPLY = "our own reply"
    RECEIVING_BODY = "octets of a PUT"
    SKIPPING_BODY = "octets of a PUT that was refused"
    SENDING_BODY = "our own octets"
    CLOSED = "nothing any more"


class ServerConnection:
    """The server's end of one connection.

    Octets in by `receive_data`, requests out of `events`, replies in by `reply`, `reply_with_body` and `refuse`, octets out of
    `data_to_send`. The body of a reply is sent by who owns the socket, behind what `data_to_send` returned, and told by `body_sent`:
    so a file can go out by sendfile(2). The body of a PUT may likewise be taken from the socket by its owner, and told by `body_received`.
    """

    def __init__(self) -> None:
        self.state = ServerState.AWAITING_REQUEST
        self._inbox = _Inbox()
        self._out: list[bytes] = []
        self.waiting = 0  # octets of small bodies in `data_to_send`
        self._left = 0  # octets of the body that is under way, in or out
        self._eof = False
        self._errors = 0

    @property
    def closing(self) -> bool:
        """Whether nothing is left but to close, after `data_to_send`."""
        return self.state is ServerState.CLOSED

    @property
    def reads(self) -> bool:
        """Whether more octets of the client are wanted now: while a request is answered, they wait in the kernel."""
        return self.state not in (ServerState.AWAITING_REPLY, ServerState.SENDING_BODY)

    @property
    def missing(self) -> int:
        """Octets of a PUT's body that did not come yet."""
        return self._left if self.state is ServerState.RECEIVING_BODY else 0

    def receive_data(self, data: bytes) -> None:
        """Take octets from the client, cut anywhere; then call `events`."""
        if self.state is not ServerState.CLOSED:
            self._inbox.add(data)

    def receive_eof(self) -> None:
        """Take the client's FIN; then call `events`."""
        self._eof = True

    def events(self) -> Iterator[Event]:
        """Yield what the client asks for; a reply given meanwhile lets the next request follow.

        Raises:
            RemoteProtocolError: a line is too long, too many in a row are no requests, or a refused body is too long to be skipped;
                its `reply` is to be sent, then the connection closed.
        """
        while True:
            if self.state in (ServerState.RECEIVING_BODY, ServerState.SKIPPING_BODY):
                yield from self._body()
                if self._left and self._eof and not self._inbox:
                    missing, self._left = self._left, 0
                    broken = self.state is ServerState.RECEIVING_BODY
                    self.state = ServerState.CLOSED
                    if broken:
                        yield BodyBroken(missing)
                    return
                if self._left:
                    return
            if self.state is not ServerState.AWAITING_REQUEST:
                return
            line = self._inbox.line()
            if line is None:
                if self._eof:  # a line that FIN cut off was never said
                    self.state = ServerState.CLOSED
                return
            yield from self._request(line)

    def _body(self) -> Iterator[Event]:
        while self._left and self._inbox:
            data = self._inbox.take(self._left)
            self._left -= len(data)
            if self.state is ServerState.RECEIVING_BODY:
                yield BodyReceived(data)
        if self._left:
            return
        if self.state is ServerState.SKIPPING_BODY:
            self.state = ServerState.AWAITING_REQUEST
        elif self.state is ServerState.RECEIVING_BODY:
            self.state = ServerState.AWAITING_REPLY
            yield BodyEnded()

    def _request(self, line: bytes) -> Iterator[Event]:
        try:
            request = parse_request(line)
        except RefusalError as error:
            self._refuse_line(line, error)
            return
        self._errors = 0
        self.state = ServerState.AWAITING_REPLY
        if isinstance(request, Quit):
            self.reply("goodbye")
            self.state = ServerState.CLOSED
            return
        if isinstance(request, Put) and request.offset is not None:
            self.state, self._left = ServerState.RECEIVING_BODY, request.octets
        yield request

    def _refuse_line(self, line: bytes, error: RefusalError) -> None:
        """Answer a line that is no request; where it is a PUT, octets may follow that must not be read as requests."""
        self._errors += 1
        reply = error_line(error.code, error.text)
        verb, _, rest = line.partition(b" ")
        if verb.upper() == b"PUT":
            words = rest.split(b" ")
            try:
                self._left = number(words[1]) - number(words[3] if words[3:] else b"0")
            except (RefusalError, IndexError):
                raise RemoteProtocolError("a PUT whose end cannot be told", reply) from None
            if words[3:] != [b"?"]:
                self._skip(reply)
                return
        if self._errors >= MAX_ERRORS:
            raise RemoteProtocolError(f"{MAX_ERRORS} lines in a row are no requests", reply)
        self._out.append(reply)

    def _skip(self, reply: bytes) -> None:
        if not 0 <= self._left <= MAX_SKIP:
            self.state = ServerState.CLOSED
            raise RemoteProtocolError("a refused PUT, too long to be skipped", reply)
        self._out.append(reply)
        self.state = ServerState.SKIPPING_BODY

    def reply(self, *words: object) -> None:
        """Answer the request: `OK` and words.

        Raises:
            LocalProtocolError: no request awaits a reply.
        """
        self._expect(ServerState.AWAITING_REPLY)
        self._out.append(" ".join(["OK", *map(str, words)]).encode() + b"\r\n")
        self.state = ServerState.AWAITING_REQUEST

    def reply_with_body(self, octets: int, *words: object) -> None:
        """Answer LIST or GET: `OK octets …`; then send what `data_to_send` returns, then the octets, and tell them by `body_sent`.

        Raises:
            LocalProtocolError: no request awaits a reply.
        """
        self.reply(octets, *words)
        if octets:
            self.state, self._left = ServerState.SENDING_BODY, octets

    def reply_with_octets(self, octets: bytes, *words: object) -> None:
        """Answer LIST or GET with a body that `data_to_send` returns behind the reply: for small ones.

        Raises:
            LocalProtocolError: no request awaits a reply.
        """
        self.reply(len(octets), *words)
        self._out.append(octets)
        self.waiting += len(octets)

    def body_sent(self, octets: int) -> None:
        """Be told that octets of our body are with the kernel.

        Raises:
            LocalProtocolError: more than the reply promised, or none was promised.
        """
        self._expect(ServerState.SENDING_BODY)
        if octets > self._left:
            raise LocalProtocolError(f"{octets} octets were sent, {self._left} were promised")
        self._left -= octets
        if not self._left:
            self.state = ServerState.AWAITING_REQUEST

    def body_received(self, octets: int) -> None:
        """Be told that who owns the socket took octets of a PUT's body from it, behind those that `events` yielded.

        After the last of them the PUT is to be answered; there is no `BodyEnded` then.

        Raises:
            LocalProtocolError: more than are `missing`, or octets of the body wait in `events`.
        """
        self._expect(ServerState.RECEIVING_BODY)
        if self._inbox or octets > self._left:
            raise LocalProtocolError(f"{octets} octets were taken, {self._left} are missing, {len(self._inbox)} wait")
        self._left -= octets
        if not self._left:
            self.state = ServerState.AWAITING_REPLY

    def refuse(self, code: int, text: str = "") -> None:
        """Answer the request with `ERR`; in the midst of a PUT's body the rest of it is thrown away.

        Raises:
            LocalProtocolError: no request awaits a reply.
            RemoteProtocolError: too much of the body is still to come; its `reply` is to be sent, then the connection closed.
        """
        reply = error_line(code, text)
        if self.state is ServerState.RECEIVING_BODY:
            self._skip(reply)
            return
        self._expect(ServerState.AWAITING_REPLY)
        self._out.append(reply)
        self.state = ServerState.AWAITING_REQUEST

    def _expect(self, state: ServerState) -> None:
        if self.state is not state:
            raise LocalProtocolError(f"awaiting {self.state.value}, not {state.value}")

    def data_to_send(self) -> bytes:
        """Return what is to be sent now, and forget it."""
        out, self._out, self.waiting = self._out, [], 0
        return b"".join(out)


# -- events of the client's end: what the server answers -----------------------------------------------------------------


@dataclass(frozen=True)
class Replied:
    """`OK`: the words after it; the body of LIST and GET follows as `BodyReceived`, then `BodyEnded`."""

    request: Request
    words: tuple[str, ...]

    @property
    def number(self) -> int:
        """The first word, where it is a number (it was checked)."""
        return int(self.words[0])


@dataclass(frozen=True)
class Refused:
    """`ERR`: the server did not do it."""

    request: Request
    code: int
    text: str


Answer = Replied | Refused | BodyReceived | BodyEnded

# Request → what the words of its `OK` must look like.
_REPLY = {
    List: re.compile(rb"OK (\d{1,19})"),
    Stat: re.compile(rb"OK (\d{1,19}) (\d{1,19})"),
    Get: re.compile(rb"OK (\d{1,19}) (\d{1,19})"),
    Put: re.compile(rb"OK ([0-9a-f]{64}|\d{1,19})"),
    Hash: re.compile(rb"OK ([0-9a-f]{64})"),
    Delete: re.compile(rb"OK"),
    Quit: re.compile(rb"OK ?.*"),
}
_ERROR = re.compile(rb"ERR (\d{3})(?: (.*))?")


class ClientConnection:
    """The client's end of one connection; requests may be pipelined.

    `request` in, octets out of `data_to_send`; the body of a PUT is sent by who owns the socket, behind them, and told by `body_sent`.
    Octets in by `receive_data`, answers out of `events`, in the requests' order.
    """

    def __init__(self) -> None:
        self.closing = False
        self._inbox = _Inbox()
        self._out = b""
        self._awaited: deque[Request] = deque()
        self._to_send = 0  # octets of a PUT's body that are still to be sent
        self._left = 0  # octets of a reply's body that are still to come
        self._eof = False

    @property
    def awaited(self) -> int:
        """Requests that are not answered yet; a body that is coming counts."""
        return len(self._awaited) + bool(self._left)

    def request(self, request: Request) -> None:
        """Ask for something.

        Raises:
            LocalProtocolError: the body of a PUT is not sent yet.
        """
        if self._to_send:
            raise LocalProtocolError(f"{self._to_send} octets of a body are still to be sent")
        if isinstance(request, Put):
            self._to_send = request.octets
        self._out += format_request(request)
        self._awaited.append(request)

    def body_sent(self, octets: int) -> None:
        """Be told that octets of a PUT's body are with the kernel.

        Raises:
            LocalProtocolError: they are more than was announced.
        """
        if octets > self._to_send:
            raise LocalProtocolError(f"{octets} octets were sent, {self._to_send} were announced")
        self._to_send -= octets

    def receive_data(self, data: bytes) -> None:
        """Take octets from the server, cut anywhere; then call `events`."""
        self._inbox.add(data)

    def receive_eof(self) -> None:
        """Take the server's FIN; then call `events`."""
        self._eof = True

    def events(self) -> Iterator[Answer]:
        """Yield what the server answers.

        Raises:
            RemoteProtocolError: a reply is none of this protocol, or the server closed before it had answered all.
        """
        while True:
            while self._left and self._inbox:
                data = self._inbox.take(self._left)
                self._left -= len(data)
                yield BodyReceived(data)
                if not self._left:
                    yield BodyEnded()
            if self._left:
                break
            line = self._inbox.line()
            if line is None:
                break
            yield from self._answer(line)
        if self._eof:
            self.closing = True
            if self._left:
                raise RemoteProtocolError(f"the server closed, {self._left} octets of the body are missing")
            if self._awaited and not isinstance(self._awaited[0], Quit):
                raise RemoteProtocolError("the server closed before it answered")

    def _answer(self, line: bytes) -> Iterator[Answer]:
        if error := _ERROR.fullmatch(line):
            code, text = int(error[1]), (error[2] or b"").decode("utf-8", "replace")
            if not self._awaited:  # it says why it will close: silent too long, too many connections
                raise RemoteProtocolError(f"the server says: {text} ({code})")
            yield Refused(self._awaited.popleft(), code, text)
            return
        if not self._awaited:
            raise RemoteProtocolError(f"a reply to nothing: {line[:80]!r}")
        request = self._awaited[0]
        match = _REPLY[type(request)].fullmatch(line)
        if not match:
            raise RemoteProtocolError(f"no reply to {request.verb}: {line[:80]!r}")
        self._awaited.popleft()
        words = tuple(group.decode() for group in match.groups())
        yield Replied(request, words)
        if isinstance(request, List | Get):
            self._left = int(words[0])
            if not self._left:
                yield BodyEnded()

    def data_to_send(self) -> bytes:
        """Return what is to be sent now, and forget it."""
        out, self._out = self._out, b""
        return out
