"""What the client does to a server whose behaviour is checked. Runs in the client's container, as text: the standard library alone.

stdin-less; argv: host, port, talk (`greeting` or `echo`), the greeting, the name of a check. Prints a line of JSON:

    {"check": "many-clients", "passed": false, "seen": "3 of 50 …", "ladder": ["0.000 connect", …]}
"""

import json
import random
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

PATIENCE = 3.0  # seconds for one answer
STARTED = 10.0  # seconds for a program to listen
MANY = 50
BIG = 1 << 20
VANISHING = 20
ENOUGH = 1 << 16  # octets; who says more before the end is not heard out

Outcome = TypeVar("Outcome")


class Failed(Exception):  # noqa: N818 - a verdict, not an accident
    """What the server did otherwise than it should."""


class Probe:
    """One server, asked by sockets of our own; what happened is noted as a ladder of the client's side."""

    def __init__(self, host: str, port: int, talk: str, greeting: bytes) -> None:
        self.addr = (host, port)
        self.talk = talk
        self.greeting = greeting
        self.began = time.monotonic()
        self.ladder: list[str] = []

    def note(self, text: str) -> None:
        if len(self.ladder) < 60:
            self.ladder.append(f"{time.monotonic() - self.began:7.3f}  {text}")

    def connect(self) -> socket.socket:
        try:
            conn = socket.create_connection(self.addr, PATIENCE)
        except OSError as error:
            self.note(f"connect ✗ {error}")
            raise Failed(f"no connection: {error}") from error
        self.note(f"connect → {self.addr[0]}:{self.addr[1]}")
        return conn

    def send(self, conn: socket.socket, octets: bytes) -> None:
        try:
            conn.sendall(octets)
        except OSError as error:
            self.note(f"send ✗ {error}")
            raise Failed(f"it took only part of {len(octets)} octets: {error}") from error
        self.note(f"send → {len(octets)} octets")

    def read(self, conn: socket.socket, count: int | None = None) -> bytes:
        """Read so many octets, or all up to the end.

        Raises:
            Failed: nothing more came for `PATIENCE` s, or more than `ENOUGH` before the end, or the connection broke.
        """
        got = bytearray()
        try:
            while count is None or len(got) < count:
                part = conn.recv(65536)
                if not part:
                    self.note(f"← {len(got)} octets, then the end")
                    return bytes(got)
                got += part
                if count is None and len(got) > ENOUGH:
                    self.note(f"← {len(got)} octets, and no end yet")
                    raise Failed(f"more than {ENOUGH} octets came, and no end")
        except TimeoutError:
            self.note(f"← {len(got)} octets, then nothing for {PATIENCE:g} s")
            raise Failed(f"after {len(got)} octets nothing more came, and no end either") from None
        except OSError as error:
            self.note(f"← {len(got)} octets, then {error}")
            raise Failed(f"after {len(got)} octets the connection broke: {error}") from error
        self.note(f"← {len(got)} octets")
        return bytes(got)

    def ask(self, conn: socket.socket | None = None) -> None:
        """Have one whole talk, as a plain client has it."""
        with conn or self.connect() as link:
            if self.talk == "greeting":
                said = self.read(link)
                if said != self.greeting:
                    raise Failed(f"it said {said[:80]!r}, and {self.greeting!r} was expected")
                return
            line = b"hello, wire\r\n"
            self.send(link, line)
            said = self.read(link, len(line))
            if said != line:
                raise Failed(f"what came back is {said[:80]!r}, and {line!r} was sent")

    def echoes(self, octets: bytes, conn: socket.socket) -> None:
        reader = threading.Thread(target=self.send, args=(conn, octets), daemon=True)
        reader.start()
        back = self.read(conn, len(octets))
        if back != octets:
            raise Failed(f"of {len(octets)} octets {len(back)} came back, and not the same")


def talk(probe: Probe) -> None:
    probe.ask()
    probe.ask()  # and again: not only once


def split(probe: Probe) -> None:
    with probe.connect() as conn:
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line = b"split in pieces\r\n"
        for octet in line:
            conn.sendall(bytes([octet]))
            time.sleep(0.005)
        probe.note(f"send → {len(line)} octets, one a segment")
        back = probe.read(conn, len(line))
        if back != line:
            raise Failed(f"what came back is {back!r}, and {line!r} was sent octet by octet")


def coalesced(probe: Probe) -> None:
    with probe.connect() as conn:
        probe.echoes(b"".join(b"line %d\r\n" % number for number in range(20)), conn)


