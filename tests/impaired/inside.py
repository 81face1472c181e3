"""Play the table in this kernel: two network namespaces, a wire between them, and the real supervisor in one of them.

    python3 -m tests.impaired.inside PLAN RESULT      as root; PLAN and RESULT are files of JSON

PLAN: {"modules": […], "backends": ["shaper", "netem"], "cases": [{"name", "rules": {backend: […]}, "cut", "traffic", "expected"}]}.
RESULT tells what was seen; nothing is judged here.
"""

import ctypes
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

from services.tools.shaper import supervisor

NEW_NET = 0x40000000
FINIT_MODULE = 313 if os.uname().machine == "x86_64" else 273  # system calls
ADDRESSES = {
    "client": ["10.9.0.2", "fd09::2"],
    "server": ["10.9.0.3", "fd09::3"],
    "other": ["10.9.0.4", "fd09::4"],
    "third": ["10.9.0.5", "fd09::5"],  # lives with `client`; whatever goes to `other` comes from it
}
PORTS = (4000, 4001)
STREAM = 4002
HEAD = {4: 14 + 20 + 8, 6: 14 + 40 + 8}  # octets in front of the payload
SO_TIMESTAMPNS = 35
QUIET = 0.5  # seconds without a packet, beyond the longest wait
ENOUGH = 0.1  # … where all have come that are expected: for one too many
PATIENCE = 15  # … where they have not
LIBC = ctypes.CDLL(None, use_errno=True)
LOOK = {  # few processes: where a kernel is a process itself, each takes long to start
    ("ip", "-batch", "-"): "link\naddr\nroute\n-6 route\n-d link show eth0\n",
    ("tc", "-batch", "-"): "qdisc show\nfilter show dev eth0 egress\nfilter show dev eth0 ingress\n",
    ("ethtool", "-k", "eth0"): "",
}


