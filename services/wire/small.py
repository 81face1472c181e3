"""What the small services say, the same on TCP and on UDP: daytime (RFC 867), chargen (RFC 864), time (RFC 868).

The clock is an argument: seconds since 1970 (Unix time).
"""

import time
from itertools import cycle, islice

GREETING = b"Thank you for connecting"

# The 95 printing ASCII characters; each chargen line shows 72 of them, the next line begins one later (RFC 864).
PATTERN = bytes(range(0x20, 0x7F))
LINE = 72
# RFC 868 counts from 1900-01-01, 00:00 UTC; seventy years, seventeen of them leap years, before Unix time.
SECONDS_1900_TO_1970 = 2_208_988_800


def daytime(now: float) -> bytes:
    """Return the daytime in ASCII, one line, in UTC: `Monday, November 23, 2026 11:54:05-UTC CRLF` (RFC 867).

    The RFC fixes no syntax and suggests this one.
    """
    return time.strftime("%A, %B %d, %Y %H:%M:%S-UTC\r\n", time.gmtime(now)).encode("ascii")


def time_now(now: float) -> bytes:
    """Return the time as 32 bits in network byte order, seconds since 1900 (RFC 868); they wrap on 2036-02-07, 06:28:16 UTC."""
    return ((int(now) + SECONDS_1900_TO_1970) % 2**32).to_bytes(4, "big")


def read_time(octets: bytes, near: float) -> float:
    """Return the Unix time that 32 bits of RFC 868 mean, in the era nearest to `near` (Unix time): they do not say which.

    Raises:
        ValueError: there are not exactly four octets.
    """
    if len(octets) != 4:
        raise ValueError(f"four octets were expected, {len(octets)} came")
    seconds = int.from_bytes(octets, "big") - SECONDS_1900_TO_1970
    return seconds + round((near - seconds) / 2**32) * 2**32


def chargen_lines(first: int, count: int) -> bytes:
    """Return `count` lines of the rotating pattern from line `first` on, each 72 characters and CRLF (RFC 864)."""
    return b"".join(
        bytes(islice(cycle(PATTERN), (first + line) % len(PATTERN), (first + line) % len(PATTERN) + LINE)) + b"\r\n"
        for line in range(count)
    )


# All 95 different lines: after them the pattern repeats.
CYCLE = chargen_lines(0, len(PATTERN))
