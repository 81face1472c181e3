"""What `labctl gui` runs in this container by `docker exec -i`: it starts the window, and carries the window's X connections to labctl.

    the window ──▶ /tmp/.X11-unix/X9 ──▶ this agent ══ stdin, stdout ══ labctl ──▶ the user's X server

    frame      stream (32 bits), length (32 bits), both big-endian; then so many octets
    stream 0   JSON: first from labctl, what to start; in the end from here, the exit code
    others     one X connection each; a frame of length 0 closes it

What `ssh -X` does, without ssh: no port, no mount. The cookie that the window gets is good for nothing but this relay: labctl checks it
and puts the real one, or an untrusted one, in its place; the real cookie never comes here. With `relay` false the X server's own socket
is mounted, and only the window is started. When labctl is gone, stdin ends, and so does the window.

Few imports, for it stands between a command and its window, and its memory counts.
"""

import json
import os
import select
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from typing import Any

from services.desktop.xauth import LOCAL, WILD, Record, dump

HEAD = struct.Struct(">II")
FIRST = 9  # display number; the next free one where there are several windows
WAITING = 8 << 20  # octets that an X client may leave unread before it is dropped
CHUNK = 65536


class Gone(Exception):  # noqa: N818 - it is no error
    """labctl has closed its end."""


