"""Eight small writes to the echo port, with Nagle's algorithm or without.    python3 nagle.py [HOST] [--nodelay]"""

import socket
import sys
import time

host = sys.argv[1] if len(sys.argv) > 1 else "tcp-server"
WRITES = 8  # fewer than the ten segments that a new connection may send at once

with socket.create_connection((host, 7), timeout=5) as conn:
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, "--nodelay" in sys.argv)
    began = time.monotonic()
    for _ in range(WRITES):
        conn.send(b"x")
    left = WRITES
    while left:
        left -= len(conn.recv(WRITES))
    took = time.monotonic() - began
print("one round trip" if took < 0.45 else "two round trips")  # one is 300 ms here
print(f"{took * 1000:.0f} ms", file=sys.stderr)
