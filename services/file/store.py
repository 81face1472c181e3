"""The folder of files: nothing outside it can be named, and nothing half can be seen in it.

    ROOT/files/      the files, by their names
    ROOT/uploads/    what PUTs are bringing, on the same file system (`uploads`)

Every file is opened relative to a descriptor of its folder and never through a symbolic link, so that no name and no race leads out. A PUT
is written to a file of its own in `uploads`, checked against its digest, synced, renamed over the old one, and both folders are synced:
whoever looks sees the old file or the new one, also after a crash.
"""

import os
import stat
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from threading import Lock

from services.file.grammar import Entry, Put, RefusalError, check_name
from services.file.room import Ledger, Room, refusal
from services.file.uploads import Upload, Uploads, digest_of

DIGESTS_KEPT = 20_000
# O_NONBLOCK: a FIFO that somebody put there must not hold us up
FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Store:
    """One folder of files; safe to use from several threads."""

    def __init__(self, root: Path, room: Room | None = None) -> None:
        """Open it, making its two folders where they are missing; what a killed server left can be resumed.

        Raises:
            OSError: it is not there, or may not be written.
        """
        self._lock = Lock()
        self._digests: OrderedDict[tuple[int, ...], str] = OrderedDict()
        self._files = _open_folder(root / "files")
        self._uploads = Uploads(_open_folder(root / "uploads"), self._files, self._keep_digest)
        entries = self.entries()
        octets = sum(entry.size for entry in entries) + sum(size for _, size, _ in self._uploads.parts())
        self._ledger = self._uploads.ledger = Ledger(room or Room(), octets, len(entries))

    def close(self) -> None:
        """Give the folders' descriptors back."""
        os.close(self._files)
        os.close(self._uploads.folder)

    def entries(self) -> list[Entry]:
        """Return all files, by name; what is no plain file, or has a name that could not be asked for, is left out."""
        entries = []
        with os.scandir(self._files) as found:
            for item in found:
                with suppress(OSError, RefusalError, UnicodeEncodeError):
                    item.name.encode()
                    check_name(item.name)
                    facts = item.stat(follow_symlinks=False)
                    if stat.S_ISREG(facts.st_mode):
                        entries.append(Entry(item.name, facts.st_size, int(facts.st_mtime)))
        return sorted(entries, key=lambda entry: entry.name)

    def open(self, name: str) -> tuple[int, os.stat_result]:
        """Return a descriptor of a file, to be closed by the caller, and its facts.

        Raises:
            RefusalError: there is no such plain file.
        """
        check_name(name)
        try:
            handle = os.open(name, FLAGS, dir_fd=self._files)
        except OSError as error:
            raise refusal(error) from error
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            os.close(handle)
            raise RefusalError(404)
        return handle, facts

    def stat(self, name: str) -> Entry:
        """Return the facts of a file.

        Raises:
            RefusalError: there is no such plain file.
        """
        handle, facts = self.open(name)
        os.close(handle)
        return Entry(name, facts.st_size, int(facts.st_mtime))

    def known_digest(self, name: str) -> str | None:
        """Return the SHA-256 of a file where it was taken before and nothing was written since.

        Raises:
            RefusalError: there is no such plain file.
        """
        handle, facts = self.open(name)
        os.close(handle)
        return self._digests.get(_identity(facts))

    def digest(self, name: str) -> str:
        """Read a file and return its SHA-256 in hexadecimal.

        Raises:
            RefusalError: there is no such plain file, or it cannot be read.
        """
        handle, facts = self.open(name)
        try:
            digest = digest_of(handle, facts.st_size).hexdigest()
            if _identity(os.fstat(handle)) == _identity(facts):
                self._keep_digest(facts, digest)
        except OSError as error:
            raise refusal(error) from error
        finally:
            os.close(handle)
        return digest

    def _keep_digest(self, facts: os.stat_result, digest: str) -> None:
        with self._lock:
            self._digests[_identity(facts)] = digest
            while len(self._digests) > DIGESTS_KEPT:
                self._digests.popitem(last=False)

    def delete(self, name: str) -> None:
        """Remove a file, durably.

        Raises:
            RefusalError: there is no such plain file, or it cannot be removed.
        """
        entry = self.stat(name)
        try:
            os.unlink(name, dir_fd=self._files)
            os.fsync(self._files)
        except OSError as error:
            raise refusal(error) from error
        self._ledger.change(-entry.size, files=-1)

    def held(self, put: Put) -> int:
        """Return how many octets of a broken PUT there are to resume from; see `Uploads.held`."""
        return self._uploads.held(put)

    def begin(self, put: Put) -> Upload:
        """Begin to take a PUT in; see `Uploads.begin`.

        Raises:
            RefusalError: the name is not allowed, there is no room, or fewer octets are held than its offset.
        """
        check_name(put.name)
        return self._uploads.begin(put)


def _open_folder(path: Path) -> int:
    path.mkdir(exist_ok=True)
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _identity(facts: os.stat_result) -> tuple[int, ...]:
    return (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
