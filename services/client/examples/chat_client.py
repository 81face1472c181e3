"""A chat client: listens in a thread while you type; Ctrl-D ends it.    python3 chat_client.py [HOST [PORT]]"""

import socket
import sys
import threading

host = sys.argv[1] if len(sys.argv) > 1 else "tcp-server"
port = int(sys.argv[2]) if len(sys.argv) > 2 else 12346


def listen(conn: socket.socket) -> None:
    with conn.makefile("r", encoding="utf-8", newline="\n") as lines:
        for line in lines:
            print(line.rstrip("\r\n"), flush=True)


with socket.create_connection((host, port), timeout=5) as conn:
    conn.settimeout(None)
    listener = threading.Thread(target=listen, args=(conn,))
    listener.start()
    for line in sys.stdin:
        conn.sendall(line.encode())
    conn.shutdown(socket.SHUT_WR)  # "I have no more to say"; the server then closes, and the listener ends
    listener.join(timeout=5)
