"""The commands of SMTP, as data: dispatch, the HELP reply, the 501 and 503 texts and the tests read this one table. Pure.

Public: `COMMANDS`, `Command`, `State`, `MAX_COMMAND`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

# RFC 5321 section 4.5.3.1.4: octets of a command line, CRLF included. The extensions lengthen MAIL: SIZE by 26 (RFC 1870),
# BODY by 17 (RFC 6152), SMTPUTF8 by 10 (RFC 6531).
MAX_COMMAND = 512
MAX_MAIL_COMMAND = MAX_COMMAND + 26 + 17 + 10


class State(Enum):
    """What a server's end waits for."""

    AWAITING_OUR_GREETING = auto()  # the client must not talk yet
    AWAITING_QUIT = auto()  # it talked first: refused, all but QUIT is answered by 503 (RFC 5321 section 3.1)
    AWAITING_HELLO = auto()
    AWAITING_MAIL = auto()
    AWAITING_RCPT = auto()
    AWAITING_TEXT = auto()  # at least one recipient: more of them, DATA or BDAT
    AWAITING_CHUNK = auto()  # a first BDAT came, not the last
    RECEIVING_TEXT = auto()
    RECEIVING_CHUNK = auto()
    AWAITING_VERDICT = auto()  # the message is whole; its queue has not answered yet
    AWAITING_TLS = auto()
    CLOSED = auto()


GREETED = frozenset(
    {State.AWAITING_HELLO, State.AWAITING_MAIL, State.AWAITING_RCPT, State.AWAITING_TEXT, State.AWAITING_CHUNK}
)
NO_MAIL_YET = frozenset({State.AWAITING_HELLO, State.AWAITING_MAIL})


@dataclass(frozen=True)
class Command:
    """A command.

    Args:
        argument: its syntax; empty where it takes none, in square brackets where it may be left out.
        states: when it may be given.
        order: what has to come first, told in the 503 reply.
        help: what HELP says of it.
        rfc: where it is defined.
    """

    name: str
    argument: str
    states: frozenset[State]
    order: str
    help: str
    rfc: str

    @property
    def usage(self) -> str:
        """How it is written."""
        return f"{self.name} {self.argument}".rstrip()

    @property
    def wants_argument(self) -> bool:
        """Whether it is an error to leave the argument out."""
        return bool(self.argument) and not self.argument.startswith("[")


COMMANDS: Mapping[str, Command] = {
    command.name: command
    for command in (
        Command("EHLO", "host", GREETED, "", "say who you are, and hear which extensions are offered", "RFC 5321 section 4.1.1.1"),
        Command("HELO", "host", GREETED, "", "say who you are, without extensions", "RFC 5321 section 4.1.1.1"),
        Command("STARTTLS", "", frozenset({State.AWAITING_MAIL}), "EHLO, and no open transaction",
                "go on under TLS; say EHLO anew after it", "RFC 3207 section 4"),
        Command("MAIL", "FROM:<address> [SIZE=octets] [BODY=7BIT|8BITMIME] [SMTPUTF8]", frozenset({State.AWAITING_MAIL}),
                "EHLO or HELO, and no open transaction", "begin a message; <> is the null sender, of reports", "RFC 5321 section 4.1.1.2"),
        Command("RCPT", "TO:<address>", frozenset({State.AWAITING_RCPT, State.AWAITING_TEXT}), "MAIL",
                "name a recipient; repeat it for each", "RFC 5321 section 4.1.1.3"),
        Command("DATA", "", frozenset({State.AWAITING_TEXT}), "MAIL and RCPT",
                "send the text, ended by a line with a single dot", "RFC 5321 section 4.1.1.4"),
        Command("BDAT", "octets [LAST]", frozenset({State.AWAITING_TEXT, State.AWAITING_CHUNK}), "MAIL and RCPT",
                "send a counted chunk of the text", "RFC 3030 section 2"),
        Command("RSET", "", GREETED, "", "forget the message begun", "RFC 5321 section 4.1.1.5"),
        Command("VRFY", "address", GREETED, "", "ask about an address; answered without a promise", "RFC 5321 section 4.1.1.6"),
        Command("EXPN", "list", GREETED, "", "ask who is on a list; there are none", "RFC 5321 section 4.1.1.7"),
        Command("HELP", "[command]", GREETED, "", "this", "RFC 5321 section 4.1.1.8"),
        Command("NOOP", "[text]", GREETED, "", "do nothing, and be answered", "RFC 5321 section 4.1.1.9"),
        Command("QUIT", "", GREETED | {State.AWAITING_QUIT}, "", "say goodbye", "RFC 5321 section 4.1.1.10"),
    )
}  # fmt: skip
