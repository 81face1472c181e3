"""The checks of `labctl grade`, each with a server that is wrong in this one point: it fails this check, and passes all others.

A plain talk is part of others: who fails it fails those too in which a second client comes.
"""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from labctl.grade import probe
from labctl.grade.probe import CHECKS, Probe, check
from labctl.grade.words import WORDS

GREETING = b"Thank you for connecting"
ON_GREETING = ("talk", "half-close", "slow-peer", "many-clients", "garbage", "big-message", "vanishing-client")
ON_ECHO = (*ON_GREETING, "split", "coalesced")


class Server:
    """A server that is right; mutants override one thing."""

    talk = "echo"

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.active = 0

    def run(self) -> None:
        with suppress(OSError):
            while True:
                conn = self.listener.accept()[0]
                self.active += 1
                self.take(conn)

    def take(self, conn: socket.socket) -> None:
        threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn: socket.socket) -> None:
        with conn, suppress(OSError):
            self.speak(conn)
        self.active -= 1

    def speak(self, conn: socket.socket) -> None:
        while octets := conn.recv(65536):
            self.answer(conn, octets)

    def answer(self, conn: socket.socket, octets: bytes) -> None:
        conn.sendall(octets)

    def end(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        self.listener.close()


class Greeter(Server):
    """Says its greeting after what the client may have to say first."""

    talk = "greeting"

    def speak(self, conn: socket.socket) -> None:
        conn.settimeout(0.05)
        self.hear(conn)
        conn.sendall(GREETING)

    def hear(self, conn: socket.socket) -> None:
        with suppress(TimeoutError):
            conn.recv(1 << 21)


class Drops(Server):
    """A lone octet is taken for nothing."""

    def answer(self, conn: socket.socket, octets: bytes) -> None:
        if len(octets) > 1:
            conn.sendall(octets)


class FirstLine(Server):
    """One `recv` is taken for one line."""

    def answer(self, conn: socket.socket, octets: bytes) -> None:
        conn.sendall(octets.split(b"\r\n")[0] + b"\r\n" if octets.count(b"\r\n") > 1 and len(octets) < 1000 else octets)


class Hasty(Server):
    """A client that has finished talking is taken for gone."""

    def answer(self, conn: socket.socket, octets: bytes) -> None:
        time.sleep(0.05)
        conn.setblocking(False)
        with suppress(BlockingIOError):
            if conn.recv(1, socket.MSG_PEEK) == b"":
                raise OSError
        conn.setblocking(True)
        conn.sendall(octets)


class OneByOne(Server):
    """The next client waits until this one has gone."""

    def take(self, conn: socket.socket) -> None:
        self.serve(conn)


class Few(Server):
    """Thirty clients, and no more: those who vanish are fewer."""

    def take(self, conn: socket.socket) -> None:
        if self.active > 30:
            conn.close()
            self.active -= 1
        else:
            super().take(conn)

    def answer(self, conn: socket.socket, octets: bytes) -> None:
        time.sleep(0.1)  # so that the first are still there when the last come
        conn.sendall(octets)


class Decodes(Greeter):
    """What is no UTF-8 ends the program."""

    def hear(self, conn: socket.socket) -> None:
        with suppress(TimeoutError):
            try:
                conn.recv(1 << 21).decode()
            except UnicodeDecodeError:
                self.end()


class SendsOnce(Server):
    """`send` may take a part only; the rest is forgotten."""

    def answer(self, conn: socket.socket, octets: bytes) -> None:
        conn.sendall(octets[:5000])


class Fragile(Greeter):
    """A reset by one client ends the program."""

    def hear(self, conn: socket.socket) -> None:
        try:
            super().hear(conn)
        except ConnectionResetError:
            self.end()


class Silent(Server):
    """It never answers; then no other check can pass either."""

    def answer(self, conn: socket.socket, octets: bytes) -> None:
        pass


class Once(Server):
    """It serves one client, and does not go back to `accept`."""

    def take(self, conn: socket.socket) -> None:
        self.listener.close()
        super().take(conn)


MUTANTS = {
    "talk": Once, "split": Drops, "coalesced": FirstLine, "half-close": Hasty, "slow-peer": OneByOne, "many-clients": Few,
    "garbage": Decodes, "big-message": SendsOnce, "vanishing-client": Fragile,
}  # fmt: skip


WITH_IT = {"talk": {"slow-peer", "many-clients", "garbage", "big-message", "vanishing-client"}}


@contextmanager
def running(kind: Callable[[], Server]) -> Iterator[Server]:
    server = kind()
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        with suppress(OSError):
            server.end()
        thread.join(10)


def failing(kind: type[Server]) -> dict[str, str]:
    """Return the checks that a kind of server fails, with what was seen; each is played with a new one, as `labctl grade` does."""
    seen = {}
    for name in ON_ECHO if kind.talk == "echo" else ON_GREETING:
        with running(kind) as server:
            told = check(name, Probe("127.0.0.1", server.listener.getsockname()[1], kind.talk, GREETING))
        if not told["passed"]:
            seen[name] = str(told["seen"])
            assert told["ladder"], name
    return seen


@pytest.mark.parametrize("kind", [Server, Greeter])
def test_a_right_server_passes_all(kind):
    assert failing(kind) == {}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_server_that_is_wrong_in_one_point_fails_this_one(name):
    seen = failing(MUTANTS[name])
    assert set(seen) == {name, *WITH_IT.get(name, ())}
    assert len(seen[name]) > 20  # it is told what came


def test_a_server_that_does_not_talk_fails_the_talk():
    with running(Silent) as server:
        told = check("talk", Probe("127.0.0.1", server.listener.getsockname()[1], "echo", GREETING))
    assert not told["passed"]
    assert "nothing more came" in str(told["seen"])


class Endless(Greeter):
    """Says its greeting again and again."""

    def speak(self, conn: socket.socket) -> None:
        while True:
            conn.sendall(GREETING * 1000)


def test_who_does_not_stop_talking_is_not_heard_out():
    with running(Endless) as server:
        told = check("talk", Probe("127.0.0.1", server.listener.getsockname()[1], "greeting", GREETING))
    assert str(told["seen"]) == "more than 65536 octets came, and no end"


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_a_program_that_listens_by_ipv6_alone_can_be_started_again():
    with running(ByIPv6) as server:
        told = check("restart", Probe("nowhere.test", server.listener.getsockname()[1], "echo", GREETING))
    assert told["passed"], told


class ByIPv6(Server):
    """A right server that knows one family alone."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
        self.active = 0


PROGRAM = """\
import socket, sys
listener = socket.socket()
if "reuse" in sys.argv: listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", int(sys.argv[1])))
listener.listen()
while True:
    conn, _ = listener.accept()
    conn.sendall(b"Thank you for connecting")
    conn.close()
"""


@pytest.mark.parametrize(("how", "passed"), [("reuse", True), ("naive", False)])
def test_a_program_that_is_started_again_at_once_needs_so_reuseaddr(tmp_path, monkeypatch, how, passed):
    (tmp_path / "server.py").write_text(PROGRAM)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    argv = [sys.executable, str(tmp_path / "server.py"), str(port), how]
    monkeypatch.setattr(probe, "STARTED", 3.0)
    for last in (False, True):
        with subprocess.Popen(argv, stderr=subprocess.PIPE) as server:
            told = check("restart", Probe("nowhere.test", port, "greeting", GREETING))
            server.kill()
            assert told["passed"] == (passed or not last), told
            assert told["passed"] or b"Address already in use" in server.stderr.read()


def test_every_check_has_a_mutant_and_words():
    assert {*MUTANTS, "restart"} == set(CHECKS) == set(WORDS)
