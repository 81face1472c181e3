"""One lab with the window's container for all tests here; and an X server that plays the user's display, in a container of its own."""

import json
import os
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from desk import Desk
from rfb import PipeStream, Screen
from ways import until

ROOT = Path(__file__).parents[2]
SOCKETS = Path("/tmp/.X11-unix")


def labctl(*argv, **env):
    """Run labctl and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "labctl", *argv], cwd=ROOT, env=os.environ | env, capture_output=True, text=True, timeout=900, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, f"{argv}: {done.stdout}\n{done.stderr}"
    return done.stdout


class Lab:
    """A lab that is up."""

    def __init__(self, name, hosts):
        self.name = name
        self.hosts = {host["name"]: host["id"] for host in hosts}
        self.names = ",".join(name for name in self.hosts if name != "desktop")

    def exec(self, host, *argv, check=True):
        return subprocess.run(
            ["docker", "exec", self.hosts[host], *argv], capture_output=True, text=True, check=check, timeout=60
        ).stdout


@pytest.fixture(scope="session")
def lab(images):
    name = f"test-gui-{uuid.uuid4().hex[:6]}"
    try:
        up = json.loads(labctl("up", "gui-demo", "--lab", name, "--json"))
        yield Lab(name, up["hosts"])
    finally:
        labctl("down", name, "--quiet")


@pytest.fixture
def desk(lab):
    """A window on a screen in the lab's own desktop host."""
    opened = []

    def show(*options, **more):
        opened.append(Desk(lab.hosts["desktop"], "--hosts", lab.names, *options, **more))
        return opened[-1]

    yield show
    for each in opened:
        each.close()


class UserDisplay:
    """An X server as a user has one: its socket in /tmp/.X11-unix, its cookie in a file."""

    def __init__(self, image, folder):
        self.number = next(n for n in range(60, 99) if not (SOCKETS / f"X{n}").exists())
        self.name = f"test-display-{uuid.uuid4().hex[:6]}"
        self.text = f":{self.number}"
        folder.chmod(0o777)
        self.folder = folder
        subprocess.run(
            ["docker", "run", "-d", "--rm", "--init", "--name", self.name, "--network", "none", "--cap-drop", "ALL",
             "-v", f"{SOCKETS}:{SOCKETS}", "-v", f"{folder}:/out", image,
             "python3", "-m", "services.desktop.screen", "--number", str(self.number), "--folder", "/out", "--no-wait",
             "--size", "1280x900", "--", "sleep", "infinity"],
            check=True, capture_output=True,
        )  # fmt: skip
        deadline = time.monotonic() + 20
        while not (SOCKETS / f"X{self.number}").exists() or not (folder / "vnc.sock").exists():
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)
        cookie = subprocess.run(
            ["docker", "exec", self.name, "cat", "/out/xauth"], capture_output=True, check=True
        ).stdout
        self.cookie = folder / "cookie"
        self.cookie.write_bytes(cookie)
        self.cookie.chmod(0o600)
        self.env = {"DISPLAY": self.text, "XAUTHORITY": str(self.cookie)}

    def log(self):
        return subprocess.run(["docker", "logs", self.name], capture_output=True, text=True, check=False).stderr

    def look(self):
        """Return the display as a user sees it."""
        return Screen(
            PipeStream(["docker", "exec", "-i", self.name, "python3", "-m", "services.desktop.pipe", "/out/vnc.sock"])
        )

    def close(self):
        # not `rm -f`: an X server that is asked to end takes its socket along
        subprocess.run(["docker", "stop", "-t", "5", self.name], capture_output=True, check=True)


@pytest.fixture(scope="session")
def display(lab, tmp_path_factory):
    if not SOCKETS.exists():
        SOCKETS.mkdir()
        SOCKETS.chmod(0o1777)  # as X servers make it: everybody's, whatever the umask here
    image = subprocess.run(
        ["docker", "inspect", "-f", "{{.Image}}", lab.hosts["desktop"]], capture_output=True, text=True, check=True
    ).stdout.strip()
    shown = UserDisplay(image, tmp_path_factory.mktemp("display"))
    yield shown
    shown.close()
    assert not _answers(SOCKETS / f"X{shown.number}")


@pytest.fixture
def screen(display):
    """The user's display, empty to begin with."""
    seen = display.look()
    until(lambda: seen.colours() < 4, "the last test's window to go")
    yield seen
    seen.close()


def _answers(path):
    with socket.socket(socket.AF_UNIX) as asking:
        return asking.connect_ex(str(path)) == 0
