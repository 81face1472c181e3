"""The files of a new volume: made, not copied, so that each octet has its reason."""

import struct
import zlib
from pathlib import Path

README = """\
This is ftp-server, a host of the lab.

Every line of this file ends in one octet, LF. Fetched as `TYPE A` (RFC 959 section 3.1.1.1) each end
becomes two octets on the wire, CR and LF; fetched as `TYPE I` the file arrives as it is.
"""
UTF8 = "Names are UTF-8 (RFC 2640): Grüße, γειά, 你好.\n"
BINARY = 1 << 20  # octets


def numbers(octets: int) -> bytes:
    """Return big-endian 32-bit numbers from 0 on: every place in the file tells its own offset, and every octet value occurs."""
    return struct.pack(f">{octets // 4}I", *range(octets // 4))


def picture(width: int = 64, height: int = 64) -> bytes:
    """Return a PNG: a gradient of red over green, with a blue diagonal."""
    rows = b"".join(
        b"\0" + b"".join(bytes((255 * x // width, 255 * y // height, 255 if x == y else 64)) for x in range(width))
        for y in range(height)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def sow(root: Path) -> bool:
    """Fill a new volume; False where it is filled already, so that a file which a learner deleted stays deleted."""
    if root.exists():
        return False
    new = root.with_name(root.name + ".new")
    pub = new / "pub"
    pub.mkdir(parents=True, exist_ok=True)
    (new / "readme.txt").write_text(README)
    (pub / "numbers.bin").write_bytes(numbers(BINARY))
    (pub / "picture.png").write_bytes(picture())
    (pub / "a name with spaces.txt").write_text(
        "Spaces in names need no quotes in FTP: a command's argument goes to the end of the line.\n"
    )
    (pub / "grüße.txt").write_text(UTF8)
    new.rename(root)
    return True
