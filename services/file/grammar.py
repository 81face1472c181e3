"""The grammar of the lab's file protocol: commands and replies are lines, bodies are counted octets.

    C: GET notes.txt CRLF                        S: OK 26 26 CRLF, then 26 octets
    C: PUT a%20b.txt 5 2cf24dba…9824 CRLF hello  S: OK 2cf24dba…9824 CRLF
    C: STAT nothing CRLF                         S: ERR 404 there is no such file CRLF

| request | reply | body |
| --- | --- | --- |
| `LIST` | `OK octets` | from the server: a line a file, `name size modified` |
| `STAT name` | `OK size modified` | |
| `GET name [offset [length]]` | `OK octets size` | from the server: the octets |
| `PUT name size sha256 [offset]` | `OK sha256` | from the client, behind the line: `size - offset` octets |
| `PUT name size sha256 ?` | `OK held` | none: it asks how many octets a broken PUT has left there, to resume from |
| `HASH name` | `OK sha256` | |
| `DELETE name` | `OK` | |
| `QUIT` | `OK goodbye`, then FIN | |

A line ends in CRLF (a bare LF is taken too) and has at most MAX_LINE octets with it. A name is UTF-8, percent-encoded (RFC 3986 section
2.1); decoded it has 1 to MAX_NAME octets, no `/`, no control character, and is neither `.` nor `..`. Numbers are decimal, `modified` is
Unix time in whole seconds. Requests may be pipelined: they are answered in their order. A refused PUT is answered at once and its body
thrown away, or, where more than MAX_SKIP octets are to come, the connection closed.

Public: the requests, `parse_request`, `format_request`, `encode_name`, `decode_name`, `Entry` and its lines, `CODES`, `RefusalError`.
"""

import re
from dataclasses import dataclass
from typing import ClassVar

from services.wire.errors import RemoteProtocolError

PORT = 9000
MAX_LINE = 1024
MAX_NAME = 255  # NAME_MAX of the file systems
MAX_SKIP = 16 << 20
MAX_DIGITS = 19  # of a number: enough for 2^63 - 1
MAX_ERRORS = 16  # lines in a row that are no requests, before the connection is closed

CODES = {
    400: "the line is no request of this protocol",
    403: "the name is not allowed",
    404: "there is no such file",
    408: "silent for too long; the connection is closed",
    409: "another PUT of this file took this one's place, or something else stands there",
    413: "the file is larger than the server takes",
    414: "the line is too long; the connection is closed",
    416: "the offset is not within the file, or not within what the server holds of it",
    422: "the octets do not have the digest that was told",
    500: "the server could not read or write",
    503: "too many connections; the connection is closed",
    507: "there is no room: disk, quota or number of files",
}

_DIGEST = re.compile(rb"[0-9a-fA-F]{64}")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_PLAIN = re.compile(rb"[!-$&-~]+|%[0-9A-Fa-f]{2}")
_NUMBER = re.compile(rb"[0-9]{1,%d}" % MAX_DIGITS)
_SAFE = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")


class RefusalError(Exception):
    """A request that is answered with `ERR`.

    Args:
        code: one of `CODES`.
        text: in words, one line; that of `CODES` where empty.
    """

    def __init__(self, code: int, text: str = "") -> None:
        self.code = code
        self.text = text or CODES[code]
        super().__init__(f"{code} {self.text}")


def encode_name(name: str) -> bytes:
    """Return a name as it stands on the wire."""
    return b"".join(
        bytes((octet,)) if octet in _SAFE else b"%%%02X" % octet for octet in name.encode("utf-8", "surrogateescape")
    )


def decode_name(octets: bytes) -> str:
    """Return the name that octets of the wire stand for.

    Raises:
        RefusalError: 400 where they are no percent-encoded UTF-8, 403 where the name could mean anything but a file of the one folder.
    """
    if _PLAIN.sub(b"", octets):
        raise RefusalError(400, "a name is percent-encoded UTF-8")
    try:
        name = _ESCAPE.sub(lambda match: bytes((int(match[1], 16),)), octets).decode()
    except UnicodeDecodeError:
        raise RefusalError(400, "a name is percent-encoded UTF-8") from None
    check_name(name)
    return name


def check_name(name: str) -> None:
    """See that a name means a file of the one folder, and no place outside it.

    Raises:
        RefusalError: 403.
    """
    if name in ("", ".", "..") or "/" in name or any(ord(char) < 32 or ord(char) == 127 for char in name):
        raise RefusalError(403, "a name has no `/` and no control character, and is not `.` or `..`")
    if len(name.encode("utf-8", "surrogateescape")) > MAX_NAME:
        raise RefusalError(403, f"a name has at most {MAX_NAME} octets")


@dataclass(frozen=True)
class Request:
    """Something to be answered by `reply`, `reply_with_body` or `refuse`."""

    verb: ClassVar[str] = ""
    usage: ClassVar[str] = ""
    help: ClassVar[str] = ""


@dataclass(frozen=True)
class List(Request):
    verb = "LIST"
    usage = "LIST"
    help = "every file: name, size, time"


