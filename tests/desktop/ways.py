"""`labctl gui` as its user runs it; and what is left in the container."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


@contextmanager
def gui(lab, *options, env=None):
    """Run `labctl gui`; in the end Ctrl-C, which has to close the window."""
    process = subprocess.Popen(
        [sys.executable, "-m", "labctl", "gui", "--lab", lab.name, *options], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env={name: value for name, value in os.environ.items() if name != "DISPLAY"} | (env or {}), start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise


def windows(lab):
    """Return the programs of the desktop host that show a window, or help to."""
    argv = ["docker", "exec", lab.hosts["desktop"], "ps", "-eo", "args="]
    found = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.splitlines()
    return [line for line in found if re.search(r"services\.desktop|Xtigervnc|sshd", line)]


def until(condition, what, patience=60.0):
    deadline = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {patience} s for {what}"
        time.sleep(0.05)
    return found


def count_lines(process, pattern):
    """Read what labctl says until a line matches."""
    said = []
    for line in process.stderr:
        said.append(line)
        if re.search(pattern, line):
            return line
    raise AssertionError(f"never said {pattern}: {said}")
