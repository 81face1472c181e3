"""The user's X server: where it listens, whether it lets us in, and a cookie for a client that is not trusted.

Asked by connecting, not by looking whether `DISPLAY` is set. An untrusted client (SECURITY extension) sees no other window, takes no
screenshot and hears no keys of others; the server is asked for such a cookie directly, so no `xauth` program is needed.
"""

import os
import re
import socket
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from labctl.gui.xauth import COOKIE, find_cookie

TIMEOUT = 3.0
_LOCAL = re.compile(r"(?:unix)?(?:/unix)?:(\d+)(?:\.\d+)?")
_REMOTE = re.compile(r"(.+):(\d+)(?:\.\d+)?")


class DisplayError(Exception):
    """The display cannot be used; in words."""


@dataclass(frozen=True)
class Display:
    """An X server's address: a Unix socket's path, or a host and port."""

    text: str
    number: int
    path: str = ""
    host: str = ""

    def connect(self) -> socket.socket:
        """Connect.

        Raises:
            DisplayError: nobody answers there.
        """
        try:
            if self.path:
                return self._unix()
            return socket.create_connection((self.host, 6000 + self.number), TIMEOUT)
        except OSError as error:
            raise DisplayError(f"no X server answers at `{self.text}`: {error.strerror or error}") from error

    def _unix(self) -> socket.socket:
        conn = socket.socket(socket.AF_UNIX)
        conn.settimeout(TIMEOUT)
        try:
            conn.connect(self.path)
        except OSError:
            conn.close()
            if sys.platform != "linux" or not self.path.startswith("/tmp/"):  # noqa: S108 - X11's own place
                raise
            conn = socket.socket(socket.AF_UNIX)
            conn.settimeout(TIMEOUT)
            try:
                conn.connect(f"\0{self.path}")  # the same name in Linux's abstract space
            except OSError:
                conn.close()
                raise
        return conn


def parse_display(text: str) -> Display:
    """Read what `DISPLAY` holds: `:0`, `unix:0`, `host:0`, or the path of a socket, as macOS has it.

    Raises:
        DisplayError: it is none of these.
    """
    if text.startswith("/"):
        whole, _, number = text.rpartition(":")
        digits = number.partition(".")[0]
        path = text if not whole or Path(text).exists() else whole
        return Display(text, int(digits) if digits.isdecimal() else 0, path=path)
    if match := _LOCAL.fullmatch(text):
        return Display(text, int(match[1]), path=f"/tmp/.X11-unix/X{match[1]}")  # noqa: S108 - X11's own place
    if match := _REMOTE.fullmatch(text):
        return Display(text, int(match[2]), host=match[1].strip("[]"))
    raise DisplayError("DISPLAY is not set" if not text else f"`{text}` names no display")


def own_cookie(display: Display) -> bytes | None:
    """Return the user's cookie for a display, or None where the Xauthority file has none."""
    path = Path(os.environ.get("XAUTHORITY") or Path.home() / ".Xauthority")
    try:
        octets = path.read_bytes()
    except OSError:
        return None
    address = b""
    if display.host:
        with suppress(OSError):
            address = socket.inet_aton(socket.gethostbyname(display.host))
    return find_cookie(octets, display.number, socket.gethostname(), address)


class Session:
    """One connection to the X server; stays open while an untrusted cookie is in use, for a server without clients may forget it."""

    def __init__(self, display: Display, cookie: bytes | None) -> None:
        """Connect and introduce ourselves.

        Raises:
            DisplayError: nobody answers, or the server does not let us in.
        """
        self.display = display
        self._conn = display.connect()
        self._security: int | None = None
        self._granted = 0
        try:
            self._set_up(cookie)
        except (EOFError, OSError, struct.error) as error:
            self._conn.close()
            raise DisplayError(f"what answers at `{display.text}` is no X server") from error
        except DisplayError:
            self._conn.close()
            raise

    def close(self) -> None:
        """Take an untrusted cookie back, and disconnect."""
        with suppress(OSError):
            if self._granted and self._security is not None:  # SecurityRevokeAuthorization
                self._conn.sendall(struct.pack("<BBHI", self._security, 2, 2, self._granted))
            self._conn.close()

    def _set_up(self, cookie: bytes | None) -> None:
        name = COOKIE if cookie else b""
        data = cookie or b""
        self._conn.sendall(
            struct.pack("<BxHHHHxx", ord("l"), 11, 0, len(name), len(data)) + padded(name) + padded(data)
        )
        head = self._read(8)
        body = self._read(4 * struct.unpack_from("<H", head, 6)[0])
        if head[0] != 1:
            reason = body[: head[1]].decode("latin-1").strip() or "it says no"
            raise DisplayError(f"the X server at `{self.display.text}` does not let us in: {reason}")

    def has_security(self) -> bool:
        """Tell whether the server knows the SECURITY extension."""
        if self._security is None:
            name = b"SECURITY"
            self._conn.sendall(struct.pack("<BxHHxx", 98, 2 + len(padded(name)) // 4, len(name)) + padded(name))
            reply = self._reply()
            if not reply[8]:
                return False
            self._security = reply[9]
        return True

    def untrusted_cookie(self) -> bytes | None:
        """Ask for a cookie whose clients are not trusted; None where the server grants none."""
        try:
            if not self.has_security() or self._security is None:
                return None
            self._conn.sendall(struct.pack("<BBHHH", self._security, 0, 2, 1, 0))  # SecurityQueryVersion
            self._reply()
            values = struct.pack("<II", 0, 1)  # no time limit; trust level: untrusted
            length = 3 + len(padded(COOKIE)) // 4 + len(values) // 4
            self._conn.sendall(
                struct.pack("<BBHHHI", self._security, 1, length, len(COOKIE), 0, 3) + padded(COOKIE) + values
            )
            reply = self._reply()
        except (DisplayError, EOFError, OSError, struct.error):
            return None
        self._granted, size = struct.unpack_from("<IH", reply, 8)
        return reply[32 : 32 + size]

    def _reply(self) -> bytes:
        while True:
            head = self._read(32)
            if head[0] == 0:
                raise DisplayError(f"the X server answers with error {head[1]}")
            if head[0] == 1:
                return head + self._read(4 * struct.unpack_from("<I", head, 4)[0])

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._conn.recv(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data


def padded(text: bytes) -> bytes:
    """Return octets filled up to a multiple of four, as X11 wants them."""
    return text + bytes(-len(text) % 4)
