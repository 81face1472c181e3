"""Replies of three digits, shared by SMTP, LMTP, FTP and NNTP (RFC 5321 section 4.2, RFC 959 section 4.2, RFC 3977 section 3.2).

    250-smtp-relay CRLF 250-PIPELINING CRLF 250 HELP CRLF          one reply; other lines between may have no code (FTP)

Public: `ReplyReader`.
"""

import re

from services.dialogue.line import By, Line, S, cut, shown
from services.dialogue.reader import Reader

REPLY = re.compile(rb"([1-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
MOST = 60  # lines of one reply that are kept


class ReplyReader(Reader):
    """Puts the lines of a reply together; the first line of the server's must be one, or it is another protocol."""

    continues = True  # `250-` means that more lines come

    def __init__(self) -> None:
        super().__init__()
        self._code = b""  # of the reply under way
        self._lines: list[str] = []
        self._more = 0  # lines that are not kept
        self._greeted = False  # the first line was one of a reply
        self._awaits_greeting = True

    def midway(self) -> None:
        """Begin in the middle: the greeting was before."""
        super().midway()
        self._awaits_greeting = False

    def greets(self) -> bool:
        """Tell whether a reply is the first one, which answers nothing."""
        greets, self._awaits_greeting = self._awaits_greeting, False
        return greets

    def take_line(self, by: By, line: bytes) -> None:
        """Take a line of either end."""
        if by != S:
            self.take_command(line)
            return
        match = REPLY.fullmatch(line)
        if not self._greeted and not match:
            self.foreign = True
            return
        self._greeted = True
        if self._code:
            ends = match and match[1] == self._code and match[2] != b"-"
            self._keep(line)
            if not ends:
                return
        elif not match:
            self.stray(line)
            return
        else:
            self._code = match[1]
            self._keep(line)
            if match[2] == b"-" and self.continues:
                return
        code, lines, count = self._code.decode(), self._lines, len(self._lines) + self._more
        self._code, self._lines, self._more = b"", [], 0
        self.take_reply(code, lines, count)

    def _keep(self, line: bytes) -> None:
        if len(self._lines) < MOST:
            self._lines.append(shown(line))
        else:
            self._more += 1

    def stray(self, line: bytes) -> None:
        """Take a line of the server's that is no reply."""
        self.tell(Line(S, shown(line), kind="text"))

    def take_command(self, line: bytes) -> None:
        """Take a line of the client's."""
        raise NotImplementedError

    def take_reply(self, code: str, lines: list[str], count: int) -> None:
        """Take a whole reply."""
        raise NotImplementedError

    def told(self, code: str, lines: list[str], count: int, to: Line | None, most: int = 150) -> Line:
        """Note a reply; several lines are told in one."""
        texts = [line[4:] if line.startswith(code) else line.strip() for line in lines]
        if count == 1:
            return self.reply(lines[0], code, texts[0], to=to, said=lines)
        text = cut(f"{code}-{', '.join(filter(None, texts))}", most - 14)
        return self.reply(f"{text} ({count} lines)", code, ", ".join(texts), to=to, said=lines)
