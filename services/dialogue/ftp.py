"""FTP's control connection, RFC 959 with EPRT and EPSV (RFC 2428); and its data connections, whose octets are counted.

    C: PASV                        S: 227 Entering Passive Mode (172,18,0,5,200,17)        data will cross to port 200 * 256 + 17
    C: RETR pub/numbers.bin        S: 150 … 226 Transfer complete.

Public: `Ftp`, `FtpData`, `Transfer`.
"""

import re
from collections import deque
from dataclasses import dataclass

from services.dialogue.line import By, Line
from services.dialogue.reader import Reader
from services.dialogue.replies import ReplyReader

_SIX = re.compile(r"(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3})")
_EXTENDED = re.compile(r"([!-~])([12]?)\1([^|]{0,45})\1(\d{1,5})\1")
MOVES = {"RETR", "STOR", "STOU", "APPE", "LIST", "NLST", "MLSD"}  # what needs a data connection


@dataclass
class Transfer:
    """A data connection that was agreed on.

    Args:
        by: who told where it goes: the server (passive), or the client (active).
        host: the address that was told; empty where it is the teller's own (EPSV).
        port: where it goes.
        what: the command that it is for, such as `RETR numbers.bin`, once that came.
        number: that command's line.
        agreed: number of the line that told where it goes.
    """

    by: By
    host: str
    port: int
    what: str = ""
    number: int = 0
    agreed: int = 0


class Ftp(ReplyReader):
    """The control connection; `transfers` are the data connections that it agreed on, for whoever looks for them."""

    name, rfc = "FTP", "RFC 959"

    def __init__(self) -> None:
        super().__init__()
        self.transfers: deque[Transfer] = deque(maxlen=1000)

    def take_command(self, line: bytes) -> None:
        """Take a command; passwords are hidden."""
        line = line.lstrip(b"\xff\xf4\xf2")  # Telnet's IP and DM before ABOR (RFC 959 section 4.1.3)
        verb, _, rest = line.partition(b" ")
        word = verb.decode("ascii", "replace").upper()
        asked = self.command(line, word, hide_from=1 if word in ("PASS", "ACCT", "ADAT") else None)
        if word in ("PORT", "EPRT"):
            self._agree(asked, rest.decode("ascii", "replace"), word == "PORT")
        elif word in MOVES and self.transfers and not self.transfers[-1].what:
            self.transfers[-1].what, self.transfers[-1].number = asked.text, asked.number

    def take_reply(self, code: str, lines: list[str], count: int) -> None:
        """Take a reply; one that begins with 1 is followed by another to the same command."""
        asked = None if self.greets() else self.waiting() if code[0] == "1" else self.answered()
        told = self.told(code, lines, count, asked)
        if code in ("227", "229"):
            self._agree(told, told.rest, code == "227")
        elif code == "234" and asked and asked.word == "AUTH":  # RFC 4217 section 4
            self.start_tls()

    def _agree(self, line: Line, text: str, six: bool) -> None:
        if six and (match := _SIX.search(text)):
            numbers = [int(number) for number in match.groups()]
            if max(numbers) < 256:
                self.transfers.append(
                    Transfer(line.by, ".".join(map(str, numbers[:4])), numbers[4] << 8 | numbers[5], agreed=line.number)
                )
        elif not six and (match := _EXTENDED.search(text)):
            self.transfers.append(Transfer(line.by, match[3], int(match[4]), agreed=line.number))


class FtpData(Reader):
    """A data connection: one file or listing, octets to the end of the stream."""

    name, rfc = "FTP data", "RFC 959"
    one_way = True

    def __init__(self, transfer: Transfer) -> None:
        super().__init__()
        self.transfer = transfer
        for half in self.halves.values():
            half.fresh = False  # a file may begin with any octet
            half.rest()

    def body_of(self) -> str:
        """Return what the octets are, once the control connection has told."""
        return f"of {self.transfer.what or 'data'}"

    def take_line(self, by: By, line: bytes) -> None:
        """There are no lines."""

    def ended(self, by: By) -> None:
        """The end of the stream is the end of the file (RFC 959 section 3.4.1)."""
        if self.halves[by].body:
            self.counted(by, f"{self.transfer.what or 'data'}: {self.halves[by].body:,} octets")
