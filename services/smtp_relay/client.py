"""The client's end of an SMTP or LMTP connection: one message after the other, several recipients each. Pure.

    S: 220 mail-server …              C: LHLO smtp-relay                (LMTP, RFC 2033; EHLO in SMTP)
    S: 250-… PIPELINING …             C: MAIL, RCPT, RCPT, DATA         in one go where the server takes it (RFC 2920)
    S: 250, 250, 550, 354             C: the text, ended by CRLF . CRLF
    S: 250                            one reply for each recipient taken in LMTP, one for all in SMTP

Where the server offers CHUNKING and the text is there as a whole, it goes along in the same go: MAIL, RCPT, BDAT n LAST (RFC 3030).

Public: `ClientConnection`, `Phase`, and the events `Ready`, `TextWanted`, `Delivered`, `Broken`.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from services.smtp_relay.envelope import Reply
from services.smtp_relay.text import DotStuffer
from services.wire.errors import LocalProtocolError

MAX_REPLY = 64 << 10  # octets of one reply, all its lines; RFC 5321 section 4.5.3.1.5 gives 512 to a line
_BROKEN = Reply(421, "4.4.2", "the connection ended before the reply")


class Phase(Enum):
    """What a client's end waits for."""

    AWAITING_GREETING = auto()
    AWAITING_HELLO = auto()
    READY = auto()
    AWAITING_REPLIES = auto()  # to MAIL, RCPT, DATA
    SENDING_TEXT = auto()
    AWAITING_RESULTS = auto()
    AWAITING_QUIT = auto()
    CLOSED = auto()


@dataclass(frozen=True, slots=True)
class Ready:
    """The server has greeted and told its extensions: messages may be sent."""


@dataclass(frozen=True, slots=True)
class TextWanted:
    """The server waits for the text: `send_text`, then `end_text`."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The transaction is over: what became of each recipient, in the order given. The connection is ready for the next."""

    replies: tuple[Reply, ...]


@dataclass(frozen=True, slots=True)
class Broken:
    """The conversation cannot go on; in a transaction, what became of its recipients is not known."""

    reply: Reply


Event = Ready | TextWanted | Delivered | Broken


@dataclass(slots=True)
class _Transaction:
    recipients: int
    text: bytes | None  # where it goes along by BDAT
    expected: deque[str] = field(default_factory=deque)  # MAIL, RCPT…, DATA or BDAT
    waiting: deque[bytes] = field(default_factory=deque)  # commands not sent yet, where the server takes no PIPELINING
    mail: Reply | None = None
    replies: list[Reply | None] = field(default_factory=list)  # of RCPT, then of the text
    stuffer: DotStuffer = field(default_factory=DotStuffer)

    def accepted(self) -> list[int]:
        return [n for n, reply in enumerate(self.replies) if reply and reply.is_good]


