"""`lab mail pop`: a mailbox by POP3 (RFC 1939), with poplib. Messages have numbers from 1, for this session alone."""

import argparse
import poplib
from contextlib import suppress

from services.client.errors import ClientError, report, show
from services.client.mail_login import find_password, trust, wait_for
from services.client.mail_text import counted, one_line, read_message, readable, summary


def run(options: argparse.Namespace) -> int:
    """Run one verb and return its exit code."""
    try:
        password = find_password(options)
        if options.verb == "delete":
            delete(options, password)
        elif options.verb == "list":
            show(list_messages(options, password).encode())
        else:
            octets = wait_for(
                lambda: retrieve(options, password), options.wait, f"there is no message {options.number}"
            )
            _print(octets, options)
    except poplib.error_proto as error:
        said = error.args[0] if error.args else ""
        words = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        return report(ClientError(f"the server said: {one_line(words)}"), f"{options.server}:{options.port}")
    except (OSError, EOFError, ClientError) as error:
        return report(error, f"{options.server}:{options.port}")
    return 0


def log_in(options: argparse.Namespace, password: str) -> poplib.POP3:
    """Connect, encrypt where that is asked for, and say who we are.

    Raises:
        poplib.error_proto: the server refuses.
        OSError: there is no connection.
    """
    conn = poplib.POP3(options.server, options.port, timeout=options.timeout)
    try:
        if options.starttls:
            conn.stls(context=trust(options))
        conn.user(_word(options.user))
        conn.pass_(_word(password))
    except BaseException:
        _drop(conn)
        raise
    return conn


def list_messages(options: argparse.Namespace, password: str) -> str:
    """Return a line a message; waits for the first where the user asked for that."""

    def look() -> str | None:
        conn = log_in(options, password)  # anew each time: a POP3 session sees what was there when it began
        try:
            count, octets = conn.stat()
            if not count and options.wait:
                return None
            lines = [f"{counted(count)}, {octets} octets"]
            for entry in conn.list()[1]:
                number, size = entry.split()[:2]
                head = b"\r\n".join(conn.top(int(number), 0)[1])
                lines.append(f"{int(number):4} {int(size):9}  {summary(read_message(head))}")
            return "\n".join(lines) + "\n"
        except ValueError as error:
            raise ClientError(f"that is no list of RFC 1939: {error}") from error
        finally:
            _leave(conn)

    return wait_for(look, options.wait, "the mailbox is empty")


def retrieve(options: argparse.Namespace, password: str) -> bytes | None:
    """Return a message, or None where it is not there."""
    conn = log_in(options, password)
    try:
        if options.number > conn.stat()[0]:
            return None
        return b"".join(line + b"\r\n" for line in conn.retr(options.number)[1])
    finally:
        _leave(conn)


def delete(options: argparse.Namespace, password: str) -> None:
    """Delete messages; they are gone when the session ends well (RFC 1939 section 6), so a failure deletes none."""
    conn = log_in(options, password)
    try:
        for number in options.numbers:
            conn.dele(number)
        conn.quit()
    except BaseException:
        _drop(conn)
        raise
    show(f"deleted {counted(len(options.numbers))}\n".encode())


def _leave(conn: poplib.POP3) -> None:
    with suppress(poplib.error_proto, OSError):
        conn.quit()
    _drop(conn)


def _drop(conn: poplib.POP3) -> None:
    with suppress(OSError):  # where TLS could not begin, the socket is gone already
        conn.close()


def _print(octets: bytes, options: argparse.Namespace) -> None:
    if options.verb == "show":
        show(readable(read_message(octets)).encode())
    else:
        show(octets.partition(b"\r\n\r\n")[2] if options.body else octets)


def _word(text: str) -> str:
    """Return what may stand in a command: a line end in it would begin another one.

    Raises:
        ClientError: there is one.
    """
    if any(char in text for char in "\r\n\0"):
        raise ClientError("a name or password may not hold a line end")
    return text
