"""One direction of a conversation, cut into lines and bodies, wherever TCP cut it into segments.

    LINES   to the next LF, CR before it taken off      COUNT   so many octets
    TEXT    to the line with a lone dot                 REST    to the end of the stream

Public: `Half`, `Body`, `Mode`, `LONGEST`.
"""

import enum
from typing import NamedTuple

LONGEST = 8192  # octets of a line that are kept: what is longer is told by its beginning, and takes no more memory
DOT = b"\r\n.\r\n"  # RFC 5321 section 4.5.2, RFC 1939 section 3, RFC 3977 section 3.1.1


class Mode(enum.Enum):
    """What is awaited of a direction."""

    LINES = "lines"
    COUNT = "so many octets"
    TEXT = "a text that ends in a lone dot"
    REST = "octets to the end of the stream"


class Body(NamedTuple):
    """Octets that are counted and not told; `ended` where the body is whole with them."""

    octets: int
    ended: bool


class Half:
    """What an end says; its reader sets what is awaited next.

    `body` counts the octets of the body under way, or of the last one.
    """

    __slots__ = ("_at", "_carry", "_inbox", "_long", "_searched", "body", "fresh", "left", "mode", "torn")

    def __init__(self) -> None:
        self.mode = Mode.LINES
        self.left = 0  # octets of a counted body still to come
        self.body = 0
        self.fresh = True  # nothing came yet
        self.torn = False  # octets are missing: what comes up to the next LF is the rest of a line
        self._inbox = b""
        self._at = 0
        self._searched = 0
        self._long = b""  # the beginning of a line that is too long
        self._carry = b""  # last octets of a text, where the lone dot may have begun

    def lines(self) -> None:
        """Await lines."""
        self.mode = Mode.LINES

    def count(self, octets: int) -> None:
        """Await a body of so many octets."""
        self.mode, self.left, self.body = Mode.COUNT, octets, 0

    def text(self) -> None:
        """Await a text up to its lone dot; the dot may be its first line."""
        self.mode, self.body, self._carry = Mode.TEXT, 0, b"\r\n"

    def rest(self) -> None:
        """Await octets until the stream ends."""
        self.mode, self.body = Mode.REST, 0

    @property
    def waiting(self) -> int:
        """Octets of a line that is not whole yet."""
        return len(self._inbox) - self._at + len(self._long)

    @property
    def begun(self) -> bytes:
        """The line that is not whole yet, as far as it came."""
        return self._long or self._inbox[self._at : self._at + LONGEST]

    def add(self, data: bytes) -> None:
        """Take octets; then call `take` until it returns None."""
        if self._at < len(self._inbox):
            self._searched -= self._at
            self._inbox = self._inbox[self._at :] + data
        else:
            self._searched, self._inbox = 0, data
        self._at = 0
        self.fresh = False

    def counts(self, data: bytes) -> bool:
        """Take octets that are nothing but a part of a counted body, and not its end; tell whether they were."""
        if self.mode is not Mode.COUNT or len(data) >= self.left or self._at < len(self._inbox):
            return False
        self.left -= len(data)
        self.body += len(data)
        return True

    def take(self) -> bytes | Body | None:
        """Return the next line or part of a body; None where more must come first."""
        if self.mode is Mode.LINES:
            return self._take_line()
        there = len(self._inbox) - self._at
        if not there:
            return None
        if self.mode is Mode.COUNT:
            taken = min(there, self.left)
            self._at = self._searched = self._at + taken
            return self._counted(taken)
        if self.mode is Mode.TEXT:
            return self._take_text()
        self._at = self._searched = self._at + there
        self.body += there
        return Body(there, False)

    def all(self) -> bytes:
        """Take what is left, for whoever reads on from here."""
        left = self._long + self._inbox[self._at :]
        self._inbox, self._at, self._searched, self._long = b"", 0, 0, b""
        return left

    def skip(self, octets: int) -> tuple[Body | None, int]:
        """Step over octets that were not captured; return what that is of a body, and how many are not stepped over yet."""
        if self.mode is Mode.COUNT:
            taken = min(octets, self.left)
            return self._counted(taken), octets - taken
        self.all()
        if self.mode is Mode.LINES:
            self.torn = True
            return None, 0
        self.body += octets
        self._carry = b""
        return Body(octets, False), 0

    def _counted(self, octets: int) -> Body:
        self.left -= octets
        self.body += octets
        return Body(octets, self.left == 0)

    def _take_line(self) -> bytes | None:
        while True:
            inbox, at = self._inbox, self._at
            end = inbox.find(b"\n", self._searched)
            if end < 0:
                self._searched = len(inbox)
                if self._searched - at + len(self._long) > LONGEST:
                    self._long = (self._long + inbox[at:])[:LONGEST]
                    self._inbox, self._at, self._searched = b"", 0, 0
                return None
            line = inbox[at:end]
            self._at = self._searched = end + 1
            if self._long or end - at > LONGEST:
                line, self._long = (self._long + line)[:LONGEST], b""
            if not self.torn:
                return line.removesuffix(b"\r")
            self.torn = False

    def _take_text(self) -> Body:
        chunk = self._inbox[self._at :]
        whole = self._carry + chunk
        found = whole.find(DOT)
        if found < 0:
            self._at = self._searched = len(self._inbox)
            self._carry = whole[-4:]
            self.body += len(chunk)
            return Body(len(chunk), False)
        taken = found + len(DOT) - len(self._carry)
        self._at = self._searched = self._at + taken
        self.body += taken - 3  # the dot and its CRLF are no part of the text
        return Body(taken, True)
