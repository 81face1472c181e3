"""IMAP4 as it crosses the wire: RFC 9051, RFC 3501; literals (section 4.3) are counted.

S: * OK ready    C: a1 LOGIN (hidden)    S: a1 OK    C: a2 FETCH 1 BODY[]
S: * 1 FETCH (BODY[] {1234}    then 1,234 octets, then `)`          S: a2 OK
"""

import re

from services.dialogue.half import Mode
from services.dialogue.line import By, C, Line, S, octets_of, shown
from services.dialogue.reader import Reader

_LITERAL = re.compile(rb"\{([0-9]{1,18})(\+?)\}$")
KEPT = 4000  # octets of one command or answer that are kept


class Imap(Reader):
    """RFC 9051."""

    name, rfc = "IMAP", "RFC 9051"

    def __init__(self) -> None:
        super().__init__()
        self._greeted = False
        self._open: dict[By, bytes] = {C: b"", S: b""}  # a line whose literal is under way, or was
        self._tags: dict[str, Line] = {}
        self._secret = False
        self.body_name = "of a literal"

    def take_line(self, by: By, line: bytes) -> None:
        """Take a line; one that ends in `{count}` goes on behind its literal."""
        whole = self._open[by] + line
        literal = None if by == C and self._secret else _LITERAL.search(line)
        if literal:
            kept = whole[: -len(literal[0])]
            self._open[by] = (kept + f"{{{octets_of(int(literal[1]))}}}".encode())[:KEPT]
            if int(literal[1]):
                self.halves[by].count(int(literal[1]))
            return
        self._open[by] = b""
        if by == C:
            self._client(whole)
        else:
            self._server(whole)

    def _client(self, line: bytes) -> None:
        if self._secret:
            self.secret()
            return
        tag, _, rest = line.partition(b" ")
        word = rest.partition(b" ")[0].decode("ascii", "replace").upper()
        if word == "UID":
            word = " ".join(shown(part) for part in rest.upper().split(b" ")[:2])
        if not rest:  # DONE, of IDLE (RFC 2177)
            self.tell(Line(C, shown(line), shown(line).upper(), kind="text"))
            return
        hide = {"LOGIN": 2, "AUTHENTICATE": 3}.get(word)
        asked = self.command(line, word, hide_from=hide)
        if len(self._tags) < 1000:
            self._tags[shown(tag)] = asked

    def _server(self, line: bytes) -> None:
        if not self._greeted and line[:2] != b"* ":
            self.foreign = True
            return
        first = not self._greeted
        self._greeted = True
        text = shown(line)
        tag, _, rest = text.partition(" ")
        if tag == "*":
            self.reply(text, rest.partition(" ")[0].upper(), rest, to=None if first else self._latest())
        elif tag == "+":
            self._refresh()
            self.reply(text, "+", rest, to=self._latest())
        else:
            asked = self._tags.pop(tag, None)
            self._secret = False
            word, _, more = rest.partition(" ")
            self.reply(text, word.upper(), more, to=asked)
            if word.upper() != "OK" and self.halves[C].mode is Mode.COUNT and not self.halves[C].body:
                self._open[C] = b""  # a literal that was asked for is not sent
                self.halves[C].lines()
            if asked and asked.word == "STARTTLS" and word.upper() == "OK":
                self.start_tls()

    def _refresh(self) -> None:
        latest = self._latest()
        self._secret = bool(latest and latest.word == "AUTHENTICATE")

    def _latest(self) -> Line | None:
        """Return the command under way: untagged answers do not say which they belong to."""
        return next(iter(self._tags.values()), None)
