"""POP3 as it crosses the wire: RFC 1939, CAPA (RFC 2449), STLS (RFC 2595), AUTH (RFC 5034).

S: +OK ready    C: USER bob    S: +OK    C: PASS (hidden)    S: +OK    C: RETR 1    S: +OK 1234 octets, then the message
"""

from services.dialogue.line import By, C, Line, S, octets_of, shown
from services.dialogue.reader import Reader

HIDES = {"PASS": 1, "APOP": 2, "AUTH": 2}  # words that are shown
ALWAYS_LONG = {"RETR", "TOP", "CAPA"}  # their +OK is followed by a text up to a lone dot
LONG_ALONE = {"LIST", "UIDL", "AUTH"}  # where no message is named


class Pop3(Reader):
    """RFC 1939."""

    name, rfc = "POP3", "RFC 1939"

    def __init__(self) -> None:
        super().__init__()
        self._greeted = False
        self._secret = False
        self._of: Line | None = None  # whose text is coming

    def take_line(self, by: By, line: bytes) -> None:
        """Take a command or a status line."""
        if by == C:
            if self._secret:
                self._secret = False
                self.secret()
                return
            word = line.partition(b" ")[0].decode("ascii", "replace").upper()
            self.command(line, word, hide_from=HIDES.get(word))
            return
        ok = line[:3].upper() == b"+OK"
        if not self._greeted and not ok and line[:4].upper() != b"-ERR":
            self.foreign = True
            return
        text = shown(line)
        if line[:2] == b"+ " and (asked := self.waiting()) and asked.word == "AUTH":
            self._secret = True
            self.reply(text, "+", text[2:], to=asked)
            return
        self._secret = False
        asked = self.answered() if self._greeted else None
        self._greeted = True
        word, _, rest = text.partition(" ")
        self.reply(text, word.upper(), rest, to=asked)
        if ok and asked:
            if asked.word in ALWAYS_LONG or (asked.word in LONG_ALONE and not asked.rest):
                self._of = asked
                self.body_name = f"of {_noun(asked)}"
                self.halves[S].text()
            elif asked.word == "STLS":
                self.start_tls()

    def body_ended(self, by: By) -> None:
        """The lone dot came."""
        self.counted(by, f"{_noun(self._of)}, {octets_of(self.halves[by].body)}", to=self._of, word=".")


def _noun(asked: Line | None) -> str:
    return f"message {asked.rest}" if asked and asked.word == "RETR" else f"{asked.word}'s answer" if asked else "text"
