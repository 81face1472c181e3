"""A UDP client: sendto, recvfrom, and a second try.    python3 udp_client.py [HOST [PORT [TEXT]]]"""

import socket
import sys

host = sys.argv[1] if len(sys.argv) > 1 else "udp-server"
port = int(sys.argv[2]) if len(sys.argv) > 2 else 7
text = sys.argv[3] if len(sys.argv) > 3 else "hello"

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.settimeout(1)  # UDP may lose the question or the answer; without this, recvfrom could wait for ever
    for _ in range(3):
        client.sendto(text.encode(), (host, port))
        try:
            data, addr = client.recvfrom(65535)
        except TimeoutError:
            continue
        print(data.decode(), "from", addr)
        break
    else:
        sys.exit("no answer: the question or the answer was lost, and UDP does not tell which")
