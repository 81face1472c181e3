"""How fast the servers are, side by side with their peers in one run; prints ratios and raw medians.

    .venv/bin/python bench/servers.py [-n 7] [--seconds 1]

Every server runs in a container on one throw-away internal network, the load generator (C, `load.c`) in another. Of two processors the
server has the first and the load the second, for each contender alike: what is compared is what one processor serves. Contenders take
turns (A B A B …); medians of the pairwise ratios, and never a timed pass or fail. Beside each rate stands what one unit cost the server's
container in CPU time: where the load generator is the limit, the rates hide what that shows.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import docker  # noqa: E402
from docker.errors import APIError, NotFound  # noqa: E402

from labctl.progress import Silent  # noqa: E402
from labctl.provision.compose_tool import ensure_compose  # noqa: E402

NETWORK = "labctl-bench"
IMAGES = os.environ.get("LAB_IMAGES", "labctl")
LABEL = {"labctl.bench": "servers"}
SERVER_CPU, LOAD_CPU = "0", "1"
GREET = 'printf "Thank you for connecting"'
SERVERS = {  # name → (image, command, entrypoint)
    "tcp-server": (f"{IMAGES}/tcp-server", None, None),
    "udp-server": (f"{IMAGES}/udp-server", None, None),
    "nginx": ("labctl-bench", ["nginx", "-c", "/peers/nginx.conf"], None),
    "socat": (
        "labctl-bench",
        ["socat", "TCP6-LISTEN:12345,fork,reuseaddr,ipv6only=0,backlog=4096", f"SYSTEM:{GREET}"],
        None,
    ),
    "streams": ("labctl-bench", ["python3", "/peers/streams.py", "7"], None),
    "c-tcp": ("labctl-bench", ["echo-server", "tcp", "7"], None),
    "c-udp": ("labctl-bench", ["echo-server", "udp", "7"], None),
}


class Bench:
    """Servers and load on their network."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.client = docker.from_env()
        self.client.networks.create(NETWORK, internal=True, labels=LABEL)
        self.load_host = self._start("load", "labctl-bench", None, LOAD_CPU)

    def _start(
        self, name: str, image: str, command: list[str] | None, cpu: str
    ) -> "docker.models.containers.Container":
        return self.client.containers.run(
            image, command, name=f"bench-{name}", hostname=name, detach=True, init=True, network=NETWORK, cpuset_cpus=cpu,
            mem_limit="512m", sysctls={"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ip_local_port_range": "1024 65535"},
            labels=LABEL,
        )  # fmt: skip

    @contextmanager
    def server(self, name: str, port: int, kind: str) -> Iterator["docker.models.containers.Container"]:
        """Run one server and wait until it answers."""
        image, command, _ = SERVERS[name]
        container = self._start(name, image, command, SERVER_CPU)
        try:
            deadline = time.monotonic() + 20
            while float(self.load(kind, name, port, 1, seconds=0.2) or 0) <= 0:
                if time.monotonic() > deadline:
                    sys.exit(f"{name} does not answer:\n{container.logs().decode()}")
            yield container
        finally:
            container.remove(force=True)

    def load(
        self, mode: str, name: str, port: int, *numbers: int, seconds: float | None = None, detach: bool = False
    ) -> str:
        """Run the load generator against a server and return what it prints."""
        argv = ["load", mode, f"bench-{name}", str(port), str(seconds or self.seconds), *map(str, numbers)]
        done = self.load_host.exec_run(argv, detach=detach, demux=not detach)
        return "" if detach else (done.output[0] or b"").decode().strip()

    def close(self) -> None:
        """Remove all of it."""
        for container in self.client.containers.list(all=True, filters={"label": "labctl.bench"}):
            with suppress(NotFound, APIError):
                container.remove(force=True)
        for network in self.client.networks.list(filters={"label": "labctl.bench"}):
            network.remove()
        self.client.close()


Rates = dict[str, list[tuple[float, float]]]  # server → (units a second, microseconds of CPU a unit), one pair a turn


def compare(bench: Bench, runs: int, kind: str, port: int, width: int, names: list[str]) -> Rates:
    """Measure servers in turns, each freshly started."""
    rates: Rates = {name: [] for name in names}
    for turn in range(runs + 1):
        for name in names:
            with bench.server(name, port, kind) as server:
                before = cpu_seconds(server)
                rate = float(bench.load(kind, name, port, width))
                cost = (cpu_seconds(server) - before) / (rate * bench.seconds) * 1e6
            if turn:  # the first turn warms the caches
                rates[name].append((rate, cost))
    return rates


