"""`lab wait HOST:PORT[/udp]…`: wait until each name resolves and each port answers.

    ready tcp-server:12345/tcp 0.004          a line a target, as it answers: seconds since the start
    waiting udp-server:7/udp refused          at the time-out, a line for each that did not

TCP answers by accepting a connection. UDP answers with any datagram; a port that never answers (discard) counts as open when a datagram
to a surely closed port of the same host is refused and one to it is not: the host is alive, its closed ports refuse, this one does not.
Linux sends an ICMP refusal to one peer about once a second after the first few, so refused UDP ports are asked ever more seldom.
"""

import errno
import select
import socket
import sys
import time

TIMEOUT = 30.0  # seconds
FIRST_PAUSE = 0.01  # between tries of one target; grows by half each time
LONGEST_PAUSE = 0.25
UDP_PAUSE = 0.1
CONNECT = 2.0  # seconds for one TCP handshake; a lost SYN is sent again after one
PATIENCE = 0.03  # seconds in which a UDP service answers, where it answers at all
SILENCE = 0.05  # seconds in which a UDP port that is closed would have refused
CLOSED_PORT = 1  # tcpmux (RFC 1078): nobody's in the lab
USAGE = "usage: lab wait [--timeout SECONDS] HOST:PORT[/tcp|/udp]...\n"


class Target:
    """One port that is waited for."""

    def __init__(self, text: str) -> None:
        """Read `HOST:PORT`, `HOST:PORT/udp`, `[ADDRESS]:PORT`.

        Raises:
            ValueError: it is none of these.
        """
        place, _, transport = text.partition("/")
        host, colon, port = place.rpartition(":")
        if (
            not colon
            or not host
            or not port.isdecimal()
            or not 0 < int(port) < 65536
            or transport not in ("", "tcp", "udp")
        ):
            raise ValueError(f"`{text}` is not HOST:PORT, HOST:PORT/tcp or HOST:PORT/udp")
        self.host, self.port = host.strip("[]"), int(port)
        self.kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        self.name = f"{place}/{transport or 'tcp'}"
        self.reason = "not asked yet"
        self.next = 0.0
        self.pause = FIRST_PAUSE
        self.sockets: list[socket.socket] = []
        self.probe: socket.socket | None = None
        self.deadline = 0.0

    def begin(self, now: float) -> None:
        """Resolve the name and ask; one socket for each of its addresses."""
        self.deadline = now + CONNECT
        try:
            found = socket.getaddrinfo(self.host, self.port, type=self.kind)
        except socket.gaierror as error:
            self.retry(now, f"the name does not resolve ({error.strerror})")
            return
        for family, kind, protocol, _, address in found:
            try:
                asking = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
            except OSError as error:
                self.reason = words(error.errno or 0)
                continue
            code = asking.connect_ex(address)
            if code not in (0, errno.EINPROGRESS):
                self.reason = words(code)
                asking.close()
                continue
            self.sockets.append(asking)
            if self.kind == socket.SOCK_DGRAM:
                self.deadline = now + PATIENCE
                self._send(asking)
                break  # one family is enough to know, and each refusal uses up what ICMP may send us
        if not self.sockets:
            self.retry(now, self.reason)

    def _send(self, asking: socket.socket) -> None:
        try:
            asking.send(b"")
        except OSError as error:
            self.reason = words(error.errno or 0)

    def answer(self, asked: socket.socket, now: float) -> bool:
        """Look at a socket that has news; True where the port answers."""
        code = asked.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code == 0:
            return True
        self.sockets.remove(asked)
        asked.close()
        self.reason = words(code)
        if not self.sockets:
            self.retry(now, self.reason)
        return False

    def silent(self, now: float) -> bool:
        """Look at a target whose time is over; True where its silence means that it is open."""
        if self.kind == socket.SOCK_STREAM:
            self.retry(now, "timed out")
        elif self.probe is None:  # silence so far: is the host alive, and does it refuse where nobody listens?
            address = self.sockets[0].getpeername()
            self.probe = socket.socket(self.sockets[0].family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            self.probe.connect((address[0], CLOSED_PORT, *address[2:]))
            self._send(self.probe)
            self.deadline = now + SILENCE
        elif self.probe.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED:
            return True
        else:
            self.retry(now, "no answer")
        return False

    def retry(self, now: float, reason: str) -> None:
        """Ask again after a pause that grows."""
        self.close()
        self.reason = reason
        # UDP is asked gently: each refusal uses up what ICMP may send us
        self.next = now + (max(self.pause, UDP_PAUSE) if self.kind == socket.SOCK_DGRAM else self.pause)
        self.pause = min(self.pause * 1.5, LONGEST_PAUSE)

    def close(self) -> None:
        """Give its sockets back."""
        for asked in (*self.sockets, *([self.probe] if self.probe else [])):
            asked.close()
        self.sockets, self.probe = [], None


def words(code: int) -> str:
    """Return an error number in words a learner knows."""
    known = {
        errno.ECONNREFUSED: "refused",
        errno.EHOSTUNREACH: "no such host on the network",
        errno.ENETUNREACH: "no way to that network",
        errno.ETIMEDOUT: "timed out",
    }
    return known.get(code, errno.errorcode.get(code, str(code)))


def wait_for(targets: list[Target], timeout: float) -> list[Target]:
    """Wait for all and return those that did not answer; print a line for each that does."""
    began = time.monotonic()
    waiting = list(targets)
    while waiting:
        now = time.monotonic()
        if now - began >= timeout:
            break
        for target in waiting:
            if not target.sockets and now >= target.next:
                target.begin(now)
        sockets = {asked: target for target in waiting for asked in target.sockets}
        times = [target.deadline if target.sockets else target.next for target in waiting]
        pause = max(0.0, min(*times, began + timeout) - time.monotonic())
        poll = select.poll()
        by_number = {asked.fileno(): asked for asked in sockets}
        for asked in sockets:
            poll.register(asked, select.POLLIN if asked.type & socket.SOCK_DGRAM else select.POLLOUT)
        ready = {by_number[number] for number, _ in poll.poll(pause * 1000 + 0.5)}
        now = time.monotonic()
        answered = {target for asked, target in sockets.items() if asked in ready and target.answer(asked, now)}
        answered |= {t for t in waiting if t not in answered and t.sockets and now >= t.deadline and t.silent(now)}
        for target in sorted(answered, key=targets.index):
            target.close()
            waiting.remove(target)
            sys.stdout.write(f"ready {target.name} {now - began:.3f}\n")
            sys.stdout.flush()
    return waiting


def main(argv: list[str]) -> int:
    """Return 0 when all answer, 1 at the time-out, 2 for a wrong command line."""
    timeout = TIMEOUT
    if argv[:1] in (["-h"], ["--help"]):
        sys.stdout.write(USAGE)
        return 0
    try:
        if argv[:1] == ["--timeout"]:
            timeout = float(argv[1])
            argv = argv[2:]
        targets = [Target(text) for text in argv]
        if not targets or not timeout > 0:
            raise ValueError("at least one target is needed, and a time-out above 0")
    except (ValueError, IndexError) as error:
        sys.stderr.write(f"error: {error}\n{USAGE}")
        return 2
    late = wait_for(targets, timeout)
    for target in late:
        sys.stdout.write(f"waiting {target.name} {target.reason}\n")
    return 1 if late else 0
