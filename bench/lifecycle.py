"""How long a lab takes to come up and go, side by side with its peers in one run; prints ratios and raw medians.

    .venv/bin/python bench/lifecycle.py [-n 7]

| figure | ours | peer |
| --- | --- | --- |
| up | `labctl up tcp-demo` | `docker compose --profile tcp-demo up -d --wait` on the same file |
| up | the same | the floor: a bare SDK thread pool creates and starts the same containers |
| down | `labctl down` | `docker compose down` |
| run --trace adds | `labctl run tcp-demo --trace --report …` | `labctl run tcp-demo --no-trace --report …`; seconds more, not a ratio |
| trace --follow behind the wire | from a packet's time stamp in the capture to its line on stdout | – |
| --help, completion, ls | labctl, whole processes | `python -c pass` of the same interpreter |

Contenders take turns (A B A B …), so a machine that slows down slows all of them; medians, and never a timed pass or fail. The images are
there before the first turn. The floor waits for nothing: it is what the engine itself costs.
"""

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from labctl.progress import Silent  # noqa: E402
from labctl.provision.compose_tool import ensure_compose  # noqa: E402
from labctl.wire.read import read_capture  # noqa: E402

LAB, PROJECT = "bench-lab", "bench-compose"
TRAFFIC = "ping -q -i 0.05 -c 200 tcp-server; for n in 1 2 3 4 5 6 7 8; do lab tcp greet tcp-server; done"
ENV = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
FLOOR = """
import sys, docker
from concurrent.futures import ThreadPoolExecutor
api = docker.APIClient(version="auto")
if sys.argv[1] == "up":
    api.create_network("bench-floor", "bridge", internal=True)
    def start(image):
        name = "bench-floor-" + image.rpartition("/")[2]
        host = api.create_host_config(network_mode="bench-floor", init=True, cap_drop=["ALL"], read_only=True)
        api.create_container(image, name=name, host_config=host)
        api.start(name)
    with ThreadPoolExecutor() as pool:
        list(pool.map(start, ["labctl/tcp-server", "labctl/client"]))
else:
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: api.remove_container(name, force=True), ["bench-floor-tcp-server", "bench-floor-client"]))
    api.remove_network("bench-floor")
"""


def timed(argv: list[str], **env: str) -> float:
    """Run a command and return its seconds; a failure ends the benchmark."""
    began = time.perf_counter()
    done = subprocess.run(argv, cwd=ROOT, env=ENV | env, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"{' '.join(argv)}: exit code {done.returncode}\n{done.stderr}")
    return seconds


def behind_the_wire(labctl: list[str], folder: Path) -> list[float]:
    """Return, for each packet that crosses while `trace --follow` runs, the seconds until its line was there.

    The capture's clock is the engine's, so the engine has to be on this machine.
    """
    capture, seen = folder / "follow.pcapng", {}
    timed([*labctl, "up", "tcp-demo", "--lab", LAB, "--tap"])
    follower = subprocess.Popen(
        [*labctl, "trace", LAB, "--follow", "--width", "160"],
        cwd=ROOT,
        env=ENV,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert follower.stdout

    def watch(lines: Iterable[str]) -> None:
        for line in lines:
            if number := re.match(r" *(\d+) +[\d.]+ ", line):
                seen.setdefault(int(number[1]), time.time_ns())

    watcher = threading.Thread(target=watch, args=(follower.stdout,))
    watcher.start()
    while not seen:  # what was captured before it came
        time.sleep(0.01)
    time.sleep(1)
    old = max(seen)
    timed([*labctl, "exec", "--lab", LAB, "client", "--", "sh", "-c", TRAFFIC])
    time.sleep(1)
    timed([*labctl, "trace", LAB, "-q", "-o", str(capture)])
    follower.send_signal(signal.SIGINT)
    watcher.join()
    follower.wait()
    timed([*labctl, "down", LAB])
    frames = read_capture(capture.read_bytes()).frames
    return [(when - frames[number - 1].time_ns) / 1e9 for number, when in seen.items() if number > old]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-n", type=int, default=7, help="turns; default %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw seconds here")
    options = parser.parse_args()
    labctl = [str(ROOT / "bin" / "labctl")]
    python = str(ROOT / ".venv" / "bin" / "python")
    compose = [
        *ensure_compose(Silent()).command,
        "-f",
        str(ROOT / "compose.yaml"),
        "-p",
        PROJECT,
        "--profile",
        "tcp-demo",
    ]
    subprocess.run([*labctl, "build", "-q"], check=True, cwd=ROOT)
    reports = tempfile.TemporaryDirectory()
    completion = {"_LABCTL_COMPLETE": "bash_complete", "COMP_WORDS": "labctl up ", "COMP_CWORD": "2"}
    turns: list[tuple[str, Callable[[], float]]] = [
        ("labctl up", lambda: timed([*labctl, "up", "tcp-demo", "--lab", LAB])),
        ("labctl down", lambda: timed([*labctl, "down", LAB])),
        ("compose up --wait", lambda: timed([*compose, "up", "-d", "--wait"])),
        ("compose down", lambda: timed([*compose, "down", "-v"])),
        ("floor up", lambda: timed([python, "-c", FLOOR, "up"])),
        ("floor down", lambda: timed([python, "-c", FLOOR, "down"])),
        ("run", lambda: timed([*labctl, "run", "tcp-demo", "--lab", LAB, "--no-trace", "--report", reports.name])),
        ("run --trace", lambda: timed([*labctl, "run", "tcp-demo", "--lab", LAB, "--trace", "--report", reports.name])),
        ("python -c pass", lambda: timed([python, "-c", "pass"])),
        ("labctl --help", lambda: timed([*labctl, "--help"])),
        ("labctl completion", lambda: timed(labctl, **completion)),
        ("labctl ls", lambda: timed([*labctl, "ls"])),
    ]
    seconds: dict[str, list[float]] = {name: [] for name, _ in turns}
    for turn in range(options.n + 1):
        for name, measure in turns:
            taken = measure()
            if turn:  # the first turn warms caches
                seconds[name].append(taken)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{'figure':<20}{'ours':>10}  {'peer':<20}{'':>8}{'ratio':>8}  goal")
    for ours, peer, goal in (
        ("labctl up", "compose up --wait", 0.6),
        ("labctl up", "floor up", 1.3),
        ("labctl down", "compose down", 1.0),
        ("labctl --help", "python -c pass", 6),
        ("labctl completion", "python -c pass", 6),
        ("labctl ls", "python -c pass", 10),
    ):
        pairs = [a / b for a, b in zip(seconds[ours], seconds[peer], strict=True)]
        print(
            f"{ours:<20}{medians[ours]:>9.3f}s  {peer:<20}{medians[peer]:>7.3f}s{statistics.median(pairs):>8.2f}  ≤ {goal}"
        )
    more = statistics.median(a - b for a, b in zip(seconds["run --trace"], seconds["run"], strict=True))
    print(f"{'run --trace adds':<20}{more:>9.3f}s  {'run':<20}{medians['run']:>7.3f}s{'':>8}  ≤ 0.4 s")
    lags = sorted(behind_the_wire(labctl, Path(reports.name)))
    median, late = statistics.median(lags), lags[int(len(lags) * 0.99)]
    print(
        f"trace --follow: a packet's line {median * 1000:.0f} ms behind the wire, 99 % within {late * 1000:.0f} ms, "
        f"the last of {len(lags)} {lags[-1] * 1000:.0f} ms  ≤ 200 ms"
    )
    if options.json:
        options.json.write_text(json.dumps(seconds, indent=2) + "\n")


if __name__ == "__main__":
    main()
