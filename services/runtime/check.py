"""The healthchecks' client: one blocking socket, no event loop, since it starts anew each time."""

import socket
import sys
from collections.abc import Callable

TIMEOUT = 1.5  # seconds
LARGEST = 1 << 20  # octets of an answer that are read


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


def check_answer(port: int, question: bytes, is_right: Callable[[bytes], bool]) -> int:
    """Return 0 where the server at 127.0.0.1 gives the right answer to a question and closes, else 1."""
    try:
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as conn:
            conn.sendall(question)
            said = b""
            while len(said) < LARGEST and (data := conn.recv(65536)):
                said += data
    except OSError as error:
        return _failed(str(error))
    return 0 if is_right(said) else _failed(f"it said {said[:200]!r}")


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
