"""The start of the container's agent: before anything slow is imported, for it and the window need their time too."""

import json
import os
import struct
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

HEAD = struct.Struct(">II")  # stream, length; see services/desktop/xagent.py
AGENT = ("python3", "-S", "-m", "services.desktop.xagent")


def new_cookie() -> bytes:
    """Return a throw-away cookie."""
    return os.urandom(16)


@contextmanager
def start_agent(exec_prefix: Sequence[str], order: Mapping[str, Any]) -> Iterator["subprocess.Popen[bytes]"]:
    """Start the agent by `docker exec -i`, give it its order, and see to its end.

    Args:
        exec_prefix: `docker exec -i CONTAINER`, in words.
        order: what the agent is to start; see `services/desktop/xagent.py`.
    """
    process = subprocess.Popen(
        [*exec_prefix, *AGENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True
    )  # in a session of its own: Ctrl-C is ours to handle
    assert process.stdin and process.stdout  # noqa: S101 - both are pipes
    try:
        body = json.dumps(order).encode()
        process.stdin.write(HEAD.pack(0, len(body)) + body)
        yield process
    finally:
        with suppress(OSError):
            process.stdin.close()  # the agent ends the window when its stdin does
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
