"""HTTP/1.0 and 1.1 as it crosses the wire: RFC 9110, RFC 9112; bodies are counted, also chunked ones.

C: GET /page.html HTTP/1.1, headers, an empty line          → GET /page.html
S: HTTP/1.1 200 OK, headers, an empty line, the body        → 200 OK, 512 octets, text/html
"""

import re

from services.dialogue.line import HIDDEN, By, C, Line, S, octets_of, shown
from services.dialogue.reader import Reader

REQUEST = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}) (\S+)(?: (HTTP/[0-9.]{1,5}))?")
STATUS = re.compile(rb"HTTP/[0-9.]{1,5} ([1-5][0-9][0-9])(?: (.*))?", re.DOTALL)
SECRET = re.compile(r"((?:^|[?&;])(?:[\w-]*(?:passw(?:or)?d|passwd|secret|token|api_?key))=)[^&;#\s]+", re.IGNORECASE)
USER_INFO = re.compile(r"(://[^/@:\s]*):[^/@\s]*@")  # RFC 3986 section 3.2.1
HEADERS = (
    "content-length",
    "content-type",
    "transfer-encoding",
    "location",
    "authorization",
    "range",
    "if-none-match",
    "if-modified-since",
)
SHOWN = {name.encode(): name for name in HEADERS}  # those that are told, or say how long a body is
MOST = 32 << 10  # octets of headers: what has more is no HTTP that a server would take
_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")
_COUNT = re.compile(r"[0-9]{1,18}")


class _Message:
    """The message of one direction that is under way."""

    def __init__(self) -> None:
        self.start: re.Match[bytes] | None = None
        self.headers: dict[str, str] = {}
        self.size = 0
        self.chunked = ""  # "size", "end" (CRLF behind a chunk), "trailer"; empty outside
        self.total = 0
        self.line: Line | None = None


class Http(Reader):
    """RFC 9112."""

    name, rfc = "HTTP", "RFC 9112"

    def __init__(self) -> None:
        super().__init__()
        self._now: dict[By, _Message] = {C: _Message(), S: _Message()}

    def take_line(self, by: By, line: bytes) -> None:
        """Take a start line, a header, an empty line, or a chunk's size."""
        message = self._now[by]
        if message.chunked:
            self._chunk(by, message, line)
        elif message.start is None:
            message.start = (REQUEST if by == C else STATUS).fullmatch(line)
            if message.start is None:
                self.foreign = bool(line)  # RFC 9112 section 2.2: empty lines before a request are passed over
            elif by == C and message.start[3] is None:  # HTTP/0.9
                self._request(message)
        elif line:
            message.size += len(line)
            name, _, value = line.partition(b":")
            if key := SHOWN.get(name.lower()):
                message.headers[key] = shown(value.strip())
            self.foreign = message.size > MOST
        elif by == C:
            self._request(message)
        else:
            self._response(message)

    def _request(self, message: _Message) -> None:
        assert message.start is not None  # noqa: S101 - a start line came
        self._now[C] = fresh = _Message()
        method = message.start[1].decode()
        target = USER_INFO.sub(rf"\1:{HIDDEN}@", shown(message.start[2]))
        target = SECRET.sub(rf"\1{HIDDEN}", target)
        told, secret = f"{method} {target}", HIDDEN in target
        details = []
        if "range" in message.headers:
            details.append(message.headers["range"])
        if "if-none-match" in message.headers or "if-modified-since" in message.headers:
            details.append("if it changed")
        if "authorization" in message.headers:
            details.append(f"{message.headers['authorization'].partition(' ')[0]} {HIDDEN}")
            secret = True
        length = _length(message)
        if length:
            details.append(octets_of(length))
        asked = self.tell(Line(C, ", ".join([told, *details]), method, target, said=(told,), secret=secret))
        self._asked.append(asked)
        fresh.line = asked
        self._body(C, message, fresh, length or 0)

    def _response(self, message: _Message) -> None:
        assert message.start is not None  # noqa: S101 - a start line came
        self._now[S] = fresh = _Message()
        code, reason = message.start[1].decode(), shown(message.start[2] or b"")
        asked = self.waiting() if code[0] == "1" and code != "101" else self.answered()
        method = asked.word if asked else ""
        empty = code[0] == "1" or code in ("204", "304") or method == "HEAD"  # RFC 9112 section 6.3
        length = _length(message)
        chunked = "chunked" in message.headers.get("transfer-encoding", "").lower()
        told = f"{code} {reason}".rstrip()
        parts = [told]
        if "location" in message.headers:
            parts[0] += f" → {message.headers['location']}"
        if length is not None:
            parts.append(octets_of(length))
        elif chunked:
            parts.append("chunked")
        if "content-type" in message.headers:
            parts.append(message.headers["content-type"].partition(";")[0])
        line = self.reply(", ".join(parts), code, reason, to=asked, said=[told], octets=length or 0)
        fresh.line = line
        if (method == "CONNECT" and code[0] == "2") or code == "101":  # what follows is another protocol's
            self.body_name = "of what they agreed on"
            for half in self.halves.values():
                half.rest()
        elif not empty:
            self._body(S, message, fresh, length)

    def _body(self, by: By, message: _Message, fresh: _Message, length: int | None) -> None:
        """Await the body that a head announces; None where it ends with the stream."""
        self.body_name = "of body"
        if "chunked" in message.headers.get("transfer-encoding", "").lower():
            fresh.chunked = "size"
        elif length is None:
            self.halves[by].rest()
        elif length:
            self.halves[by].count(length)

    def _chunk(self, by: By, message: _Message, line: bytes) -> None:
        """RFC 9112 section 7.1."""
        if message.chunked == "end":
            message.chunked = "size"
        elif message.chunked == "trailer":
            if not line:
                self._whole(by, message)
        elif match := _SIZE.fullmatch(line):
            size = int(match[1], 16)
            if size:
                message.total += size
                self.halves[by].count(size)
            else:
                message.chunked = "trailer"
        else:
            self.foreign = True

    def body_ended(self, by: By) -> None:
        """A counted body is whole, or one chunk of it."""
        message = self._now[by]
        if message.chunked:
            message.chunked = "end"
        else:
            self.counted(by, f"{octets_of(self.halves[by].body)} of body", known=True, to=message.line)

    def _whole(self, by: By, message: _Message) -> None:
        self._now[by] = _Message()
        self.tell(Line(by, f"{octets_of(message.total)} of body, chunked", kind="body", octets=message.total,
                       answers=message.line.number if message.line else 0))  # fmt: skip

    def ended(self, by: By) -> None:
        """The end of the stream may be the end of a body."""
        half = self.halves[by]
        if by == S and half.mode.name == "REST" and half.body:
            self.counted(S, f"{octets_of(half.body)} of body, to the end of the connection", to=self._now[S].line)


def _length(message: _Message) -> int | None:
    value = message.headers.get("content-length", "")
    return int(value) if _COUNT.fullmatch(value) else None
