"""What was said on a connection, in sentences: a few for each protocol, each tied to frames and a section of an RFC.

Rules on lines, not guesses: what a protocol's lines do not show is not told.
"""

from collections.abc import Callable, Iterator

import labctl.wire.retell_files as files
import labctl.wire.retell_mail as mail
import labctl.wire.retell_people as people
from labctl.wire.dialogue import Dialogue
from labctl.wire.sentence import Sentence
from labctl.wire.talk import SHOWN, Talk, frames_of


def retell(dialogue: Dialogue) -> Iterator[Sentence]:
    """Yield the account of what was said."""
    if not dialogue.said:
        return
    talk = Talk(dialogue)
    if teller := TELLERS.get(dialogue.protocol):
        yield from teller(talk)
    yield from _tls(talk)
    missing = [said for said in talk.said if said.line.kind == "remark"]
    for said in missing[:SHOWN]:
        yield Sentence(f"{said.line.text} of what {said.host} said.", (said.frame,))


def _tls(talk: Talk) -> Iterator[Sentence]:
    for asked in talk.commands("STARTTLS", "STLS", "AUTH"):
        if talk.accepted(asked) and (asked.line.word != "AUTH" or asked.line.rest.upper().startswith("TLS")):
            text = f"{talk.client} asked to go on under TLS, and {talk.server} agreed."
            yield Sentence(text, frames_of(asked, talk.last(asked)), UPGRADES.get(talk.it.protocol, ""))
    hello = next((item for item in talk.said if item.line.word == "CLIENTHELLO"), None)
    answer = next((item for item in talk.said if item.line.word == "SERVERHELLO"), None)
    if hello:
        meant = f" for {name}" if (name := _server_name(hello.line.rest)) else ""
        chosen = f"; {talk.server} chose {answer.line.rest}, and what follows is encrypted" if answer else ""
        yield Sentence(f"{talk.client} began TLS{meant}{chosen}.", frames_of(hello, answer), "RFC 8446 section 4.1")
    for alert in (item for item in talk.said if item.line.word == "ALERT" and "close_notify" not in item.line.rest):
        yield Sentence(f"{alert.host} broke TLS off: {alert.line.rest}.", (alert.frame,), "RFC 8446 section 6.2")


def _server_name(rest: str) -> str:
    return next((part.removeprefix("server name ") for part in rest.split(", ") if part.startswith("server name ")), "")


# Where a protocol says how it goes on under TLS.
UPGRADES = {
    "SMTP": "RFC 3207 section 4",
    "LMTP": "RFC 3207 section 4",
    "POP3": "RFC 2595 section 4",
    "IMAP": "RFC 9051 section 6.2.1",
    "NNTP": "RFC 4642 section 2.2",
    "FTP": "RFC 4217 section 4",
}
TELLERS: dict[str, Callable[[Talk], Iterator[Sentence]]] = {
    "SMTP": mail.smtp,
    "LMTP": mail.smtp,
    "POP3": mail.pop3,
    "IMAP": mail.imap,
    "FTP": files.ftp,
    "FTP data": files.ftp_data,
    "NNTP": files.nntp,
    "HTTP": files.http,
    "Gopher": files.gopher,
    "file protocol": files.file,
    "Telnet": people.telnet,
    "greeting": people.statement,
    "daytime": people.statement,
    "time": people.statement,
    "chat": people.chat,
}
