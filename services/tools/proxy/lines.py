"""Conversations in lines, such as SMTP's and FTP's: a command is a line, a reply one line or more that begin with a code. Pure.

C: NOOP      S: 250 Ok
C: FEAT      S: 211-Features   S:  UTF8   S: 211 End         (RFC 5321 section 4.2.1, RFC 959 section 4.2)
"""

from services.tools.proxy.conversation import (
    MAX_LINE,
    Awaited,
    Choose,
    Conversation,
    End,
    Item,
    Leave,
    ToClient,
    ToServer,
)
from services.tools.proxy.rules import GREETING, Act

TEXT_ENDS = b"\r\n.\r\n"
END_OF_TEXT = "."  # the "verb" that the reply after the text answers


class Lines(Conversation):
    """Commands and replies in lines; both ends keep their order."""

    DECIDE: tuple[str, ...] = ("STARTTLS",)  # until these are answered, nobody knows what the client's next octets are
    SECURES: tuple[str, ...] = ("STARTTLS",)  # from a good answer to these on all is encrypted
    GOOD: tuple[bytes, ...] = (b"2",)  # how that begins
    CHALLENGE = b""  # the code after which the client's next line is no command
    CLOSES: tuple[bytes, ...] = (
        b"421",
    )  # who says this closes the connection (RFC 5321 section 3.8, RFC 959 section 5.4)

    def __init__(self, choose: Choose) -> None:
        self._asked = self._told = b""  # a line that is not yet whole
        self._multi = b""  # the code of a reply of several lines
        self._raw = 0  # octets of a reply that are no lines
        self._challenged = False
        super().__init__(choose)

    def _choose_greeting(self) -> Act | None:
        act = self.choose(GREETING)
        self.awaited.append(Awaited(GREETING, act, instead=line_of(act), ends=line_of(act).startswith(self.CLOSES)))
        return act

    # -- the client's -------------------------------------------------------------------------------------------------

    def _client(self, octets: bytes) -> None:
        self._asked += octets
        self._read_client()

    def _read_client(self) -> None:
        while self._asked and not self.over and not self._holds():
            if self.opaque:
                octets, self._asked = self._asked, b""
                self._say(ToServer(octets))
            elif not self._read_body():
                line, ended, rest = self._asked.partition(b"\n")
                if not ended:
                    if len(line) > MAX_LINE:
                        self._give_up()
                        continue
                    return
                self._asked = rest
                self._command(line + b"\n")

    def _holds(self) -> bool:
        return any(awaited.verb in self.DECIDE or (awaited.own and awaited.ends) for awaited in self.awaited)

    def _read_body(self) -> bool:
        """Take octets that are no command; False where a command is next."""
        return False

    def _command(self, line: bytes) -> None:
        if self._challenged:
            self._challenged = False
            self.awaited.append(Awaited("AUTH"))
            self._say(ToServer(line))
            return
        verb = line.split(None, 1)[0].decode("latin-1").upper() if line.strip() else ""
        act = self.choose(verb)
        if act and act.reply:
            self._instead(verb, line, act)
        else:
            self.awaited.append(Awaited(verb, act))
            self._asks(verb, line)
            self._say(ToServer(line))
        self._own_replies()

    def _instead(self, verb: str, line: bytes, act: Act) -> None:  # noqa: ARG002 - some verbs bring octets with them
        """Answer ourselves; the server never sees the command, so nothing has to be undone there."""
        own = line_of(act)
        self.awaited.append(Awaited(verb, act, own=own, ends=own.startswith(self.CLOSES)))

    def _asks(self, verb: str, line: bytes) -> None:
        """Be told of a command that the server gets."""

    def _give_up(self) -> None:
        """Read no more: what comes is passed on as it is."""
        self.opaque = True
        self._asked, self._told, asked, told = b"", b"", self._asked, self._told
        self._say(ToServer(asked)) if asked else None
        self._say(ToClient(told)) if told else None

    def client_ended(self) -> list[Item]:
        if self._asked and not self.over:
            octets, self._asked = self._asked, b""
            self._say(ToServer(octets))
        return super().client_ended()

    # -- the server's -------------------------------------------------------------------------------------------------

    def _server(self, octets: bytes) -> None:
        if self.opaque:
            self._pass(octets)
            return
        self._told += octets
        while self._told and not self.over and not self.opaque:
            if self._raw:
                octets, self._told = self._told[: self._raw], self._told[self._raw :]
                self._raw -= len(octets)
                self._pass(octets)
                continue
            line, ended, rest = self._told.partition(b"\n")
            if not ended:
                if len(line) > MAX_LINE:
                    self._give_up()
                return
            self._told = rest
            self._reply_line(line + b"\n")
        if self.opaque and self._told:
            octets, self._told = self._told, b""
            self._pass(octets)

    def server_ended(self) -> list[Item]:
        if self._told and not self.over:
            octets, self._told = self._told, b""
            self._pass(octets)
        return super().server_ended()

    def _reply_line(self, line: bytes) -> None:
        code, more = line[:3], line[3:4] == b"-"
        final = not more and (not self._multi or code == self._multi)
        self._multi = b"" if final else self._multi or code
        if self._preliminary(code):
            self._say(ToClient(line))
            if final:
                self._begins(code)
            return
        self._pass(line)
        if final:
            self._answered(code)

    def _preliminary(self, code: bytes) -> bool:  # noqa: ARG002 - FTP's are
        """Tell whether another reply follows to the same command."""
        return False

    def _begins(self, code: bytes) -> None:
        """Be told of a preliminary reply."""

    def _answered(self, code: bytes) -> None:
        """Be told that a reply is whole."""
        if not self.awaited or self.over:
            return
        head = self.awaited[0]
        if not head.wanted:
            head.wanted = self._times(head)
        head.wanted -= 1
        if head.wanted > 0:
            return
        self.awaited.popleft()
        if head.instead:
            self._say_own(head)
        self._after(head.verb, code)
        self._own_replies()
        self._read_client()

    def _after(self, verb: str, code: bytes) -> None:
        """Be told what the server has said to a verb."""
        self._challenged = code == self.CHALLENGE
        if verb in self.SECURES and code.startswith(self.GOOD):
            self.opaque = True


