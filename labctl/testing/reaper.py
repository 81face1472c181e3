"""A process that outlives a killed one and takes its labs away: `python -m labctl.testing.reaper OWNER`, until stdin ends.

The kernel closes the pipe however the other end dies, so a killed pytest, or a killed worker of xdist, leaves nothing. No image is
needed for that, and no registry.
"""

import signal
import subprocess
import sys
from contextlib import suppress

from labctl.errors import LabError

DONE = b"done"
_reapers: dict[str, "subprocess.Popen[bytes]"] = {}


def watch_over(owner: str) -> None:
    """Start the reaper of an owner, once."""
    if owner not in _reapers:
        argv = [sys.executable, "-m", "labctl.testing.reaper", owner]
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


if __name__ == "__main__":
    main(sys.argv[1])
