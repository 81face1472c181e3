"""Speak in the chat as its operator, beside the server: `lab-say [TEXT...]`.

With a text it says that one line. Without, it passes stdin on, line by line, and prints what the others say; Ctrl-D or Ctrl-C ends it.
"""

import os
import select
import socket
import sys
from contextlib import suppress

SOCKET = os.environ.get("LAB_CHAT_SOCKET", "/tmp/lab-chat.sock")  # noqa: S108 - the container's own tmpfs
TIMEOUT = 5.0  # seconds for the server to take a single line


def main(words: list[str]) -> int:
    """Return 0 when all was said, 1 where the server is not there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as conn:
        try:
            conn.connect(SOCKET)
        except OSError as error:
            print(f"error: the chat server does not answer: {error.strerror}\n  at {SOCKET}", file=sys.stderr)  # noqa: T201
            return 1
        if words:
            conn.settimeout(TIMEOUT)
            conn.sendall((" ".join(words) + "\r\n/quit\r\n").encode("utf-8", "replace"))
            while conn.recv(4096):  # until its FIN: then the line has reached the room
                pass
            return 0
        with suppress(KeyboardInterrupt):
            relay(conn)
        return 0


def relay(conn: socket.socket) -> None:
    """Pass stdin to the chat and the chat to stdout, until either ends."""
    typing = True
    while True:
        ready, _, _ = select.select([conn, *([sys.stdin] if typing else [])], [], [])
        if sys.stdin in ready:
            line = os.read(sys.stdin.fileno(), 4096)
            if line:
                conn.sendall(line)
            else:
                typing = False
                conn.shutdown(socket.SHUT_WR)
        if conn in ready:
            said = conn.recv(4096)
            if not said:
                return
            sys.stdout.write(_safe(said.decode("utf-8", "replace")))
            sys.stdout.flush()


def _safe(text: str) -> str:
    """Return a text that cannot move a terminal's cursor."""
    return "".join(char if char.isprintable() or char == "\n" else "" for char in text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