def sh(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


class Place:
    """The namespaces `client` (which this process is in) and `server`."""

    def __init__(self):
        self.server = self._new()
        self.client = self._new()
        sh("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
        sh("ip", "link", "set", "eth1", "netns", f"/proc/{os.getpid()}/fd/{self.server}")
        self._address("eth0", ["client", "third"])
        self.enter(self.server)
        sh("ip", "link", "set", "eth1", "name", "eth0")
        self._address("eth0", ["server", "other"])
        self.tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.tap.bind(("eth0", 3))
        self.ears = [self._listen(version, port) for version in (4, 6) for port in PORTS]
        self.listener = socket.create_server(("", STREAM))
        self.enter(self.client)
        self.mouths = {
            (host, version): self._speak(host, version) for host in ("client", "third") for version in (4, 6)
        }
        for conn in (self.tap, *self.ears):
            conn.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
            conn.setblocking(False)
        self.tap.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)

    def _new(self):
        assert LIBC.unshare(NEW_NET) == 0, os.strerror(ctypes.get_errno())
        return os.open("/proc/self/ns/net", os.O_RDONLY)

    def enter(self, namespace):
        assert LIBC.setns(namespace, NEW_NET) == 0, os.strerror(ctypes.get_errno())

    def _address(self, device, names):
        for name in names:
            four, six = ADDRESSES[name]
            sh("ip", "addr", "add", f"{four}/24", "dev", device)
            sh("ip", "addr", "add", f"{six}/64", "dev", device, "nodad")
        sh("ip", "link", "set", "lo", "up")
        sh("ip", "link", "set", device, "addrgenmode", "none", "up")

    def _listen(self, version, port):
        conn = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
        if version == 6:
            conn.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        conn.bind(("", port))
        return conn

    def _speak(self, host, version):
        conn = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
        conn.bind((ADDRESSES[host][version == 6], 0))
        return conn

    def look(self):
        """Return what a fault could leave behind."""
        looks = [
            subprocess.run(argv, input=text, capture_output=True, text=True, check=False) for argv, text in LOOK.items()
        ]
        return "".join(done.stdout for done in looks)

    def drain(self, came, taken, patience):
        """Take what has come within `patience` seconds."""
        for conn in select.select([self.tap, *self.ears], (), (), patience)[0]:
            try:
                while True:
                    if conn is self.tap:
                        octets, told, _, address = conn.recvmsg(70000, 64)
                        if address[2] == socket.PACKET_OUTGOING:
                            continue
                        self.longest = max(self.longest, len(octets))
                        if (found := read(octets)) is not None:
                            seconds, nanos = struct.unpack("=qq", told[0][2][:16])
                            came.append((found[0], seconds * 10**9 + nanos, found[1]))
                    else:
                        taken.append(int.from_bytes(conn.recv(2048)[:4], "big"))
            except BlockingIOError:
                pass

    def play(self, traffic, slowest, expected=None):
        """Send the datagrams, and return what came.

        Args:
            slowest: seconds that a packet may take.
            expected: how many are to come; None where nobody knows.
        """
        sent, came, taken = [], [], []
        self.longest = 0
        if traffic["stream"]:
            return {"sent": [], "came": [], "taken": [self.pour(traffic["stream"])], "longest": self.longest}
        begin = time.monotonic_ns()
        for number in range(traffic["count"]):
            host, port, version = traffic["to"][number % len(traffic["to"])]
            while (left := begin + number * traffic["pause_ns"] - time.monotonic_ns()) > 0:
                self.drain(came, taken, left / 1e9)
            size = traffic["size"] - (28 if version == 4 else 48)
            octets = (number.to_bytes(4, "big") * (size // 4 + 1))[:size]
            sent.append(time.time_ns())
            self.mouths["third" if host == "other" else "client", version].sendto(
                octets, (ADDRESSES[host][version == 6], port)
            )
        last, count = time.monotonic(), 0
        while time.monotonic() - last < (
            slowest + QUIET if expected is None else ENOUGH if len(came) >= expected else PATIENCE
        ):
            self.drain(came, taken, 0.05)
            if len(came) + len(taken) != count:
                last, count = time.monotonic(), len(came) + len(taken)
        return {"sent": sent, "came": came, "taken": taken, "longest": self.longest}

    def pour(self, octets):
        """Send so many octets over TCP; return how many came."""
        with socket.create_connection((ADDRESSES["server"][0], STREAM)) as conn:
            peer, _ = self.listener.accept()
            with peer:
                left, came = memoryview(bytes(octets)), 0
                conn.setblocking(False)
                while True:
                    reads, writes, _ = select.select([peer, self.tap], [conn] if left else (), (), PATIENCE)
                    if writes:
                        left = left[conn.send(left) :]
                        if not left:
                            conn.shutdown(socket.SHUT_WR)
                    if self.tap in reads:
                        self.drain([], [], 0)
                    if peer in reads:
                        piece = peer.recv(1 << 16)
                        came += len(piece)
                        if not piece:
                            return came
                    if not reads and not writes:
                        return came


def read(frame):
    """Return (number, whether it is whole) of a frame; None where it is none of ours. Whatever bit is wrong, most copies are right."""
    if frame[12:14] == b"\x08\x06" or len(frame) < HEAD[4] + 60:
        return None
    version = 6 if frame[14] >> 4 == 6 and frame[HEAD[6] - 8 + 2 : HEAD[6] - 8 + 4] in PORT_OCTETS else 4
    payload = frame[HEAD[version] :]
    words = [payload[at : at + 4] for at in range(0, len(payload) - 3, 4)]
    usual = max(set(words), key=words.count)
    if words.count(usual) < len(words) - 2:
        return None
    size = len(payload)
    return int.from_bytes(usual, "big"), payload == (usual * (size // 4 + 1))[:size]


PORT_OCTETS = [port.to_bytes(2, "big") for port in PORTS]


class Helper:
    """The supervisor, as it runs beside a host, and its answers. Forked: where a kernel is a process, a Python takes long to start."""

    def __init__(self, own="client"):
        theirs, self.requests = os.pipe()
        self.answers, to_us = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.setpgid(0, 0)
            os.dup2(theirs, 0)
            os.dup2(to_us, 1)
            os.closerange(3, 64)
            try:
                supervisor.serve(supervisor.Supervisor(own, ADDRESSES[own]))
            finally:
                os._exit(0)
        os.close(theirs)
        os.close(to_us)
        self.lines = os.fdopen(self.answers)

    def ask(self, **request):
        os.write(self.requests, json.dumps({"id": "1"} | request).encode() + b"\n")
        return json.loads(self.lines.readline())

    def apply(self, rules, cut=()):
        return self.ask(do="apply", rules=rules, cut=dict.fromkeys(cut), hosts=ADDRESSES)

    def close(self):
        os.close(self.requests)
        os.waitpid(self.pid, 0)

    def kill(self):
        """Kill it with its engine: nobody cleans up."""
        os.killpg(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def main(plan, result):
    plan = json.loads(Path(plan).read_text())
    for path in plan.get("modules", ()):
        load(path)
    place = Place()
    for version in (4, 6):  # all addresses are resolved before anything is broken
        to = [["server", 4000, version], ["other", 4000, version]]
        place.play({"count": 2, "pause_ns": 0, "size": 200, "to": to, "stream": 0}, 0, 2)
    before = place.look()
    result = Path(result)
    told = {"kernel": os.uname().release, "cases": {}, "left": {}}
    for backend in plan["backends"]:
        helper = Helper()
        for case in plan["cases"]:
            began = time.monotonic()
            told["cases"][f"{backend} {case['name']}"] = one(place, helper, case, backend)
            print(f"{time.monotonic() - began:6.2f} s: {backend}, {case['name']}", flush=True)
        helper.apply(plan["killed"][backend], plan["cut"])
        broken = place.look()
        helper.kill()
        helper = Helper()  # as `labctl heal` does: another takes back what the dead one left
        helper.apply([])
        healed = place.look()
        helper.apply(plan["killed"][backend])
        helper.close()
        told["left"][backend] = {"before": before, "broken": broken, "healed": healed, "closed": place.look()}
        result.write_text(json.dumps(told))


def one(place, helper, case, backend):
    """Play one case."""
    if case["cut"]:
        helper.apply([])
        return partition(place, case)
    state = helper.apply(case["rules"][backend])
    if "error" in state:
        return {"error": state["error"], "after": helper.ask(do="state")}
    seconds = sum(slowest(rule, case["traffic"]["size"]) for rule in case["rules"][backend])
    seen = place.play(case["traffic"], seconds, case["expected"].get(backend))
    return {"backend": state["backend"], "seen": seen, "measured": helper.ask(do="state")["measured"]}


def load(path):
    """Load a kernel module: there need be no kmod where tests run."""
    with Path(path).open("rb") as file:
        assert not LIBC.syscall(FINIT_MODULE, file.fileno(), b"", 0), f"{path}: {os.strerror(ctypes.get_errno())}"


def slowest(rule, size):
    """Return how long nothing may come though something is to, in seconds."""
    return (rule.get("delay_ns", 0) + 3 * rule.get("jitter_ns", 0)) / 1e9 + (
        size * 8 / rule["rate"] if rule.get("rate") else 0
    )


def partition(place, case):
    """Cut `server` from `client` where it hears: at its own end."""
    place.enter(place.server)
    helper = Helper("server")
    place.enter(place.client)
    state = helper.apply([], ["client"])
    seen = place.play(case["traffic"], 0)
    helper.close()
    return {"backend": "nftables", "seen": seen, **state}


if __name__ == "__main__":
    main(*sys.argv[1:])
