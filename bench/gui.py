"""Measure the window: from `labctl gui` to its first picture, by each way, and what it takes of memory. The container is up before.

    .venv/bin/python bench/gui.py [-n RUNS]

Its peer is a bare Tk program of one label, shown by labctl in the same way; the two take turns. The user's display is an X server in a
container of its own; for `web`, a Chromium that runs already.
"""

import argparse
import json
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

HELLO = (
    "import tkinter; r = tkinter.Tk(); r.geometry('900x660'); tkinter.Label(r, text='Hello, wire').pack(); r.mainloop()"
)
# labctl with the peer's program in place of the window's
PEER = f"""
from labctl.commands import gui
gui.PROGRAM = ("python3", "-S", "-c", {HELLO!r})
from labctl.__main__ import main
main()
"""
PROGRAMS = {"window": ["-m", "labctl"], "hello": ["-c", PEER]}
TARGETS = {"relay": 1.2, "socket": 0.7, "ssh": None, "web": 2.0}  # seconds; or 1.5 times the peer's
CHANGED = """(() => {
    const canvas = document.querySelector("#screen canvas");
    if (!canvas || !canvas.width) return 0;
    const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, 300).data, seen = new Set();
    for (let i = 0; i < data.length; i += 4) seen.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
    return seen.size > 3;
})()"""


def start(lab, via, program, env):
    return subprocess.Popen(
        [sys.executable, *PROGRAMS[program], "gui", "--lab", lab.name, "--via", via, "--no-open", "--quiet"], cwd=ROOT,
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
    process.communicate(timeout=30)


def once_on_the_display(lab, display, via, program, *, weigh):
    """Return the seconds until something is drawn, and the container's memory where that is wanted."""
    screen = display.look()
    while screen.colours() > 3:  # the pointer is there in any case
        time.sleep(0.05)
    empty = screen.look()
    began = time.monotonic()
    process = start(lab, via, program, display.env)
    while screen.look() == empty:
        time.sleep(0.01)
    spent = time.monotonic() - began
    weight = settled(lab) if weigh else ""
    end(process)
    screen.close()
    return spent, weight


def once_in_the_browser(lab, browser, program, *, weigh):
    began = time.monotonic()
    process = start(lab, "web", program, {})
    browser.open(process.stdout.readline().strip())
    browser.until(CHANGED)
    spent = time.monotonic() - began
    weight = settled(lab) if weigh else ""
    end(process)
    return spent, weight


def settled(lab):
    time.sleep(2)  # all is drawn, and the network's thread runs
    return memory(lab)


def compare(way, runs, once):
    """Let window and peer take turns, and print both, their ratio and the target."""
    spent, weight = {name: [] for name in PROGRAMS}, ""
    for run in range(runs):
        for program in PROGRAMS:
            took, weighed = once(program, weigh=run == 0 and program == "window")
            spent[program].append(took)
            weight = weight or weighed
    window, hello = (statistics.median(spent[name]) for name in ("window", "hello"))
    for name, values in spent.items():
        print(f"{way} {name}: {tell(values)}")
    wanted = TARGETS[way]
    judged = (
        f"; wanted {max(wanted, 1.5 * hello):.2f} s: {'yes' if window <= max(wanted, 1.5 * hello) else 'NO'}"
        if wanted
        else ""
    )
    print(f"{way}: {window / hello:.2f} times the bare hello{judged}; memory {weight}", flush=True)


def main(runs):
    name = "bench-gui"
    lab = Lab(name, json.loads(labctl("up", "gui-demo", "--lab", name, "--json"))["hosts"])
    if not SOCKETS.exists():
        SOCKETS.mkdir()
        SOCKETS.chmod(0o1777)
    inspect = ["docker", "inspect", "-f", "{{.Image}}", lab.hosts["desktop"]]
    image = subprocess.run(inspect, capture_output=True, text=True, check=True).stdout.strip()
    display = UserDisplay(image, Path(tempfile.mkdtemp()))
    try:
        print("idle memory", memory(lab))
        once_on_the_display(lab, display, "socket", "hello", weigh=False)  # the container with the mount is made now
        for via in ("relay", "socket", "ssh"):
            compare(
                via,
                runs,
                lambda program, *, weigh, via=via: once_on_the_display(lab, display, via, program, weigh=weigh),
            )
        browser = Browser(tempfile.mkdtemp())
        compare("web", runs, lambda program, *, weigh: once_in_the_browser(lab, browser, program, weigh=weigh))
        browser.close()
    finally:
        display.close()
        labctl("down", name, "--quiet")


def tell(spent):
    return f"{statistics.median(spent):.2f} s median of {len(spent)}, {min(spent):.2f} to {max(spent):.2f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-n", type=int, default=5, metavar="RUNS")
    main(parser.parse_args().n)
