"""Gopher, RFC 1436: one request line, one answer, close. URLs by RFC 4266.

    C: /texts/about.txt CRLF                                          a selector; empty for the main menu
    S: 0About this lab TAB /texts/about.txt TAB gopher-server TAB 70 CRLF    a menu: a line an item
    S: . CRLF <FIN>

A search sends `selector TAB words CRLF`. A text ends in a line with a lone dot, and a line of it that begins with a dot has another one
before it; binary files end with the connection. Servers of today, gophernicus among them, send texts without both, so `Text` decides at
the end which it was: only where the lone dot came are doubled dots taken back.

Public: `Item`, `Url`, `Request`, `Menu`, `Text`, `Binary`, `TYPES`, `request_line`, `read_url`, `error_of`.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from services.wire.errors import LocalProtocolError, RemoteProtocolError

PORT = 70
MAX_ITEMS = 10_000
MAX_LINE = 4096  # octets of a menu's line; RFC 1436 section 3.9 asks for less, and names no limit that servers keep to

LONGEST_ERROR = 500  # octets

# RFC 1436 section 3.8; `i` and `h` came later and are everywhere.
TYPES = {
    "0": "text", "1": "menu", "2": "CSO phone book", "3": "error", "4": "BinHex", "5": "DOS archive", "6": "uuencoded", "7": "search",
    "8": "telnet", "9": "binary", "+": "mirror", "g": "GIF", "I": "image", "T": "tn3270", "h": "HTML", "i": "info",
    "d": "document", "s": "sound", ";": "video", "p": "PNG", "P": "PDF",
}  # fmt: skip
MENUS = "17"
TEXTS = "0h6"


class Item(NamedTuple):
    """One line of a menu."""

    type: str
    title: str
    selector: str
    host: str
    port: int

    def line(self) -> bytes:
        """Return it as it crosses the wire, CRLF included.

        Raises:
            LocalProtocolError: a field holds what would end it or the line.
        """
        if len(self.type) != 1 or any(char in field for field in self[:4] for char in "\t\r\n\0"):
            raise LocalProtocolError(f"a field of {self!r} holds TAB, CR, LF or NUL, or the type is not one character")
        return f"{self.type}{self.title}\t{self.selector}\t{self.host}\t{self.port}\r\n".encode()


def read_item(line: bytes) -> Item:
    """Read a line of a menu, without its end.

    Info lines of many servers have no further fields, or senseless ones: only what can be dialled has to be right.

    Raises:
        RemoteProtocolError: it is empty, or an item that could be dialled has no host or port.
    """
    text = line.decode("utf-8", "replace")
    if not text:
        raise RemoteProtocolError("a menu's line is empty")
    title, *rest = text[1:].split("\t")
    selector, host, port = [*rest[:3], *[""] * (3 - len(rest[:3]))]
    if text[0] in "i3":
        return Item(text[0], title, selector, host, int(port) if _is_port(port) else 0)
    if not host or not _is_port(port):
        raise RemoteProtocolError(f"an item has no host or no port: {text[:80]!r}")
    return Item(text[0], title, selector, host, int(port))


def _is_port(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9]{1,5}", text)) and int(text) < 65536


def request_line(selector: str, words: str | None = None) -> bytes:
    """Return a request, CRLF included.

    Raises:
        LocalProtocolError: selector or words hold what would end them (RFC 1436 section 2).
    """
    for field in (selector, words or ""):
        if any(char in field for char in "\t\r\n\0"):
            raise LocalProtocolError(f"a selector or search may not hold TAB, CR, LF or NUL: {field!r}")
    return (selector + ("" if words is None else f"\t{words}")).encode() + b"\r\n"


class Url(NamedTuple):
    """What a Gopher URL names (RFC 4266 section 2); `words` is None where it is no search."""

    host: str
    port: int
    type: str
    selector: str
    words: str | None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == PORT else f":{self.port}"
        words = "" if self.words is None else "%09" + quote(self.words)
        return f"gopher://{host}{port}/{quote(self.type, safe='')}{quote(self.selector)}{words}"


def read_url(text: str) -> Url:
    """Read `gopher://HOST[:PORT][/TYPE[SELECTOR[%09WORDS]]]`.

    Raises:
        LocalProtocolError: it is none, or holds CR, LF or NUL, encoded or not: they would add requests to ours.
    """
    match = re.fullmatch(
        r"gopher://(\[[0-9A-Fa-f:.]+\]|[^/:@?#\[\]\s]+)(?::([0-9]{1,5}))?(?:/(.*))?", text, re.IGNORECASE
    )
    if not match or (match[2] and not _is_port(match[2])):
        raise LocalProtocolError(f"not a Gopher URL: {text!r}")
    try:
        path = unquote_to_bytes(match[3] or "").decode()
    except UnicodeDecodeError as error:
        raise LocalProtocolError(f"the URL's path is no UTF-8: {text!r}") from error
    if any(char in path for char in "\r\n\0"):
        raise LocalProtocolError(f"the URL holds CR, LF or NUL: {text!r}")
    kind, (selector, tab, rest) = path[:1] or "1", path[1:].partition("\t")
    words = rest.partition("\t")[0] if tab else None  # what follows a second TAB is Gopher+, which few servers speak
    return Url(match[1].strip("[]"), int(match[2] or PORT), kind, selector, words)


@dataclass
class Request:
    """What all answers share: the request goes out, octets come in until the server closes. The base of the three kinds."""

    selector: str
    words: str | None = None

    def __post_init__(self) -> None:
        self._out = request_line(self.selector, self.words)
        self.closing = False
        self.octets = 0

    def data_to_send(self) -> bytes:
        """Return the request, once."""
        out, self._out = self._out, b""
        return out

    def receive_data(self, data: bytes) -> None:
        """Take octets of the answer."""
        self.octets += len(data)

    def receive_eof(self) -> None:
        """Take the server's FIN: the answer is whole."""
        self.closing = True


