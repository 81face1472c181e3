"""A process that outlives a killed one and takes its labs away; it waits until stdin ends.

The kernel closes the pipe however the other end dies, so a killed pytest, or a killed worker of xdist, leaves nothing. No image is
needed for that, and no registry.
"""

import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from labctl.errors import LabError

DONE = b"done"
START = "import sys; sys.path.append(sys.argv[1]); from labctl.testing.reaper import main; main(sys.argv[2])"
_reapers: dict[str, "subprocess.Popen[bytes]"] = {}


def watch_over(owner: str) -> None:
    """Start the reaper of an owner, once."""
    if owner not in _reapers:
        # -P: what lies where the tests run, such as a `socket.py`, is none of its modules
        argv = [sys.executable, "-P", "-c", START, str(Path(__file__).parents[2]), owner]
        # a session of its own: Ctrl-C is for who started it, who cleans up first
        _reapers[owner] = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )


def dismiss(owner: str) -> None:
    """End the reaper of an owner who has nothing left."""
    reaper = _reapers.pop(owner, None)
    if reaper:
        reaper.communicate(DONE)


def main(owner: str) -> None:
    """Wait until the owner has ended, then remove what is left of its labs."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if sys.stdin.buffer.read() == DONE:
        return
    from labctl.engine.sdk import DockerEngine
    from labctl.testing.owner import sweep

    for _ in range(3):  # what the owner had asked the engine for may still come about
        with suppress(LabError, OSError):
            if not sweep(DockerEngine(), only=owner):
                return
