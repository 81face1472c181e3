"""One labctl at a time works on a lab: `up` and `down` hold a lock that the kernel drops when they end, however they end.

It guards the labctls of one user on one machine; against others the engine itself does, by the containers' unique names.
"""

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def lock_folder() -> Path:
    """Return the folder of the lock files: emptied at boot, the user's own."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "labctl" if runtime else Path(tempfile.gettempdir()) / f"labctl-{os.getuid()}"


@contextmanager
def lab_lock(lab: str, waiting: Callable[[str], None]) -> Iterator[bool]:
    """Hold the lab's lock; `waiting` is told who holds it where that takes time.

    Yields:
        whether it had to wait: then what was seen of the lab before may be old.
    """
    folder = lock_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(folder / f"{lab}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        waited = False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waited = True
            holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "?"
            waiting(f"another labctl (process {holder}) is working on lab `{lab}`; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield waited
    finally:
        os.close(handle)


@contextmanager
def turn_to_remove() -> Iterator[None]:
    """Let only one process of this user at a time take labs away; for who does so beside others, as the workers of a test run do.

    Engine 20.10 can lock itself up for good where hosts of several labs leave their networks at the same moment.
    """
    with lab_lock(".removal", lambda _: None):  # no lab's name begins with a dot
        yield
