"""The healthchecks' client: one blocking socket, no event loop, since it starts anew each time."""

import socket
import sys

TIMEOUT = 1.5  # seconds


def check_stream(port: int, words: bytes) -> int:
    """Return 0 where the server at 127.0.0.1 says `words` on connecting, else 1."""
    return ask_stream(port, b"", words)


def ask_stream(port: int, question: bytes, words: bytes) -> int:
    """Return 0 where the server at 127.0.0.1 answers a question with `words`, else 1."""
    try:
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as conn:
            conn.sendall(question)
            said = b""
            while len(said) < len(words) and (data := conn.recv(1024)):
                said += data
    except OSError as error:
        return _failed(str(error))
    return 0 if said == words else _failed(f"it said {said!r}")


def check_dialogue(port: int, *lines: tuple[bytes, bytes]) -> int:
    """Return 0 where the server at 127.0.0.1 answers each line as expected, else 1.

    Args:
        lines: (what is said, nothing at first perhaps; what the last line of the answer begins with).
    """
    try:
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as conn, conn.makefile("rb") as answers:
            for say, expected in lines:
                conn.sendall(say)
                said = answers.readline(1024)
                while said[3:4] == b"-":
                    said = answers.readline(1024)
                if not said.startswith(expected):
                    return _failed(f"it said {said!r}")
    except OSError as error:
        return _failed(str(error))
    return 0


def check_datagram(port: int, words: bytes) -> int:
    """Return 0 where the server at 127.0.0.1 answers an empty datagram with `words`, else 1."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as conn:
            conn.settimeout(TIMEOUT)
            conn.connect(("127.0.0.1", port))
            conn.send(b"")
            said = conn.recv(1024)
    except OSError as error:
        return _failed(str(error))
    return 0 if said == words else _failed(f"it said {said!r}")


def _failed(why: str) -> int:
    sys.stderr.write(f"not healthy: {why}\n")
    return 1
