"""`lab mail imap`: a mailbox by IMAP4 (RFC 3501), with imaplib. A message keeps its UID for as long as it is in the mailbox."""

import argparse
import imaplib
import re
from contextlib import suppress
from typing import Any

from services.client.errors import ClientError, report, show
from services.client.mail_login import find_password, trust, wait_for
from services.client.mail_text import counted, one_line, read_message, readable, summary

HEADERS = "BODY.PEEK[HEADER.FIELDS (DATE FROM SUBJECT)]"
_UID = re.compile(rb"\bUID (\d+)")
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d+)")
_FLAGS = re.compile(rb"\bFLAGS \(([^)]*)\)")


def run(options: argparse.Namespace) -> int:
    """Run one verb and return its exit code."""
    try:
        conn = log_in(options, find_password(options))
        try:
            if options.verb == "list":
                lines = wait_for(lambda: list_messages(conn, options.wait > 0), options.wait, "the mailbox is empty")
                show("".join(lines).encode())
            elif options.verb == "delete":
                delete(conn, options.numbers)
            else:
                part = "BODY[]" if options.verb == "show" else "BODY.PEEK[TEXT]" if options.body else "BODY.PEEK[]"
                missing = f"there is no message with UID {options.number}"
                octets = wait_for(lambda: retrieve(conn, options.number, part), options.wait, missing)
                show(readable(read_message(octets)).encode() if options.verb == "show" else octets)
        finally:
            with suppress(imaplib.IMAP4.error, OSError):
                conn.logout()
    except imaplib.IMAP4.error as error:  # NO, BAD, or a connection that ended: imaplib has one class for all
        said = error.args[0] if error.args else ""
        words = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        return report(ClientError(f"the server said: {one_line(words)}"), f"{options.server}:{options.port}")
    except (OSError, ClientError) as error:
        return report(error, f"{options.server}:{options.port}")
    return 0


def log_in(options: argparse.Namespace, password: str) -> imaplib.IMAP4:
    """Connect, encrypt where that is asked for, say who we are, and open the mailbox.

    Raises:
        imaplib.IMAP4.error: the server refuses.
        OSError: there is no connection.
    """
    conn = imaplib.IMAP4(options.server, options.port, timeout=options.timeout)
    try:
        if options.starttls:
            conn.starttls(trust(options))
        quoted(password)
        conn.login(quoted(options.user), password)  # imaplib quotes the password, and only that
        _ok(conn.select(quoted(options.mailbox), readonly=options.verb in ("list", "fetch")))
    except BaseException:
        with suppress(OSError):  # where TLS could not begin, the socket is gone already
            conn.shutdown()
        raise
    return conn


def list_messages(conn: imaplib.IMAP4, waiting: bool) -> list[str] | None:
    """Return a line a message: UID, size, flags (N new, D deleted), date, sender, subject; None where we wait for the first."""
    conn.noop()  # the server tells of new messages only when it is spoken to
    lines = []
    for head, octets in _parts(_ok(conn.uid("FETCH", "1:*", f"(UID FLAGS RFC822.SIZE {HEADERS})"))):
        uid, size, flags = _UID.search(head), _SIZE.search(head), _FLAGS.search(head)
        if uid and size and flags:
            marks = ("-" if b"\\Seen" in flags[1] else "N") + ("D" if b"\\Deleted" in flags[1] else "-")
            lines.append(f"{int(uid[1]):4} {int(size[1]):9} {marks}  {summary(read_message(octets))}\n")
    return None if waiting and not lines else [f"{counted(len(lines))}\n", *lines]


def retrieve(conn: imaplib.IMAP4, uid: int, part: str) -> bytes | None:
    """Return a part of a message, or None where it is not there; BODY[] marks it as read, BODY.PEEK[] does not."""
    conn.noop()
    parts = _parts(_ok(conn.uid("FETCH", str(uid), f"({part})")))
    return parts[0][1] if parts else None


def delete(conn: imaplib.IMAP4, uids: list[int]) -> None:
    """Mark messages as deleted, and remove them.

    Raises:
        ClientError: one is not there; then none is deleted.
    """
    wanted = ",".join(map(str, uids))
    known = {int(uid) for uid in b" ".join(_ok(conn.uid("SEARCH", f"UID {wanted}"))).split()}
    for uid in uids:
        if uid not in known:
            raise ClientError(f"there is no message with UID {uid}")
    _ok(conn.uid("STORE", wanted, "+FLAGS.SILENT", r"(\Deleted)"))
    _, capabilities = conn.capability()
    if b"UIDPLUS" in b" ".join(capabilities).split():  # RFC 4315: these alone, not what somebody else has marked
        _ok(conn.uid("EXPUNGE", wanted))
    else:
        _ok(conn.expunge())
    show(f"deleted {counted(len(uids))}\n".encode())


def quoted(text: str) -> str:
    """Return an IMAP string (RFC 3501 section 4.3): quoted, for imaplib sends what it is given.

    Raises:
        ClientError: it holds what a quoted string cannot, such as a line end, after which another command would begin.
    """
    if not text.isascii() or not text.isprintable():
        raise ClientError("a user, password or mailbox is not of printable ASCII")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _ok(answer: tuple[str, list[Any]]) -> list[bytes]:
    kind, data = answer
    if kind != "OK":
        raise imaplib.IMAP4.error(data[0] if data else kind)
    return [item for item in data if item is not None]


def _parts(data: list[Any]) -> list[tuple[bytes, bytes]]:
    """Return (what describes it, its octets) for each literal of an answer; imaplib puts what follows a literal behind it."""
    after = [item if isinstance(item, bytes) else b"" for item in data[1:]] + [b""]
    return [(item[0] + rest, item[1]) for item, rest in zip(data, after, strict=False) if isinstance(item, tuple)]
