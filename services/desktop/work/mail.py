"""Mail by the standard library: compose and send (smtplib), read the inbox (poplib, imaplib)."""

import imaplib
import json
import poplib
import re
import smtplib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr
from pathlib import Path

from services.client.errors import ClientError
from services.desktop.model import printable
from services.desktop.worker import Job, Work, in_thread

TIMEOUT = 15.0
HANDOUT = Path("/handouts/mail.json")  # where the lab's mail server leaves its users' passwords for the clients
_UID = re.compile(rb"\bUID (\d+)")


@dataclass(frozen=True)
class Mailbox:
    """Which mailbox, and how it is read: `way` is `POP3` or `IMAP`."""

    host: str
    port: int
    way: str
    user: str
    password: str


@dataclass(frozen=True)
class Entry:
    """One message of an inbox: its number (POP3) or UID (IMAP), and what its headers say."""

    number: int
    sender: str
    subject: str
    date: str


def password_of(user: str, handout: Path = HANDOUT) -> str:
    """Return the password that the lab handed out for a user; empty where there is none."""
    with suppress(OSError, ValueError, AttributeError):
        return str(json.loads(handout.read_text()).get(user.strip().lower(), ""))
    return ""


def write(sender: str, to: str, subject: str, body: str) -> EmailMessage:
    """Return a message with the headers that one needs (RFC 5322 section 3.6).

    Raises:
        ClientError: an address is none.
    """
    # 7bit: smtplib does not announce 8-bit text (BODY=8BITMIME), so a strict relay refuses it (RFC 6152 section 2)
    message = EmailMessage(policy=policy.SMTP.clone(cte_type="7bit"))
    message["From"] = _address(sender)
    message["To"] = [_address(part) for part in to.split(",")]
    message["Subject"] = " ".join(subject.split())
    message["Date"] = formatdate(localtime=True)
    message["Message-ID"] = make_msgid(domain=_address(sender).domain)
    message.set_content(body)
    return message


def _address(text: str) -> Address:
    name, spec = parseaddr(text)
    try:
        if "@" not in spec:
            raise ValueError
        return Address(name, addr_spec=spec)
    except Exception as error:  # the library's parser has more ways to fail than it documents
        raise ClientError(f"`{text.strip()}` is not an address such as alice@lab.test") from error


def send(host: str, port: int, message: EmailMessage) -> Work:
    """Return the job that hands a message to the relay."""

    def hand_over(job: Job) -> str:
        try:
            with smtplib.SMTP(host, port, timeout=TIMEOUT) as server:
                job.say("note", f"connected to {host}:{port}")
                refused = server.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            refused = error.recipients
        except smtplib.SMTPResponseException as error:
            raise ClientError(f"the server said: {error.smtp_code} {_words(error.smtp_error)}") from error
        except smtplib.SMTPException as error:
            raise ClientError(f"the server does not keep to SMTP: {error}") from error
        if refused:
            said = "; ".join(f"{name}: {code} {_words(text)}" for name, (code, text) in refused.items())
            raise ClientError(f"refused: {said}")
        job.say("sent", f"To {message['To']}: {message['Subject']}")
        return "Successfully sent email"

    return lambda job: in_thread(hand_over, job)


def inbox(box: Mailbox) -> Work:
    """Return the job that lists a mailbox."""

    def read(job: Job) -> str:
        entries = _list_pop(box) if box.way == "POP3" else _list_imap(box)
        job.learn("entries", tuple(entries))
        return f"{len(entries)} message{'s' * (len(entries) != 1)} of {box.user}, by {box.way}"

    return lambda job: in_thread(_told(read), job)


def fetch(box: Mailbox, number: int) -> Work:
    """Return the job that fetches one message."""

    def read(job: Job) -> str:
        octets = _get_pop(box, number) if box.way == "POP3" else _get_imap(box, number)
        job.learn("message", readable(octets))
        return f"message {number}: {len(octets)} octets"

    return lambda job: in_thread(_told(read), job)


