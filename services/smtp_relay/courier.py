"""One connection to the next host: a `ClientConnection` joined to a socket, for one transaction at a time.

Public: `Courier`, `Load`.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from services.smtp_relay.client import Broken, ClientConnection, Delivered, Event, Phase, TextWanted
from services.smtp_relay.envelope import Reply
from services.smtp_relay.store import Message

BLOCK = 128 << 10  # octets of a text that are read from its file at once
CONNECT = 5.0  # seconds
REPLY = 60.0  # seconds; RFC 5321 section 4.5.3.2 has minutes, for links of its time


@dataclass(frozen=True, slots=True)
class Load:
    """What a courier carries: a message and its text, in memory or in a file."""

    message: Message
    body: bytes | None
    file: Path | None

    def parts(self) -> Iterator[bytes]:
        """Yield the text, with what the relay put on top.

        Raises:
            OSError: the file is gone.
        """
        if self.file is None:
            yield self.message.top + (self.body or b"")
            return
        with self.file.open("rb") as text:
            yield self.message.top
            while part := text.read(BLOCK):
                yield part


class Courier(asyncio.Protocol):
    """A connection; `open` it, then `carry` one message after the other."""

    def __init__(self, name: str, *, lmtp: bool) -> None:
        self._core = ClientConnection(name, lmtp=lmtp)
        self._loop = asyncio.get_running_loop()
        self._events: deque[Event] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._lost = False
        self._transport: asyncio.Transport | None = None
        self.carried = 0

    @property
    def is_usable(self) -> bool:
        """Whether another message may be carried."""
        return self._core.phase is Phase.READY and not self._lost

    # -- called by asyncio --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._core.receive_data(data)
        self._pass_on()

    def eof_received(self) -> bool:
        self._core.receive_eof()
        self._pass_on()
        return False

    def connection_lost(self, _: Exception | None) -> None:
        self._lost = True
        self._core.receive_eof()
        self._pass_on()
        self.resume_writing()

    def pause_writing(self) -> None:
        self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        room, self._room = self._room, None
        if room and not room.done():
            room.set_result(None)

    def _pass_on(self) -> None:
        self._events += self._core.events()
        self._send()
        if self._events and self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    def _send(self) -> None:
        out = self._core.data_to_send()
        if out and self._transport and not self._lost:
            self._transport.write(out)

    # -- for the deliveries -------------------------------------------------------------------------------------------

    async def open(self, host: str, port: int) -> Reply | None:
        """Connect and shake hands; return what went wrong, if anything did."""
        try:
            async with asyncio.timeout(CONNECT):
                await self._loop.create_connection(lambda: self, host, port)
        except TimeoutError:
            return Reply(421, "4.4.1", f"{host} port {port} does not answer: no connection within {CONNECT:g} s")
        except OSError as error:
            return Reply(421, "4.4.1", f"{host} port {port} cannot be reached: {error.strerror or error}")
        event = await self._next()
        return event.reply if isinstance(event, Broken) else None

    async def carry(self, load: Load, recipients: Sequence[str]) -> tuple[Reply, ...] | Reply:
        """Carry a message; return what became of each recipient, or why nothing is known of any."""
        core, message = self._core, load.message
        self.carried += 1
        if refusal := self._refusal(message):
            return (refusal,) * len(recipients)
        along = load.file is None and core.can_take_along()
        core.send(
            message.sender, recipients, size=message.size, eight_bit=message.eight_bit, smtputf8=message.smtputf8,
            text=message.top + (load.body or b"") if along else None,
        )  # fmt: skip
        self._send()
        event = await self._next()
        if isinstance(event, TextWanted):
            try:
                await self._send_text(load)
            except (
                OSError
            ) as error:  # half a text was sent: the connection's end tells the server that it is no whole one
                self.abort()
                return Reply(451, "4.3.0", f"the text cannot be read: {error.strerror}")
            event = await self._next()
        if isinstance(event, Delivered):
            return event.replies
        return event.reply if isinstance(event, Broken) else Reply(451, "4.5.0", "unexpected reply")

    def _refusal(self, message: Message) -> Reply | None:
        """Return what the next host would not take, known from what it offers."""
        offered = self._core.extensions
        if message.smtputf8 and "SMTPUTF8" not in offered:
            return Reply(553, "5.6.7", "the next host takes no addresses or header fields beyond ASCII (SMTPUTF8)")
        if message.eight_bit and "8BITMIME" not in offered:
            return Reply(554, "5.6.3", "the next host takes no 8-bit text (8BITMIME), and it is not converted here")
        limit = offered.get("SIZE", "")
        if limit.isdecimal() and 0 < int(limit) < message.size:
            return Reply(552, "5.3.4", f"the next host takes at most {limit} octets")
        return None

    async def _send_text(self, load: Load) -> None:
        for part in load.parts():
            if self._core.phase is not Phase.SENDING_TEXT:
                return
            self._core.send_text(part)
            self._send()
            if self._room:
                async with asyncio.timeout(REPLY):
                    await self._room
        if self._core.phase is Phase.SENDING_TEXT:
            self._core.end_text()
            self._send()

    async def _next(self) -> Event:
        """Wait for what the server says."""
        if not self._events:
            self._waiter = self._loop.create_future()
            timer = self._loop.call_later(REPLY, self._time_out)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        return self._events.popleft()

    def _time_out(self) -> None:
        self._events.append(Broken(Reply(421, "4.4.2", f"no reply for {REPLY:g} s")))
        self.abort()
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    def quit(self) -> None:
        """Say goodbye and close; the reply is not waited for."""
        if self.is_usable and self._transport:
            self._core.quit()
            self._send()
            with suppress(OSError, RuntimeError):
                self._transport.close()
        else:
            self.abort()

    def abort(self) -> None:
        """Close at once."""
        self._lost = True
        if self._transport:
            self._transport.abort()
