"""How fast the relay takes mail and passes it on, side by side with Postfix and OpenSMTPD in one run; prints ratios and raw medians.

    .venv/bin/python bench/mail.py [-n 5] [--messages 10000]

Every server runs in a container with its queue on a named volume, all of them on one disk and one throw-away internal network; each syncs
a message before it says 250. The load is Postfix's own `smtp-source`: 20 sessions, 4 KiB a message, connections kept. Contenders take
turns (A B C A B C …), each freshly started with an empty queue; medians of the pairwise ratios, and never a timed pass or fail.

- accepted: until the last 250; the next host is Postfix's `smtp-sink`, which throws away what it gets.
- end to end: until the last message is in Dovecot's maildirs, which it syncs, by LMTP.
"""

import argparse
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

from labctl.engine.compose import ComposeBuilder  # noqa: E402
from labctl.engine.sdk import DockerEngine  # noqa: E402
from labctl.progress import Silent  # noqa: E402
from labctl.provision.compose_tool import ensure_compose  # noqa: E402

IMAGES = os.environ.get("LAB_IMAGES", "labctl")
NETWORK = f"{IMAGES.replace('/', '-')}-bench-mail"
LABEL = {"labctl.bench": NETWORK}
SESSIONS, SIZE = 20, 4096
TABLE = {
    "sink": "{host: bench-sink, port: 25, protocol: smtp}",
    "dovecot": "{host: bench-dovecot, port: 24, protocol: lmtp}",
}
TRANSPORT = {"sink": "smtp:[bench-sink]:25", "dovecot": "lmtp:inet:[bench-dovecot]:24"}
QUEUES = {"relay": "/var/spool/smtp-relay", "postfix": "/var/spool/postfix", "opensmtpd": "/var/spool/smtpd"}
SERVERS = {
    "relay": f"{IMAGES}/smtp-relay",
    "postfix": "labctl-bench-postfix",
    "opensmtpd": "labctl-bench-opensmtpd",
}


class Bench:
    """The network, the next hosts, the load."""

    def __init__(self) -> None:
        self.client = docker.from_env()
        self.last = ""  # what the load said last
        self.client.networks.create(NETWORK, internal=True, labels=LABEL)
        self.load = self._run("load", SERVERS["postfix"], ["sleep", "infinity"])
        # it takes as many connections as come; its count on stdout is not wanted
        self._run("sink", SERVERS["postfix"], ["smtp-sink", "-u", "nobody", "0.0.0.0:25", "4096"])
        self._volume("dovecot")
        self.mailboxes = self._run("dovecot", "labctl-bench-dovecot", None, mount={"dovecot": "/var/mail/box"})

    def _volume(self, name: str) -> None:
        self.client.volumes.create(f"{NETWORK}-{name}", labels=LABEL)

    def _run(
        self,
        name: str,
        image: str,
        command: list[str] | None,
        *,
        mount: dict[str, str] | None = None,
    ) -> "docker.models.containers.Container":
        volumes = {f"{NETWORK}-{key}": {"bind": path, "mode": "rw"} for key, path in (mount or {}).items()}
        container = self.client.containers.create(
            image, command, name=f"{NETWORK}-{name}", hostname=name, init=name != "postfix", volumes=volumes, labels=LABEL,
            network=NETWORK,
            sysctls={"net.ipv4.ip_unprivileged_port_start": "0"},
        )  # fmt: skip
        network = self.client.networks.get(NETWORK)
        network.disconnect(container)
        network.connect(container, aliases=[f"bench-{name}"])
        container.start()
        return container

    @contextmanager
    def server(self, name: str, to: str) -> Iterator["docker.models.containers.Container"]:
        """Run one relay with an empty queue, and wait until it answers."""
        self._volume(name)
        table = f"routes:\n  lab.test: {TABLE[to]}\n"
        command = container = None
        try:
            if name == "postfix":
                command = ["sh", "-c", f"postconf -e relay_transport={TRANSPORT[to]} && exec postfix start-fg"]
            container = self._run(name, SERVERS[name], command, mount={name: QUEUES[name]})
            if name == "relay":
                write = f"printf %s '{table}' > {QUEUES[name]}/routes.yaml && lab-queue reload"
                self._wait(lambda: container.exec_run(["sh", "-c", write]).exit_code == 0, "the relay's route table")
            self._wait(lambda: self.send(name, 1) > 0, name)
            yield container
        finally:
            if container:
                container.remove(force=True)
            self.client.volumes.get(f"{NETWORK}-{name}").remove(force=True)

    def _wait(self, ready: "object", what: str) -> None:
        deadline = time.monotonic() + 30
        while not ready():  # type: ignore[operator]
            if time.monotonic() > deadline:
                sys.exit(f"{what} is not ready after 30 s")
            time.sleep(0.2)

    def send(self, name: str, messages: int) -> float:
        """Send messages; return the seconds until the last 250, or 0 where that failed."""
        source = f"smtp-source -d -s {min(SESSIONS, messages)} -m {messages} -l {SIZE} -f a@lab.test -t b@lab.test bench-{name}:25"
        began = time.monotonic()
        done = self.load.exec_run(["bash", "-c", source])
        seconds = time.monotonic() - began
        self.last = done.output.decode(errors="replace")
        return seconds if done.exit_code == 0 and "fatal" not in self.last else 0.0

    def stored(self) -> int:
        """Return how many messages Dovecot has stored."""
        out = self.mailboxes.exec_run(["sh", "-c", "find /var/mail/box -path '*/new/*' | wc -l"]).output
        return int(out)

    def empty(self) -> None:
        """Throw away what Dovecot has stored."""
        self.mailboxes.exec_run(["sh", "-c", "find /var/mail/box -path '*/new/*' -delete"])

    def close(self) -> None:
        """Remove all of it."""
        wanted = {"label": f"labctl.bench={NETWORK}"}
        for container in self.client.containers.list(all=True, filters=wanted):
            with suppress(NotFound, APIError):
                container.remove(force=True)
        for volume in self.client.volumes.list(filters=wanted):
            volume.remove(force=True)
        for network in self.client.networks.list(filters=wanted):
            network.remove()
        self.client.close()


