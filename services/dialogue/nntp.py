"""NNTP as it crosses the wire: RFC 3977, AUTHINFO (RFC 4643), STARTTLS (RFC 4642).

S: 200 ready    C: GROUP lab.test    S: 211 2 1 2 lab.test    C: ARTICLE 1    S: 220 1 <id>, then the article
C: POST         S: 340 go on         C: text of 310 octets    S: 240 article received
"""

from services.dialogue.line import By, C, Line, S, octets_of
from services.dialogue.replies import ReplyReader

LONG = {
    "100",
    "101",
    "215",
    "220",
    "221",
    "222",
    "224",
    "225",
    "230",
    "231",
    "282",
}  # RFC 3977 section 3.2: a text follows
NOUNS = {
    "101": "capabilities",
    "220": "article",
    "221": "head",
    "222": "body",
    "215": "list",
    "224": "overview",
    "230": "list",
    "231": "list",
}


class Nntp(ReplyReader):
    """RFC 3977; a reply is always one line."""

    name, rfc = "NNTP", "RFC 3977"
    continues = False

    def __init__(self) -> None:
        super().__init__()
        self._of: Line | None = None
        self._noun = "text"

    def take_command(self, line: bytes) -> None:
        """Take a command; AUTHINFO's password is hidden."""
        words = line.upper().split()
        word = words[0].decode("ascii", "replace") if words else ""
        hide = (
            {b"PASS": 2, b"SASL": 3}.get(words[1], 2)
            if word == "AUTHINFO" and len(words) > 1 and words[1] != b"USER"
            else None
        )
        self.command(line, word, hide_from=hide)

    def take_reply(self, code: str, lines: list[str], count: int) -> None:
        """Take a status line; some are followed by a text, and 335 and 340 let the client's come."""
        asked = None if self.greets() else self.answered()
        self.told(code, lines, count, asked)
        word = asked.word if asked else ""
        if code in LONG or (code == "211" and word == "LISTGROUP"):
            self._of, self._noun = asked, NOUNS.get(code, "text")
            self.body_name = f"of {self._noun}"
            self.halves[S].text()
        elif code in ("335", "340"):
            self.body_name = "of article"
            self.halves[C].text()
        elif code == "382":
            self.start_tls()

    def body_ended(self, by: By) -> None:
        """The lone dot came."""
        octets = octets_of(self.halves[by].body)
        if by == S:
            self.counted(S, f"{self._noun}, {octets}", to=self._of, word=".")
        else:
            self._asked.append(self.counted(C, f"article of {octets}", word="."))
