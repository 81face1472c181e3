"""The containers of bench/files.py: servers, load and client on one internal network, all with one volume."""

import sys
import threading
import time
from contextlib import suppress
from typing import Any

import docker
from docker.errors import APIError, NotFound

BIG, BIG_NAME = 1 << 30, "big.bin"
HUNDREDTH, HUNDREDTH_NAME = 10 << 20, "ten.bin"
MANY = 10_000
NETWORK = VOLUME = "labctl-bench-files"
LABEL = {"labctl.bench-files": "1"}
LIMIT = "256m"  # of each server, as the lab's compose.yaml has it; the page cache of what it writes counts
SERVER_CPU, LOAD_CPU = "0", "1"
# The files are written by a container that lives as long as the benchmark: their page cache is charged to nobody who is measured.
FILL = f"""
set -e
mkdir -p /data/get /data/put /data/many /data/kill /data/incoming /data/get/files /data/many/files
head -c {BIG} /dev/urandom >/data/get/files/{BIG_NAME}
head -c {HUNDREDTH} /dev/urandom >/data/get/files/{HUNDREDTH_NAME}
python3 - <<END
import os
for number in range(1, {MANY} + 1):
    with open(f"/data/many/files/file-{{number:05}}", "wb") as file:
        file.write(os.urandom(1024))
END
chown -R 1000:1000 /data/get /data/put /data/many /data/kill
chmod 777 /data/incoming
sync
"""
OURS = ("file-server", "put-server", "many-server")  # one server in three containers, each with a folder of its own


class FileLab:
    """All containers; `open` starts them, `close` removes them with network and volume."""

    def __init__(self, images: str) -> None:
        self._images = images
        self.server_image = f"{images}/file-server"
        self._client = docker.from_env()
        self._hosts: dict[str, Any] = {}
        self._most: dict[str, float] = {}  # octets that a container of ours had resident, at most
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample)

    def open(self) -> None:
        """Start everything and wait until each server answers."""
        self.close()
        self._client = docker.from_env()
        self._client.networks.create(NETWORK, internal=True, labels=LABEL)
        self._client.volumes.create(VOLUME, labels=LABEL)
        peers, ours = "labctl-bench-files", self.server_image
        self.start("keeper", peers, None, LOAD_CPU, limit="4g")
        self.run("keeper", "bash", "-c", FILL)
        self.start("load", peers, None, LOAD_CPU)
        room = {"/tmp": "size=384m"}  # noqa: S108 - the container's own
        self.start("client", f"{self._images}/client", ["sleep", "infinity"], LOAD_CPU, limit="512m", tmpfs=room)
        for name in OURS:
            self.start(name, ours, ["--root", f"/data/{'get' if name == 'file-server' else name.partition('-')[0]}"])
        self.start("nginx", peers, ["nginx", "-c", "/peers/nginx.conf"])
        self.start("pyftpdlib", peers, ["python3", "/peers/pyftpd.py"])
        self.start("vsftpd", peers, ["vsftpd", "/peers/vsftpd.conf"])
        for name, protocol, port, path in (
            ("file-server", "file", 9000, HUNDREDTH_NAME),
            ("nginx", "http", 80, HUNDREDTH_NAME),
            ("pyftpdlib", "ftp", 21, f"get/files/{HUNDREDTH_NAME}"),
            ("vsftpd", "ftp", 21, f"get/files/{HUNDREDTH_NAME}"),
        ):
            self._await(name, "fetch", protocol, self.host(name), str(port), path, str(HUNDREDTH), "1")
        self._sampler.start()

    def start(
        self, name: str, image: str, command: list[str] | None, cpu: str = SERVER_CPU, limit: str = LIMIT, **more: Any
    ) -> None:
        """Start one container; its name on the network is `host(name)`."""
        self._hosts[name] = self._client.containers.run(
            image, command, name=self.host(name), detach=True, init=True, network=NETWORK, cpuset_cpus=cpu, mem_limit=limit,
            sysctls={"net.ipv4.ip_unprivileged_port_start": "0"}, volumes={VOLUME: {"bind": "/data", "mode": "rw"}},
            labels=LABEL, **more,
        )  # fmt: skip

    def host(self, name: str) -> str:
        """Return a container's name on the network."""
        return f"bench-files-{name}"

    def container(self, name: str) -> Any:
        """Return a container of the engine's SDK."""
        return self._hosts[name]

    def run(self, name: str, *argv: str) -> str:
        """Run a command in a container and return what it printed; a failure ends the benchmark."""
        code, out, err = self.try_run(name, *argv)
        if code:
            raise SystemExit(f"{name}: {' '.join(argv)[:200]}: exit code {code}\n{out}{err}")
        return out

    def try_run(self, name: str, *argv: str) -> tuple[int, str, str]:
        """Run a command in a container and return its exit code, stdout and stderr."""
        done = self._hosts[name].exec_run(list(argv), demux=True)
        out, err = ((part or b"").decode() for part in done.output)
        return int(done.exit_code), out, err

    def _await(self, name: str, *argv: str, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while True:
            code, _, err = self.try_run("load", *argv)
            if not code:
                return
            if time.monotonic() > deadline:
                sys.exit(f"{name} does not answer: {err}\n{self._hosts[name].logs().decode()}")
            time.sleep(0.1)

    def cpu_seconds(self, name: str) -> float:
        """Return the CPU time that a container has used so far."""
        return float(self._stats(name)["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9

    def _stats(self, name: str) -> Any:
        return self._hosts[name].stats(stream=False, one_shot=True)

    def _sample(self) -> None:
        """Note what our servers' containers hold, again and again; page cache is not theirs alone and not counted."""
        while not self._ended.wait(0.2):
            for name in OURS:
                with suppress(APIError, KeyError, NotFound):
                    detail = self._stats(name)["memory_stats"]["stats"]
                    held = float(detail["rss"] if "rss" in detail else detail["anon"])  # cgroup v1, v2
                    self._most[name] = max(held, self._most.get(name, 0.0))

    def show_memory(self) -> None:
        """Print what our servers held at most: the kernel's own high-water mark of the process, and the samples of the container."""
        command = "for p in /proc/[0-9]*; do grep -q python $p/comm 2>/dev/null && grep VmHWM $p/status; done | tr -dc '0-9\\n'"
        for name in OURS:
            peak = max(map(int, self.run(name, "sh", "-c", command).split())) / 1024
            held = self._most.get(name, 0.0) / 2**20
            print(
                f"{'memory of ' + name:<30}{peak:>9.1f} MiB (VmHWM), container's rss {held:.1f} MiB{'':>16}≤ 64",
                flush=True,
            )

    def close(self) -> None:
        """Remove all of it, also what a killed run left."""
        self._ended.set()
        if self._sampler.is_alive():
            self._sampler.join()
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample)
        filters = {"label": next(iter(LABEL))}
        for container in self._client.containers.list(all=True, filters=filters):
            with suppress(NotFound, APIError):
                container.remove(force=True)
        for network in self._client.networks.list(filters=filters):
            network.remove()
        for volume in self._client.volumes.list(filters=filters):
            volume.remove(force=True)
        self._client.close()
