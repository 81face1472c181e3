"""POP3 and NNTP: a reply is a line, and some have a text behind it, up to a lone dot, which belongs to them. Pure.

    C: RETR 1       S: -ERR [SYS/TEMP] try again later       the server never saw the command
    C: ARTICLE 1    S: 430 No such article
    C: POST         S: 340 …     C: text     S: 441 Posting failed        the server never saw the text's dot

RFC 1939 section 3, RFC 2449 (CAPA), RFC 5034 (AUTH); RFC 3977 sections 3.1 and 3.2, RFC 4643 (AUTHINFO).
"""

from services.tools.proxy.conversation import Awaited, Choose
from services.tools.proxy.lines import Lines, Texts


class Dotted(Lines):
    """Replies of a line, and of a text behind it where `_has_text` says so."""

    def __init__(self, choose: Choose) -> None:
        self._text_of = b""  # the code of the reply whose text is coming
        super().__init__(choose)

    def _has_text(self, asked: Awaited, code: bytes) -> bool:
        """Tell whether a text follows a reply of this code to this command."""
        raise NotImplementedError

    def _reply_line(self, line: bytes) -> None:
        if self._text_of:
            code, more = self._text_of, line.rstrip(b"\r\n") != b"."
        else:
            code = (line.split(None, 1) or [b""])[0].upper()
            more = bool(self.awaited) and self._has_text(self.awaited[0], code)
        self._text_of = code if more else b""
        self._pass(line)
        if not more:
            self._answered(code)


class Pop3(Dotted):
    """POP3."""

    DECIDE = SECURES = ("STLS",)
    GOOD = (b"+OK",)
    CHALLENGE = b"+"
    CLOSES = ()
    TEXTS = ("RETR", "TOP", "CAPA")
    TEXTS_OF_ALL = ("LIST", "UIDL", "AUTH")  # where they name nothing

    def _asks(self, verb: str, line: bytes) -> None:
        self.awaited[-1].text = verb in self.TEXTS or (verb in self.TEXTS_OF_ALL and len(line.split()) == 1)

    def _has_text(self, asked: Awaited, code: bytes) -> bool:
        return asked.text and code == b"+OK"


class Nntp(Dotted, Texts):
    """NNTP. An article is a text as a mail is. From TAKETHIS on, which asks nobody (RFC 4644), nothing is read."""

    SECURES = ("STARTTLS", "COMPRESS")
    DECIDE = (*SECURES, "POST", "IHAVE")
    GOOD = (b"382", b"206")
    CHALLENGE = b"383"
    CLOSES = (b"400",)
    BEGINS = (("POST", b"340"), ("IHAVE", b"335"))
    GOODBYE, ALONE = b"205 goodbye\r\n", b"400 this connection ends\r\n"
    TEXTS = (b"100", b"101", b"215", b"220", b"221", b"222", b"224", b"225", b"230", b"231")

    def _asks(self, verb: str, line: bytes) -> None:  # noqa: ARG002 - as its base
        self.opaque = self.opaque or verb == "TAKETHIS"

    def _has_text(self, asked: Awaited, code: bytes) -> bool:
        return code in self.TEXTS or (code == b"211" and asked.verb == "LISTGROUP")
