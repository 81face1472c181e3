"""A picture of the whole screen as PNG: one question to the X server (GetImage), over a connection of its own; no library draws it.

The screen is the container's own (`screen.py`), with 32 bits a pixel. On a user's display an untrusted window would be refused.
"""

import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from services.desktop.xauth import COOKIE

GET_IMAGE, Z_PIXMAP = 73, 2  # X11 protocol, section 9; appendix B has the encoding
Read = Callable[[int], bytes]


class PictureError(Exception):
    """The X server gives no picture; in words."""


def take(display: str, xauthority: str) -> bytes:
    """Return the screen of a display such as `:1` as a PNG file.

    Args:
        xauthority: file whose last record is the display's cookie, as `screen.py` writes it.

    Raises:
        PictureError: the X server lets nobody in, or does not show its screen.
        OSError: there is none.
    """
    cookie = Path(xauthority).read_bytes()[-16:]
    with socket.socket(socket.AF_UNIX) as conn, conn.makefile("rb") as stream:
        conn.connect(f"/tmp/.X11-unix/X{display.strip(':').partition('.')[0]}")  # noqa: S108 - where X servers listen
        conn.sendall(struct.pack("<BxHHHHxx", ord("l"), 11, 0, len(COOKIE), len(cookie)) + COOKIE + bytes(2) + cookie)
        root, width, height = _screen(stream.read)
        conn.sendall(struct.pack("<BBHIhhHHI", GET_IMAGE, Z_PIXMAP, 5, root, 0, 0, width, height, 0xFFFFFFFF))
        head = _reply(stream.read)
        data = stream.read(4 * struct.unpack_from("<I", head, 4)[0])
    return png(width, height, data)


def _screen(read: Read) -> tuple[int, int, int]:
    """Read what the server says of itself, and return the first screen's root window, width and height."""
    head = read(8)
    body = read(4 * struct.unpack_from("<H", head, 6)[0])
    if head[0] != 1:
        raise PictureError(f"the X server lets us not in: {body[: head[1]].decode('latin-1').strip()}")
    vendor, formats = struct.unpack_from("<H", body, 16)[0], body[21]
    at = 32 + (vendor + 3 & ~3) + 8 * formats
    root, width, height = struct.unpack_from("<I16xHH", body, at)
    return root, width, height


def _reply(read: Read) -> bytes:
    while True:
        head = read(32)
        if len(head) < 32:
            raise PictureError("the X server closed the connection")
        if head[0] == 0:
            raise PictureError(
                f"the X server answers with error {head[1]}: an untrusted client may not look at the screen"
            )
        if head[0] == 1:
            return head


def png(width: int, height: int, pixels: bytes) -> bytes:
    """Return a PNG (RFC 2083) of rows of pixels, each as the octets blue, green, red and one that does not count."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = bytearray()
    for at in range(0, width * height * 4, width * 4):
        row = pixels[at : at + width * 4]
        rgb = bytearray(width * 3)
        rgb[0::3], rgb[1::3], rgb[2::3] = row[2::4], row[1::4], row[0::4]
        rows += b"\0" + rgb  # filter 0: as it stands
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 6)) + chunk(b"IEND", b"")


def screen() -> bytes:
    """Return a picture of this program's own display."""
    return take(os.environ["DISPLAY"], os.environ["XAUTHORITY"])
