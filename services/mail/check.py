"""The healthcheck: LMTP, POP3 and IMAP4 must each greet, say what they can, and take leave."""

import socket
import sys

TIMEOUT = 1.5  # seconds
LONGEST = 4096  # octets of an answer
# (name, port, what is said after the greeting, what must then have come): RFC 2033 and 5321, RFC 1939 and 2449, RFC 3501
CONVERSATIONS = (
    ("LMTP", 24, b"LHLO localhost\r\nQUIT\r\n", (b"220 ", b"PIPELINING\r\n", b"221 ")),
    ("POP3", 110, b"CAPA\r\nQUIT\r\n", (b"+OK ", b"UIDL\r\n", b"+OK Logging out")),
    ("IMAP4", 143, b"a CAPABILITY\r\nb LOGOUT\r\n", (b"* OK ", b"IMAP4rev1", b"b OK ")),
)


def check(host: str = "127.0.0.1") -> int:
    """Return 0 where all three answer as they should; else 1, and tell which did not."""
    for name, port, words, wanted in CONVERSATIONS:
        try:
            said = converse(host, port, words)
        except OSError as error:
            return _failed(name, str(error))
        if not all(part in said for part in wanted):
            return _failed(name, f"it said {said!r}")
    return 0


def converse(host: str, port: int, words: bytes) -> bytes:
    """Wait for the greeting, say `words`, and return all that the server said until it closed.

    Raises:
        OSError: it does not answer in time.
    """
    with socket.create_connection((host, port), TIMEOUT) as conn:
        said = conn.recv(LONGEST)
        conn.sendall(words)
        while len(said) < LONGEST and (data := conn.recv(LONGEST)):
            said += data
    return said


def _failed(name: str, why: str) -> int:
    sys.stderr.write(f"not healthy: {name}: {why}\n")
    return 1
