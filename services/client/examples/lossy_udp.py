"""Send numbered datagrams to an echo port and tell which came back.    python3 lossy_udp.py [HOST [COUNT [TRIES]]]"""

import socket
import sys

host = sys.argv[1] if len(sys.argv) > 1 else "udp-server"
count = int(sys.argv[2]) if len(sys.argv) > 2 else 20
tries = int(sys.argv[3]) if len(sys.argv) > 3 else 1

lost: list[int] = []
sent = 0
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as conn:
    conn.connect((host, 7))
    conn.settimeout(0.3)  # nobody tells that a datagram is lost: only waiting shows it
    for number in range(1, count + 1):
        for _ in range(tries):
            conn.send(str(number).encode())
            sent += 1
            try:
                while conn.recv(100) != str(number).encode():
                    pass  # the late answer to an earlier try
                break
            except TimeoutError:
                continue
        else:
            lost.append(number)
print(f"{sent} datagrams sent, {count - len(lost)} of {count} numbers answered; never:", *(lost or "-"))
