"""Two-way chat, the line protocol of port 12346: what one says reaches the others, with its name.

    S: * you are guest1; 0 others are here; /help tells the commands
    C: /name ana
    S: * guest1 is now ana                              to everybody
    C: hello
    S: ana: hello                                       to the others
    C: /who
    S: * here: ana, guest2
    C: /quit
    S: * goodbye <FIN>

Lines are UTF-8 and end in CRLF (a bare LF is taken too); at most `limit` octets. A line that begins with `* ` comes from the server,
any other from the one it names. Pure: a `Room` holds the members, `Member` is one connection, and who owns the sockets sends what
waits in each (`Room.talkative`).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from services.wire.errors import RemoteProtocolError
from services.wire.lines import LineReader

MAX_LINE = 1024  # octets, line end included
OPERATOR = "operator"
_NAME = re.compile(r"\w[\w.-]{0,19}")


@dataclass(frozen=True)
class Command:
    """A line that begins with `/`; the table below is what dispatch, `/help` and the README's list read."""

    name: str
    argument: str
    help: str


COMMANDS = (
    Command("name", "NAME", "take another name: letters, digits, `_`, `.`, `-`; at most 20"),
    Command("who", "", "tell who is here"),
    Command("help", "", "tell the commands"),
    Command("quit", "", "leave"),
)


class Room:
    """All who are in the chat."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self.members: dict[str, Member] = {}
        self.talkative: set[Member] = set()  # who has something to send since it was last emptied
        self.limit = limit
        self._guests = 0

    def enter(self, *, operator: bool = False) -> "Member":
        """Let somebody in, with a name of the room's choice; the others are told."""
        member = Member(self, self._free_name(operator))
        self.tell_all(f"* {member.name} came in")
        others = len(self.members)
        self.members[member.name] = member
        count = "1 other is" if others == 1 else f"{others} others are"
        member.tell(f"* you are {member.name}; {count} here; /help tells the commands")
        return member

    def _free_name(self, operator: bool) -> str:
        if operator:
            names: Iterator[str] = (OPERATOR + (f"-{n}" if n > 1 else "") for n in range(1, len(self.members) + 2))
            return next(name for name in names if name not in self.members)
        while True:
            self._guests += 1
            if (name := f"guest{self._guests}") not in self.members:
                return name

    def tell_all(self, line: str, but: "Member | None" = None) -> None:
        """Send a line to everybody, or to all but one."""
        octets = encode(line)
        for member in self.members.values():
            if member is not but:
                member.tell_encoded(octets)

    def leave(self, member: "Member") -> None:
        """Let somebody go whose connection ended, however it did; the others are told. Twice does no harm."""
        if self.members.get(member.name) is member:
            del self.members[member.name]
            self.tell_all(f"* {member.name} left")


class Member:
    """The server's end of one connection."""

    def __init__(self, room: Room, name: str) -> None:
        self.name = name
        self.closing = False
        self.owner: object = None  # for who owns the connection's socket
        self.room = room
        self._lines = LineReader(room.limit)
        self._out = bytearray()

    def receive_data(self, data: bytes) -> None:
        """Take octets from the peer, cut anywhere.

        Raises:
            RemoteProtocolError: a line is longer than the limit; its `reply` says so.
        """
        try:
            lines = self._lines.receive_data(data)
        except RemoteProtocolError as error:
            raise RemoteProtocolError(str(error), encode(f"* {error}; goodbye")) from error
        for line in lines:
            if not self.closing:
                self._take(line.decode("utf-8", "replace"))

    def receive_eof(self) -> None:
        """Take the peer's FIN: it has no more to say, and leaves."""
        self.closing = True

    def leave(self) -> None:
        """Leave the room, because the connection is gone."""
        self.room.leave(self)

    def data_to_send(self) -> bytes:
        """Return what is to be sent now, and forget it."""
        out = bytes(self._out)
        self._out.clear()
        return out

    def tell(self, line: str) -> None:
        """Send a line to this member."""
        self.tell_encoded(encode(line))

    def tell_encoded(self, octets: bytes) -> None:
        """Send a line that is encoded already."""
        self._out += octets
        self.room.talkative.add(self)

    def _take(self, line: str) -> None:
        text = "".join(char if char.isprintable() else "\ufffd" for char in line)
        if not text.startswith("/"):
            if text.strip():
                self.room.tell_all(f"{self.name}: {text}", but=self)
            return
        word, _, argument = text[1:].partition(" ")
        action = self._actions().get(word)
        if action:
            action(argument.strip())
        else:
            self.tell(f"* there is no command /{word}; /help tells them")

    def _actions(self) -> dict[str, Callable[[str], None]]:
        return {command.name: getattr(self, f"_{command.name}") for command in COMMANDS}

    def _name(self, name: str) -> None:
        room = self.room
        if not _NAME.fullmatch(name):
            self.tell(f"* a name is needed: {COMMANDS[0].help}")
        elif name.partition("-")[0] == OPERATOR and not self.name.startswith(OPERATOR):
            self.tell(f"* {name} is the server's own name")
        elif name in room.members:
            self.tell(f"* {name} is taken")
        else:
            del room.members[self.name]
            old, self.name = self.name, name
            room.members[name] = self
            room.tell_all(f"* {old} is now {name}")

    def _who(self, _argument: str) -> None:
        self.tell(f"* here: {', '.join(self.room.members)}")

    def _help(self, _argument: str) -> None:
        for command in COMMANDS:
            self.tell(f"* /{command.name} {command.argument}".rstrip() + f": {command.help}")

    def _quit(self, _argument: str) -> None:
        self.tell("* goodbye")
        self.closing = True


class Talker:
    """The client's end: lines out, lines in.

    Args:
        limit: octets of a line from the server, its end included.
    """

    def __init__(self, limit: int = 8 * MAX_LINE) -> None:
        self.closing = False
        self._lines = LineReader(limit)
        self._out = bytearray()
        self._events: list[str] = []

    def say(self, text: str) -> None:
        """Send a line; line breaks inside become spaces, since one call says one thing."""
        self._out += encode(" ".join(text.splitlines()) if text else "")

    def receive_data(self, data: bytes) -> None:
        """Take octets of the server, cut anywhere.

        Raises:
            RemoteProtocolError: a line is longer than the limit.
        """
        self._events += [line.decode("utf-8", "replace") for line in self._lines.receive_data(data)]

    def receive_eof(self) -> None:
        """Take the server's FIN."""
        self.closing = True

    def events(self) -> list[str]:
        """Return the lines that came since the last call."""
        events, self._events = self._events, []
        return events

    def data_to_send(self) -> bytes:
        """Return what is to be sent now, and forget it."""
        out = bytes(self._out)
        self._out.clear()
        return out


def encode(line: str) -> bytes:
    """Return a line as it goes over the wire."""
    return line.encode("utf-8", "replace") + b"\r\n"
