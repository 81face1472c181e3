"""What goes wrong on the network, in words: what, where, and what to look at."""

import errno
import os
import socket
import sys


class ClientError(Exception):
    """A conversation that failed; `hint` says what to look at."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


class LocalError(ClientError):
    """What failed is a file or the disk of this host, not the conversation."""


class ReaderGoneError(Exception):
    """Nobody reads our stdout any more: `lab … | head`."""


HINTS = {
    errno.ECONNREFUSED: ("the connection was refused: the host is there, nobody listens on that port", "`ss -ltun` there shows who does"),
    errno.ECONNRESET: ("the connection was reset by the peer", "it closed while octets were still under way"),
    errno.EHOSTUNREACH: ("no such host on the network: nobody answered its ARP request", "is the host up?"),
    errno.ENETUNREACH: ("there is no route to that network", "a lab's hosts reach the lab's hosts, and nothing else"),
    errno.ETIMEDOUT: ("the connection timed out", "is something between them dropping packets?"),
    errno.EPIPE: ("the peer closed the connection while we were sending", ""),
}  # fmt: skip


FULL = {errno.ENOSPC, errno.EDQUOT}


def is_of_a_name(error: UnicodeError) -> bool:
    """Tell whether an error is Python's way to say that a host's name cannot be one, before anybody is asked for it."""
    return "idna" in str(error)


NO_NAME = "that is no host's name: each of its parts between dots has 1 to 63 letters"


def explain(error: Exception, place: str) -> ClientError:
    """Return any error of a socket, a file or the disk in words."""
    if isinstance(error, ClientError):
        return error
    if isinstance(error, socket.gaierror):
        authority = place.rpartition("://")[2].partition("/")[0]
        return ClientError(
            f"the name `{authority.rpartition(':')[0] or authority}` does not resolve: {error.strerror}",
            "`lab ip NAME` asks for it alone",
        )
    if isinstance(error, UnicodeError) and is_of_a_name(error):
        return ClientError(NO_NAME)
    if isinstance(error, TimeoutError):
        return ClientError("nothing came in time", "`--timeout` waits longer")
    if why := getattr(error, "verify_message", None):  # ssl.SSLCertVerificationError; ssl itself would cost its import
        return ClientError(f"the server's certificate is not to be trusted: {why}", "`--ca FILE` names the CA to trust")
    if isinstance(error, OSError) and error.errno is None:
        error = _first_of(error)
    if isinstance(error, OSError) and error.errno in HINTS:
        return ClientError(*HINTS[error.errno])
    if isinstance(error, OSError) and error.errno in FULL:
        return LocalError("there is no room left for it on this host", "`df -h` shows how much there is")
    if isinstance(error, OSError) and error.filename is not None:
        name = str(error.filename)
        return LocalError(str(error.strerror) if name == place else f"`{name}`: {error.strerror}")
    return ClientError(str(error))


def _first_of(error: OSError) -> OSError:
    """Return the first of the errors that asyncio makes one of, where each address of a name has failed."""
    number = str(error).partition("[Errno ")[2].partition("]")[0]
    return OSError(int(number), os.strerror(int(number))) if number.isdecimal() else error


def report(error: Exception, place: str) -> int:
    """Print an error to stderr and return the exit code."""
    told = explain(error, place)
    hint = f"\n\nhint: {told.hint}" if told.hint else ""
    sys.stderr.write(f"error: {told}\n  at {place}{hint}\n")
    return 1


def show(octets: bytes) -> None:
    """Print a peer's octets: as they are into a pipe, and onto a terminal without what could move its cursor."""
    if octets and not sys.stdout.isatty():
        try:
            sys.stdout.buffer.write(octets)
            sys.stdout.buffer.flush()
        except BrokenPipeError as error:  # not to be taken for the peer's
            raise ReaderGoneError from error
        return
    text = octets.decode("utf-8", "replace").replace("\r\n", "\n")
    sys.stdout.write("".join(char if char in "\n\t" or char.isprintable() else repr(char)[1:-1] for char in text))
    sys.stdout.flush()


def show_line(octets: bytes) -> None:
    """Print a peer's octets as a line, adding the line's end where it lacks one."""
    show(octets if octets.endswith(b"\n") else octets + os.linesep.encode())
