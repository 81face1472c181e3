"""labctl itself on a real engine; every lab of a test is taken down with it."""

import json
import os
import subprocess
import sys
import uuid
from contextlib import closing
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def pytest_collection_modifyitems(items):
    for item in items:
        if "containers" in Path(str(item.path)).parts:
            item.add_marker("docker")


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
def images():
    """The lab's images, built once; what is missing for that (Compose, the base image) labctl gets itself."""
    subprocess.run(
        [sys.executable, "-m", "labctl", "build"], cwd=ROOT, check=True, stdin=subprocess.DEVNULL, timeout=900
    )


@pytest.fixture
def labctl():
    run = Labctl()
    yield run
    for lab in run.labs:
        if any(found["name"] == lab for found in run.json("ls")["labs"]) or _leftover(lab):
            run("down", lab, "--quiet", code=None)
        assert not _leftover(lab), f"left over of {lab}: {_leftover(lab)}"


def _leftover(lab):
    import docker

    with closing(docker.from_env()) as client:
        label = {"label": f"labctl.lab={lab}"}
        return [c.name for c in client.containers.list(all=True, filters=label)] + [
            n.name for n in client.networks.list(filters=label)
        ]
