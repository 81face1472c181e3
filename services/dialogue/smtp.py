"""SMTP and LMTP as they cross the wire: RFC 5321, RFC 2033; the commands are those of the relay's own table.

    S: 220 smtp-relay ESMTP        C: EHLO client        S: 250-smtp-relay, SIZE 67108864, PIPELINING (9 lines)
    C: DATA   S: 354 go on         C: text of 1,234 octets   S: 250 2.0.0 Queued

Public: `Smtp`, `Lmtp`.
"""

import re

from services.dialogue.line import By, C, Line, octets_of
from services.dialogue.replies import ReplyReader
from services.smtp_relay.commands import COMMANDS

_CHUNK = re.compile(rb"[0-9]{1,18}")


class Smtp(ReplyReader):
    """RFC 5321, with CHUNKING, AUTH and STARTTLS."""

    name, rfc = "SMTP", "RFC 5321"
    each_recipient = False  # whether the text is answered once for each recipient

    def __init__(self) -> None:
        super().__init__()
        self._secret = False  # the next line of the client's is part of an AUTH
        self._recipients = 0  # whose reply to the text is still to come

    def take_command(self, line: bytes) -> None:
        """Take a command, or a step of AUTH (RFC 4954)."""
        if self._secret:
            self._secret = False
            self.secret()
            return
        verb, _, rest = line.partition(b" ")
        word = verb.decode("ascii", "replace").upper()
        if word == "AUTH":
            self.command(line, word, hide_from=2)
        elif word == "BDAT":
            self._chunk(line, rest)
        else:
            self.command(line, word if word in COMMANDS or word == "LHLO" else "?")

    def _chunk(self, line: bytes, rest: bytes) -> None:
        """RFC 3030 section 2: octets follow the command at once."""
        size = rest.strip().partition(b" ")[0]
        self.command(line, "BDAT")
        if _CHUNK.fullmatch(size) and int(size):
            self.body_name = "of a chunk"
            self.halves[C].count(int(size))

    def body_ended(self, by: By) -> None:
        """The text is whole; of a chunk, its command told the size."""
        chunk = self.body_name == "of a chunk"
        octets = octets_of(self.halves[by].body)
        line = self.counted(by, f"{'chunk' if chunk else 'text'} of {octets}", known=chunk, word="" if chunk else ".")
        if not chunk:
            self._asked.append(line)

    def take_reply(self, code: str, lines: list[str], count: int) -> None:
        """Take a reply; 354 lets the text come, 334 asks for a secret, 220 to STARTTLS begins TLS."""
        if self.greets():
            self.told(code, lines, count, None)
            return
        asked = self.waiting()
        if code == "334" and asked and asked.word == "AUTH":
            self._secret = True
            self.told(code, lines, count, asked)
            return
        if not (asked and self._answers_again(asked)):
            self.answered()
        self._secret = False
        self.told(code, lines, count, asked)
        word = asked.word if asked else ""
        if word == "RCPT" and code[0] == "2":
            self._recipients += 1
        elif word in ("MAIL", "RSET", "EHLO", "HELO", "LHLO"):
            self._recipients = 0
        elif word == "DATA" and code == "354":
            self.body_name = "of text"
            self.halves[C].text()
        elif word == "STARTTLS" and code == "220":
            self.start_tls()

    def _answers_again(self, asked: Line) -> bool:
        """Tell whether more replies to a text come: LMTP answers it once for each recipient that it took (RFC 2033 section 4.2)."""
        ends = asked.word == "." or (asked.word == "BDAT" and asked.rest.upper().endswith("LAST"))
        if not ends or not self.each_recipient:
            return False
        self._recipients -= 1
        return self._recipients > 0


class Lmtp(Smtp):
    """RFC 2033: SMTP to a host that delivers at once."""

    name, rfc = "LMTP", "RFC 2033"
    each_recipient = True
