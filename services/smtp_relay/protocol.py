"""The server's end of an SMTP connection: RFC 5321 with SIZE, PIPELINING, 8BITMIME, SMTPUTF8, CHUNKING, ENHANCEDSTATUSCODES, STARTTLS.

    S: 220 smtp-relay ESMTP labctl        C: EHLO client
    S: 250-smtp-relay … 250 HELP          C: MAIL FROM:<alice@lab.test>
    S: 250 2.1.0 Sender ok                C: RCPT TO:<bob@lab.test>
    S: 250 2.1.5 Recipient ok             C: DATA
    S: 354 …                              C: the text, ended by CRLF . CRLF
    S: 250 2.0.0 Queued as 1F4A…          only when the owner called `accept`

Facts come out as events; the owner answers `MessageEnded` by `accept` or `refuse`, `TlsWanted` by `tls_started`. Until then nothing
that the client pipelined is read on.

Public: `ServerConnection`, `Policy`, and the events `TextReceived`, `MessageEnded`, `MessageDropped`, `TlsWanted`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from services.smtp_relay.commands import COMMANDS, MAX_COMMAND, MAX_MAIL_COMMAND, NO_MAIL_YET, Command, State
from services.smtp_relay.envelope import Envelope, Reply
from services.smtp_relay.grammar import Path, PathSyntaxError, PathTooLongError, is_host, parse_parameters, parse_path
from services.smtp_relay.text import Flaw, TextCheck, TextReader
from services.wire.errors import LocalProtocolError

# Octets of text that count as one step of progress, as a command does: who sends less is as good as silent.
STEP = 1024


@dataclass(frozen=True, slots=True)
class Policy:
    """What a server allows, the same for all its connections.

    Args:
        name: how it names itself.
        routes: tells whether mail for a domain is taken.
        postmaster: the address that `<Postmaster>` means (RFC 5321 section 4.5.1).
        tls: STARTTLS is offered.
        max_size: octets of a message's text.
        max_recipients: of one message; at least 100 (RFC 5321 section 4.5.3.1.8).
        max_errors: replies of class 5 after which the connection is closed.
        max_idle_commands: commands in a row that bring no message forward, after which it is closed.
    """

    name: str
    routes: Callable[[str], bool]
    postmaster: str = ""
    tls: bool = False
    max_size: int = 64 << 20
    max_recipients: int = 1000
    max_errors: int = 100
    max_idle_commands: int = 100


@dataclass(frozen=True, slots=True)
class TextReceived:
    """The next part of the text, dots undone."""

    data: bytes


@dataclass(frozen=True, slots=True)
class MessageEnded:
    """The text is whole; `accept` or `refuse` is expected."""

    envelope: Envelope


@dataclass(frozen=True, slots=True)
class MessageDropped:
    """What was received of a text is of no use."""


@dataclass(frozen=True, slots=True)
class TlsWanted:
    """The client waits for the TLS handshake, as soon as it has what is to be sent; `tls_started` is expected."""


Event = TextReceived | MessageEnded | MessageDropped | TlsWanted


class ServerConnection:
    """One connection. Never touches a socket, a clock or a thread."""

    __slots__ = (
        "_accepted", "_check", "_chunk", "_envelope", "_eof", "_errors", "_events", "_extended", "_failed", "_helo",
        "_idle_commands", "_inbox", "_last_chunk", "_octets", "_out", "_overlong", "_policy", "_reader", "_resume",
        "_stray_cr", "_text_begun", "_tls", "closing", "progress", "state",
    )  # fmt: skip

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.state = State.AWAITING_OUR_GREETING
        self.closing = False
        self.progress = 0  # grows with each command, and with each STEP octets of text
        self._inbox = b""
        self._out = bytearray()
        self._events: list[Event] = []
        self._helo = ""
        self._extended = False
        self._tls = False
        self._eof = False
        self._errors = 0
        self._idle_commands = 0
        self._overlong = False  # in a command line that is dropped
        self._octets = 0  # of text, since the last step of progress
        self._forget()

    def _forget(self) -> None:
        self._envelope = Envelope("")
        self._accepted = 0  # recipients, each as often as it was named
        self._check = TextCheck(eight_bit=False)
        self._reader = TextReader(self._check)
        self._failed: Reply | None = None  # why the text is refused, at its end
        self._text_begun = False
        self._chunk = 0  # octets of the chunk still to come
        self._last_chunk = False
        self._resume: State | None = None  # where a chunk was not in order: the state that goes on after it
        self._stray_cr = b""  # a chunk's last octet, whose LF may come with the next

    # -- the four doors -----------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> None:
        """Take octets from the client, cut anywhere; then call `events`, then `data_to_send`."""
        self._inbox = self._inbox + data if self._inbox else data
        self._go_on()

    def receive_eof(self) -> None:
        """Take the client's FIN: a message that is not whole is dropped; a whole one keeps waiting for its verdict."""
        self._drop_text()
        self._eof = True
        if self.state is not State.AWAITING_VERDICT:
            self._close()

    def events(self) -> list[Event]:
        """Return what happened since the last call."""
        if not self._events:
            return []
        events, self._events = self._events, []
        return events

    def data_to_send(self) -> bytes:
        """Return what is to be sent now, and forget it."""
        if not self._out:
            return b""
        out = bytes(self._out)
        self._out.clear()
        return out

    @property
    def pending(self) -> int:
        """Octets that came and are not looked at yet: more must not be read while there are many."""
        return len(self._inbox)

    # -- verbs --------------------------------------------------------------------------------------------------------

    def greet(self) -> None:
        """Greet a client that has waited for it (RFC 5321 section 4.3.1).

        Raises:
            LocalProtocolError: it was greeted, or turned away, before.
        """
        self._must_be(State.AWAITING_OUR_GREETING)
        self.state = State.AWAITING_HELLO
        self._say(220, "", f"{self._policy.name} ESMTP labctl")

    def accept(self, name: str) -> None:
        """Say that the message is safe in the queue under this name.

        Raises:
            LocalProtocolError: no message waits for a verdict.
        """
        self._must_be(State.AWAITING_VERDICT)
        self._idle_commands = 0
        self._verdict(Reply(250, "2.0.0", f"Queued as {name}"))

    def refuse(self, reply: Reply) -> None:
        """Say that the message is not taken.

        Raises:
            LocalProtocolError: no message waits for a verdict.
        """
        self._must_be(State.AWAITING_VERDICT)
        self._verdict(reply)

    def tls_started(self) -> None:
        """Begin anew under TLS: all that was said before is forgotten (RFC 3207 section 4.2).

        Raises:
            LocalProtocolError: the client did not ask for it.
        """
        self._must_be(State.AWAITING_TLS)
        self._tls = True
        self._helo = ""
        self.state = State.AWAITING_HELLO
        self._go_on()

    def shut(self, reply: Reply) -> None:
        """Say a last word and close, whatever the state: 421 (RFC 5321 section 3.8)."""
        self._drop_text()
        if self.state not in (State.CLOSED, State.AWAITING_TLS):
            self._say(reply.code, reply.enhanced, reply.text)
        self._close()

    def _must_be(self, state: State) -> None:
        if self.state is not state:
            raise LocalProtocolError(f"in {self.state.name}, not in {state.name}")

    def _verdict(self, reply: Reply) -> None:
        self._say(reply.code, reply.enhanced, reply.text)
        self._forget()
        self.state = State.AWAITING_MAIL
        self._go_on()
        if self._eof and self.state is not State.AWAITING_VERDICT:
            self._close()

    def _close(self) -> None:
        self.state = State.CLOSED
        self.closing = True
        self._inbox = b""

    # -- octets -------------------------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Read on, as far as the state allows."""
        if self.state is State.AWAITING_OUR_GREETING and self._inbox:
            # RFC 5321 section 4.3.1: the client waits for the greeting. Who does not is a robot, or behind a request that was forged.
            self.state = State.AWAITING_QUIT
            self._say(554, "5.5.1", f"{self._policy.name} does not talk to clients that speak before the greeting")
        while self._inbox:
            if self.state is State.RECEIVING_TEXT:
                self._read_text()
            elif self.state is State.RECEIVING_CHUNK:
                self._read_chunk()
            elif self.state in (State.AWAITING_VERDICT, State.AWAITING_TLS) or not self._read_command():
                return

    def _read_command(self) -> bool:
        """Read one command; tell whether there was a whole one."""
        if self.state is State.CLOSED:
            self._inbox = b""
            return False
        end = self._inbox.find(b"\r\n")
        limit = MAX_MAIL_COMMAND if self._inbox[:5].upper() == b"MAIL " else MAX_COMMAND
        if end < 0:
            if self._overlong or len(self._inbox) > limit:  # the rest of it is dropped as it comes
                self._overlong = True
                self._inbox = b"\r" if self._inbox.endswith(b"\r") else b""
            return False
        line, self._inbox = self._inbox[:end], self._inbox[end + 2 :]
        self.progress += 1
        if self._overlong or end + 2 > limit:
            self._overlong = False
            self._error(500, "5.5.2", f"Line too long: a command has at most {MAX_COMMAND} octets, CRLF included")
        elif b"\n" in line or b"\r" in line or b"\0" in line:
            self._error(
                500, "5.5.2", "a bare CR, bare LF or NUL in a command; lines end in CRLF (RFC 5321 section 2.3.8)"
            )
        else:
            self._obey(line)
        return True

    def _obey(self, line: bytes) -> None:
        try:
            text = line.decode()
        except UnicodeDecodeError:
            self._error(500, "5.5.2", "neither ASCII nor UTF-8")
            return
        word, _, argument = text.partition(" ")
        command = COMMANDS.get(word.upper())
        argument = argument.strip()
        if self.state is State.AWAITING_QUIT and (command is None or command.name != "QUIT"):
            self._error(503, "5.5.1", "QUIT is all that is left to say")
        elif command is None or (command.name == "STARTTLS" and not self._policy.tls):
            self._error(500, "5.5.2", "Command not recognized; HELP lists those that are")
        elif command.name != "BDAT" and self.state not in command.states:
            self._error(503, "5.5.1", self._why_not_now(command))
        elif command.wants_argument and not argument:
            self._error(501, "5.5.4", f"Syntax: {command.usage} ({command.rfc})")
        elif argument and not command.argument:
            self._error(501, "5.5.4", f"Syntax: {command.usage}, without an argument ({command.rfc})")
        else:
            HANDLERS[command.name](self, argument)

    def _why_not_now(self, command: Command) -> str:
        if command.name == "DATA" and self.state is State.AWAITING_RCPT:
            return "no valid recipients; RCPT comes first"
        if command.name in ("MAIL", "STARTTLS") and self.state not in (State.AWAITING_HELLO, State.AWAITING_MAIL):
            return f"{command.name} is not possible within a transaction; RSET forgets it"
        return f"{command.name} comes after {command.order}" if command.order else f"{command.name} is not possible now"

    def _read_text(self) -> None:
        data, self._inbox = self._inbox, b""
        self._count(len(data))
        part = self._reader.receive_data(data)
        self._take(part)
        if self._reader.rest is not None:
            self._inbox = self._reader.rest
            self._end_text()
        elif self._check.size > 2 * self._policy.max_size:  # it goes on and on
            self._say(552, "5.3.4", self._too_big())
            self._close()

    def _read_chunk(self) -> None:
        part, self._inbox = self._inbox[: self._chunk], self._inbox[self._chunk :]
        self._count(len(part))
        self._chunk -= len(part)
        part = self._stray_cr + part
        self._stray_cr = b""
        if part.endswith(b"\r") and not (self._last_chunk and not self._chunk):
            part, self._stray_cr = part[:-1], b"\r"
        if part and not self._failed:
            self._check.look_at(part)
        self._take(part)
        if not self._chunk:
            self._end_chunk()

    def _take(self, part: bytes) -> None:
        check = self._check
        if self._failed:
            return
        if check.flaw:
            self._failed = Reply(*check.flaw.value)
        elif check.size > self._policy.max_size:
            self._failed = Reply(552, "5.3.4", self._too_big())
        elif part:
            self._text_begun = True
            self._events.append(TextReceived(part))
            return
        if self._failed:
            self._drop_text()

    def _count(self, octets: int) -> None:
        self._octets += octets
        self.progress += self._octets // STEP
        self._octets %= STEP

    def _drop_text(self) -> None:
        if self._text_begun and self.state is not State.AWAITING_VERDICT:
            self._text_begun = False
            self._events.append(MessageDropped())

    def _end_text(self) -> None:
        if self._failed:
            reply = self._failed
            smuggled = self._check.flaw is Flaw.BARE
            self.state = self._resume or State.AWAITING_MAIL
            if self.state in NO_MAIL_YET:
                self._forget()
            self._failed = self._resume = None
            self._error(reply.code, reply.enhanced, reply.text)
            if (
                smuggled and self.state is not State.CLOSED
            ):  # where the next server sees an end, what follows may be its commands
                self._say(421, "4.7.0", f"{self._policy.name} closes: what follows such a text is not read")
                self._close()
            return
        self._envelope.eight_bit = not self._check.is_ascii
        self.state = State.AWAITING_VERDICT
        self._events.append(MessageEnded(self._envelope))

    def _end_chunk(self) -> None:
        if self._last_chunk or self._failed:
            self._end_text()  # after a failure every BDAT gets 503, until MAIL (RFC 3030 section 2)
        else:
            self.state = State.AWAITING_CHUNK
            self._say(250, "2.0.0", f"{self._check.size} octets so far")

    # -- replies ------------------------------------------------------------------------------------------------------

    def _say(self, code: int, enhanced: str, *lines: str) -> None:
        prefix = f"{enhanced} " if enhanced else ""
        for line in lines[:-1]:
            self._out += f"{code}-{prefix}{line}\r\n".encode()
        self._out += f"{code} {prefix}{lines[-1]}\r\n".encode()

    def _error(self, code: int, enhanced: str, text: str) -> None:
        self._say(code, enhanced, text)
        self._errors += 1
        if self._errors >= self._policy.max_errors:
            self._say(421, "4.7.0", f"{self._policy.name} closes: {self._errors} errors")
            self._drop_text()
            self._close()

    def _idle(self) -> bool:
        """Count a command that brings no message forward; tell whether the client may go on."""
        self._idle_commands += 1
        if self._idle_commands <= self._policy.max_idle_commands:
            return True
        self._say(
            421, "4.7.0", f"{self._policy.name} closes: {self._policy.max_idle_commands} commands without a message"
        )
        self._drop_text()
        self._close()
        return False

    def _too_big(self) -> str:
        return f"a message has at most {self._policy.max_size} octets"

    # -- commands -----------------------------------------------------------------------------------------------------

    def _ehlo(self, argument: str) -> None:
        tls = ["STARTTLS"] if self._policy.tls and not self._tls else []
        extensions = (
            "PIPELINING", f"SIZE {self._policy.max_size}", *tls, "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "CHUNKING", "HELP",
        )  # fmt: skip
        self._hello(argument, *extensions)

    def _hello(self, argument: str, *extensions: str) -> None:
        if not self._idle():
            return
        if not is_host(argument):
            self._error(501, "5.5.4", "a host is a domain, or an address in square brackets (RFC 5321 section 4.1.1.1)")
            return
        self._drop_text()
        self._forget()
        self._helo = argument
        self._extended = bool(extensions)
        self.state = State.AWAITING_MAIL
        self._say(250, "", f"{self._policy.name} greets {argument}", *extensions)

    def _starttls(self, _: str) -> None:
        if self._tls:
            self._error(503, "5.5.1", "TLS is there already")
            return
        self._inbox = b""  # what was pipelined was not under TLS: an attacker may have put it there (CVE-2011-0411)
        self._say(220, "2.0.0", "Ready to start TLS")
        self.state = State.AWAITING_TLS
        self._events.append(TlsWanted())

    def _mail(self, argument: str) -> None:
        path, parameters = self._path(argument, "FROM:", "5.1.7")
        if path is None or parameters is None:
            return
        unknown = parameters.keys() - (MAIL_PARAMETERS if self._extended else frozenset())
        if unknown:
            self._error(555, "5.5.4", f"MAIL does not know the parameter {min(unknown)} (RFC 5321 section 4.1.1.11)")
            return
        size, body = parameters.get("SIZE", "0"), parameters.get("BODY", "7BIT").upper()
        if not (size.isascii() and size.isdecimal() and len(size) <= 20) or body not in ("7BIT", "8BITMIME"):
            self._error(501, "5.5.4", f"Syntax: {COMMANDS['MAIL'].usage}")
        elif parameters.get("SMTPUTF8"):
            self._error(501, "5.5.4", "SMTPUTF8 takes no value (RFC 6531 section 3.4)")
        elif int(size) > self._policy.max_size:
            self._error(552, "5.3.4", self._too_big())
        elif not path.is_ascii and "SMTPUTF8" not in parameters:
            self._error(553, "5.6.7", "an address beyond ASCII needs SMTPUTF8 (RFC 6531 section 3.5)")
        else:
            self._begin(path, int(size), eight_bit=body == "8BITMIME", utf8="SMTPUTF8" in parameters)

    def _begin(self, sender: Path, size: int, *, eight_bit: bool, utf8: bool) -> None:
        self._forget()
        self._check = TextCheck(eight_bit=eight_bit)
        self._reader = TextReader(self._check)
        protocol = ("UTF8SMTP" if utf8 else "ESMTP") if self._extended else "SMTP"
        self._envelope = Envelope(
            self._at_home(sender), eight_bit=eight_bit, smtputf8=utf8, helo=self._helo, size=size,
            protocol=protocol + "S" * (self._tls and self._extended),
        )  # fmt: skip
        self.state = State.AWAITING_RCPT
        self._say(250, "2.1.0", "Sender ok")

    def _at_home(self, path: Path) -> str:
        return self._policy.postmaster if path == POSTMASTER and self._policy.postmaster else path.address

    def _rcpt(self, argument: str) -> None:
        path, parameters = self._path(argument, "TO:", "5.1.3")
        if path is None:
            return
        if parameters:
            self._error(555, "5.5.4", f"RCPT does not know the parameter {min(parameters)} (RFC 5321 section 4.1.1.11)")
            return
        address = self._at_home(path)
        domain = address.rpartition("@")[2]
        if not path.local:
            self._error(501, "5.1.3", "the null path is no recipient")
        elif not path.is_ascii and not self._envelope.smtputf8:
            self._error(553, "5.6.7", "an address beyond ASCII needs SMTPUTF8 at MAIL (RFC 6531 section 3.5)")
        elif (not path.domain and address == path.address) or not self._policy.routes(domain):
            self._error(550, "5.7.1", f"no relaying: there is no route to {domain or 'an address without a domain'}")
        elif self._accepted >= self._policy.max_recipients:
            self._say(
                452,
                "4.5.3",
                f"Too many recipients: {self._policy.max_recipients} for one message (RFC 5321 section 4.5.3.1.10)",
            )
        else:
            self._accepted += 1
            self._envelope.recipients.setdefault(address, domain)
            self.state = State.AWAITING_TEXT
            self._say(250, "2.1.5", "Recipient ok")

    def _path(self, argument: str, word: str, enhanced: str) -> tuple[Path, dict[str, str]] | tuple[None, None]:
        """Read `FROM:<path> parameters`, or say what is wrong with it."""
        command = COMMANDS["MAIL" if word == "FROM:" else "RCPT"]
        if not argument.upper().startswith(word):
            self._error(501, "5.5.4", f"Syntax: {command.usage} ({command.rfc})")
            return None, None
        text, bracket, rest = argument[len(word) :].lstrip().rpartition(">")
        try:
            path = parse_path(text + bracket)
            return path, parse_parameters(rest)
        except PathTooLongError as error:
            self._error(501, enhanced, f"Path too long: {error} (RFC 5321 section 4.5.3.1)")
        except PathSyntaxError as error:
            self._error(501, enhanced, f"Syntax: {command.usage}; {error}")
        except ValueError as error:
            self._error(501, "5.5.4", f"Syntax: {command.usage}; {error}")
        return None, None

    def _data(self, _: str) -> None:
        self.state = State.RECEIVING_TEXT
        self._say(354, "", "End the text with a line that holds a single dot")

    def _bdat(self, argument: str) -> None:
        octets, _, last = argument.partition(" ")
        if not (octets.isascii() and octets.isdecimal() and len(octets) <= 20) or last.strip().upper() not in (
            "",
            "LAST",
        ):
            # how many octets follow is not known, so that nothing after this could be understood
            self._error(501, "5.5.4", f"Syntax: {COMMANDS['BDAT'].usage} ({COMMANDS['BDAT'].rfc})")
            self._drop_text()
            self._close()
            return
        self._chunk, self._last_chunk = int(octets), bool(last.strip())
        if self.state not in COMMANDS["BDAT"].states:
            self._failed = Reply(503, "5.5.1", self._why_not_now(COMMANDS["BDAT"]))
            self._resume = self.state
        elif self._check.size + self._chunk > self._policy.max_size:
            self._failed = Reply(552, "5.3.4", self._too_big())
            self._drop_text()
        if self._chunk > 2 * self._policy.max_size:
            self._error(552, "5.3.4", self._too_big())
            self._close()
            return
        self.state = State.RECEIVING_CHUNK
        if not self._chunk:
            self._end_chunk()

    def _rset(self, _: str) -> None:
        if not self._idle():
            return
        self._drop_text()
        self._forget()
        if self.state is not State.AWAITING_HELLO:
            self.state = State.AWAITING_MAIL
        self._say(250, "2.0.0", "Forgotten")

    def _vrfy(self, _: str) -> None:
        if self._idle():
            self._say(252, "2.1.5", "Send it some mail; the mailbox host knows (RFC 5321 section 3.5.3)")

    def _expn(self, _: str) -> None:
        if self._idle():
            self._error(502, "5.5.1", "there are no lists here")

    def _noop(self, _: str) -> None:
        if self._idle():
            self._say(250, "2.0.0", "Done")

    def _help(self, argument: str) -> None:
        if not self._idle():
            return
        if not argument:
            width = max(map(len, COMMANDS))
            self._say(
                214,
                "2.0.0",
                *(f"{c.name:<{width}}  {c.help}" for c in COMMANDS.values()),
                "HELP command tells its syntax",
            )
        elif command := COMMANDS.get(argument.upper()):
            self._say(214, "2.0.0", command.usage, f"{command.help} ({command.rfc})")
        else:
            self._error(504, "5.5.4", "there is no such command; HELP lists them")

    def _quit(self, _: str) -> None:
        self._drop_text()
        self._say(221, "2.0.0", f"{self._policy.name} closes; goodbye")
        self._close()


POSTMASTER = Path("postmaster", "")
MAIL_PARAMETERS = frozenset({"SIZE", "BODY", "SMTPUTF8"})
HANDLERS: dict[str, Callable[[ServerConnection, str], None]] = {
    "EHLO": ServerConnection._ehlo,
    "HELO": ServerConnection._hello,
} | {name: getattr(ServerConnection, f"_{name.lower()}") for name in COMMANDS if name not in ("EHLO", "HELO")}
