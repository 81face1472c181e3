"""The user's Xauthority file: `family, address, display number, name, data` a record, counted strings after the family (Xau(3)). Pure."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

COOKIE = b"MIT-MAGIC-COOKIE-1"
LOCAL, WILD = 256, 65535


class Record(NamedTuple):
    """One secret, and for which server it is."""

    family: int
    address: bytes
    number: bytes
    name: bytes
    data: bytes


def read_records(octets: bytes) -> Iterator[Record]:
    """Yield the records of a file; what is cut off at its end is left out."""
    at = 0
    while at + 2 <= len(octets):
        (family,) = struct.unpack_from(">H", octets, at)
        at += 2
        fields: list[bytes] = []
        for _ in range(4):
            if at + 2 > len(octets):
                return
            (length,) = struct.unpack_from(">H", octets, at)
            fields.append(octets[at + 2 : at + 2 + length])
            at += 2 + length
        if at > len(octets):
            return
        yield Record(family, *fields)


def find_cookie(octets: bytes, number: int, hostname: str, address: bytes = b"") -> bytes | None:
    """Return the cookie for a display, or None: this host's own record first, then one for any host.

    Args:
        address: the server's IP address, where it is reached by TCP.
    """
    best: tuple[int, bytes] | None = None
    for record in read_records(octets):
        if record.name != COOKIE or record.number not in (str(number).encode(), b""):
            continue
        if record.family == LOCAL and record.address == hostname.encode():
            rank = 0
        elif address and record.address == address:
            rank = 1
        elif record.family == WILD:
            rank = 2
        else:
            rank = 3
        if best is None or rank < best[0]:
            best = rank, record.data
    return best[1] if best else None
