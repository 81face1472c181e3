"""IMAP4: commands and replies bear tags; a string may be a literal, octets that are counted (RFC 3501 sections 2.2, 4.3, 7.1.5; RFC 7888).

C: a2 SELECT INBOX      S: * BYE the server goes down         … and the connection is closed; the server never saw the command
C: a2 SELECT INBOX      S: a2 NO [INUSE] try again later
"""

import re

from services.tools.proxy.conversation import Awaited, Choose, ToServer
from services.tools.proxy.lines import Lines
from services.tools.proxy.rules import GREETING, Act

LITERAL = re.compile(rb"\{(\d+)(\+?)\}\r?\n$")
BYE = b"* BYE"


class Imap(Lines):
    """An IMAP connection."""

    SECURES = ("STARTTLS", "COMPRESS")
    DECIDE = SECURES
    CONTINUES = ("AUTHENTICATE", "IDLE")  # what the client says until these are answered is no command

    def __init__(self, choose: Choose) -> None:
        self._literal = 0  # octets that are to come from the client
        self._continued = self._swallow = (
            False  # whether the next line goes on with a command; whether that one is passed on
        )
        super().__init__(choose)

    def _choose_greeting(self) -> Act | None:
        act = self.choose(GREETING)
        own = act.reply + b"\r\n" if act and act.reply else b""
        self.awaited.append(Awaited(GREETING, act, instead=own, ends=own.upper().startswith(BYE)))
        return act

    def _read_body(self) -> bool:
        if not self._literal:
            return False
        octets, self._asked = self._asked[: self._literal], self._asked[self._literal :]
        self._literal -= len(octets)
        if not self._swallow:
            self._say(ToServer(octets))
        return True

    def _command(self, line: bytes) -> None:
        literal = LITERAL.search(line)
        if not self._continued:
            self._swallow = False
            self._begin(line, literal)
        elif not self._swallow:
            self._say(ToServer(line))
        # A client that waits for a `+` before its literal gets our reply in its place, and says no more of the command.
        more = bool(literal) and not (self._swallow and literal and not literal[2])
        self._literal, self._continued = (int(literal[1]) if literal and more else 0), more
        self._own_replies()

    def _begin(self, line: bytes, literal: re.Match[bytes] | None) -> None:  # noqa: ARG002
        words = line.split(None, 3)
        if len(words) < 2 or (self.awaited and self.awaited[-1].verb in self.CONTINUES):
            self._say(ToServer(line))
            return
        tag, verb = words[0], words[1].upper()
        if verb == b"UID" and len(words) > 2:
            verb = words[2].upper()
        name = verb.decode("latin-1")
        act = self.choose(name)
        if act and act.reply:
            own = act.reply if act.reply.startswith(b"* ") else tag + b" " + act.reply
            self._swallow = True
            self.awaited.append(Awaited(name, act, own=own + b"\r\n", ends=own.upper().startswith(BYE), tag=tag))
        else:
            self.awaited.append(Awaited(name, act, tag=tag))
            self._say(ToServer(line))

    def _reply_line(self, line: bytes) -> None:
        self._pass(line)
        literal = LITERAL.search(line)
        if literal:
            self._raw = int(literal[1])
            return
        words = line.split(None, 2)
        if self.over or not self.awaited or not words:
            return
        head = self.awaited[0]
        if head.verb == GREETING:
            self.awaited.popleft()
            if head.instead:
                self._say_own(head)
        elif any(awaited.tag == words[0] for awaited in self.awaited):
            done = next(awaited for awaited in self.awaited if awaited.tag == words[0])
            self.awaited.remove(done)
            self._after(done.verb, b"2" if words[1:2] and words[1].upper() == b"OK" else b"5")
        else:
            return
        self._own_replies()
        self._read_client()