Rates = dict[str, list[float]]


def accepted(bench: Bench, turns: int, messages: int) -> Rates:
    """Return messages accepted a second, a value for each turn."""
    rates: Rates = {name: [] for name in SERVERS}
    for turn in range(turns + 1):
        for name in SERVERS:
            with bench.server(name, "sink"):
                seconds = bench.send(name, messages)
            if not seconds:
                sys.exit(f"{name}: {bench.last}")
            if turn:  # the first turn warms the caches
                rates[name].append(messages / seconds)
    return rates


def end_to_end(bench: Bench, turns: int, messages: int) -> Rates:
    """Return messages that reached their mailbox a second."""
    names = ("relay", "postfix")
    rates: Rates = {name: [] for name in names}
    for turn in range(turns + 1):
        for name in names:
            with bench.server(name, "dovecot"):
                bench._wait(lambda: bench.stored() > 0, "Dovecot")
                bench.empty()
                began = time.monotonic()
                bench.send(name, messages)
                while (stored := bench.stored()) < messages and time.monotonic() - began < 600:
                    time.sleep(0.1)
                seconds = time.monotonic() - began
                bench.empty()
            if stored < messages:
                sys.exit(f"{name}: {stored} of {messages} messages arrived")
            if turn:
                rates[name].append(messages / seconds)
    return rates


def show(figure: str, rates: Rates, peer: str, goal: float) -> None:
    """Print one line of the table."""
    ratio = statistics.median(ours / other for ours, other in zip(rates["relay"], rates[peer], strict=True))
    ours, other = statistics.median(rates["relay"]), statistics.median(rates[peer])
    print(f"{figure:<28}{ours:>9,.0f}  {peer:<10}{other:>9,.0f}{ratio:>8.2f}  ≥ {goal:g}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-n", type=int, default=5, help="turns; default %(default)s")
    parser.add_argument("--messages", type=int, default=10_000, help="a turn; default %(default)s")
    parser.add_argument(
        "--end-to-end", type=int, default=2_000, metavar="N", help="messages a turn; default %(default)s"
    )
    options = parser.parse_args()
    ComposeBuilder(ROOT / "compose.yaml", DockerEngine()).build(["smtp-relay"], Silent())
    compose = ensure_compose(Silent()).command
    subprocess.run([*compose, "-f", ROOT / "bench" / "peers" / "mail" / "compose.yaml", "build", "-q"], check=True)
    bench = Bench()
    try:
        print(f"{'messages a second':<28}{'relay':>9}  {'peer':<10}{'':>9}{'ratio':>8}  goal")
        rates = accepted(bench, options.n, options.messages)
        show("accepted, 20 sessions, 4 KiB", rates, "postfix", 1)
        show("accepted, 20 sessions, 4 KiB", rates, "opensmtpd", 1)
        show("end to end, LMTP to Dovecot", end_to_end(bench, options.n, options.end_to_end), "postfix", 0.8)
    finally:
        bench.close()


if __name__ == "__main__":
    main()
