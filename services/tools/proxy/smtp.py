"""SMTP and LMTP: a text, and octets that are counted, go from the client to the server between its commands. Pure.

    C: RCPT TO:<bob@lab.test>      S: 451 4.7.1 Try again later         a reply of ours, to a command that the server never saw
    C: DATA                        S: 354 …                             from here to the line with a lone dot it is text

RFC 5321 sections 2.3.8, 4.1.1, 4.2.1; RFC 2033 section 4.2 (LMTP: a reply for each recipient); RFC 3030 (BDAT).
"""

from services.tools.proxy.conversation import Awaited, Choose, ToServer
from services.tools.proxy.lines import Texts
from services.tools.proxy.rules import Act


class Smtp(Texts):
    """SMTP. A command that is answered by us is not passed on, nor are the octets of a chunk that come with it."""

    DECIDE = ("STARTTLS", "DATA")
    CHALLENGE = b"334"  # RFC 4954 section 4

    def __init__(self, choose: Choose) -> None:
        self._chunk, self._swallow = 0, False  # octets of BDAT that are to come; whether they are passed on
        self._accepted = 0  # recipients
        super().__init__(choose)

    def _times(self, awaited: Awaited) -> int:
        return max(1, self._accepted) if not awaited.wanted else 1

    def _instead(self, verb: str, line: bytes, act: Act) -> None:
        super()._instead(verb, line, act)
        self._asks(verb, line)
        self._swallow = True

    def _asks(self, verb: str, line: bytes) -> None:
        words = line.upper().split()
        if verb == "BDAT":
            self._chunk = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
            self._swallow = False
            if words[2:] == [b"LAST"] and self.EACH:
                self.awaited[-1].wanted = 0

    def _read_body(self) -> bool:
        if not self._chunk:
            return super()._read_body()
        octets, self._asked = self._asked[: self._chunk], self._asked[self._chunk :]
        self._chunk -= len(octets)
        if not self._swallow:
            self._say(ToServer(octets))
        return True

    def _after(self, verb: str, code: bytes) -> None:
        super()._after(verb, code)
        good = code[:1] == b"2"
        if verb == "RCPT":
            self._accepted += good
        elif verb in ("MAIL", "RSET", "EHLO", "HELO", "LHLO") and good:
            self._accepted = 0


class Lmtp(Smtp):
    """LMTP: SMTP, but for the replies to the text."""

    EACH = True
