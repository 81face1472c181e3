"""Telnet's commands and options, and how to tell them from the text between them.

    IAC command                     two octets; IAC IAC is the octet 255 itself          RFC 854
    IAC WILL|WONT|DO|DONT option    three octets                                         RFC 854, 855
    IAC SB option … IAC SE          parameters of an option; an IAC in them is doubled   RFC 855

Public: `Scanner` with its events `Text`, `Command`, `Negotiation`, `Subnegotiation`; `command_name`, `option_name`, `escape`.
"""

from dataclasses import dataclass

SE, NOP, DM, BRK, IP, AO, AYT, EC, EL, GA, SB, WILL, WONT, DO, DONT, IAC = range(240, 256)  # RFC 854
EOF, SUSP, ABORT, EOR = 236, 237, 238, 239  # RFC 1184, RFC 885

COMMANDS = {
    236: "EOF", 237: "SUSP", 238: "ABORT", 239: "EOR", 240: "SE", 241: "NOP", 242: "DM", 243: "BRK", 244: "IP", 245: "AO",
    246: "AYT", 247: "EC", 248: "EL", 249: "GA", 250: "SB", 251: "WILL", 252: "WONT", 253: "DO", 254: "DONT", 255: "IAC",
}  # fmt: skip
BINARY, ECHO, SGA, STATUS, TM, TTYPE, NAWS, TSPEED, LFLOW, LINEMODE, XDISPLOC = 0, 1, 3, 5, 6, 24, 31, 32, 33, 34, 35
OLD_ENVIRON, AUTHENTICATION, ENCRYPT, NEW_ENVIRON = 36, 37, 38, 39

OPTIONS = {  # number → name, the document that defines it
    0: ("BINARY", "RFC 856"),
    1: ("ECHO", "RFC 857"),
    3: ("SUPPRESS-GO-AHEAD", "RFC 858"),
    5: ("STATUS", "RFC 859"),
    6: ("TIMING-MARK", "RFC 860"),
    23: ("SEND-LOCATION", "RFC 779"),
    24: ("TERMINAL-TYPE", "RFC 1091"),
    25: ("END-OF-RECORD", "RFC 885"),
    31: ("NAWS", "RFC 1073"),
    32: ("TERMINAL-SPEED", "RFC 1079"),
    33: ("TOGGLE-FLOW-CONTROL", "RFC 1372"),
    34: ("LINEMODE", "RFC 1184"),
    35: ("X-DISPLAY-LOCATION", "RFC 1096"),
    36: ("ENVIRON", "RFC 1408"),
    37: ("AUTHENTICATION", "RFC 2941"),
    38: ("ENCRYPT", "RFC 2946"),
    39: ("NEW-ENVIRON", "RFC 1572"),
    42: ("CHARSET", "RFC 2066"),
    255: ("EXTENDED-OPTIONS-LIST", "RFC 861"),
}
SUBNEGOTIATION_LIMIT = 4096  # octets of one subnegotiation that are kept; what goes beyond is dropped


def command_name(number: int) -> str:
    """Return a command's name: `DO`."""
    return COMMANDS.get(number, str(number))


def option_name(number: int) -> str:
    """Return an option's name: `TERMINAL-TYPE`; its number, where we know no name."""
    return OPTIONS[number][0] if number in OPTIONS else str(number)


def escape(data: bytes) -> bytes:
    """Return octets as data on the wire: each 255 is doubled (RFC 854)."""
    return data.replace(b"\xff", b"\xff\xff")


@dataclass(frozen=True)
class Text:
    """Octets of data."""

    data: bytes


@dataclass(frozen=True)
class Command:
    """A command without an option, such as AYT."""

    command: int


@dataclass(frozen=True)
class Negotiation:
    """WILL, WONT, DO or DONT, and its option."""

    command: int
    option: int


@dataclass(frozen=True)
class Subnegotiation:
    """An option's parameters, between SB and SE; doubled IACs are single again."""

    option: int
    data: bytes


Event = Text | Command | Negotiation | Subnegotiation


class Scanner:
    """Tell text from commands, wherever the octets are cut."""

    def __init__(self) -> None:
        self._inbox = b""
        self._events: list[Event] = []

    def receive_data(self, data: bytes) -> None:
        """Take octets; then call `events`."""
        data = self._inbox + data
        at, text = 0, bytearray()
        while at < len(data):
            if data[at] != IAC:
                end = data.find(b"\xff", at)
                end = len(data) if end < 0 else end
                text += data[at:end]
                at = end
                continue
            if data[at : at + 2] == b"\xff\xff":
                text.append(IAC)
                at += 2
                continue
            length, event = _command(data, at)
            if not length:
                break
            if text:
                self._events.append(Text(bytes(text)))
                text.clear()
            self._events.append(event)
            at += length
        if text:
            self._events.append(Text(bytes(text)))
        self._inbox = data[at : at + 2 * SUBNEGOTIATION_LIMIT]

    def events(self) -> list[Event]:
        """Return what has come, and forget it."""
        events, self._events = self._events, []
        return events


def _command(data: bytes, at: int) -> tuple[int, Event]:
    """Return how many octets the command at `at` has, and what it is; 0 octets where it is not complete."""
    nothing = Command(NOP)
    if len(data) < at + 2:
        return 0, nothing
    command = data[at + 1]
    if command not in (SB, WILL, WONT, DO, DONT):
        return 2, Command(command)
    if len(data) < at + 3:
        return 0, nothing
    if command != SB:
        return 3, Negotiation(command, data[at + 2])
    end, parameters = at + 3, bytearray()
    while end + 1 < len(data):
        if data[end] != IAC:
            parameters.append(data[end])
            end += 1
        elif data[end + 1] == IAC:
            parameters.append(IAC)
            end += 2
        else:  # SE, or a command that says the sender forgot it
            over = end + 2 if data[end + 1] == SE else end
            return over - at, Subnegotiation(data[at + 2], bytes(parameters[:SUBNEGOTIATION_LIMIT]))
    return 0, nothing
