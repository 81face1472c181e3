"""Telnet as it crosses the wire, by the core of the lab's own server: commands and options (RFC 854, RFC 855), and lines of text.

S: IAC DO TERMINAL-TYPE        C: IAC WILL TERMINAL-TYPE        S: IAC SB TERMINAL-TYPE SEND IAC SE
S: login:     C: student       S: Password:                     C: (hidden)
"""

import re

import services.telnet.protocol as telnet
from services.dialogue.line import HIDDEN, By, C, Line, S, octets_of, shown
from services.dialogue.reader import Reader

ASKS = re.compile(rb"(pass\s*(word|code|phrase)|\bpin\b|secret)[^\n]*:\s*$", re.IGNORECASE)
IS_OR_SEND = {5, 24, 32, 35, 36, 39}  # options whose parameters begin with IS (0), SEND (1) or INFO (2)
KEPT = 1024  # octets of a line
STUCK = 4 * telnet.SUBNEGOTIATION_LIMIT  # octets without an event: the peer forgot the end of its parameters


class Telnet(Reader):
    """RFC 854."""

    name, rfc = "Telnet", "RFC 854"

    def __init__(self) -> None:
        super().__init__()
        self._scanners: dict[By, telnet.Scanner] = {C: telnet.Scanner(), S: telnet.Scanner()}
        self._quiet: dict[By, int] = {C: 0, S: 0}
        self._text: dict[By, bytes] = {C: b"", S: b""}
        self._secret = False  # the server asked for a password; what the client types is none of ours
        self._now: dict[By, str] = {C: "", S: ""}

    def receive(self, by: By, data: bytes) -> list[Line]:
        """Take octets, cut anywhere, and return the commands and lines that they complete."""
        self.body = 0
        if self.foreign:
            return []
        scanner = self._scanners[by]
        scanner.receive_data(data)
        events = scanner.events()
        self._quiet[by] = 0 if events else self._quiet[by] + len(data)
        if self._quiet[by] > STUCK:
            self._scanners[by] = telnet.Scanner()
            self._quiet[by] = 0
        self._now[by] = ""
        for event in events:
            if isinstance(event, telnet.Text):
                self._take_text(by, event.data)
            else:
                self._take_command(by, event)
        return self._flush()

    def gap(self, by: By, octets: int) -> list[Line]:
        """Begin anew behind octets that were not captured."""
        self._scanners[by] = telnet.Scanner()
        self._text[by] = b""
        self.tell(Line(by, f"{octets_of(octets)} were not captured", kind="remark", octets=octets))
        return self._flush()

    def ended(self, by: By) -> None:
        """What was said without a line's end was said all the same."""
        if rest := self._text[by]:
            self._text[by] = b""
            self._say(by, rest)

    def partial(self, by: By, octets: int) -> str:
        """Return what a segment brought that is no whole line: a prompt, or keys."""
        return self._now[by] or f"{octets_of(octets)} of a command"

    def left(self, by: By) -> str:
        """Return what came behind the last whole line."""
        return self._now[by]

    def _take_command(self, by: By, event: telnet.Event) -> None:
        if isinstance(event, telnet.Negotiation):
            word = telnet.command_name(event.command)
            rest = telnet.option_name(event.option)
            self.tell(Line(by, f"IAC {word} {rest}", word, rest))
        elif isinstance(event, telnet.Subnegotiation):
            rest = f"{telnet.option_name(event.option)} {_parameters(event)}".rstrip()
            self.tell(Line(by, f"IAC SB {rest} IAC SE", "SB", rest))
        elif isinstance(event, telnet.Command):
            word = telnet.command_name(event.command)
            self.tell(Line(by, f"IAC {word}", word))

    def _take_text(self, by: By, data: bytes) -> None:
        *lines, rest = (self._text[by] + data).split(b"\n")
        self._text[by] = rest[-KEPT:]
        if by == C and self._secret:
            self._now[by] = HIDDEN
        else:
            self._now[by] = f'"{shown(rest)}"' if rest else ""
        for line in lines:
            self._say(by, line)
        if by == C and rest.endswith((b"\r\0", b"\r")):  # RFC 854: CR NUL is a key, as CR LF is a line's end
            self._text[by] = b""
            self._say(by, rest.rstrip(b"\r\0"))
        if by == S and rest:
            self._secret = bool(ASKS.search(rest))

    def _say(self, by: By, line: bytes) -> None:
        line = line.strip(b"\r\0")
        if by == C and self._secret:
            self._secret = False
            self._now[by] = ""
            self.secret()
        elif line:
            text = f'"{shown(line)}"'
            self.tell(Line(by, text, kind="text", said=(shown(line),)))


def _parameters(event: telnet.Subnegotiation) -> str:
    """Return an option's parameters in words."""
    data = event.data
    if event.option == telnet.NAWS and len(data) == 4:  # RFC 1073
        return f"{int.from_bytes(data[:2], 'big')} {int.from_bytes(data[2:], 'big')}"
    if event.option in IS_OR_SEND and data[:1] in (b"\0", b"\1", b"\2"):
        word = ("IS", "SEND", "INFO")[data[0]]
        rest = data[1:]
        if event.option in (telnet.NEW_ENVIRON, telnet.OLD_ENVIRON):  # RFC 1572: VAR 0, VALUE 1, USERVAR 3
            return f"{word} {_environ(rest)}".rstrip()
        return f"{word} {shown(rest)}".rstrip()
    return shown(data) if data.isascii() and data.decode().isprintable() else data[:16].hex(" ")


def _environ(data: bytes) -> str:
    said = data.replace(b"\0", b" VAR ").replace(b"\1", b" VALUE ").replace(b"\3", b" USERVAR ")
    return shown(said.strip())
