"""Files over a data connection: fetched, stored, resumed, in binary or ASCII."""

import hashlib
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from services.client.errors import ClientError
from services.client.ftp_session import Session

CHUNK = 1 << 16


@dataclass(frozen=True)
class Copy:
    """A finished transfer.

    Args:
        octets: on the data connection; in ASCII another number than the file's.
        offset: where it began.
        digest: SHA-256 of the whole file, as it is on this side.
    """

    name: str
    octets: int
    offset: int
    type: str
    way: str
    seconds: float
    digest: str
    to_stdout: bool = False


def fetch(ftp: Session, remote: str, local: Path | None, *, ascii_type: bool, resume: bool) -> Copy:
    """Fetch a file; into stdout where there is no local name.

    In ASCII each CR LF of the wire becomes this system's LF. A resumed file goes on at the local part's size.

    Raises:
        ClientError: it cannot be resumed, or it ended before its size.
        ftplib.Error: the server refuses.
        OSError: a connection broke, or the local file cannot be written.
    """
    if resume and (ascii_type or local is None):
        raise ClientError(
            "only a binary file on disk can be resumed",
            "in ASCII the offsets of both sides differ (RFC 3659 section 5.3)",
        )
    began = time.monotonic()
    offset = local.stat().st_size if resume and local and local.exists() else 0
    ftp.voidcmd("TYPE A" if ascii_type else "TYPE I")
    size = None if ascii_type else ftp.size(remote)
    if size is not None and offset > size:
        raise ClientError(f"the local part has {offset} octets, the whole file {size}: it is another file")
    conn, _ = ftp.ntransfercmd(f"RETR {remote}", offset or None)
    octets, digest = 0, hashlib.sha256()
    with conn, _target(local, offset) as target:
        if local and offset:
            digest = _digest(local)
        for data in _text(wire := _Wire(conn)) if ascii_type else (wire := _Wire(conn)):
            target.write(data)
            digest.update(data)
        octets = wire.octets
    ftp.voidresp()
    if size is not None and offset + octets != size:
        raise ClientError(f"{offset + octets} octets of {size} came", "`--resume` fetches the rest")
    return Copy(
        remote,
        octets,
        offset,
        "A" if ascii_type else "I",
        ftp.data_name,
        time.monotonic() - began,
        digest.hexdigest(),
        local is None,
    )


def store(ftp: Session, local: Path, remote: str, *, ascii_type: bool, resume: bool) -> Copy:
    """Store a file; a resumed one goes on at the size that the server has.

    Raises:
        ClientError: it cannot be resumed.
        ftplib.Error: the server refuses.
        OSError: a connection broke, or the local file cannot be read.
    """
    if resume and ascii_type:
        raise ClientError(
            "only a binary file can be resumed", "in ASCII the offsets of both sides differ (RFC 3659 section 5.3)"
        )
    began = time.monotonic()
    octets = 0
    with local.open("rb") as source:
        ftp.voidcmd("TYPE A" if ascii_type else "TYPE I")
        offset = (_size_there(ftp, remote) or 0) if resume else 0
        if offset > local.stat().st_size:
            raise ClientError(
                f"the server's part has {offset} octets, the whole file {local.stat().st_size}: it is another file"
            )
        source.seek(offset)
        conn, _ = ftp.ntransfercmd(f"STOR {remote}", offset or None)
        with conn:
            for data in iter(lambda: source.read(CHUNK), b""):
                out = data.replace(b"\n", b"\r\n") if ascii_type else data
                conn.sendall(out)
                octets += len(out)
            conn.shutdown(socket.SHUT_WR)
    ftp.voidresp()
    return Copy(
        remote,
        octets,
        offset,
        "A" if ascii_type else "I",
        ftp.data_name,
        time.monotonic() - began,
        _digest(local).hexdigest(),
    )


def _size_there(ftp: Session, remote: str) -> int | None:
    """Return a remote file's size; None where there is no such file."""
    import ftplib

    try:
        return ftp.size(remote)
    except ftplib.error_perm:
        return None


class _Wire:
    """What comes over a data connection, counted."""

    def __init__(self, conn: socket.socket) -> None:
        self.conn = conn
        self.octets = 0

    def __iter__(self) -> Iterator[bytes]:
        while data := self.conn.recv(CHUNK):
            self.octets += len(data)
            yield data


def _text(wire: Iterable[bytes]) -> Iterator[bytes]:
    """Turn CR LF into LF, wherever TCP cut the stream."""
    kept = b""
    for data in wire:
        data = kept + data
        kept = b"\r" if data.endswith(b"\r") else b""
        yield (data[:-1] if kept else data).replace(b"\r\n", b"\n")
    yield kept


def _target(local: Path | None, offset: int) -> AbstractContextManager[BinaryIO]:
    """Open what is written to."""
    if local is None:
        return nullcontext(sys.stdout.buffer)
    return local.open("ab" if offset else "wb")


def _digest(local: Path) -> "hashlib._Hash":
    """Return the SHA-256 object of a file."""
    with local.open("rb") as file:
        return hashlib.file_digest(file, "sha256")