class Agent:
    """One window and its X connections.

    Args:
        order: `argv`, `cookie` (hex), `relay`, and where that is false the `display` to use.
    """

    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        self.number = 0
        self.server: socket.socket | None = None
        self.streams: dict[int, socket.socket] = {}
        self.numbers: dict[int, int] = {}  # file descriptor → stream
        self.unsent: dict[int, bytearray] = {}
        self.inbox = b""
        self.count = 0

    def run(self) -> int:
        """Start the window, carry until it ends, and return its exit code."""
        try:
            display = self._listen() if self.order["relay"] else self.order["display"]
            cookie = self._write_cookie(display)
            environment = os.environ | {"DISPLAY": display, "XAUTHORITY": cookie}
            window = subprocess.Popen(self.order["argv"], stdin=subprocess.DEVNULL, stdout=2, env=environment)
            try:
                self._carry(os.pidfd_open(window.pid))
            except Gone:
                window.terminate()
            try:
                code = window.wait(3)
            except subprocess.TimeoutExpired:
                window.kill()
                code = window.wait()
            return code
        finally:
            self._clear()

    def _listen(self) -> str:
        os.makedirs("/tmp/.X11-unix", mode=0o1777, exist_ok=True)  # noqa: S108, PTH103 - where libX11 looks
        self.server = socket.socket(socket.AF_UNIX)
        for number in range(FIRST, FIRST + 50):
            try:
                self.server.bind(_path(number))
            except OSError:
                if not _answers(number):  # what is left of an agent that was killed
                    os.unlink(_path(number))  # noqa: PTH108
                    self.server.bind(_path(number))
                else:
                    continue
            self.number = number
            os.chmod(_path(number), 0o600)  # noqa: PTH101
            self.server.listen(16)
            return f":{number}"
        raise SystemExit("too many windows: no display number is free")

    def _write_cookie(self, display: str) -> str:
        self.cookie_path = f"/run/labctl/x{os.getpid()}.auth"
        number = display.rpartition(":")[2].partition(".")[0].encode()
        cookie = bytes.fromhex(self.order["cookie"])
        # both: libX11 takes the first, some other libraries only the second
        records = [Record(WILD, b"", number, cookie), Record(LOCAL, socket.gethostname().encode(), number, cookie)]
        handle = os.open(self.cookie_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(handle, dump(records) if cookie else b"")
        os.close(handle)
        return self.cookie_path

    def _clear(self) -> None:
        paths = [self.cookie_path] if hasattr(self, "cookie_path") else []
        paths += [_path(self.number)] if self.number else []
        for path in paths:
            with suppress(OSError):
                os.unlink(path)  # noqa: PTH108

    # -- octets -----------------------------------------------------------------------------------------------------------

    def _carry(self, window: int) -> None:
        poll = select.poll()
        poll.register(0, select.POLLIN)
        poll.register(window, select.POLLIN)
        if self.server:
            poll.register(self.server, select.POLLIN)
        while True:
            for handle, _ in poll.poll():
                if handle == window:
                    return
                if handle == 0:
                    self._from_labctl(poll)
                elif self.server and handle == self.server.fileno():
                    self._accept(poll)
                elif handle in self.numbers:
                    self._from_client(self.numbers[handle], poll)

    def _accept(self, poll: "select.poll") -> None:
        assert self.server  # noqa: S101 - it has just said something
        conn, _ = self.server.accept()
        conn.setblocking(False)
        self.count += 1
        self.streams[self.count] = conn
        self.numbers[conn.fileno()] = self.count
        self.unsent[self.count] = bytearray()
        poll.register(conn, select.POLLIN)

    def _from_client(self, stream: int, poll: "select.poll") -> None:
        conn = self.streams[stream]
        if self.unsent[stream] and not self._send(stream, poll):
            return
        try:
            data = conn.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        tell(stream, data)
        if not data:
            self._close(stream, poll)

    def _from_labctl(self, poll: "select.poll") -> None:
        data = os.read(0, CHUNK)
        if not data:
            raise Gone
        self.inbox += data
        while len(self.inbox) >= HEAD.size:
            stream, length = HEAD.unpack_from(self.inbox)
            if len(self.inbox) < HEAD.size + length:
                return
            body = self.inbox[HEAD.size : HEAD.size + length]
            self.inbox = self.inbox[HEAD.size + length :]
            if stream not in self.streams:
                continue
            if body:
                self.unsent[stream] += body
                self._send(stream, poll)
            else:
                self._close(stream, poll)

    def _send(self, stream: int, poll: "select.poll") -> bool:
        """Send what waits for a client; False where that was its end."""
        conn, waiting = self.streams[stream], self.unsent[stream]
        try:
            while waiting:
                del waiting[: conn.send(waiting[:CHUNK])]
        except BlockingIOError:
            if len(waiting) > WAITING:
                self._close(stream, poll)
                tell(stream, b"")
                return False
        except OSError:
            self._close(stream, poll)
            tell(stream, b"")
            return False
        poll.modify(conn, select.POLLIN | (select.POLLOUT if waiting else 0))
        return True

    def _close(self, stream: int, poll: "select.poll") -> None:
        conn = self.streams.pop(stream)
        poll.unregister(conn)
        del self.numbers[conn.fileno()], self.unsent[stream]
        conn.close()


def _path(number: int) -> str:
    return f"/tmp/.X11-unix/X{number}"  # noqa: S108 - where libX11 looks


def _answers(number: int) -> bool:
    with socket.socket(socket.AF_UNIX) as asking:
        return asking.connect_ex(_path(number)) == 0


def tell(stream: int, body: bytes) -> None:
    """Write a frame to labctl.

    Raises:
        Gone: nobody reads.
    """
    view = memoryview(HEAD.pack(stream, len(body)) + body)
    try:
        while view:
            view = view[os.write(1, view) :]
    except BrokenPipeError as error:
        raise Gone from error


def read_order() -> dict[str, Any]:
    """Read labctl's first frame, octet by octet where need be: what comes after it belongs to the window."""
    data = b""
    while len(data) < HEAD.size or len(data) < HEAD.size + HEAD.unpack_from(data)[1]:
        wanted = HEAD.size if len(data) < HEAD.size else HEAD.size + HEAD.unpack_from(data)[1]
        piece = os.read(0, wanted - len(data))
        if not piece:
            raise SystemExit("labctl has gone")
        data += piece
    order: dict[str, Any] = json.loads(data[HEAD.size :])
    return order


def main() -> int:
    """Do what labctl's order says, and tell it the exit code."""
    code = Agent(read_order()).run()
    try:
        tell(0, json.dumps({"exit": code}).encode())
    except Gone:
        return 129
    return 0


if __name__ == "__main__":
    sys.exit(main())
