"""One client's connection: the SMTP core joined to a socket, to the disk and to the queue's writer.

Public: `MailStream`, `Office`.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from services.runtime.stream import Core, Stream, StreamServer
from services.smtp_relay.commands import State
from services.smtp_relay.draft import Draft
from services.smtp_relay.envelope import Envelope, Reply
from services.smtp_relay.header import read_header, trace
from services.smtp_relay.protocol import MessageDropped, MessageEnded, ServerConnection, TextReceived, TlsWanted
from services.smtp_relay.store import NewMessage, Store
from services.smtp_relay.writer import Writer

# Octets that a client may have pipelined while its message is on the way to the disk; then it is read no further.
PIPELINED = 64 << 10
FULL = Reply(452, "4.3.1", "the queue's disk is full, or cannot be written; try again later")
LOOP = Reply(554, "5.4.6", "too many Received fields: this message goes round in circles (RFC 5321 section 6.3)")


@dataclass
class Office:
    """What all sessions share.

    Args:
        number: gives a new message's number.
        queued: is told the domains of a message that is in the queue.
        max_hops: Received fields that a message may have.
        greet_delay: seconds before the greeting, in which a client that talks first is found out.
    """

    name: str
    store: Store
    writer: Writer
    threads: Executor
    number: Callable[[], int]
    queued: Callable[[list[str]], None]
    max_hops: int
    greet_delay: float
    tls: ssl.SSLContext | None = None


class MailStream(Stream):
    """An SMTP connection."""

    __slots__ = ("_client", "_core", "_draft", "_failed", "_office", "_paused", "_seen", "_stopping", "_writing")

    def __init__(self, server: StreamServer, label: str, make_core: Callable[[], Core], office: Office) -> None:
        super().__init__(server, label, make_core)
        self._office = office
        self._client = ""
        self._core: ServerConnection | None = (
            None  # `core`, as what it is here; none where the connection was turned away
        )
        self._draft: Draft | None = None
        self._failed: Reply | None = None  # why the draft cannot become a message
        self._writing = False  # a thread is at work on the draft
        self._paused = False
        self._stopping = False
        self._seen = 0  # the core's progress at the last look

    # -- called by asyncio --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._core:
            return  # the same connection, now under TLS
        super().connection_made(transport)
        core = getattr(self, "core", None)
        self._core = core if isinstance(core, ServerConnection) else None
        address = transport.get_extra_info("peername")
        self._client = address[0] if isinstance(address, tuple) else ""
        if self._core and self._office.greet_delay:
            self.server.loop.call_later(self._office.greet_delay, self._greet)
        elif self._core:
            self._greet()

    def _greet(self) -> None:
        core = self._core
        if core and not self.finished and core.state is State.AWAITING_OUR_GREETING:
            core.greet()
            self._after()

    def data_received(self, data: bytes) -> None:
        if self.finished:
            return
        core = self._core
        assert core is not None  # noqa: S101 - a connection that was turned away is finished
        core.receive_data(data)
        if core.progress != self._seen:  # single octets, now and then, are no sign of life
            self._seen = core.progress
            self.active = True
        self._after()

    def eof_received(self) -> bool:
        keep = super().eof_received()
        if not self.finished:
            self._after()
        return keep

    # -- what the core tells ------------------------------------------------------------------------------------------

    def _after(self) -> None:
        """Do what the core asks for, and send what it says."""
        core = self._core
        assert core is not None  # noqa: S101
        for event in core.events():
            match event:
                case TextReceived(data):
                    if self._draft is None:
                        self._draft = Draft(self._office.store.folder, self._office.number())
                    if not self._failed:
                        self._draft.add(data)
                case MessageEnded(envelope):
                    self._finish_message(envelope)
                case MessageDropped():
                    self._drop()
                case TlsWanted():
                    self.flush()
                    self.start_tls(self._office.tls, self._tls_started)
                    return
        if self._draft and self._draft.wants_writing and not self._writing:
            self._write()
        self._push_back(core)
        if core.closing:
            self.flush()
        elif self.writable and not self.finished and (out := core.data_to_send()):
            self.transport.write(out)

    def _push_back(self, core: ServerConnection) -> None:
        """Read on, or not: a client that sends faster than the disk takes it has to wait."""
        full = self._writing or core.pending > PIPELINED
        if full == self._paused or self.transport.is_closing() or self.peer_done:
            return
        self._paused = full
        if full:
            self.transport.pause_reading()
        elif self.writable:
            self.transport.resume_reading()

    def takes_more(self) -> bool:
        """Wait with more until what came is dealt with."""
        return not self._paused

    # -- a text too big for memory ------------------------------------------------------------------------------------

    def _write(self) -> None:
        draft = self._draft
        if draft is None or self._failed:
            return
        self._in_thread(draft.write, draft.take_block(), self._written)

    def _in_thread(self, work: Callable[[bytes], None], block: bytes, then: Callable[[], None]) -> None:
        self._writing = True
        loop = self.server.loop
        future = loop.run_in_executor(self._office.threads, work, block)
        draft = self._draft

        def done(future: "asyncio.Future[None]") -> None:
            self._writing = False
            error = future.exception()
            if draft is not self._draft:  # dropped meanwhile; perhaps the next has begun
                if draft:
                    draft.discard()
                self._written()
                return
            if error:
                self.server.log.event("not written", reason=str(error))
                self._failed = FULL
            then()

        future.add_done_callback(done)

    def _written(self) -> None:
        self.active = True
        if not self.finished:
            self._after()

    def _drop(self) -> None:
        draft, self._draft = self._draft, None
        self._failed = None
        if draft and not self._writing:
            draft.discard()

    # -- a text that is whole -----------------------------------------------------------------------------------------

    def _finish_message(self, envelope: Envelope) -> None:
        if self._draft is None:
            self._draft = Draft(self._office.store.folder, self._office.number())
        if self._writing:
            self.server.loop.call_later(0.005, self._finish_later, envelope)
        elif self._draft.is_file and not self._failed:
            self._in_thread(self._draft.write_and_sync, self._draft.take_block(), lambda: self._queue(envelope))
        else:
            self._queue(envelope)

    def _finish_later(self, envelope: Envelope) -> None:
        if self._draft:
            self._finish_message(envelope)

    def _queue(self, envelope: Envelope) -> None:
        """Hand the message to the writer; the client hears of it when it is committed."""
        draft, office = self._draft, self._office
        assert draft is not None  # noqa: S101
        header = read_header(draft.top())
        if self._failed or header.hops >= office.max_hops:
            self._verdict(self._failed or LOOP)
            return
        now = time.time()
        queue_id = f"{draft.number:X}"
        top = trace(header, envelope, name=office.name, queue_id=queue_id, peer=self._client, now=now)
        beyond_ascii = not (
            header.is_ascii and envelope.sender.isascii() and all(map(str.isascii, envelope.recipients))
        )
        message = NewMessage(
            draft.number, envelope.sender, envelope.recipients, now, len(top) + draft.size, envelope.eight_bit,
            envelope.smtputf8 and beyond_ascii, top, None if draft.is_file else draft.body(),
        )  # fmt: skip
        domains = list(dict.fromkeys(envelope.recipients.values()))
        office.writer.submit(message, lambda error: self._committed(message, domains, error))

    def _committed(self, message: NewMessage, domains: list[str], error: Exception | None) -> None:
        if error:
            self.server.log.event("not queued", message=f"{message.id:X}", reason=str(error))
            self._verdict(FULL)
            return
        self._draft = None  # its file, if it is one, is the queue's now
        if self.server.log.has_room("queued"):
            self.server.log.event(
                "queued",
                message=f"{message.id:X}",
                sender=message.sender,
                recipients=len(message.recipients),
                size=message.size,
            )
        self._office.queued(domains)
        self._verdict(None, f"{message.id:X}")

    def _verdict(self, refusal: Reply | None, name: str = "") -> None:
        core = self._core
        assert core is not None  # noqa: S101
        if refusal:
            self._drop()
        if self.finished or core.state is not State.AWAITING_VERDICT:
            return
        self.active = True
        if refusal:
            core.refuse(refusal)
        else:
            core.accept(name)
        if self._stopping:
            core.shut(_farewell(self._office.name, "server stops"))
        self._after()

    # -- TLS ----------------------------------------------------------------------------------------------------------

    def _tls_started(self) -> None:
        core = self._core
        if core and core.state is State.AWAITING_TLS:
            core.tls_started()
            self.active = True
            self._paused = False
            self._after()

    # -- the end ------------------------------------------------------------------------------------------------------

    def ended(self) -> None:
        """Forget a text that is not whole; one that is waits for its commit."""
        core = self._core
        if core and core.state is not State.AWAITING_VERDICT:
            self._drop()

    def stop(self) -> None:
        """Say that the server stops; after the verdict, where a message waits for one."""
        core = self._core
        if core and core.state is State.AWAITING_VERDICT and not self.finished:
            self._stopping = True
        else:
            self.finish("server stops", self.farewell("server stops"))

    def farewell(self, reason: str) -> bytes:
        """Tell why, as RFC 5321 section 3.8 asks for."""
        core = self._core
        if core and core.state is State.AWAITING_TLS:
            return b""
        reply = _farewell(self._office.name, reason)
        return f"{reply}\r\n".encode()


def _farewell(name: str, reason: str) -> Reply:
    return Reply(421, "4.3.2" if "stops" in reason else "4.4.2", f"{name} closes: {reason}")
