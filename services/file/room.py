"""How much the store may hold, and how much it does; and the file system's errors in the protocol's words."""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from services.file.grammar import RefusalError

_WORDS = {
    errno.ENOENT: (404, ""),
    errno.ENOTDIR: (404, ""),
    errno.ENXIO: (404, ""),
    errno.ELOOP: (403, "a symbolic link is not followed"),
    errno.ENAMETOOLONG: (403, ""),
    errno.EILSEQ: (403, ""),
    errno.EINVAL: (403, ""),
    errno.EISDIR: (409, "a folder stands there"),
    errno.ENOTEMPTY: (409, "a folder stands there"),
    errno.EFBIG: (413, ""),
    errno.ENOSPC: (507, "the disk is full"),
    errno.EDQUOT: (507, "the quota is used up"),
}


def refusal(error: OSError) -> RefusalError:
    """Return what a client is told of an error of the file system."""
    code, text = _WORDS.get(error.errno or 0, (500, f"the server could not do it: {error.strerror}"))
    return RefusalError(code, text)


@dataclass(frozen=True)
class Room:
    """What the store may hold.

    Args:
        octets: of all files and unfinished PUTs together.
        files: how many.
        largest: octets of one file.
    """

    octets: int = 8 << 30
    files: int = 50_000
    largest: int = 4 << 30


class Ledger:
    """What is held, kept in step with the folders; safe to use from several threads."""

    def __init__(self, room: Room, octets: int, files: int) -> None:
        self.room = room
        self.octets = octets
        self.files = files
        self._lock = Lock()

    def reserve(self, octets: int, *, new: bool, drop: Callable[[], int]) -> None:
        """Set octets aside for a PUT.

        Args:
            new: it stores under a name that is not there yet.
            drop: gives up what can be given up, and returns how many octets that were.

        Raises:
            RefusalError: 507, there is no room.
        """
        with self._lock:
            if new and self.files >= self.room.files:
                raise RefusalError(507, f"{self.room.files} files are here, no more are allowed")
            if self.octets + octets > self.room.octets:
                self.octets -= drop()
            if self.octets + octets > self.room.octets:
                raise RefusalError(507, f"the quota of {self.room.octets} octets is used up")
            self.octets += octets

    def change(self, octets: int, files: int = 0) -> None:
        """Take note of what was stored or removed."""
        with self._lock:
            self.octets += octets
            self.files += files
