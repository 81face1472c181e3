"""The chat's room joined to its sockets: what one connection says is sent through the others'.

One who does not read is put out, one who floods is read slowly, no faster than the others take it, and a crowd that only listens gets
what was said a few at a time: nobody who says one line at a time waits for any of them.

Public: `Hall`, `ChatStream`.
"""

import asyncio
from collections.abc import Callable
from time import perf_counter  # the loop's own clock stands still during a turn

from services.runtime.stream import Core, Stream, StreamServer
from services.tcp.chat import UNREAD, Member, Room, farewell

# Octets of one member that are read in one turn. More wait for REST times as long as the turn took: a flood of short lines costs the
# others at most one part in REST + 1 of the server's time.
PORTION = 4096
REST = 4
# Seconds that a flood waits for somebody who is behind. One who has taken nothing by then is put out as soon as `UNREAD` is reached.
PATIENCE = 0.5
MOMENT = 0.001  # seconds between two looks whether it still has to wait
# Seconds between two parts of a round through those who only listen.
BETWEEN_PARTS = 0.002


class Hall:
    """One room and the connections of its members."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.behind: dict[ChatStream, float] = {}  # who is half way to being put out, since when; the newest last
        self._busy = False
        self._round: asyncio.TimerHandle | None = None

    def enter(self) -> Member:
        """Let somebody in."""
        return self.room.enter()

    def enter_operator(self) -> Member:
        """Let somebody in who speaks for the server."""
        return self.room.enter(operator=True)

    def stream(self, server: StreamServer, label: str, core: Callable[[], Core]) -> Stream:
        """Make the stream of a new connection."""
        return ChatStream(server, label, core, self)

    def announce(self, line: str) -> None:
        """Tell everybody, the crowd too, at once."""
        self.room.tell_all(line)
        while self.room.deliver():
            pass
        self.pass_on()

    def pass_on(self) -> None:
        """Send what waits in the members' cores."""
        if self._busy:  # a connection that ended while the others are told of something; the loop below comes to it
            return
        self._busy = True
        try:
            self._send()
        finally:
            self._busy = False

    def _send(self) -> None:
        room = self.room
        if self._round is None:
            self._part_of_round()
        while room.talkative:
            waiting, room.talkative = room.talkative, set()
            for member in waiting:
                if isinstance(member.owner, ChatStream):
                    member.owner.tell(member)

    def has_patience(self) -> bool:
        """Tell whether a flood should wait for somebody."""
        return bool(self.behind) and perf_counter() - self.behind[next(reversed(self.behind))] < PATIENCE

    def _part_of_round(self) -> None:
        more = self.room.deliver()
        self._round = asyncio.get_running_loop().call_later(BETWEEN_PARTS, self._next_part) if more else None

    def _next_part(self) -> None:
        self._part_of_round()
        self.pass_on()


class ChatStream(Stream):
    """A chat connection."""

    __slots__ = ("_hall", "_unread")

    def __init__(self, server: StreamServer, label: str, make_core: Callable[[], Core], hall: Hall) -> None:
        super().__init__(server, label, make_core)
        self._hall = hall
        self._unread = b""

    @property
    def _member(self) -> Member | None:
        core = getattr(self, "core", None)
        return core if isinstance(core, Member) else None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if member := self._member:
            member.owner = self
        self._hall.pass_on()

    def data_received(self, data: bytes) -> None:
        if self._unread or len(data) > PORTION:
            if self.finished:
                return
            waits = bool(self._unread)
            self._unread += data
            self.transport.pause_reading()
            if not waits:
                self._read_on()
        else:
            super().data_received(data)
            self._hall.pass_on()

    def _read_on(self) -> None:
        if self.finished:
            return
        began = perf_counter()
        if self.writable and not self._hall.has_patience():
            portion, self._unread = self._unread[:PORTION], self._unread[PORTION:]
            super().data_received(portion)
            self._hall.pass_on()
        if self._unread:
            self.server.hold(self, self.waiting())
            self.server.loop.call_later(max(MOMENT, REST * (perf_counter() - began)), self._read_on)
        elif not self.finished and self.writable and not self.transport.is_closing():
            self.server.hold(self, 0)
            self.transport.resume_reading()

    def eof_received(self) -> bool:
        keep = super().eof_received()
        self._hall.pass_on()
        return keep

    def takes_more(self) -> bool:
        """Wait with more until what came is dealt with."""
        return not self._unread

    def waiting(self) -> int:
        """Count also what waits in the core, and what the member said too fast."""
        member = self._member
        return super().waiting() + len(self._unread) + (member.waiting if member else 0)

    def tell(self, member: Member) -> None:
        """Send what waits for the member, or put it out where it does not read."""
        if self.finished:
            return
        if self.writable:
            self.flush()
        elif member.waiting > UNREAD:
            member.put_out()
            self.finish(f"{UNREAD} octets wait for it, and it does not read", member.data_to_send())
        else:
            if member.waiting > UNREAD // 2:
                self._hall.behind.setdefault(self, perf_counter())
            self.server.hold(self, self.waiting())

    def resume_writing(self) -> None:
        self._hall.behind.pop(self, None)
        super().resume_writing()

    def ended(self) -> None:
        """Leave the room with the FIN, not when the connection is gone: a name is free as soon as its owner left."""
        self._unread = b""
        self._hall.behind.pop(self, None)
        if member := self._member:
            member.leave()
        self._hall.pass_on()

    def farewell(self, reason: str) -> bytes:
        """Tell why, as the protocol's other lines from the server."""
        return farewell(reason)