def half_close(probe: Probe) -> None:
    with probe.connect() as conn:
        if probe.talk == "echo":
            probe.send(conn, b"the last words\r\n")
        conn.shutdown(socket.SHUT_WR)
        probe.note("shutdown(SHUT_WR) → FIN")
        said, wanted = probe.read(conn), probe.greeting if probe.talk == "greeting" else b"the last words\r\n"
        if said != wanted:
            raise Failed(f"after the half close it said {said[:80]!r}, and {wanted!r} was expected")


def slow_peer(probe: Probe) -> None:
    with probe.connect():
        probe.note("… says and reads nothing")
        for _ in range(3):
            probe.ask()


def many_clients(probe: Probe) -> None:
    """All connect at once, then all talk at once: who waits in vain waits no longer than one alone."""
    failures: list[str] = []

    def attempt(do: Callable[..., Outcome], *args: socket.socket) -> Outcome | None:
        try:
            return do(*args)
        except Failed as error:
            failures.append(str(error))
            return None

    with ThreadPoolExecutor(MANY) as pool:
        links = [link for link in pool.map(lambda _: attempt(probe.connect), range(MANY)) if link]
        list(pool.map(lambda link: attempt(probe.ask, link), links))  # which closes it
    if failures:
        raise Failed(f"{len(failures)} of {MANY} clients at once were not served: {failures[0]}")


def garbage(probe: Probe) -> None:
    octets = random.Random(7).randbytes(4096)
    for part in (octets, b"\x00" * 512, "ü".encode("latin-1") * 100):
        with probe.connect() as conn:
            try:
                conn.sendall(part)
                probe.note(f"send → {len(part)} octets of garbage")
            except OSError:
                probe.note("it does not take all of it")  # which is its right
    probe.ask()


def big_message(probe: Probe) -> None:
    with probe.connect() as conn:
        if probe.talk == "echo":
            probe.echoes(random.Random(7).randbytes(BIG), conn)
        else:
            try:
                conn.sendall(b"x" * BIG)
                probe.note(f"send → {BIG} octets")
            except OSError as error:
                probe.note(f"it does not take all of it: {error}")
    probe.ask()


def vanishing_client(probe: Probe) -> None:
    for number in range(VANISHING):
        with probe.connect() as conn:
            if number % 2:
                conn.sendall(b"half a li")
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        probe.note("close → RST")
    time.sleep(0.1)
    probe.ask()


def restart(probe: Probe) -> None:
    """Wait for a program that has been started here, and talk to it; `judge` has it killed and started again in between."""
    port, deadline = probe.addr[1], time.monotonic() + STARTED
    # It may listen on every address, on those of one family alone, or on its host's.
    names = ("127.0.0.1", "::1", socket.gethostname())
    while not (here := next((name for name in names if listens(name, port)), "")):
        if time.monotonic() > deadline:
            probe.note(f"✗ nobody listens at port {port}")
            raise Failed(f"nobody listens at port {port} after {STARTED:g} s")
        time.sleep(0.02)
    probe.addr = (here, port)
    probe.ask()


def listens(name: str, port: int) -> bool:
    try:
        socket.create_connection((name, port), PATIENCE).close()
    except OSError:
        return False
    return True


CHECKS: dict[str, Callable[[Probe], None]] = {
    "talk": talk,
    "split": split,
    "coalesced": coalesced,
    "half-close": half_close,
    "slow-peer": slow_peer,
    "many-clients": many_clients,
    "garbage": garbage,
    "big-message": big_message,
    "vanishing-client": vanishing_client,
    "restart": restart,
}


def check(name: str, probe: Probe) -> dict[str, object]:
    """Play one check and return what is told of it."""
    passed, seen = True, ""
    try:
        CHECKS[name](probe)
    except Failed as error:
        passed, seen = False, str(error)
    except OSError as error:
        passed, seen = False, f"{type(error).__name__}: {error}"
    seconds = round(time.monotonic() - probe.began, 3)
    return {"check": name, "passed": passed, "seen": seen, "ladder": probe.ladder, "seconds": seconds}


def main(host: str, port: str, kind: str, greeting: str, name: str) -> None:
    probe = Probe(host, int(port), kind, greeting.encode())
    print(json.dumps(check(name, probe)))  # noqa: T201 - its answer


if __name__ == "__main__":
    main(*sys.argv[1:])