def cpu_seconds(container: "docker.models.containers.Container") -> float:
    """Return the CPU time that a container has used so far."""
    usage = container.stats(stream=False, one_shot=True)["cpu_stats"]["cpu_usage"]["total_usage"]
    return float(usage) / 1e9


def show(figure: str, rates: Rates, ours: str, peer: str, goal: float) -> None:
    """Print one line of the table."""
    ratio = statistics.median(a / b for (a, _), (b, _) in zip(rates[ours], rates[peer], strict=True))
    rate = {name: statistics.median(rate for rate, _ in pairs) for name, pairs in rates.items()}
    cost = {name: statistics.median(cost for _, cost in pairs) for name, pairs in rates.items()}
    line = f"{figure:<34}{rate[ours]:>10,.0f}  {peer:<10}{rate[peer]:>10,.0f}{ratio:>8.2f}  ≥ {goal:<8}"
    print(f"{line}{cost[ours]:>8.1f} {cost[peer]:>8.1f}", flush=True)


def resident(container: "docker.models.containers.Container") -> float:
    """Return the memory that a server's process holds, in MiB: `VmRSS` of the Python process."""
    command = "for p in /proc/[0-9]*; do grep -q python $p/comm 2>/dev/null && grep VmRSS $p/status; done"
    out = container.exec_run(["sh", "-c", command]).output.decode().split()
    return max(int(word) for word in out if word.isdigit()) / 1024


def hostile(bench: Bench, runs: int) -> None:
    """Print what other clients feel while some misbehave: the ratio of their median round trip to the usual one."""
    with bench.server("tcp-server", 7, "echo") as server:
        bench.load("silent", "tcp-server", 7, 2000, seconds=6, detach=True)
        time.sleep(3)
        print(f"{'2,000 idle connections':<34}{resident(server):>8.1f} MiB{'':>30}  ≤ 100")
        time.sleep(4)
        for figure, mode, port, number in (
            ("10,000 silent connections", "silent", 7, 10_000),
            ("20 clients that never read", "deaf", 7, 20),
            ("a 1,000,000-octet line, again", "line", 12346, 1),
        ):
            ratios = []
            for _ in range(runs):
                usual = float(bench.load("ping", "tcp-server", 7, seconds=0.5))
                bench.load(mode, "tcp-server", port, number, seconds=4, detach=True)
                time.sleep(2)
                ratios.append(float(bench.load("ping", "tcp-server", 7, seconds=0.5)) / usual)
                time.sleep(2.5)
            print(f"{figure:<34}{statistics.median(ratios):>8.2f} × usual{'':>28}  ≤ 2", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-n", type=int, default=7, help="turns; default %(default)s")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement; default %(default)g")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw rates here")
    options = parser.parse_args()
    subprocess.run([ROOT / "bin" / "labctl", "build", "-q"], check=True)
    compose = ensure_compose(Silent()).command
    subprocess.run([*compose, "-f", ROOT / "bench" / "compose.yaml", "build", "-q", "bench"], check=True)
    bench = Bench(options.seconds)
    try:
        print(
            f"{'figure (a second)':<34}{'ours':>10}  {'peer':<10}{'':>10}{'ratio':>8}  {'goal':<10}{'CPU µs each: ours, peer'}"
        )
        greeting = compare(bench, options.n, "connect", 12345, 32, ["tcp-server", "nginx", "socat"])
        show("greeting, connections", greeting, "tcp-server", "nginx", 0.75)
        show("greeting, connections", greeting, "tcp-server", "socat", 15)
        echo = compare(bench, options.n, "echo", 7, 100, ["tcp-server", "streams", "c-tcp"])
        show("echo, 64 octets, 100 connections", echo, "tcp-server", "streams", 1.5)
        show("echo, 64 octets, 100 connections", echo, "tcp-server", "c-tcp", 0.7)
        udp = compare(bench, options.n, "udp", 7, 32, ["udp-server", "c-udp"])
        show("UDP echo, 64 octets", udp, "udp-server", "c-udp", 0.6)
        with bench.server("udp-server", 7, "udp"):
            lost = [float(bench.load("pace", "udp-server", 7, 10_000, seconds=5)) for _ in range(3)]
        print(f"{'lost of 10,000 datagrams/s, 5 s':<34}{max(lost):>10.2%}{'':>30}  = 0")
        hostile(bench, max(3, options.n // 2))
        if options.json:
            options.json.write_text(
                json.dumps({"greeting": greeting, "echo": echo, "udp": udp, "lost": lost}, indent=2) + "\n"
            )
    finally:
        bench.close()


if __name__ == "__main__":
    main()
