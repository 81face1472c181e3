"""What impairments are worth on this machine, measured between two hosts of a lab: for `doctor --impair` and for bench/impair.py."""

import json
import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from labctl.commands.doctor import Row, Status
from labctl.commands.faults import faults, inflict
from labctl.commands.shapers import Image
from labctl.engine.base import Engine
from labctl.errors import LabError
from labctl.faults.read import read_fault
from labctl.model import Executed, FoundHost

NEAR, FAR = "client", "tcp-server"
STREAM = f"udp|{NEAR}|{FAR}"
SENDER = """
import socket, sys, time
count, pause, size = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
conn = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
conn.connect(("tcp-server", 4000))
began = time.time_ns()
for number in range(count):
    conn.send(number.to_bytes(4, "big") + bytes(size - 4))
    if pause: time.sleep(pause)
print(began)
"""
RECEIVER = """
import json, socket, time
conn = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
conn.bind(("", 4000))
print("ready", flush=True)
conn.settimeout(20)
got = []
try:
    while True:
        got.append((int.from_bytes(conn.recv(65536)[:4], "big"), time.time_ns()))
        conn.settimeout(1.5)
except TimeoutError:
    print(json.dumps(got))
"""
ECHO = """
import json, socket, sys, time
conn = socket.create_connection(("tcp-server", 7))
conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
took = []
for _ in range(int(sys.argv[1])):
    began = time.monotonic_ns()
    conn.send(b"x")
    conn.recv(1)
    took.append((time.monotonic_ns() - began) / 1e6)
    time.sleep(0.02)
print(json.dumps(took))
"""
TAKE = """
import socket
with socket.create_server(("", 4001)) as listener:
    print("ready", flush=True)
    conn, _ = listener.accept()
    buffer = bytearray(1 << 20)
    while conn.recv_into(buffer): pass
"""
GIVE = """
import socket, sys, time
conn = socket.socket()
conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
conn.connect(("tcp-server", 4001))
octets, warm, last = bytes(1 << 18), 2, float(sys.argv[1])
began = time.monotonic()
while time.monotonic() - began < warm: conn.send(octets)
began, sent = time.monotonic(), 0
while time.monotonic() - began < last: sent += conn.send(octets)
print(sent * 8 / (time.monotonic() - began) / 1e6)
"""


class Bench:
    """Two hosts of a lab that is up: what can be measured between them."""

    def __init__(self, engine: Engine, lab: str, image: Image) -> None:
        """Use a lab of scenario `tcp-demo`."""
        self.engine, self.lab, self.image = engine, lab, image

    def say(self, text: str) -> None:
        """Inflict a fault, in the words of a scenario."""
        inflict(self.engine, self.lab, read_fault(text), self.image)

    def host(self, name: str) -> FoundHost:
        """Return a host."""
        found = self.engine.look(self.lab)
        host = found.host(name) or found.shaper(name)
        if host is None:
            raise LabError(f"host `{name}` is gone")
        return host

    def python(self, name: str, program: str, *argv: str) -> Executed:
        """Run a program in a host."""
        return self.engine.exec(self.host(name), ["python3", "-c", program, *argv], timeout=120)

    def pings(self, count: int = 40) -> list[float]:
        """Return round trips of an octet to the echo port and back, in ms; ping would round them."""
        return [float(value) for value in json.loads(self.python(NEAR, ECHO, str(count)).stdout)]

    @contextmanager
    def _waiting(self, program: str) -> Iterator[list[Executed]]:
        """Run a program in the far host beside the block, which begins when it says `ready`."""
        ready, ended = threading.Event(), list[Executed]()
        host = self.host(FAR)

        def work() -> None:
            ended.append(
                self.engine.exec(host, ["python3", "-c", program], timeout=120, on_output=lambda *_: ready.set())
            )

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        ready.wait(20)
        yield ended
        thread.join(30)

    def datagrams(self, count: int, *, pause: float = 0.0005, size: int = 64) -> tuple[list[int], float]:
        """Send numbered datagrams; return which came, and the seconds from the first's start to the last's end."""
        with self._waiting(RECEIVER) as ended:
            began = int(self.python(NEAR, SENDER, str(count), str(pause), str(size)).stdout)
        got = json.loads(ended[0].stdout.decode().removeprefix("ready\n"))
        return [number for number, _ in got], (got[-1][1] - began) / 1e9 if got else 0.0

    def throughput(self, seconds: float) -> float:
        """Return what one TCP connection carries, in Mbit/s, after two seconds of start."""
        with self._waiting(TAKE):
            return float(self.python(NEAR, GIVE, str(seconds)).stdout)

    def predicted(self, loss: float, seed: int, count: int) -> list[int]:
        """Return the numbers that the model loses."""
        argv = [
            "python3",
            "-m",
            "services.tools.shaper.predict",
            json.dumps({"loss": loss}),
            str(seed),
            STREAM,
            str(count),
        ]
        shaper = self.engine.look(self.lab).shaper(NEAR)
        if shaper is None:
            raise LabError("there is no shaper")
        return list(json.loads(self.engine.exec(shaper, argv, timeout=30).stdout))

    def overrun(self) -> int:
        """Return how much this machine did not keep up with."""
        return sum((item.measured or {}).get("overrun", 0) for item in faults(self.engine, self.lab))