def _told(read: Callable[[Job], str]) -> Callable[[Job], str]:
    def run(job: Job) -> str:
        try:
            return read(job)
        except (poplib.error_proto, imaplib.IMAP4.error) as error:
            raise ClientError(f"the server said: {_words(error.args[0] if error.args else '')}") from error

    return run


def _pop(box: Mailbox) -> poplib.POP3:
    conn = poplib.POP3(box.host, box.port, timeout=TIMEOUT)
    try:
        conn.user(_one_line(box.user))
        conn.pass_(_one_line(box.password))
    except BaseException:
        conn.close()
        raise
    return conn


def _list_pop(box: Mailbox) -> list[Entry]:
    conn = _pop(box)
    try:
        numbers = [int(line.split()[0]) for line in conn.list()[1]]
        return [_entry(number, b"\r\n".join(conn.top(number, 0)[1])) for number in numbers]
    finally:
        conn.quit()


def _get_pop(box: Mailbox, number: int) -> bytes:
    conn = _pop(box)
    try:
        return b"\r\n".join(conn.retr(number)[1])
    finally:
        conn.quit()


def _imap(box: Mailbox) -> imaplib.IMAP4:
    conn = imaplib.IMAP4(box.host, box.port, timeout=TIMEOUT)
    try:
        conn.login(f'"{_one_line(box.user)}"', _one_line(box.password))
        conn.select("INBOX", readonly=True)
    except BaseException:
        conn.shutdown()
        raise
    return conn


def _list_imap(box: Mailbox) -> list[Entry]:
    conn = _imap(box)
    try:
        _, parts = conn.uid("FETCH", "1:*", "(UID BODY.PEEK[HEADER])")
        entries = []
        for index, part in enumerate(parts):
            if isinstance(part, tuple):
                after = parts[index + 1] if index + 1 < len(parts) else b""
                uid = _UID.search(part[0] + (after if isinstance(after, bytes) else b""))
                entries.append(_entry(int(uid[1]) if uid else 0, part[1]))
        return entries
    finally:
        conn.logout()


def _get_imap(box: Mailbox, uid: int) -> bytes:
    conn = _imap(box)
    try:
        _, parts = conn.uid("FETCH", str(uid), "(BODY.PEEK[])")
        for part in parts:
            if isinstance(part, tuple):
                return bytes(part[1])
        raise ClientError(f"there is no message with UID {uid}")
    finally:
        conn.logout()


def _entry(number: int, head: bytes) -> Entry:
    message = message_from_bytes(head, policy=policy.default)
    return Entry(number, _header(message, "From"), _header(message, "Subject"), _header(message, "Date"))


def _header(message: EmailMessage, name: str) -> str:
    try:
        return printable(" ".join(str(message[name] or "").split()))
    except Exception:  # a header that breaks every rule: the library fails in more ways than it documents
        return "(unreadable)"


def readable(octets: bytes) -> str:
    """Return a message's main headers and its text; never fails, whatever a stranger wrote."""
    message = message_from_bytes(octets, policy=policy.default)
    head = [f"{name}: {_header(message, name)}" for name in ("From", "To", "Date", "Subject") if message[name]]
    try:
        body = message.get_body(preferencelist=("plain", "html"))
        text = str(body.get_content()) if body else "(no text)"
    except Exception:
        text = octets.partition(b"\r\n\r\n")[2].decode("utf-8", "replace")
    return "\n".join([*head, "", text.replace("\r\n", "\n").rstrip("\n")])


def _one_line(text: str) -> str:
    if any(char in text for char in '\r\n\0"'):
        raise ClientError("a name or password may not hold a line end or a quotation mark")
    return text


def _words(said: object) -> str:
    return printable(" ".join((said.decode(errors="replace") if isinstance(said, bytes) else str(said)).split()))
