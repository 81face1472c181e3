"""Hold a silent connection, and see who finds out that the peer is gone.    python3 half_open.py [HOST] [--keepalive]

It waits until it learns something, or until somebody makes a file `enough` beside it.
"""

import errno
import os
import socket
import sys
import time

host = sys.argv[1] if len(sys.argv) > 1 else "tcp-server"

with socket.create_connection((host, 7), timeout=5) as conn:
    conn.sendall(b"hello")
    conn.recv(5)
    if "--keepalive" in sys.argv:
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        conn.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1
        )  # ask after 1 s of silence; the default is two hours
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    print("connected", flush=True)
    conn.settimeout(0.5)
    began = time.monotonic()
    said = ""
    while not said:
        try:
            said = "it spoke" if conn.recv(1) else "it was closed in order"
        except TimeoutError as error:
            # ETIMEDOUT is TCP's own word: its probes were not answered. Python's time limit has none.
            if error.errno == errno.ETIMEDOUT:
                said = "keep-alive found out"
            elif os.path.exists("enough"):
                said = "nothing was noticed"
        except OSError as error:
            said = errno.errorcode[error.errno or 0]
    print(said, flush=True)
    print(f"after {time.monotonic() - began:.1f} s", file=sys.stderr)