class Texts(Lines):
    """Lines, and texts of the client that a lone dot ends. There the server is left before it sees the dot, where the reply is ours."""

    BEGINS: tuple[tuple[str, bytes], ...] = (
        ("DATA", b"354"),
    )  # verbs, and what the server says when it wants their text
    GOODBYE, ALONE = b"221 2.0.0 goodbye\r\n", b"421 4.3.2 this connection ends\r\n"  # when the server was left
    EACH = False  # LMTP: the text is answered for each recipient that was accepted

    def __init__(self, choose: Choose) -> None:
        self._text = False
        self._held, self._unsaid = b"", 0  # what may be the text's end; how many octets of that the client has not said
        self._alone = False  # the server was left
        super().__init__(choose)

    def _command(self, line: bytes) -> None:
        if self._alone:
            self._say(ToClient(self.GOODBYE if line.strip().upper() == b"QUIT" else self.ALONE))
            self._say(End())
        else:
            super()._command(line)

    def _read_body(self) -> bool:
        if self._text:
            self._read_text()
            return True
        return False

    def _read_text(self) -> None:
        """Pass text on; hold back what may be its end."""
        octets, self._asked = self._held + self._asked, b""
        place = octets.find(TEXT_ENDS)
        cut = place + 2 if place >= 0 else len(octets) - _overlap(octets)
        if octets[self._unsaid : cut]:
            self._say(ToServer(octets[self._unsaid : cut]))
        self._unsaid = max(0, self._unsaid - cut)
        self._held = octets[cut:]
        if place >= 0:
            self._asked, self._held, self._text = self._held[3:], b"", False
            self._end_of_text()

    def _end_of_text(self) -> None:
        act = self.choose(END_OF_TEXT)
        own = line_of(act)
        self.awaited.append(
            Awaited(END_OF_TEXT, act, own=own, ends=own.startswith(self.CLOSES), wanted=0 if self.EACH else 1)
        )
        if own:
            self._alone = True
            self._say(Leave())
            self._own_replies()
        else:
            self._say(ToServer(TEXT_ENDS[2:]))

    def client_ended(self) -> list[Item]:
        self._asked, self._held, self._unsaid = self._held[self._unsaid :] + self._asked, b"", 0
        return super().client_ended()

    def _after(self, verb: str, code: bytes) -> None:
        super()._after(verb, code)
        if (verb, code) in self.BEGINS:
            self._text, self._held, self._unsaid = True, b"\r\n", 2  # a dot may be its first line


def line_of(act: Act | None) -> bytes:
    """Return a reply of ours; empty where there is none."""
    return act.reply + b"\r\n" if act and act.reply else b""


def _overlap(octets: bytes) -> int:
    """Return how many octets at the end may be the beginning of the text's end."""
    return next((size for size in range(4, 0, -1) if octets.endswith(TEXT_ENDS[:size])), 0)
