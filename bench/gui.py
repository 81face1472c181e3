"""Measure the window: from `labctl gui` to its first picture, by each way, and what it takes of memory. The container is up before.

    .venv/bin/python bench/gui.py [RUNS]

The user's display is an X server in a container of its own; for `web`, a Chromium that runs already.
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests" / "desktop"), str(ROOT)]

from browser import Browser  # noqa: E402 - found by the line above
from conftest import SOCKETS, Lab, UserDisplay, labctl  # noqa: E402

DRAWN = """(() => {
    const canvas = document.querySelector("#screen canvas");
    if (!canvas || !canvas.width) return 0;
    const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, 200).data, seen = new Set();
    for (let i = 0; i < data.length; i += 52) seen.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
    return seen.size > 8;
})()"""


def start(lab, via, env):
    return subprocess.Popen(
        [sys.executable, "-m", "labctl", "gui", "--lab", lab.name, "--via", via, "--no-open", "--quiet"], cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "DISPLAY"} | env, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def memory(lab, host="desktop"):
    out = subprocess.run(
        ["docker", "stats", "--no-stream", "--format", "{{.MemUsage}}", lab.hosts[host]],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return out.split("/")[0].strip()


def end(process):
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)


def main(runs):
    import json

    name = "bench-gui"
    hosts = json.loads(labctl("up", "gui-demo", "--lab", name, "--json"))["hosts"]
    lab = Lab(name, hosts)
    SOCKETS.mkdir(mode=0o777, exist_ok=True)
    image = subprocess.run(
        ["docker", "inspect", "-f", "{{.Image}}", lab.hosts["desktop"]], capture_output=True, text=True, check=True
    ).stdout
    display = UserDisplay(image.strip(), Path(tempfile.mkdtemp()))
    try:
        print("idle", memory(lab))
        for via in ("relay", "socket", "ssh"):
            spent = []
            for run in range(runs):
                screen = display.look()
                while screen.colours() > 4:
                    time.sleep(0.05)
                began = time.monotonic()
                process = start(lab, via, display.env)
                while screen.colours() < 8:
                    time.sleep(0.01)
                spent.append(time.monotonic() - began)
                screen.close()
                if run == 0 and via != "socket":
                    time.sleep(1)
                    print(via, "memory", memory(lab))
                end(process)
            print(via, "window visible", tell(spent))
        browser = Browser(tempfile.mkdtemp())
        spent = []
        for run in range(runs):
            began = time.monotonic()
            process = start(lab, "web", {})
            browser.open(process.stdout.readline().strip())
            browser.until(DRAWN)
            spent.append(time.monotonic() - began)
            if run == 0:
                time.sleep(1)
                print("web memory", memory(lab))
            end(process)
        print("web first picture", tell(spent))
        browser.close()
    finally:
        display.close()
        labctl("down", name, "--quiet")


def tell(spent):
    return f"{statistics.median(spent):.2f} s median of {len(spent)}, {min(spent):.2f} to {max(spent):.2f}"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
