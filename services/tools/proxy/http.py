"""HTTP/1: a request is a head and perhaps a body, and so is its reply (RFC 9112 sections 2, 6, 7). Pure.

    C: GET /page HTTP/1.1 …      S: HTTP/1.1 503 Service Unavailable …      the server never saw the request

`after` and `truncate` count octets of the body.
"""

from collections.abc import Callable

from services.tools.proxy.conversation import Awaited, Choose, Conversation, Item, ToClient, ToServer
from services.tools.proxy.rules import Act

MAX_HEAD = 64 << 10
NOTHING, COUNTED, CHUNKED, TO_THE_END = "nothing", "counted", "chunked", "to the end"


class Body:
    """Finds the end of a body; where that is, its head tells."""

    def __init__(self, kind: str, length: int = 0) -> None:
        self._kind, self._left = kind, length
        self._line, self._trailer = b"", False
        self.done = kind == NOTHING or (kind == COUNTED and not length)

    def take(self, octets: bytes) -> int:
        """Return how many of these octets belong to it.

        Raises:
            ValueError: they are no chunks.
        """
        if self.done:
            return 0
        if self._kind == TO_THE_END:
            return len(octets)
        if self._kind == COUNTED:
            taken = min(self._left, len(octets))
            self._left -= taken
            self.done = not self._left
            return taken
        return self._take_chunks(octets)

    def _take_chunks(self, octets: bytes) -> int:
        place = 0
        while place < len(octets) and not self.done:
            if self._left:
                taken = min(self._left, len(octets) - place)
                self._left -= taken
                place += taken
                continue
            end = octets.find(b"\n", place)
            stop = len(octets) if end < 0 else end + 1
            self._line += octets[place:stop]
            place = stop
            if end >= 0:
                self._end_line(self._line.strip())
                self._line = b""
            elif len(self._line) > MAX_HEAD:
                raise ValueError("no chunk")
        return place

    def _end_line(self, line: bytes) -> None:
        if self._trailer:
            self.done = not line
        elif line:  # after a chunk's octets an empty line ends it
            self._left = _number(line.partition(b";")[0].strip(), 16)
            self._trailer = not self._left


def _fields(head: bytes) -> dict[bytes, bytes]:
    lines = (line.partition(b":") for line in head.split(b"\n")[1:])
    return {name.strip().lower(): value.strip().lower() for name, _, value in lines}


def _number(text: bytes, base: int) -> int:
    if not text.isalnum():  # `int` would take a sign
        raise ValueError("no length")
    return int(text, base)


def _body(fields: dict[bytes, bytes], otherwise: str) -> Body:
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        return Body(CHUNKED)
    if b"content-length" in fields:
        return Body(COUNTED, _number(fields[b"content-length"], 10))
    return Body(otherwise)


class Half:
    """What one end says: heads, each with its body behind it.

    Args:
        to: makes an item of octets, for the other end.
        head: is told a head, and returns the body that follows.
        piece: is told what has come of a body.
    """

    def __init__(
        self,
        to: type[ToServer] | type[ToClient],
        head: Callable[[bytes], Body],
        piece: Callable[[bytes], None],
    ) -> None:
        self.octets = b""  # not read yet
        self.body = Body(NOTHING)
        self.closed = False  # nothing more is read
        self.to, self._head, self._piece = to, head, piece

    def read(self) -> bool:
        """Tell of the next head, or of what is there of a body; False where more has to come first.

        Raises:
            ValueError: it is neither; it is still in `octets`.
        """
        if self.closed or not self.octets:
            return False
        if self.body.done:
            end = self.octets.find(b"\r\n\r\n")
            if end < 0 and len(self.octets) > MAX_HEAD:
                raise ValueError("no head")
            size = end + 4 if end >= 0 else 0
            if size:
                self.body = self._head(self.octets[:size])
        else:
            size = self.body.take(self.octets)
            self._piece(self.octets[:size])
        self.octets = self.octets[size:]
        return bool(size)


class Http(Conversation):
    """An HTTP connection. It ends with a reply of ours."""

    def __init__(self, choose: Choose) -> None:
        self._requests = Half(ToServer, self._request, lambda octets: self._say(ToServer(octets)))
        self._responses = Half(ToClient, self._response, self._response_body)
        super().__init__(choose)

    def _choose_greeting(self) -> Act | None:
        return None

    def _client(self, octets: bytes) -> None:
        self._read(self._requests, octets)

    def _server(self, octets: bytes) -> None:
        self._read(self._responses, octets)

    def client_ended(self) -> list[Item]:
        self._pass_on(self._requests)
        return super().client_ended()

    def server_ended(self) -> list[Item]:
        self._pass_on(self._responses)
        if self._requests.closed:  # the server has closed after an earlier reply; ours is next
            self.awaited = type(self.awaited)(awaited for awaited in self.awaited if awaited.own)
            self._own_replies()
        return super().server_ended()

    def _read(self, half: Half, octets: bytes) -> None:
        half.octets += octets
        try:
            while not (self.opaque or self.over) and half.read():
                pass
        except ValueError:
            self.opaque = True
        if self.opaque:
            self._pass_on(self._requests)
            self._pass_on(self._responses)

    def _pass_on(self, half: Half) -> None:
        """Pass on what has not been read, as it is."""
        octets, half.octets = half.octets, b""
        if octets and not half.closed:
            self._say(half.to(octets))

    def _request(self, head: bytes) -> Body:
        words = head.split(None, 2)
        if len(words) < 3 or not words[2].startswith(b"HTTP/1"):
            raise ValueError("no HTTP/1")
        body = _body(_fields(head), NOTHING)
        verb = words[0].decode("latin-1")
        act = self.choose(verb)
        if act and act.reply:
            self.awaited.append(Awaited(verb, act, own=page(act.reply, verb), ends=True))
            self._requests.closed = True
            self._own_replies()
        else:
            self.awaited.append(Awaited(verb, act))
            self._say(ToServer(head))
        return body

    def _response(self, head: bytes) -> Body:
        words = head.split(None, 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/1") or not words[1].isdigit() or not self.awaited:
            raise ValueError("no HTTP/1")
        status, verb = int(words[1]), self.awaited[0].verb
        self.opaque = status == 101 or (verb == "CONNECT" and status < 300)
        if self.opaque or status < 200:  # after another status below 200 the final one follows
            self._say(ToClient(head))
            return Body(NOTHING)
        empty = verb == "HEAD" or status in (204, 304)
        body = Body(NOTHING) if empty else _body(_fields(head), TO_THE_END)
        self._pass(head, counts=body.done)
        if body.done:
            self._end_response()
        return body

    def _response_body(self, octets: bytes) -> None:
        self._pass(octets)
        if self._responses.body.done:
            self._end_response()

    def _end_response(self) -> None:
        if not self.over:
            self.awaited.popleft()
            self._own_replies()


def page(status: bytes, verb: str) -> bytes:
    """Return the whole reply of a status such as `503 Service Unavailable`."""
    body = status + b"\n"
    head = (b"HTTP/1.1 " + status, b"Content-Type: text/plain", b"Content-Length: %d" % len(body), b"Connection: close")
    return b"\r\n".join(head) + b"\r\n\r\n" + (b"" if verb == "HEAD" else body)
