"""A TCP server: socket, bind, listen, accept, sendall, close.    python3 tcp_server.py [PORT]"""

import socket
import sys

port = int(sys.argv[1]) if len(sys.argv) > 1 else 5000

with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
    # Without this, a server that was just stopped could not take its port again for a minute: TIME_WAIT holds it.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("", port))  # "" means: on every address of this host
    listener.listen()
    print("listening on port", port, flush=True)
    while True:
        conn, addr = listener.accept()  # waits for a client; conn is a new socket, for this client alone
        with conn:  # closes it at the end, which tells the client that there is no more
            print("connection from", addr, flush=True)
            conn.sendall(b"Thank you for connecting")