class Menu(Request):
    """A menu or a search's answer: `items` fill up as lines come, `ended` tells whether the lone dot did."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.items: list[Item] = []
        self.ended = False
        self._inbox = b""

    def receive_data(self, data: bytes) -> None:
        """Take octets, cut anywhere.

        Raises:
            RemoteProtocolError: a line is no item, too long, or one too many.
        """
        super().receive_data(data)
        *lines, self._inbox = (self._inbox + data).split(b"\n")
        if len(self._inbox) > MAX_LINE:
            raise RemoteProtocolError(f"a menu's line is longer than {MAX_LINE} octets")
        for line in lines:
            self._take(line.removesuffix(b"\r"))

    def receive_eof(self) -> None:
        """Take the server's FIN; a last line without an end counts.

        Raises:
            RemoteProtocolError: that line is no item.
        """
        super().receive_eof()
        if self._inbox:
            last, self._inbox = self._inbox, b""
            self._take(last)

    def _take(self, line: bytes) -> None:
        if self.ended or line == b".":
            self.ended = True
            return
        if not line:  # some servers leave one before the dot
            return
        if len(line) > MAX_LINE or len(self.items) >= MAX_ITEMS:
            raise RemoteProtocolError(f"a menu of more than {MAX_ITEMS} items, or a line longer than {MAX_LINE} octets")
        error = None if self.items or b"\t" in line else error_of(line)
        self.items.append(Item("3", error, "", "", 0) if error else read_item(line))


class Text(Request):
    """A text: `text()` once the server has closed; `ended` tells whether the lone dot came.

    Args:
        limit: octets that are kept; a longer answer raises.
    """

    def __init__(self, selector: str, words: str | None = None, limit: int = 16 << 20) -> None:
        super().__init__(selector, words)
        self.ended = False
        self._limit = limit
        self._data = bytearray()

    def receive_data(self, data: bytes) -> None:
        """Take octets.

        Raises:
            RemoteProtocolError: there are more than the limit.
        """
        super().receive_data(data)
        if self.octets > self._limit:
            raise RemoteProtocolError(f"a text of more than {self._limit} octets")
        self._data += data

    def text(self) -> str:
        """Return it with LF as line end; doubled dots are taken back where the lone dot came (RFC 1436 section 2)."""
        whole = bytes(self._data).replace(b"\r\n", b"\n")
        lines = whole.split(b"\n")
        end = len(lines) - 1 - (lines[-1] == b"")
        if end >= 0 and lines[end] == b".":
            self.ended = True
            lines = [line[1:] if line.startswith(b"..") else line for line in lines[:end]] + [b""]
        return b"\n".join(lines).decode("utf-8", "replace")


class Binary(Request):
    """A binary file: `take()` gives what has come since the last time, to be written away; nothing is kept."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._data = b""

    def receive_data(self, data: bytes) -> None:
        """Take octets."""
        super().receive_data(data)
        self._data += data

    def take(self) -> bytes:
        """Return what has come, and forget it."""
        data, self._data = self._data, b""
        return data


def error_of(data: bytes) -> str | None:
    """Return the text of an error that came instead of a document, None where it is one.

    Gopher has no status. An error is a menu whose first item has type 3, or, from gophernicus, a lone line that begins with `Error: `.
    """
    line, _, rest = data.partition(b"\n")
    line = line.removesuffix(b"\r")
    if line.startswith(b"Error: ") and len(line) < LONGEST_ERROR and rest.strip() in (b"", b"."):
        return line.decode("utf-8", "replace")
    if line[:1] != b"3" or line.count(b"\t") < 3 or rest.strip() not in (b"", b"."):
        return None
    return line[1:].partition(b"\t")[0].decode("utf-8", "replace")
