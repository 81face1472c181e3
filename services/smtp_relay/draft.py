"""A text while it arrives: in memory as long as it is small, then in a file of the queue, a block at a time.

Public: `Draft`.
"""

import os
from pathlib import Path

from services.smtp_relay.header import MAX_HEADER
from services.smtp_relay.store import LARGEST_BODY, spool_path, sync_folder


class Draft:
    """The text of one message that is not accepted yet.

    Args:
        folder: of the queue.
        number: of the message to be.
    """

    __slots__ = ("_file", "_folder", "_top", "_waiting", "number", "size", "waiting_size")

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        self.size = 0
        self.waiting_size = 0  # octets that are in memory and to be written
        self._folder = folder
        self._waiting: list[bytes] = []
        self._top = b""
        self._file = -1

    def add(self, part: bytes) -> None:
        """Take a part of the text."""
        self._waiting.append(part)
        self.size += len(part)
        self.waiting_size += len(part)

    @property
    def _path(self) -> Path:
        return spool_path(self._folder, self.number)

    @property
    def wants_writing(self) -> bool:
        """Whether a block is full."""
        return self.waiting_size > LARGEST_BODY

    @property
    def is_file(self) -> bool:
        """Whether the text has outgrown memory."""
        return self.size > LARGEST_BODY

    def body(self) -> bytes:
        """Return a text that is small."""
        return self._waiting[0] if len(self._waiting) == 1 else b"".join(self._waiting)

    def top(self) -> bytes:
        """Return the top of the text, with its header."""
        return self._top or self.body()

    def take_block(self) -> bytes:
        """Return what waits for being written, and forget it."""
        block = self.body()
        self._waiting = []
        self.waiting_size = 0
        if not self._top:
            self._top = block[:MAX_HEADER]
        return block

    def write(self, block: bytes) -> None:
        """Write a block; in a thread, one at a time.

        Raises:
            OSError: the disk is full.
        """
        if self._file < 0:
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        rest = memoryview(block)
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def write_and_sync(self, block: bytes) -> None:
        """Write the last block; then the text is as durable as the disk makes it. In a thread.

        Raises:
            OSError: the disk is full.
        """
        self.write(block)
        os.fsync(self._file)
        os.close(self._file)
        self._file = -1
        sync_folder(self._path.parent)

    def discard(self) -> None:
        """Forget the text; its file is removed."""
        self._waiting = []
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        if self.is_file:
            self._path.unlink(missing_ok=True)