class ClientConnection:
    """One connection. Never touches a socket, a clock or a thread.

    Args:
        name: how we name ourselves.
        lmtp: speak LMTP, whose server answers for each recipient.
    """

    __slots__ = (
        "_events", "_inbox", "_left_open", "_lines", "_name", "_out", "_taken", "_transaction", "_tried_helo", "closing",
        "extensions", "lmtp", "phase",
    )  # fmt: skip

    def __init__(self, name: str, *, lmtp: bool) -> None:
        self._name = name
        self.lmtp = lmtp
        self.phase = Phase.AWAITING_GREETING
        self.extensions: dict[str, str] = {}
        self.closing = False
        self._inbox = b""
        self._lines: list[bytes] = []  # of a reply that is not complete
        self._out: list[bytes] = []
        self._events: list[Event] = []
        self._transaction = _Transaction(0, None)
        self._taken: deque[int] = deque()  # recipients whose result is still to come
        self._tried_helo = False
        self._left_open = (
            False  # a transaction came to nothing: for the server it goes on, and another MAIL would get 503
        )

    # -- the four doors -----------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> None:
        """Take octets from the server, cut anywhere; then call `events`."""
        *lines, self._inbox = (self._inbox + data).split(b"\n")
        for line in lines:
            if self.phase is Phase.CLOSED:
                return
            self._lines.append(line.removesuffix(b"\r"))
            if line[3:4] != b"-":
                reply = self._parse()
                if reply is None:
                    return
                self._receive(reply)
                self._lines.clear()
        if len(self._inbox) + sum(map(len, self._lines)) > MAX_REPLY:
            self._break(Reply(500, "5.5.0", f"a reply of more than {MAX_REPLY} octets"))

    def receive_eof(self) -> None:
        """Take the server's FIN."""
        if self.phase is Phase.AWAITING_QUIT:
            self.phase = Phase.CLOSED
            self.closing = True
        elif self.phase is not Phase.CLOSED:
            self._break(_BROKEN)

    def events(self) -> list[Event]:
        """Return what happened since the last call."""
        events, self._events = self._events, []
        return events

    def data_to_send(self) -> bytes:
        """Return what is to be sent now, and forget it."""
        out, self._out = self._out, []
        return b"".join(out)

    # -- verbs --------------------------------------------------------------------------------------------------------

    def can_take_along(self) -> bool:
        """Tell whether a text that is there as a whole may be handed to `send`."""
        return "CHUNKING" in self.extensions and "PIPELINING" in self.extensions

    def send(
        self, sender: str, recipients: Sequence[str], *, size: int = 0, eight_bit: bool = False, smtputf8: bool = False,
        text: bytes | None = None,
    ) -> None:  # fmt: skip
        """Begin a transaction; `Delivered` ends it, unless `Broken` comes.

        Args:
            size: octets of the text, declared where the server takes SIZE.
            text: the whole text, to go along; only where `can_take_along`.

        Raises:
            LocalProtocolError: the connection is not ready.
        """
        self._must_be(Phase.READY)
        parameters = [f"SIZE={size}"] if size and "SIZE" in self.extensions else []
        parameters += ["BODY=8BITMIME"] if eight_bit and "8BITMIME" in self.extensions else []
        parameters += ["SMTPUTF8"] if smtputf8 and "SMTPUTF8" in self.extensions else []
        commands = [" ".join([f"MAIL FROM:<{sender}>", *parameters])]
        commands += [f"RCPT TO:<{recipient}>" for recipient in recipients]
        octets = [f"{command}\r\n".encode() for command in commands]
        expected = ["MAIL", *["RCPT"] * len(recipients), "DATA"]
        if text is None:
            octets.append(b"DATA\r\n")
        else:
            end = b"" if text.endswith(b"\r\n") else b"\r\n"
            octets += [b"BDAT %d LAST\r\n" % (len(text) + len(end)), text, end]
            expected[-1] = "BDAT"
        if self._left_open:
            octets.insert(0, b"RSET\r\n")
            expected.insert(0, "RSET before")
            self._left_open = False
        self._transaction = _Transaction(len(recipients), text, deque(expected), deque(octets))
        self.phase = Phase.AWAITING_REPLIES
        if "PIPELINING" in self.extensions:
            self._out += octets
            self._transaction.waiting.clear()
        else:
            self._out.append(self._transaction.waiting.popleft())

    def send_text(self, part: bytes) -> None:
        """Send a part of the text.

        Raises:
            LocalProtocolError: the server does not wait for text.
        """
        self._must_be(Phase.SENDING_TEXT)
        self._out.append(self._transaction.stuffer.send(part))

    def end_text(self) -> None:
        """End the text.

        Raises:
            LocalProtocolError: the server does not wait for text.
        """
        self._must_be(Phase.SENDING_TEXT)
        self._out.append(self._transaction.stuffer.end())
        self._await_results()

    def quit(self) -> None:
        """Say goodbye.

        Raises:
            LocalProtocolError: the connection is not ready.
        """
        self._must_be(Phase.READY)
        self._out.append(b"QUIT\r\n")
        self.phase = Phase.AWAITING_QUIT

    def _must_be(self, phase: Phase) -> None:
        if self.phase is not phase:
            raise LocalProtocolError(f"in {self.phase.name}, not in {phase.name}")

    # -- replies ------------------------------------------------------------------------------------------------------

    def _parse(self) -> Reply | None:
        first = self._lines[0]
        code = first[:3]
        alike = all(line[:3] == code and line[3:4] in b"- " for line in self._lines)
        if not (code.isdigit() and b"200" <= code < b"600" and alike):
            self._break(Reply(500, "5.5.0", f"no SMTP reply: {first[:80]!r}"))
            return None
        words = [line[4:].decode("utf-8", "replace") for line in self._lines]
        enhanced, _, text = words[0].partition(" ")
        parts = enhanced.split(".")
        if len(parts) == 3 and all(part.isdecimal() for part in parts) and parts[0] == chr(code[0]):
            words = [text, *(word.removeprefix(f"{enhanced} ") for word in words[1:])]
        else:
            enhanced = ""
        return Reply(int(code), enhanced, "\n".join(words))

    def _receive(self, reply: Reply) -> None:
        match self.phase:
            case Phase.AWAITING_GREETING:
                self._hello(reply)
            case Phase.AWAITING_HELLO:
                self._welcome(reply)
            case Phase.AWAITING_REPLIES:
                self._answer(reply)
            case Phase.AWAITING_RESULTS:
                self._result(reply)
            case Phase.AWAITING_QUIT:
                self.phase = Phase.CLOSED
                self.closing = True
            case _:  # a word that we did not ask for, such as 421: the server leaves
                self._break(reply)

    def _hello(self, greeting: Reply) -> None:
        if not greeting.is_good:
            self._break(greeting)
            return
        self._out.append(f"{'LHLO' if self.lmtp else 'EHLO'} {self._name}\r\n".encode())
        self.phase = Phase.AWAITING_HELLO

    def _welcome(self, reply: Reply) -> None:
        if reply.is_permanent and not self.lmtp and not self._tried_helo:
            self._tried_helo = True  # a server from before the extensions (RFC 5321 section 3.2)
            self._out.append(f"HELO {self._name}\r\n".encode())
            return
        if not reply.is_good:
            self._break(reply)
            return
        for line in reply.text.split("\n")[1:] if not self._tried_helo else ():
            keyword, _, value = line.partition(" ")
            self.extensions[keyword.upper()] = value
        self.phase = Phase.READY
        self._events.append(Ready())

    def _answer(self, reply: Reply) -> None:
        if reply.code == 421:  # the server leaves in mid-transaction
            self._break(reply)
            return
        transaction = self._transaction
        answered = transaction.expected.popleft()
        if answered == "RSET before":
            pass  # were it refused, so is MAIL
        elif answered == "MAIL":
            transaction.mail = reply
        elif answered == "RCPT":
            mail = transaction.mail
            transaction.replies.append(mail if mail and not mail.is_good else reply)
        elif answered == "BDAT":
            self._await_results()
            self._result(reply)
        elif answered == "RSET":
            self._done()
        else:
            self._go_ahead(reply)
        if transaction.waiting and transaction.expected:
            self._next(transaction)

    def _next(self, transaction: _Transaction) -> None:
        """Send the next command of a transaction, one at a time; where none of it can come to anything, give it up."""
        over = transaction.mail is not None and not transaction.mail.is_good
        if over or (transaction.expected[0] == "DATA" and not transaction.accepted()):
            if over:
                transaction.replies = [transaction.mail] * transaction.recipients
            self._out.append(b"RSET\r\n")
            transaction.expected = deque(["RSET"])
            transaction.waiting.clear()
        else:
            self._out.append(transaction.waiting.popleft())

    def _go_ahead(self, reply: Reply) -> None:
        transaction = self._transaction
        accepted = transaction.accepted()
        if reply.code == 354 and accepted:
            self.phase = Phase.SENDING_TEXT
            self._events.append(TextWanted())
        elif reply.code == 354:  # it takes a text that nobody is to get: an empty one (RFC 2920 section 3.1)
            self._out.append(b".\r\n")
            self._taken = deque([-1]) if not self.lmtp else deque()
            self.phase = Phase.AWAITING_RESULTS
            if self.lmtp:
                self._done()
        else:
            for n in accepted:  # RSET's own reply is not meant
                transaction.replies[n] = reply if not reply.is_good else Reply(451, "4.5.0", "no 354 to DATA")
            self._done()

    def _await_results(self) -> None:
        accepted = self._transaction.accepted()
        self._taken = deque(accepted)
        if not self.lmtp or not accepted:
            self._taken = deque([-1])  # one reply for all
        self.phase = Phase.AWAITING_RESULTS

    def _result(self, reply: Reply) -> None:
        replies = self._transaction.replies
        n = self._taken.popleft()
        if n >= 0:
            replies[n] = reply
        else:
            for accepted in self._transaction.accepted():
                replies[accepted] = reply
        if not self._taken:
            self._done()

    def _done(self) -> None:
        replies = tuple(reply or _BROKEN for reply in self._transaction.replies)
        self._left_open = not any(reply.is_good for reply in replies)
        self.phase = Phase.READY
        self._events.append(Delivered(replies))

    def _break(self, reply: Reply) -> None:
        if self.phase is Phase.AWAITING_RESULTS:  # what was said of some recipients counts
            for n in [n for n in self._taken if n >= 0] or self._transaction.accepted():
                self._transaction.replies[n] = reply
            self._done()
        self.phase = Phase.CLOSED
        self.closing = True
        self._events.append(Broken(reply))