def check(bench: Bench) -> Iterator[Row]:
    """Yield what was measured, each with a verdict: medians and lower bounds, for tails are the machine's."""
    base = statistics.median(bench.pings())
    bench.say(f"impair {NEAR} {FAR} loss 0.000001%")
    added = statistics.median(bench.pings()) - base
    yield Row(
        "idle",
        _verdict(added <= 0.3),
        f"{added:.2f} ms are added to a round trip of {base:.2f} ms (median; at most 0.3)",
    )
    bench.say(f"impair {NEAR} {FAR} delay 100ms replace")
    plain = next((item.backend for item in faults(bench.engine, bench.lab)), "shaper")
    words = "shaper, for all: this kernel has no netem that works"
    if plain == "netem":
        words = "netem for a plain delay, which it does the same for less; shaper for all else, so that a seed says what is lost"
    yield Row("backend", "ok", words)
    late = bench.pings(20)
    good = min(late) >= 100 and statistics.median(late) <= 102 + base
    yield Row("delay 100ms", _verdict(good), f"least {min(late):.2f} ms, median {statistics.median(late):.2f} ms")
    bench.say(f"impair {NEAR} {FAR} loss 10% seed 7 udp replace")
    bench.say(f"impair {NEAR} {FAR} delay 0ms")
    got, _ = bench.datagrams(2000)
    lost, foretold = sorted(set(range(2000)) - set(got)), bench.predicted(0.1, 7, 2000)
    overrun = bench.overrun()
    words = "exactly those that the seed says" if lost == foretold else f"the seed says {len(foretold)}"
    status: Status = "ok" if lost == foretold else "note" if overrun else "lacking"
    yield Row(
        "loss 10%", status, f"{len(lost)} of 2000 datagrams, {words}", "this machine did not keep up" if overrun else ""
    )
    bench.say(f"heal {NEAR} {FAR}")
    bench.say(f"impair {NEAR} {FAR} rate 1mbit buffer 1mb udp")
    got, seconds = bench.datagrams(300, pause=0, size=972)
    rate = len(got) * 1000 * 8 / seconds / 1e6 if seconds else 0.0
    yield Row("rate 1mbit", _verdict(0.95 <= rate <= 1.0), f"{rate:.3f} Mbit/s over {seconds:.1f} s")
    bench.say(f"heal {NEAR} {FAR}")
    bench.say(f"impair {NEAR} {FAR} delay 50ms")
    yield Row("TCP, 50 ms", _verdict((speed := bench.throughput(2)) > 10), f"{speed:.0f} Mbit/s through 50 ms of delay")
    bench.say("heal")
    after = statistics.median(bench.pings())
    yield Row("healed", _verdict(after <= base + 0.2), f"a round trip takes {after:.2f} ms again")


def _verdict(good: bool) -> Status:
    return "ok" if good else "note"
