"""Send octets to the echo port at once, and tell how TCP mended what was lost.    python3 retransmit.py [HOST [OCTETS]]"""

import socket
import sys
import time
from pathlib import Path

host = sys.argv[1] if len(sys.argv) > 1 else "tcp-server"
octets = int(sys.argv[2]) if len(sys.argv) > 2 else 1000


def counters() -> dict[str, int]:
    """Return this host's TCP counters."""
    lines = Path("/proc/net/netstat").read_text().splitlines() + Path("/proc/net/snmp").read_text().splitlines()
    pairs = zip(lines[::2], lines[1::2], strict=True)
    return {
        f"{k}": int(v) for names, values in pairs for k, v in zip(names.split()[1:], values.split()[1:], strict=True)
    }


with socket.create_connection((host, 7), timeout=20) as conn:
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")  # what the textbook describes
    before, began = counters(), time.monotonic()
    conn.sendall(bytes(octets))
    left = octets
    while left:
        left -= len(conn.recv(65536))
    took, after = time.monotonic() - began, counters()


def more(name: str) -> int:
    return after[name] - before[name]


timed_out = more("TCPTimeouts") + more("TCPLossProbes")
how = "nothing was lost"
if more("RetransSegs"):
    how = "a time-out passed, and it was sent again" if timed_out else "later segments told of the gap: fast retransmit"
print(how)
print(
    f"{took * 1000:.0f} ms; {more('RetransSegs')} sent again, {more('TCPFastRetrans')} fast, {timed_out} after a time-out",
    file=sys.stderr,
)
