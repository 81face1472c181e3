"""Join stdin and stdout to the screen's VNC socket: what a browser's connection runs, by `docker exec -i`. No port is opened."""

import os
import select
import socket
import sys


def main(path: str) -> int:
    """Carry octets both ways until either end closes."""
    conn = socket.socket(socket.AF_UNIX)
    conn.connect(path)
    while True:
        ready, _, _ = select.select([0, conn.fileno()], [], [])
        if 0 in ready:
            data = os.read(0, 65536)
            if not data:
                return 0
            conn.sendall(data)
        if conn.fileno() in ready:
            data = conn.recv(65536)
            if not data:
                return 0
            view = memoryview(data)
            while view:
                view = view[os.write(1, view) :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "/run/labctl/screen/vnc.sock"))
