"""What the client answers when a server negotiates options, and what crosses the wire, in words."""

import socket
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from services.telnet.protocol import (
    DO,
    DONT,
    ECHO,
    IAC,
    NAWS,
    NEW_ENVIRON,
    OLD_ENVIRON,
    SB,
    SE,
    SGA,
    STATUS,
    TSPEED,
    TTYPE,
    WILL,
    WONT,
    XDISPLOC,
    Command,
    Negotiation,
    Scanner,
    Subnegotiation,
    Text,
    command_name,
    escape,
    option_name,
)

OURS = {SGA, TTYPE, NAWS, NEW_ENVIRON}  # asked to (DO) we agree (WILL) to these
THEIRS = {SGA, ECHO}  # offered (WILL) we agree (DO) to these
IS, SEND = 0, 1  # RFC 1091, RFC 1572
# Options whose parameters begin with IS or SEND.
ASKED_FOR = {STATUS, TTYPE, TSPEED, XDISPLOC, OLD_ENVIRON, NEW_ENVIRON}
VAR, VALUE, ESC, USERVAR = 0, 1, 2, 3  # RFC 1572
WELL_KNOWN = {"USER", "JOB", "ACCT", "PRINTER", "SYSTEMTYPE", "DISPLAY"}  # RFC 1572: VAR; all others are USERVAR


class Answers:
    """Called by telnetlib for each command; answers at most once to each request, so that two ends never loop (RFC 854).

    Args:
        term: terminal type that is told (RFC 1091).
        environ: variables that are told where the server asks (RFC 1572).
        size: columns and rows (RFC 1073).
    """

    def __init__(self, terminal: Any, term: str, environ: Sequence[tuple[str, str]], size: tuple[int, int]) -> None:
        self.terminal = terminal
        self.term = term
        self.environ = environ
        self.size = size
        self.on: dict[tuple[bool, int], bool] = {}  # (ours, option) → agreed to

    def __call__(self, _sock: Any, command: bytes, option: bytes) -> None:
        """Take a command of the server, as telnetlib gives it."""
        verb = command[0]
        if verb == SE:
            self._parameters(self.terminal.read_sb_data())
        elif verb in (DO, DONT):
            self._settle(True, option[0], verb == DO and option[0] in OURS, WILL, WONT)
        elif verb in (WILL, WONT):
            self._settle(False, option[0], verb == WILL and option[0] in THEIRS, DO, DONT)

    def _settle(self, ours: bool, option: int, agreed: bool, yes: int, no: int) -> None:
        if self.on.get((ours, option)) == agreed:
            return  # as it was: an answer would be a new request
        self.on[ours, option] = agreed
        self._send(bytes((IAC, yes if agreed else no, option)))
        if agreed and ours and option == NAWS:
            self.send_size(self.size)

    def send_size(self, size: tuple[int, int]) -> None:
        """Tell the window's size, where the server wanted to know it (RFC 1073)."""
        self.size = size
        if self.on.get((True, NAWS)):
            self._subnegotiate(NAWS, b"".join(number.to_bytes(2, "big") for number in size))

    def _parameters(self, data: bytes) -> None:
        if data[:2] == bytes((TTYPE, SEND)):
            self._subnegotiate(TTYPE, bytes((IS,)) + self.term.upper().encode())
        elif data[:2] == bytes((NEW_ENVIRON, SEND)):
            told = b"".join(
                bytes((VAR if name in WELL_KNOWN else USERVAR,)) + _plain(name) + bytes((VALUE,)) + _plain(value)
                for name, value in self.environ
            )
            self._subnegotiate(NEW_ENVIRON, bytes((IS,)) + told)

    def _subnegotiate(self, option: int, data: bytes) -> None:
        self._send(bytes((IAC, SB, option)) + escape(data) + bytes((IAC, SE)))

    def _send(self, octets: bytes) -> None:
        self.terminal.sock.sendall(octets)


def _plain(text: str) -> bytes:
    """Return text with ESC before the octets that RFC 1572 gives a meaning."""
    return b"".join(bytes((ESC, octet)) if octet <= USERVAR else bytes((octet,)) for octet in text.encode())


class Wire:
    """A socket that tells on stderr what crosses it: `S` for the server's octets, `C` for the client's.

    Args:
        octets: all of it.
        negotiation: the options alone.
    """

    def __init__(self, conn: socket.socket, *, octets: bool, negotiation: bool) -> None:
        self._conn = conn
        self._octets, self._negotiation = octets, negotiation
        self._scanners = {"S": Scanner(), "C": Scanner()}

    def __enter__(self) -> "Wire":
        """Return itself; closed at the end."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        """Close the connection."""
        self._conn.close()

    def fileno(self) -> int:
        """Return the socket's number, for `select`."""
        return self._conn.fileno()

    def recv(self, size: int) -> bytes:
        """Receive, and tell."""
        data = self._conn.recv(size)
        self._tell("S", data)
        return data

    def sendall(self, data: bytes) -> None:
        """Send, and tell."""
        self._tell("C", data)
        self._conn.sendall(data)

    def close(self) -> None:
        """Close the connection."""
        self._conn.close()

    def _tell(self, who: str, data: bytes) -> None:
        if not (self._octets or self._negotiation):
            return
        self._scanners[who].receive_data(data)
        for event in self._scanners[who].events():
            if self._octets or not isinstance(event, Text):
                end = "\r\n" if sys.stdout.isatty() else "\n"  # the terminal may be raw
                sys.stderr.write(f"{who}: {in_words(event)}{end}")


def in_words(event: Text | Command | Negotiation | Subnegotiation) -> str:
    """Return an event as one line: `IAC DO TERMINAL-TYPE`, `"login: "`."""
    if isinstance(event, Text):
        return f'"{_quoted(event.data)}"'
    if isinstance(event, Command):
        return f"IAC {command_name(event.command)}"
    if isinstance(event, Negotiation):
        return f"IAC {command_name(event.command)} {option_name(event.option)}"
    return f"IAC SB {option_name(event.option)} {_parameters_in_words(event)} IAC SE"


def _parameters_in_words(event: Subnegotiation) -> str:
    if event.option == NAWS and len(event.data) == 4:
        return f"{int.from_bytes(event.data[:2], 'big')} {int.from_bytes(event.data[2:], 'big')}"
    word = {IS: "IS", SEND: "SEND"}.get(event.data[0]) if event.data and event.option in ASKED_FOR else None
    rest = event.data[1:] if word else event.data
    return " ".join(part for part in (word, f'"{_quoted(rest)}"' if rest else "") if part)


def _quoted(data: bytes) -> str:
    """Return octets as text in which nothing moves a cursor."""
    return data.decode("latin-1").encode("unicode_escape").decode("ascii").replace('"', '\\"')
