"""A TCP client: socket, connect, recv until the end, close.    python3 tcp_client.py [HOST [PORT]]"""

import socket
import sys

host = sys.argv[1] if len(sys.argv) > 1 else "tcp-server"
port = int(sys.argv[2]) if len(sys.argv) > 2 else 12345

with socket.create_connection((host, port), timeout=5) as conn:  # looks the name up, then connects
    # One recv returns what happens to be there, be it half a word. Only b"" means that the server has closed.
    while data := conn.recv(1024):
        sys.stdout.write(data.decode())
print()
