"""Datagrams between two processes of one host: each recv returns one of them, whole.    python3 unix_datagram.py"""

import os
import socket
import tempfile

with tempfile.TemporaryDirectory() as folder:
    path = f"{folder}/post.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        child = os.fork()
        if child == 0:  # the child sends; it needs no address of its own, since nobody answers
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                for text in ("first", "second"):
                    sender.sendto(text.encode(), path)
            os._exit(0)
        for _ in range(2):
            print(receiver.recv(1024).decode())
        os.waitpid(child, 0)
