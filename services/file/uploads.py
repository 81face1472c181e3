"""What PUTs are bringing: each in a file of its own, which takes its name only when it is whole, right and on the disk.

    DIGEST-KEY.N.tmp     under way
    DIGEST-KEY.part      what a broken PUT left; KEY stands for size and name

The next PUT of the same digest, size and name may take a `.part` over, by renaming it: two never write one file. After a crash what was
under way is a `.part`.
"""

import errno
import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from threading import Lock

from services.file.grammar import Put, RefusalError
from services.file.room import Ledger, refusal

PIECE = 1 << 20  # octets read at once to take a digest
SYNC_EVERY = 8 << 20  # octets of a PUT after which the disk begins to write: the fsync at its end has less to wait for
PARTS_KEPT = 64
FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC

Published = Callable[[os.stat_result, str], None]


def names(folder: int) -> list[str]:
    """Return the names in a folder that a descriptor stands for."""
    with os.scandir(folder) as found:
        return [item.name for item in found]


def size_of(name: str, folder: int) -> int | None:
    """Return the octets of what has this name in a folder, None where nothing has; a symbolic link is not followed."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_size
    except OSError:
        return None


def digest_of(handle: int, octets: int) -> "hashlib._Hash":
    """Return the SHA-256 of the first octets of a file, to be updated with more.

    Raises:
        OSError: it cannot be read.
    """
    total = hashlib.sha256()
    at = 0
    while at < octets and (piece := os.pread(handle, min(PIECE, octets - at), at)):
        total.update(piece)
        at += len(piece)
    return total


def start_writing(handle: int, offset: int, octets: int) -> None:
    """Let the disk begin with octets of a file that were just written, without waiting for it.

    Linux begins to write what is dirty when it is told that nobody needs it; what is being written stays in the page cache. Waiting for
    the disk (fdatasync) in the midst of a PUT left the network idle meanwhile.
    """
    os.posix_fadvise(handle, offset, octets, os.POSIX_FADV_DONTNEED)


class Uploads:
    """The folder of the PUTs; safe to use from several threads.

    Args:
        folder: its descriptor.
        files: that of the folder where whole files go.
        published: told the facts and the digest of each file that went there.
    """

    def __init__(self, folder: int, files: int, published: Published) -> None:
        self.folder = folder
        self.files = files
        self.published = published
        self.ledger: Ledger  # set by the store, which counts both folders after `tidy`
        self._numbers = count(1)
        self._lock = Lock()
        self._under_way: dict[str, set[Upload]] = {}  # by key
        self._tidy()

    def _tidy(self) -> None:
        """After a kill: what was under way can be resumed."""
        for name in names(self.folder):
            if name.endswith(".tmp"):
                self.keep(name, name.partition(".")[0])

    def parts(self) -> list[tuple[float, int, str]]:
        """Return what broken PUTs left, the oldest first: when, octets, name."""
        found = []
        for name in names(self.folder):
            with suppress(FileNotFoundError):
                facts = os.stat(name, dir_fd=self.folder, follow_symlinks=False)
                found.append((facts.st_mtime, facts.st_size, name))
        return sorted(item for item in found if item[2].endswith(".part"))

    def drop_parts(self, keep: int = 0) -> int:
        """Remove what broken PUTs left, but for the newest `keep`, and return how many octets those were."""
        parts, gone = self.parts(), 0
        for _, size, name in parts[: max(0, len(parts) - keep)]:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self.folder)
                gone += size
        return gone

    def clear(self) -> None:
        """Remove all that broken PUTs left."""
        self.ledger.change(-self.drop_parts())

    def keep(self, scratch: str, key: str) -> int:
        """Keep what a broken PUT brought, unless a longer one is kept; return how many octets went with the shorter.

        Raises:
            OSError: it cannot be kept.
        """
        part = f"{key}.part"
        mine, other = size_of(scratch, self.folder) or 0, size_of(part, self.folder) or 0
        if mine <= other:
            os.unlink(scratch, dir_fd=self.folder)
        else:
            os.rename(scratch, part, src_dir_fd=self.folder, dst_dir_fd=self.folder)
        return min(mine, other)

    def held(self, put: Put) -> int:
        """Return how many octets of a broken PUT there are to resume from; one that is still under way is broken off.

        Whoever asks wants to go on with it: the other connection is one that the client gave up, and we have not heard of it.
        """
        key = key_of(put)
        for upload in list(self._under_way.get(key, ())):
            upload.break_off()
        return size_of(f"{key}.part", self.folder) or 0

    def begin(self, put: Put) -> "Upload":
        """Begin to take a PUT in.

        Raises:
            RefusalError: there is no room, or fewer octets are held than its offset.
        """
        if put.size > self.ledger.room.largest:
            raise RefusalError(413, f"a file has at most {self.ledger.room.largest} octets here")
        new = size_of(put.name, self.files) is None
        self.ledger.reserve(put.octets, new=new, drop=self.drop_parts)
        key = key_of(put)
        scratch = f"{key}.{next(self._numbers)}.tmp"
        try:
            handle, total = (
                self._fresh(scratch) if put.fresh or not put.offset else self._resumed(key, scratch, put.offset)
            )
        except (OSError, RefusalError) as error:
            self.ledger.change(-put.octets)
            raise refusal(error) if isinstance(error, OSError) else error from error
        upload = Upload(self, put, key, scratch, handle, total)
        with self._lock:
            self._under_way.setdefault(key, set()).add(upload)
        return upload

    def _fresh(self, scratch: str) -> "tuple[int, hashlib._Hash]":
        return os.open(scratch, FLAGS | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=self.folder), hashlib.sha256()

    def _resumed(self, key: str, scratch: str, offset: int) -> "tuple[int, hashlib._Hash]":
        part = f"{key}.part"
        there = size_of(part, self.folder) or 0
        if there >= offset:
            with suppress(FileNotFoundError):
                os.rename(part, scratch, src_dir_fd=self.folder, dst_dir_fd=self.folder)  # whoever comes first has it
                handle = os.open(scratch, FLAGS, dir_fd=self.folder)
                os.ftruncate(handle, offset)
                self.ledger.change(offset - there)
                return handle, digest_of(handle, offset)
        raise RefusalError(416, f"{there} octets are held; `PUT name size sha256 ?` asks for their number")

    def forget(self, upload: "Upload", unused: int) -> None:
        """Be told that an upload is over, and how many of the octets set aside for it are not held."""
        with self._lock:
            there = self._under_way.get(upload.key, set())
            there.discard(upload)
            if not there:
                self._under_way.pop(upload.key, None)
        self.ledger.change(-unused - self.drop_parts(PARTS_KEPT))

    def publish(self, upload: "Upload") -> None:
        """Let an upload's file, whole and synced, take its name; durably.

        Raises:
            OSError: it cannot.
        """
        with self._lock:
            replaced = size_of(upload.put.name, self.files)
            os.rename(upload.scratch, upload.put.name, src_dir_fd=self.folder, dst_dir_fd=self.files)
        os.fsync(self.files)
        os.fsync(self.folder)
        self.published(os.fstat(upload.handle), upload.put.digest)
        self.ledger.change(0, files=replaced is None)
        self.forget(upload, replaced or 0)


class Upload:
    """One PUT; its methods block, and are called one after the other but for `break_off`."""

    def __init__(self, uploads: Uploads, put: Put, key: str, scratch: str, handle: int, total: "hashlib._Hash") -> None:
        self.put = put
        self.key = key
        self.scratch = scratch
        self.handle = handle
        self._uploads = uploads
        self._written = self._synced = put.offset or 0
        self._total = total
        self._lock = Lock()
        self._over = False

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Add octets.

        Raises:
            RefusalError: they could not be written, or another PUT took over; what came is kept, unless the disk is full.
        """
        with self._lock:
            if self._over:
                raise RefusalError(409)
            try:
                for piece in pieces:
                    self._write(memoryview(piece))
                if self._written - self._synced >= SYNC_EVERY:
                    start_writing(self.handle, self._synced, self._written - self._synced)
                    self._synced = self._written
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):  # what is kept for later must not fill the disk
                    self._drop()
                    self._uploads.clear()
                else:
                    self._leave()
                raise refusal(error) from error

    def _write(self, view: memoryview) -> None:
        while view:
            done = os.pwrite(self.handle, view, self._written)
            self._total.update(view[:done])
            self._written += done
            view = view[done:]

    def finish(self) -> str:
        """Check the digest, sync, publish; return the digest.

        Raises:
            RefusalError: the digest is another, or the disk does not take it; the old file stays.
        """
        with self._lock:
            if self._over:
                raise RefusalError(409)
            if self._total.hexdigest() != self.put.digest:
                self._drop()
                raise RefusalError(422, f"the digest of the octets is {self._total.hexdigest()}")
            try:
                os.fsync(self.handle)
                self._uploads.publish(self)
            except OSError as error:
                self._drop()
                raise refusal(error) from error
            self._close()
            return self.put.digest

    def break_off(self) -> None:
        """End it, and keep what came for one that resumes it; does nothing where it is over."""
        with self._lock:
            if not self._over:
                self._leave()

    def _leave(self) -> None:
        self._close()
        unused = self.put.size
        with suppress(OSError):
            unused = self.put.size - self._written + self._uploads.keep(self.scratch, self.key)
        self._uploads.forget(self, unused)

    def _drop(self) -> None:
        self._close()
        with suppress(OSError):
            os.unlink(self.scratch, dir_fd=self._uploads.folder)
        self._uploads.forget(self, self.put.size)

    def _close(self) -> None:
        self._over = True
        os.close(self.handle)


def key_of(put: Put) -> str:
    """Return what tells one file that is being brought from any other."""
    return f"{put.digest}-{hashlib.sha256(f'{put.size} {put.name}'.encode()).hexdigest()[:16]}"
