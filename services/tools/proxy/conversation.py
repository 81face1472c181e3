"""What client and server say to each other, read as far as it must be to know which reply answers which command. Pure.

    octets of the client → `client_said`, `client_ended`  ┐
    octets of the server → `server_said`, `server_ended`  ┘ → what to send to whom, when to wait, when to end

What cannot be read (it is encrypted, or no such protocol) is passed on as it is: then the conversation is opaque.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from services.tools.proxy.rules import GREETING, Act

MAX_LINE = 64 << 10  # octets; a longer line is none of a protocol that we know


class ToServer(NamedTuple):
    """Send octets to the server."""

    octets: bytes


class ToClient(NamedTuple):
    """Send octets to the client."""

    octets: bytes


class Wait(NamedTuple):
    """Send nothing to the client for so many seconds; what was sent before is on its way."""

    seconds: float


class Leave(NamedTuple):
    """Close the connection to the server, as a client would that vanishes; the client's stays open."""


class End(NamedTuple):
    """Close the client's connection in order, when all has been sent, and the server's at once."""


class Reset(NamedTuple):
    """As `End`, but the server is told by a RST that this is no end of file."""


class Data(NamedTuple):
    """The next connection of this client to a port of the server belongs to this conversation."""

    port: int


Item = ToServer | ToClient | Wait | Leave | End | Reset | Data
Choose = Callable[[str], Act | None]


@dataclass
class Awaited:
    """A reply that is to come, in the order of the commands.

    Args:
        verb: what it answers.
        act: what becomes of it.
        own: it comes from us, for the server was not asked.
        instead: it stands for the server's final reply, which is swallowed.
        ends: the connection ends with it.
        tag: of an IMAP command.
        wanted: replies that the command gets; 0: one for each recipient that was accepted, as LMTP does.
        text: a good reply has a text behind it, as POP3's to RETR.
    """

    verb: str
    act: Act | None = None
    own: bytes = b""
    instead: bytes = b""
    ends: bool = False
    tag: bytes = b""
    wanted: int = 1
    text: bool = False
    passed: int = field(default=0, init=False)  # octets, as far as `act` counts them


class Conversation:
    """Octets of which nothing is known; other protocols are built on it. All that the server says is one reply, its greeting."""

    def __init__(self, choose: Choose) -> None:
        """Begin; `choose` tells what becomes of the reply to a verb."""
        self.choose = choose
        self.opaque = False
        self.over = False
        self.awaited: deque[Awaited] = deque()
        self._items: list[Item] = []
        self._greeting = self._choose_greeting()

    def _choose_greeting(self) -> Act | None:
        self.awaited.append(Awaited("", self.choose("")))
        return self.choose(GREETING)

    # -- doors --------------------------------------------------------------------------------------------------------

    def client_said(self, octets: bytes) -> list[Item]:
        """Take octets of the client, cut anywhere."""
        if not self.over:
            self._client(octets)
        return self._given()

    def server_said(self, octets: bytes) -> list[Item]:
        """Take octets of the server, cut anywhere."""
        if self._greeting and self._greeting.wait:
            self._greeting.counts["late"] += 1
            self._say(Wait(self._greeting.wait))
        self._greeting = None
        if not self.over:
            self._server(octets)
        return self._given()

    def client_ended(self) -> list[Item]:
        """Take the end of what the client says."""
        return self._given()

    def server_ended(self) -> list[Item]:
        """Take the end of what the server says."""
        return self._given()

    def _given(self) -> list[Item]:
        given, self._items = self._items, []
        return given

    # -- for protocols ------------------------------------------------------------------------------------------------

    def _client(self, octets: bytes) -> None:
        self._say(ToServer(octets))

    def _server(self, octets: bytes) -> None:
        self._pass(octets)

    def _say(self, item: Item) -> None:
        """Have something done; nothing after the end."""
        if not self.over:
            self._items.append(item)
            self.over = isinstance(item, End | Reset)

    def _pass(self, octets: bytes, *, counts: bool = True) -> None:
        """Pass on octets of the server, as what is to become of the reply that they belong to has it.

        Args:
            counts: whether they are among those that `after` and `truncate` count.
        """
        head = self.awaited[0] if self.awaited and not self.opaque else None
        act = head.act if head else None
        if not octets or head is None or act is None or head.own:
            if octets:
                self._say(ToClient(octets))
            return
        if not counts or head.instead:
            if not head.instead:
                self._say(ToClient(octets))
            return
        before, head.passed = head.passed, head.passed + len(octets)
        if act.truncate and head.passed >= act.truncate:
            act.counts["truncated"] += 1
            self._say(ToClient(octets[: act.truncate - before]))
            self._say(End())
            return
        if act.stall and before <= act.after < head.passed:
            act.counts["stalled"] += 1
            if act.after > before:
                self._say(ToClient(octets[: act.after - before]))
            self._say(Wait(act.stall))
            octets = octets[act.after - before :]
        self._say(ToClient(octets))

    def _own_replies(self) -> None:
        """Say our own replies, as far as their turn has come."""
        while self.awaited and self.awaited[0].own and not self.over:
            self._say_own(self.awaited.popleft())

    def _times(self, awaited: Awaited) -> int:  # noqa: ARG002 - LMTP counts
        """Return how many replies a command gets."""
        return 1

    def _say_own(self, awaited: Awaited) -> None:
        if awaited.act:
            awaited.act.counts["answered"] += 1
        self._say(ToClient((awaited.own or awaited.instead) * self._times(awaited)))
        if awaited.ends:
            self._say(End())
