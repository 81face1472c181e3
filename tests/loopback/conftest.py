"""Our servers as processes on loopback, on ports that the system chose."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


class Server:
    """A server's process; `ports` (or `port`, where it has one without a name) and `log` as it tells them."""

    def __init__(self, module, names, *flags, env=None):
        ports = [flag for name in names for flag in ("--port", f"{name}=0")] or ["--port", "0"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *ports, "--log-format", "json", *flags],
            cwd=ROOT, env=os.environ | {"PYTHONUNBUFFERED": "1"} | (env or {}), stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.log = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        facts = self.event("listening")
        self.ports = {name: facts[name] for name in names}
        self.port = facts.get("port")
        self.event("ready")

    def _read(self):
        for line in self.process.stdout:
            with self._news:
                self.log.append(json.loads(line))
                self._news.notify_all()
        with self._news:
            self.log.append({"event": "end of log"})
            self._news.notify_all()

    def event(self, name, timeout=10, **facts):
        """Wait until the log has an event of that name with these facts, and return it."""

        def seen():
            return [e for e in self.log if e["event"] == name and facts.items() <= e.items()]

        with self._news:
            assert self._news.wait_for(seen, timeout), f"no event {name} {facts} in {self.log}"
            return seen()[0]

    @property
    def rss(self):
        """Octets of memory that it holds."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024

    def kill(self):
        """End it at once, as a crash would."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """End it with SIGTERM, where it still runs, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(10)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self._reader.join(5)
            self.process.stdout.close()


@pytest.fixture
def start(tmp_path):
    """Start `tcp` or `udp` with further flags; ended with the test."""
    started = []

    def run(service, *flags, loop="uvloop"):
        from services.tcp.protocol import PORTS as TCP
        from services.udp.protocol import PORTS as UDP

        operator = ["--operator", str(tmp_path / "operator.sock")] if service == "tcp" else []
        names = TCP if service == "tcp" else UDP
        started.append(Server(f"services.{service}", names, *operator, *flags, env={"LAB_LOOP": loop}))
        return started[-1]

    yield run
    for server in started:
        server.stop()


@pytest.fixture
def start_file(tmp_path):
    """Start a `file-server` on a folder of the test's own, again and again where the test wants it; ended with the test."""
    started = []
    root = tmp_path / "root"
    root.mkdir()

    def run(*flags, loop="uvloop"):
        started.append(Server("services.file", (), "--root", str(root), *flags, env={"LAB_LOOP": loop}))
        started[-1].root = root
        return started[-1]

    yield run
    for server in started:
        server.stop()


@pytest.fixture(scope="module")
def shared_tcp(tmp_path_factory):
    """One `tcp-server` for all tests of a module that leave it as it was."""
    from services.tcp.protocol import PORTS

    server = Server("services.tcp", PORTS, "--operator", str(tmp_path_factory.mktemp("op") / "operator.sock"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def shared_udp():
    """One `udp-server` for all tests of a module."""
    from services.udp.protocol import PORTS

    server = Server("services.udp", PORTS)
    yield server
    server.stop()
