"""The chat's client: what is typed goes out, what the others say comes in, each as it happens."""

import argparse
import os
import select
import socket
import sys
import time

from services.client.errors import ClientError, show
from services.tcp.chat import Talker


def chat(conn: socket.socket, options: argparse.Namespace) -> int:
    """Talk until the server closes, stdin ends, or a line contains `options.until`.

    With `--say` and no `--until` it leaves when all is said. With `--until`, `--timeout` is for the whole talk.

    Returns:
        0; 1 where `--until` was not met in time, or the server closed before.
    """
    talker = Talker()
    if options.name:
        talker.say(f"/name {options.name}")
    for line in options.say:
        talker.say(line)
    typing = not options.say and not options.until
    if options.say and not options.until:
        talker.say("/quit")
    deadline = time.monotonic() + options.timeout if options.until else None
    conn.settimeout(options.timeout)
    typed = b""
    while True:
        if out := talker.data_to_send():
            conn.sendall(out)
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select([conn, *([sys.stdin] if typing else [])], [], [], left)
        if not ready:
            raise ClientError(f"nobody said {options.until!r} in {options.timeout:g} s")
        if conn in ready:
            data = conn.recv(65536)
            talker.receive_data(data) if data else talker.receive_eof()
            for line in talker.events():
                show(line.encode() + b"\n")
                if options.until and options.until in line:
                    conn.sendall(b"/quit\r\n")
                    return 0
        if talker.closing:
            if options.until:
                raise ClientError(f"the server closed, and nobody had said {options.until!r}")
            return 0
        if sys.stdin in ready:
            data = os.read(sys.stdin.fileno(), 4096)
            *lines, typed = (typed + data).split(b"\n")
            for text in lines:
                talker.say(text.decode("utf-8", "replace").rstrip("\r"))
            if not data:
                typing = False
                talker.say("/quit")
