"""How fast ftp-server sends a file, side by side with vsftpd in one run; prints the ratio and raw medians.

    .venv/bin/python bench/ftp.py [-n 7] [--mib 512] [--parallel 4]

Each server runs in a container on one throw-away internal network, curl in another; of two processors the server has the first and curl
the second, for both alike. The servers take turns (A B A B …), and the median of the pairwise ratios counts. The file lies in a tmpfs of
each server, since neither's disk is what is compared.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import docker  # noqa: E402
from docker.errors import APIError, NotFound  # noqa: E402

from labctl.progress import Silent  # noqa: E402
from labctl.provision.compose_tool import ensure_compose  # noqa: E402

IMAGES = os.environ.get("LAB_IMAGES", "labctl")
NETWORK = f"{IMAGES.replace('/', '-')}-bench-ftp"
LABEL = {"labctl.bench": NETWORK}
# name → (image, user, folder of the file)
SERVERS = {
    "ftp-server": (f"{IMAGES}/ftp-server", "lab", "/srv/ftp/files"),
    "vsftpd": ("labctl-bench-vsftpd", "root", "/srv/ftp"),
}
ASK = "curl -sS -o /dev/null -w '%{speed_download}\\n' ftp://bench-SERVER/big.bin"


class Bench:
    """Both servers and curl on their network."""

    def __init__(self, mib: int) -> None:
        self.mib = mib
        self.client = docker.from_env()
        self.client.networks.create(NETWORK, internal=True, labels=LABEL)
        self.servers = {name: self._start(name, *facts) for name, facts in SERVERS.items()}
        self.curl = self._run("curl", f"{IMAGES}/client", "1", user="lab")
        for name in SERVERS:
            self._wait(name)

    def _run(self, name: str, image: str, cpu: str, **more: object) -> "docker.models.containers.Container":
        return self.client.containers.run(
            image, name=f"{NETWORK}-{name}", hostname=f"bench-{name}", detach=True, init=True, network=NETWORK, cpuset_cpus=cpu,
            labels=LABEL, sysctls={"net.ipv4.ip_unprivileged_port_start": "0"}, **more,
        )  # fmt: skip

    def _start(self, name: str, image: str, user: str, folder: str) -> "docker.models.containers.Container":
        own = "uid=1000,gid=1000," if user == "lab" else ""
        container = self._run(
            name,
            image,
            "0",
            user=user,
            tmpfs={"/srv/ftp": f"{own}size={self.mib + 16}m"},
            mem_limit=f"{self.mib + 256}m",
        )
        big = f"{folder}/big.bin"
        command = (
            f"until test -d {folder}; do sleep 0.1; done; head -c {self.mib}M /dev/urandom > {big} && chmod 644 {big}"
        )
        done = container.exec_run(["sh", "-c", command], user=user)
        if done.exit_code:
            sys.exit(f"{name}: {done.output.decode()}\n{container.logs().decode()}")
        network = self.client.networks.get(NETWORK)
        network.disconnect(container)
        network.connect(container, aliases=[f"bench-{name}"])
        return container

    def _wait(self, name: str) -> None:
        deadline = time.monotonic() + 20
        while self.curl.exec_run(["sh", "-c", ASK.replace("SERVER", name) + " -r 0-9"]).exit_code:
            if time.monotonic() > deadline:
                sys.exit(f"{name} does not answer:\n{self.servers[name].logs().decode()}")

    def rate(self, name: str, parallel: int) -> tuple[float, float]:
        """Return MiB a second of all downloads together, and milliseconds of the server's CPU a MiB."""
        command = " & ".join([ASK.replace("SERVER", name)] * parallel) + " & wait"
        before, began = self._cpu(name), time.monotonic()
        done = self.curl.exec_run(["sh", "-c", command])
        seconds, cpu = time.monotonic() - began, self._cpu(name) - before
        assert done.exit_code == 0, done.output
        speeds = [float(line) / (1 << 20) for line in done.output.split()]
        assert len(speeds) == parallel, done.output
        total = self.mib * parallel
        return (speeds[0] if parallel == 1 else total / seconds), cpu * 1000 / total

    def _cpu(self, name: str) -> float:
        usage = self.servers[name].stats(stream=False, one_shot=True)["cpu_stats"]["cpu_usage"]["total_usage"]
        return float(usage) / 1e9

    def close(self) -> None:
        """Remove all of it."""
        for container in self.client.containers.list(all=True, filters={"label": f"labctl.bench={NETWORK}"}):
            with suppress(NotFound, APIError):
                container.remove(force=True, v=True)
        self.client.networks.get(NETWORK).remove()
        self.client.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-n", type=int, default=7, help="turns; default %(default)s")
    parser.add_argument("--mib", type=int, default=512, help="size of the file; default %(default)s")
    parser.add_argument(
        "--parallel", type=int, default=4, help="downloads at once in the second figure; default %(default)s"
    )
    options = parser.parse_args()
    subprocess.run([ROOT / "bin" / "labctl", "build", "ftp-demo", "-q"], check=True)
    compose = ensure_compose(Silent()).command
    subprocess.run([*compose, "-f", ROOT / "bench" / "compose.yaml", "build", "-q", "vsftpd"], check=True)
    bench = Bench(options.mib)
    try:
        print(
            f"{'figure, MiB/s':<28}{'ours':>8}{'vsftpd':>10}{'ratio':>8}  {'goal':<8}CPU ms a MiB: ours, vsftpd",
            flush=True,
        )
        for parallel in (1, options.parallel):
            rates: dict[str, list[tuple[float, float]]] = {name: [] for name in SERVERS}
            for turn in range(options.n + 1):
                for name in SERVERS:
                    measured = bench.rate(name, parallel)
                    if turn:  # the first turn warms the caches
                        rates[name].append(measured)
            ours, peer = rates["ftp-server"], rates["vsftpd"]
            ratio = statistics.median(a / b for (a, _), (b, _) in zip(ours, peer, strict=True))
            rate = [statistics.median(rate for rate, _ in pairs) for pairs in (ours, peer)]
            cost = [statistics.median(cost for _, cost in pairs) for pairs in (ours, peer)]
            figure = f"download, {parallel} at once"
            print(
                f"{figure:<28}{rate[0]:>8,.0f}{rate[1]:>10,.0f}{ratio:>8.2f}  ≥ 0.90  {cost[0]:>8.2f}{cost[1]:>8.2f}",
                flush=True,
            )
    finally:
        bench.close()


if __name__ == "__main__":
    main()
