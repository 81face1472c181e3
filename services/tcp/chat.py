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
any other from the one it names. A line that the peer's FIN cuts off was never said.

Public: `Room` and its `Member`s (the server's ends), `Talker` (the client's end), `COMMANDS`, `MAX_LINE`, `OPERATOR`, `UNREAD`,
`encode`, `farewell`, `printable`. Pure: who owns the sockets sends what waits in each of `Room.talkative`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice

from services.wire.errors import RemoteProtocolError
from services.wire.lines import LineReader

MAX_LINE = 1024  # octets of a chat line, its end included
OPERATOR = "operator"
_NAME = re.compile(r"\w[\w.-]{0,19}")
# Members who get each line at once: all of a room of so many, else those who spoke last. The others get what was said in rounds, one
# part after the other, so that ten thousand silent listeners do not delay those who talk.
FRONT = 16
# In a room of more than these, arrivals are told when they first speak, and `/who` names no more.
SMALL = 64
# Octets that may wait for one member, and for a round; 64 full lines.
UNREAD = 64 << 10


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
    """All who are in the chat.

    Who owns the sockets sends what waits in each of `talkative`, and calls `deliver` until it returns False.

    Args:
        limit: octets of a member's line, its end included.
    """

    def __init__(self, limit: int = MAX_LINE) -> None:
        self.members: dict[str, Member] = {}
        self.talkative: set[Member] = set()  # who has something to send since it was last emptied
        self.limit = limit
        self._guests = count(1)
        self._front: dict[Member, None] = {}  # who spoke last, last
        self._crowd: dict[Member, None] = {}
        self._said = bytearray()  # for the crowd's next round
        self._left_out = False
        self._round: dict[Member, None] = {}  # who waits for `_chunk`
        self._chunk = b""

    def enter(self, *, operator: bool = False) -> "Member":
        """Let somebody in, with a name of the room's choice; the others are told, except where they are a crowd."""
        others = len(self.members)
        member = Member(self, self._free_name(operator))
        if others < SMALL:
            member.announced = True
            self.tell_all(f"* {member.name} came in")
        self.members[member.name] = member
        if others < FRONT:
            self._front[member] = None
        else:  # a crowd: whoever has not spoken yet waits for the rounds
            for silent in [member, *(one for one in self._front if not one.has_spoken)]:
                self._send_back(silent)
        are = "1 other is" if others == 1 else f"{others} others are"
        member.tell(f"* you are {member.name}; {are} here; /help tells the commands")
        return member

    def _free_name(self, operator: bool) -> str:
        names = (f"{OPERATOR}-{n}" if n > 1 else OPERATOR for n in count(1)) if operator else self._guest_names()
        return next(name for name in names if name not in self.members)

    def _guest_names(self) -> Iterator[str]:
        return (f"guest{n}" for n in self._guests)

    def tell_all(self, line: str, but: "Member | None" = None) -> None:
        """Send a line to everybody, or to all but one, who has been brought forward."""
        octets = encode(line)
        for member in self._front:
            if member is not but:
                member.tell_encoded(octets)
        if self._crowd:
            if len(self._said) + len(octets) > UNREAD:
                self._left_out = True
            else:
                self._said += octets

    def say(self, member: "Member", text: str) -> None:
        """Pass on what a member said."""
        self._bring_forward(member)
        if not member.announced:
            member.announced = True
            self.tell_all(f"* {member.name} came in", but=member)
        self.tell_all(f"{member.name}: {text}", but=member)

    def _bring_forward(self, member: "Member") -> None:
        """Count a member as the last speaker; the one who has been silent the longest may have to make place."""
        member.has_spoken = True
        if member in self._crowd:
            self._catch_up(member)
            del self._crowd[member]
        self._front.pop(member, None)
        self._front[member] = None
        if len(self._front) > FRONT:
            self._send_back(next(iter(self._front)))

    def _send_back(self, member: "Member") -> None:
        self._front.pop(member, None)
        self._crowd[member] = None
        member.unseen_from = len(self._said)

    def _catch_up(self, member: "Member") -> None:
        if member in self._round:
            del self._round[member]
            member.tell_encoded(self._chunk[member.unseen_from :])
            member.unseen_from = 0
        member.tell_encoded(bytes(self._said[member.unseen_from :]))

    def deliver(self, members: int = FRONT) -> bool:
        """Give what was said to so many members of the crowd; True where more are waiting."""
        if not self._round and self._said:
            if self._left_out:
                self._said += encode("* more was said than you could be told")
            self._chunk, self._left_out = bytes(self._said), False
            self._said.clear()
            self._round = dict.fromkeys(self._crowd)
        for member in list(islice(self._round, members)):
            del self._round[member]
            member.tell_encoded(self._chunk[member.unseen_from :])
            member.unseen_from = 0
        return bool(self._round or self._said)

    def leave(self, member: "Member") -> None:
        """Let somebody go whose connection ended, however it did; the others are told. Twice does no harm."""
        if self.members.get(member.name) is not member:
            return
        del self.members[member.name]
        for group in (self._front, self._crowd, self._round):
            group.pop(member, None)
        self.talkative.discard(member)
        if not self._crowd:
            self._said.clear()
        if member.announced:
            self.tell_all(f"* {member.name} left")

    def rename(self, member: "Member", name: str) -> None:
        """Give a member another name, which must be free, and tell everybody."""
        del self.members[member.name]
        old, member.name = member.name, name
        self.members[name] = member
        self._bring_forward(member)
        member.announced = True
        self.tell_all(f"* {old} is now {name}")


