"""A UDP server: socket, bind, recvfrom, sendto. No listen, no accept: there are no connections.    python3 udp_server.py [PORT]"""

import socket
import sys

port = int(sys.argv[1]) if len(sys.argv) > 1 else 5000

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("", port))
    print("listening on port", port, flush=True)
    while True:
        data, addr = server.recvfrom(65535)  # one datagram, whole, and who sent it
        print(len(data), "octets from", addr, flush=True)
        server.sendto(data.upper(), addr)
