"""A chat server: one thread a client; what one says reaches the others.    python3 chat_server.py [PORT]"""

import socket
import sys
import threading

port = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
clients: set[socket.socket] = set()
lock = threading.Lock()  # the threads share `clients`


def serve(conn: socket.socket) -> None:
    with conn, conn.makefile("rb") as lines:  # TCP has no lines: makefile collects octets until there is one
        with lock:
            clients.add(conn)
        try:
            for line in lines:
                with lock:
                    for other in clients - {conn}:
                        other.sendall(line)
        except OSError:
            pass  # a client that vanished
        finally:
            with lock:
                clients.discard(conn)


with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("", port))
    listener.listen()
    print("listening on port", port, flush=True)
    while True:
        conn, addr = listener.accept()
        threading.Thread(target=serve, args=(conn,), daemon=True).start()
