"""An X server played by the test: it answers the set-up and SECURITY's requests with the octets of X11's own."""

import socket
import struct
import threading

SECURITY = 137  # major opcode that it gives the extension
GRANTED = bytes(range(50, 66))


class FakeServer:
    """Answers the set-up, and SECURITY's requests where it is to have that extension."""

    def __init__(self, path, *, cookie=b"", security=True, grants=True):
        self.path, self.cookie, self.security, self.grants = str(path), cookie, security, grants
        self.revoked = threading.Event()
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(self.path)
        self.listening.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def close(self):
        self.thread.join(5)
        self.listening.close()

    def serve(self):
        conn, _ = self.listening.accept()
        with conn:
            head = conn.recv(12, socket.MSG_WAITALL)
            sizes = struct.unpack_from("<HH", head, 6)
            name, data = (conn.recv(size + -size % 4, socket.MSG_WAITALL)[:size] if size else b"" for size in sizes)
            if self.cookie and (name, data) != (b"MIT-MAGIC-COOKIE-1", self.cookie):
                conn.sendall(struct.pack("<BBHHH", 0, 8, 11, 0, 2) + b"go away!")
                return
            conn.sendall(struct.pack("<BBHHH", 1, 0, 11, 0, 2) + bytes(8))
            while request := conn.recv(4, socket.MSG_WAITALL):
                rest = conn.recv(struct.unpack_from("<H", request, 2)[0] * 4 - 4, socket.MSG_WAITALL)
                if request[0] == 98:  # QueryExtension
                    conn.sendall(
                        struct.pack("<BxHIBB22x", 1, 0, 0, self.security and rest[4:12] == b"SECURITY", SECURITY)
                    )
                elif request[:2] == bytes((SECURITY, 0)):
                    conn.sendall(struct.pack("<BxHIHH20x", 1, 0, 0, 1, 0))
                elif request[:2] == bytes((SECURITY, 1)):
                    if self.grants:
                        conn.sendall(struct.pack("<BxHIIH18x", 1, 0, 4, 77, 16) + GRANTED)
                    else:
                        conn.sendall(struct.pack("<BBH28x", 0, 10, 0))
                elif request[:2] == bytes((SECURITY, 2)):
                    assert rest == struct.pack("<I", 77)
                    self.revoked.set()
