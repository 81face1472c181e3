"""The text of a message on the wire: dot-stuffing and its undoing, and what text may hold. Pure.

    on the wire     Hi CRLF ..dot CRLF . CRLF
    the text        Hi CRLF .dot CRLF

Only CRLF ends a line, and only CRLF "." CRLF ends a text (RFC 5321 sections 2.3.8, 4.1.1.4, 4.5.2). A text with a bare CR or LF in it
is refused as a whole: the next server might see an end of the text, and commands, where we saw text (SMTP smuggling, CVE-2023-51764,
-51765, -51766).

Public: `TextReader`, `TextCheck`, `DotStuffer`, `Flaw`.
"""

from enum import Enum

END = b"\r\n.\r\n"
# RFC 5321 section 4.5.3.1.6: octets of a text line, CRLF included, the dot that was added for transparency not.
MAX_TEXT_LINE = 1000


class Flaw(Enum):
    """Why a text is refused; the value is the reply: code, enhanced code, words."""

    BARE = (554, "5.6.0", "a bare CR or LF in the text; lines end in CRLF (RFC 5321 section 2.3.8)")
    NUL = (554, "5.6.0", "a NUL in the text (RFC 5322 section 2.3)")
    EIGHT_BIT = (554, "5.6.1", "8-bit text without BODY=8BITMIME (RFC 6152 section 2)")
    LONG_LINE = (500, "5.6.0", f"a line of the text is longer than {MAX_TEXT_LINE} octets (RFC 5321 section 4.5.3.1.6)")


class TextCheck:
    """Looks at a text as it passes; `flaw` is the first thing found.

    Args:
        eight_bit: octets above 127 are allowed.
    """

    __slots__ = ("_column", "_eight_bit", "flaw", "is_ascii", "size")

    def __init__(self, *, eight_bit: bool) -> None:
        self._eight_bit = eight_bit
        self._column = 0
        self.flaw: Flaw | None = None
        self.is_ascii = True
        self.size = 0

    def look_at(self, part: bytes) -> None:
        """Look at the next part; it must not end between a CR and its LF."""
        self.size += len(part)
        if self.flaw:
            return
        if self.is_ascii and not part.isascii():
            self.is_ascii = False
            if not self._eight_bit:
                self.flaw = Flaw.EIGHT_BIT
                return
        lines = part.split(b"\r\n")
        ends = len(lines) - 1
        if part.count(b"\n") != ends or part.count(b"\r") != ends:
            self.flaw = Flaw.BARE
        elif b"\0" in part:
            self.flaw = Flaw.NUL
        elif self._column + len(lines[0]) > MAX_TEXT_LINE - 2 or max(map(len, lines)) > MAX_TEXT_LINE - 2:
            self.flaw = Flaw.LONG_LINE
        self._column = len(lines[-1]) + (0 if ends else self._column)


class TextReader:
    """Takes the octets after DATA and gives the text, until the line with the single dot."""

    __slots__ = ("_check", "_first", "_held", "rest")

    def __init__(self, check: TextCheck) -> None:
        self._check = check
        self._held = b"\r\n"  # the command line's end, so that a dot may stand on the very first line
        self._first = True
        self.rest: bytes | None = None  # what came after the end of the text; None while it has not ended

    def receive_data(self, data: bytes) -> bytes:
        """Take octets and return the text that they make certain, dots undone; look at `rest` for whether that was all."""
        data = self._held + data
        end = data.find(END)
        if end >= 0:
            self.rest = data[end + len(END) :]
            part = data[: end + 2]
        else:
            held = _beginning_of_end(data)
            part, self._held = data[: len(data) - held], data[len(data) - held :]
        if self._first and part:
            self._first = False
            part = part[2:] if part[2:3] != b"." else part[3:]
        if b"\r\n." in part:
            part = part.replace(b"\r\n.", b"\r\n")
        if part:
            self._check.look_at(part)
        return part


def _beginning_of_end(data: bytes) -> int:
    """Return how many of the last octets may be the beginning of the text's end."""
    for length in (4, 3, 2, 1):
        if data.endswith(END[:length]):
            return length
    return 0


class DotStuffer:
    """Writes a text for the wire: a dot more before each line that begins with one (RFC 5321 section 4.5.2)."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = b"\r\n"  # the last two octets so far

    def send(self, text: bytes) -> bytes:
        """Return the next part of the text as it goes out."""
        if not text:
            return b""
        stuffed = text.replace(b"\r\n.", b"\r\n..")
        joined = self._last + text[:2]
        if joined.startswith(b"\r\n."):
            stuffed = b"." + stuffed
        elif joined[1:4] == b"\r\n.":  # CR | LF .
            stuffed = stuffed.replace(b"\n.", b"\n..", 1)
        self._last = (self._last + text[-2:])[-2:]
        return stuffed

    def end(self) -> bytes:
        """Return the end of the text, with the line end before it where the text has none."""
        return b".\r\n" if self._last == b"\r\n" else b"\r\n.\r\n"
