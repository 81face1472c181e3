"""The relay as a process on loopback, for its tests."""

import json
import os
import signal
import smtplib
import subprocess
import sys
import threading
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


class Relay:
    """The relay's process; `log` as it tells it, `folder` its queue."""

    def __init__(self, folder, *flags, routes=None, port=0, env=None):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        if routes is not None:
            self.set_routes(routes)
        self.env = os.environ | {"PYTHONUNBUFFERED": "1", "LAB_QUEUE": str(folder)} | (env or {})
        self.process = subprocess.Popen(
            [sys.executable, "-m", "services.smtp_relay", "--port", str(port), "--host", "127.0.0.1", "--greet-delay", "0.02",
             "--log-format", "json", "--seed", "7", "--retry-first", "0.1", "--retry-longest", "0.4", *flags],
            cwd=ROOT, env=self.env, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.log = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port = self.event("listening")["smtp"]
        self.event("ready")

    def set_routes(self, routes):
        """Write the table: domain → sink, or a mapping of its own."""
        table = {
            domain: to if isinstance(to, dict) else {"host": "127.0.0.1", "port": to.port, "protocol": "lmtp" if to.lmtp else "smtp"}
            for domain, to in routes.items()
        }  # fmt: skip
        (self.folder / "routes.yaml").write_text(yaml.safe_dump({"routes": table, "postmaster": "alice@lab.test"}))

    def _read(self):
        for line in self.process.stdout:
            with self._news:
                self.log.append(json.loads(line))
                self._news.notify_all()
        with self._news:
            self.log.append({"event": "end of log"})
            self._news.notify_all()

    def event(self, name, timeout=15, **facts):
        """Wait until the log has an event of that name with these facts, and return it."""

        def seen():
            return [e for e in self.log if e["event"] == name and facts.items() <= e.items()]

        with self._news:
            assert self._news.wait_for(seen, timeout), f"no event {name} {facts} in {self.log[-20:]}"
            return seen()[0]

    def smtp(self):
        """Connect with the standard library's client."""
        return smtplib.SMTP("127.0.0.1", self.port, local_hostname="client", timeout=15)

    def send(self, text, to=("bob@lab.test",), sender="alice@lab.test", options=()):
        """Send one message; raises what smtplib raises."""
        with self.smtp() as client:
            return client.sendmail(sender, list(to), text, mail_options=options)

    def queue(self, *argv, code=0):
        """Run `lab-queue`; return what it printed, read where it is JSON."""
        done = subprocess.run(
            [sys.executable, "-m", "services.smtp_relay.mailq", *argv],
            cwd=ROOT,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, (argv, done.stdout, done.stderr)
        return json.loads(done.stdout) if "--json" in argv else done.stdout + done.stderr

    def messages(self):
        return self.queue("list", "--json")["messages"]

    def wait_empty(self, timeout=15):
        """Wait until the queue holds nothing."""
        self.wait_left(0, timeout)

    def wait_left(self, count, timeout=15):
        """Wait until the queue holds so many messages: what a host has taken leaves it a moment later."""
        deadline = time.monotonic() + timeout
        while len(self.messages()) != count:
            assert time.monotonic() < deadline, self.messages()
            time.sleep(0.05)

    def kill(self):
        self.process.kill()
        self.process.wait(10)
        self._reader.join(5)
        self.process.stdout.close()

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
