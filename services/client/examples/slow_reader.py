"""Connect, do not read for a while, then read on: the window closes and opens.    python3 slow_reader.py [HOST [SECONDS]]"""

import socket
import sys
import time

host = sys.argv[1] if len(sys.argv) > 1 else "tcp-server"
pause = float(sys.argv[2]) if len(sys.argv) > 2 else 3
CHARGEN = 19  # a server that never stops (RFC 864)

with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as conn:
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)  # before connect: it bounds the window that is offered
    conn.connect((host, CHARGEN))
    print("connected, and not reading", flush=True)
    time.sleep(pause)
    octets = 0
    while octets < 1_000_000:
        octets += len(conn.recv(65536))
    print("read 1 MB after all", flush=True)
