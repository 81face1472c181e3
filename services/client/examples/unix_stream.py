"""A stream between two processes of one host; the address is a path.    python3 unix_stream.py"""

import os
import socket
import tempfile

with tempfile.TemporaryDirectory() as folder:  # removed at the end, and the socket file with it
    path = f"{folder}/greeting.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)  # makes the file
        listener.listen()
        child = os.fork()
        if child == 0:  # the child is the server
            conn, _ = listener.accept()
            with conn:
                conn.sendall(b"Thank you for connecting")
            os._exit(0)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:  # the parent is the client
            client.connect(path)
            while data := client.recv(1024):
                print(data.decode(), end="")
        os.waitpid(child, 0)
print()