@dataclass(frozen=True)
class Stat(Request):
    name: str
    verb = "STAT"
    usage = "STAT name"
    help = "size and time of a file"


@dataclass(frozen=True)
class Get(Request):
    """`length` None means to the end."""

    name: str
    offset: int = 0
    length: int | None = None
    verb = "GET"
    usage = "GET name [offset [length]]"
    help = "its octets"


@dataclass(frozen=True)
class Put(Request):
    """`offset` None asks how many octets are held; a body of `size - offset` octets follows otherwise.

    Args:
        fresh: no offset was given: what is held of an earlier PUT does not matter.
    """

    name: str
    size: int
    digest: str
    offset: int | None = 0
    fresh: bool = True
    verb = "PUT"
    usage = "PUT name size sha256 [offset | ?]"
    help = "store a file; its octets follow the line"

    @property
    def octets(self) -> int:
        """Octets of the body."""
        return 0 if self.offset is None else self.size - self.offset


@dataclass(frozen=True)
class Hash(Request):
    name: str
    verb = "HASH"
    usage = "HASH name"
    help = "its SHA-256, in hexadecimal"


@dataclass(frozen=True)
class Delete(Request):
    name: str
    verb = "DELETE"
    usage = "DELETE name"
    help = "remove it"


@dataclass(frozen=True)
class Quit(Request):
    verb = "QUIT"
    usage = "QUIT"
    help = "close; answered by the connection itself"


REQUESTS: tuple[type[Request], ...] = (List, Stat, Get, Put, Hash, Delete, Quit)
_BY_VERB = {request.verb.encode(): request for request in REQUESTS}


def number(octets: bytes) -> int:
    if not _NUMBER.fullmatch(octets):
        raise RefusalError(400, f"a number has 1 to {MAX_DIGITS} decimal digits")
    return int(octets)


def parse_request(line: bytes) -> Request:
    """Read a line without its end.

    Raises:
        RefusalError: 400, 403, 413 or 416: what `ServerConnection` then answers.
    """
    verb, *words = line.split(b" ")
    kind = _BY_VERB.get(verb.upper())
    if kind is None:
        raise RefusalError(400, "known requests: " + ", ".join(request.usage for request in REQUESTS))
    wrong = RefusalError(400, f"expected: {kind.usage}")
    if b"" in words:
        raise wrong
    if kind in (List, Quit):
        if words:
            raise wrong
        return kind()
    if kind is Get and 1 <= len(words) <= 3:
        return Get(decode_name(words[0]), *map(number, words[1:]))
    if kind is Put and 3 <= len(words) <= 4:
        return _parse_put(*words)
    if kind in (Stat, Hash, Delete) and len(words) == 1:
        return kind(decode_name(words[0]))
    raise wrong


def _parse_put(name: bytes, size: bytes, digest: bytes, offset: bytes | None = None) -> Put:
    if not _DIGEST.fullmatch(digest):
        raise RefusalError(400, "a digest is a SHA-256 in 64 hexadecimal digits")
    octets = number(size)
    start = None if offset == b"?" else number(offset or b"0")
    if start is not None and start > octets:
        raise RefusalError(416, "the offset is beyond the size")
    return Put(decode_name(name), octets, digest.decode().lower(), start, fresh=offset is None)


def format_request(request: Request) -> bytes:
    """Return a request as it stands on the wire, with its line's end."""
    words: list[bytes] = [request.verb.encode()]
    if name := getattr(request, "name", None):
        words.append(encode_name(name))
    if isinstance(request, Get) and (request.offset or request.length is not None):
        words.append(b"%d" % request.offset)
        if request.length is not None:
            words.append(b"%d" % request.length)
    if isinstance(request, Put):
        words += [b"%d" % request.size, request.digest.encode()]
        if not request.fresh:
            words.append(b"?" if request.offset is None else b"%d" % request.offset)
    return b" ".join(words) + b"\r\n"


def error_line(code: int, text: str = "") -> bytes:
    """Return an `ERR` reply as it stands on the wire."""
    words = (text or CODES[code]).encode("utf-8", "replace").translate(None, bytes(range(32)) + b"\x7f")
    return b"ERR %d %s" % (code, words[: MAX_LINE - 16]) + b"\r\n"


@dataclass(frozen=True)
class Entry:
    """A file as LIST tells it: size in octets, `modified` in Unix time."""

    name: str
    size: int
    modified: int


def format_entry(entry: Entry) -> bytes:
    """Return a line of LIST's body."""
    return b"%s %d %d\r\n" % (encode_name(entry.name), entry.size, entry.modified)


def parse_listing(body: bytes) -> list[Entry]:
    """Read LIST's body.

    Raises:
        RemoteProtocolError: it is none.
    """
    entries = []
    for line in body.split(b"\r\n")[:-1] if body else ():
        try:
            name, size, modified = line.split(b" ")
            entries.append(Entry(decode_name(name), number(size), number(modified)))
        except (ValueError, RefusalError) as error:
            raise RemoteProtocolError(f"a line of the listing is wrong: {line[:80]!r}") from error
    if body and not body.endswith(b"\r\n"):
        raise RemoteProtocolError("the listing is cut off")
    return entries
