"""labctl itself on a real engine; every lab of a test is taken down with it."""

import json
import os
import subprocess
import sys
import time
import uuid
from contextlib import closing
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FUZZ_SESSIONS = 300  # of each service on each run; `LAB_FUZZ=10000 bin/test -k hostile_sessions` takes ten minutes


class Labctl:
    """Runs `labctl` and remembers the labs that it may have brought up."""

    def __init__(self):
        self.labs = []

    def name(self, stem="test"):
        self.labs.append(f"{stem}-{uuid.uuid4().hex[:6]}")
        return self.labs[-1]

    def __call__(self, *argv, code=0, **env):
        done = subprocess.run(
            [sys.executable, "-m", "labctl", *argv], capture_output=True, text=True, cwd=ROOT, env=os.environ | env, check=False,
            stdin=subprocess.DEVNULL, timeout=600,
        )  # fmt: skip
        assert code is None or done.returncode == code, f"{argv}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *argv):
        return json.loads(self(*argv, "--json").stdout)


@pytest.fixture(scope="session", autouse=True)
def _images(images):
    """Every test here runs on the lab's images."""


@pytest.fixture
def labctl():
    run = Labctl()
    yield run
    for lab in run.labs:
        if _leftover(lab):
            run("down", lab, "--quiet", code=None)
            assert not (left := _leftover(lab)), f"left over of {lab}: {left}"


def _leftover(lab):
    import docker

    with closing(docker.from_env()) as client:
        label = {"label": f"labctl.lab={lab}"}
        kinds = (
            client.containers.list(all=True, filters=label),
            [network for network in client.networks.list(filters=label) if not _is_stuck(network)],
            client.volumes.list(filters=label),
        )
        return [item.name for items in kinds for item in items]


def _is_stuck(network):
    """Tell whether it is the engine that keeps a network on which nobody is (moby#43286); until it restarts, nobody can remove it."""
    from docker.errors import APIError

    network.reload()
    if network.attrs["Containers"]:
        return False
    try:
        network.remove()
    except APIError as refusal:
        return refusal.status_code == 403 and "has active endpoints" in refusal.explanation
    return False


@pytest.fixture(scope="session")
def strangers_image(images, built):
    """An image with other people's clients, built on the client's."""
    built("strangers_image")
    return f"{os.environ.get('LAB_IMAGES', 'labctl')}/strangers"


@pytest.fixture
def stranger(strangers_image):
    """Run a shell command with other people's clients on a lab's network; its stdout and stderr in one."""
    import docker

    def run(lab, command, code=0, timeout=60):
        with closing(docker.from_env()) as client:
            (network,) = client.networks.list(filters={"label": f"labctl.lab={lab}"})
        done = subprocess.run(
            ["docker", "run", "--rm", "-i", "--network", network.name, "--hostname", "stranger.lab.test",  # whole: nobody asks DNS for it
             "--label", f"labctl.lab={lab}", strangers_image, "sh", "-c", command],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=timeout, check=False,
        )  # fmt: skip
        out = done.stdout.decode("utf-8", "replace")
        assert done.returncode == code, f"{command}: {done.returncode}\n{out}"
        return out

    return run


class Inside:
    """A lab that stays up for a module's tests, and what its hosts say."""

    def __init__(self, run, lab):
        self.run = run
        self.lab = lab

    def __call__(self, host, *argv, code=0):
        return self.run("exec", "--lab", self.lab, host, "--", *argv, code=code)

    def sh(self, command, host="client", code=0):
        return self(host, "sh", "-c", command, code=code).stdout

    def container(self, host):
        """What the engine knows of a host's container."""
        done = subprocess.run(["docker", "inspect", f"lab-{self.lab}-{host}-1"], check=True, capture_output=True)
        return json.loads(done.stdout)[0]

    def logs(self, host):
        return self.run("logs", "--lab", self.lab, host).stdout

    def fuzz(self, protocol, host, port, *flags):
        """Play random and mutated sessions against a host, from the client's place; return what the fuzzer tells, all sessions done.

        The same sessions on every run, so that what fails can be played again; `LAB_FUZZ` and `LAB_FUZZ_SEED` ask for more and for others.
        """
        sessions = int(os.environ.get("LAB_FUZZ", FUZZ_SESSIONS))
        how = ["--sessions", str(sessions), "--seconds", "570", "--seed", os.environ.get("LAB_FUZZ_SEED", "1"), *flags]
        script = (ROOT / "tests" / "containers" / "fuzz.py").read_bytes()
        argv = ["docker", "exec", "-i", f"lab-{self.lab}-client-1", "python3", "-", protocol, host, str(port), *how]
        done = subprocess.run(argv, input=script, capture_output=True, check=True, timeout=600)
        told = json.loads(done.stdout)
        assert told["done"] == sessions, told
        assert told["refused"] == 0, told
        return told

    def busy(self, host, seconds=1.0):
        """Return which part of a processor a host uses while nobody asks it for anything."""

        def used():
            return int(self.sh("cat /sys/fs/cgroup/cpu.stat 2>/dev/null | awk '/usage_usec/{print $2}'; "
                               "cat /sys/fs/cgroup/cpuacct/cpuacct.usage 2>/dev/null", host).split()[0])  # fmt: skip

        scale = 1e6 if "usage_usec" in self.sh("cat /sys/fs/cgroup/cpu.stat 2>/dev/null || true", host) else 1e9
        before, began = used(), time.monotonic()
        time.sleep(seconds)
        return (used() - before) / scale / (time.monotonic() - began)


@pytest.fixture(scope="module")
def up(images):
    """Bring a scenario up once for a module's tests."""
    run = Labctl()

    def bring(scenario):
        lab = run.name(scenario)
        run("up", scenario, "--lab", lab)
        return Inside(run, lab)

    yield bring
    for lab in run.labs:
        run("down", lab, "--quiet", code=None)
        assert not _leftover(lab), f"left over of {lab}: {_leftover(lab)}"
