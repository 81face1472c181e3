"""Send a message of a size to the echo port, over segments of at most a size.    python3 path_mtu.py HOST OCTETS [MAXSEG]"""

import socket
import sys

host, octets = sys.argv[1], int(sys.argv[2])

with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as conn:
    if len(sys.argv) > 3:
        # What an operator does to a path whose ICMP is filtered away: clamp the segments.
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, int(sys.argv[3]))
    conn.settimeout(3)
    conn.connect((host, 7))
    print("connected", flush=True)
    conn.sendall(bytes(octets))
    left = octets
    try:
        while left:
            left -= len(conn.recv(65536))
        print("all came back")
    except TimeoutError:
        print("nothing came back, and nobody said why")
