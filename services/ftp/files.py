"""What of the file system a client may reach: what lies under the root, by names without control characters.

pyftpdlib resolves symbolic links before it compares a path with the root; here are the gaps that it leaves.
"""

from collections.abc import Iterator
from typing import Any

from pyftpdlib.filesystems import AbstractedFS, FilesystemError


def is_plain(name: str) -> bool:
    """Tell whether a name holds no control character: NUL ends it for the kernel, LF would forge a reply or a line of a list."""
    return not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in name)


class Files(AbstractedFS):
    """The files of one session."""

    def validpath(self, path: str) -> bool:
        """Tell whether a path leads to something under the root, symbolic links resolved."""
        try:
            return is_plain(path) and bool(super().validpath(path))
        except (OSError, ValueError):
            return False

    def mkstemp(self, suffix: str = "", prefix: str = "", dir: str | None = None, mode: str = "wb") -> Any:  # noqa: A002
        """Make a file with a name of our choice (STOU), the one command whose folder pyftpdlib does not check.

        Raises:
            FilesystemError: the folder is outside the root.
        """
        if not is_plain(prefix) or not self.validpath(dir or "/"):
            raise FilesystemError("the path is outside the root")
        return super().mkstemp(suffix, prefix, dir, mode)

    def format_mlsx(self, *args: Any, **kwargs: Any) -> Iterator[bytes]:
        """Yield the lines of MLSD and MLST, a file's mode in octal as others write it: pyftpdlib's `0o644` is 0 to lftp."""
        for line in super().format_mlsx(*args, **kwargs):
            facts, space, name = line.partition(b" ")
            yield facts.replace(b"unix.mode=0o", b"unix.mode=0") + space + name
