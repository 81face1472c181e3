"""Xauthority records, in which an X server's cookies are kept: `family, address, display number, name, data`, counted strings each.

Written by us as libX11 reads them (Xau(3)); family 65535 means any host, which is what a container has whose name is its own.
"""

import struct
from collections.abc import Iterable
from typing import NamedTuple

COOKIE = b"MIT-MAGIC-COOKIE-1"
LOCAL, WILD = 256, 65535


class Record(NamedTuple):
    """One cookie: for which address and display number."""

    family: int
    address: bytes
    number: bytes
    data: bytes


def dump(records: Iterable[Record]) -> bytes:
    """Return the file that holds these records."""
    return b"".join(
        struct.pack(">H", record.family) + b"".join(map(_counted, (record.address, record.number, COOKIE, record.data)))
        for record in records
    )


def _counted(text: bytes) -> bytes:
    return struct.pack(">H", len(text)) + text
