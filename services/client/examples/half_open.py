"""Hold a silent connection, and see who finds out that the peer is gone.    python3 half_open.py [HOST] [--keepalive]"""

import errno
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
    conn.settimeout(12)
    began = time.monotonic()
    try:
        octets = conn.recv(1)
        print("it was closed in order" if not octets else "it spoke")
    except TimeoutError as error:
        # ETIMEDOUT is TCP's own word: its probes were not answered. Python's time limit has none.
        found_out = error.errno == errno.ETIMEDOUT
        print("keep-alive found out" if found_out else "nothing was noticed in 12 s", flush=True)
    except OSError as error:
        print(f"{errno.errorcode[error.errno or 0]}", flush=True)
    print(f"after {time.monotonic() - began:.1f} s", file=sys.stderr)