class Member:
    """The server's end of one chat connection."""

    def __init__(self, room: Room, name: str) -> None:
        self.name = name
        self.closing = False
        self.has_spoken = False
        self.announced = False  # whether the others were told that it came in
        self.unseen_from = 0  # where in the crowd's next round the lines begin that it did not get
        self.owner: object = None  # for who owns the connection's socket
        self.room = room
        self._lines = LineReader(room.limit)
        self._out = bytearray()

    @property
    def waiting(self) -> int:
        """Octets that wait to be sent."""
        return len(self._out)

    def receive_data(self, data: bytes) -> None:
        """Take octets from the peer, cut anywhere.

        Raises:
            RemoteProtocolError: a line is longer than the limit; its `reply` says so.
        """
        try:
            for line in self._lines.each_line(data):
                if self.closing:
                    return
                self._take(line.decode("utf-8", "replace"))
        except RemoteProtocolError as error:
            raise RemoteProtocolError(str(error), farewell(str(error))) from error

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
        """Send lines that are encoded already; one who leaves is told no more."""
        if octets and not self.closing:
            self._out += octets
            self.room.talkative.add(self)

    def put_out(self) -> None:
        """Drop what waits for a member who does not read, and end its connection with a word about it."""
        self._out[:] = farewell(f"you do not read: more than {UNREAD} octets wait for you")
        self.closing = True

    def _take(self, line: str) -> None:
        text = printable(line)
        if not text.startswith("/"):
            if text.strip():
                self.room.say(self, text)
            return
        word, _, argument = text[1:].partition(" ")
        action = _ACTIONS.get(word)
        if action:
            action(self, argument.strip())
        else:
            self.tell(f"* there is no command /{word}; /help tells them")

    def _name(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            self.tell(f"* a name is needed: {COMMANDS[0].help}")
        elif name.lower().startswith(OPERATOR) and not self.name.startswith(OPERATOR):
            self.tell(f"* {name} is the server's own name")
        elif name in self.room.members:
            self.tell(f"* {name} is taken")
        else:
            self.room.rename(self, name)

    def _who(self, _argument: str) -> None:
        names = self.room.members
        more = f", and {len(names) - SMALL} more" if len(names) > SMALL else ""
        self.tell(f"* here: {', '.join(islice(names, SMALL))}{more}")

    def _help(self, _argument: str) -> None:
        for command in COMMANDS:
            self.tell(f"* /{command.name} {command.argument}".rstrip() + f": {command.help}")

    def _quit(self, _argument: str) -> None:
        self.tell("* goodbye")
        self.closing = True


_ACTIONS: dict[str, Callable[[Member, str], None]] = {
    command.name: getattr(Member, f"_{command.name}") for command in COMMANDS
}


class Talker:
    """The client's end of the chat: lines out, lines in.

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
        self._out += encode(" ".join(text.splitlines()))

    def receive_data(self, data: bytes) -> None:
        """Take octets of the server, cut anywhere.

        Raises:
            RemoteProtocolError: a line is longer than the limit.
        """
        for line in self._lines.each_line(data):
            self._events.append(line.decode("utf-8", "replace"))

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
    """Return a chat line as it goes over the wire."""
    return line.encode("utf-8", "replace") + b"\r\n"


def farewell(reason: str) -> bytes:
    """Return the last line that the chat server sends to somebody it turns away or puts out."""
    return encode(f"* {reason}; goodbye")


def printable(text: str) -> str:
    """Return a text without what could move a terminal's cursor or forge a line: such characters become U+FFFD, a tab a space."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in _SPACES else "\ufffd" for char in text.replace("\t", " "))


# Not `isprintable`, and harmless: spaces of other scripts, and the joiners that emoji and Indic scripts are spelled with.
_SPACES = frozenset("\u00a0\u2002\u2003\u2009\u202f\u3000\u200c\u200d")
