"""What labs cost in tests: `.venv/bin/python bench/labs_in_tests.py cost|first|flakes|grade [--runs N]`.

cost    a test on a lab that is up, over its own work; `reset` alone
first   from nothing to the end of the first test, against `labctl up` and the same work
flakes  N runs of 8 workers with a lab each
grade   N submissions against one alone: 1.0 is as fast as the cores allow
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
WORK = 'lab.host("client").run("lab tcp greet tcp-server", check=True)'
OWN = f"""
import time, pytest

pytestmark = pytest.mark.lab("tcp-demo", scope="session")

@pytest.fixture(autouse=True)
def before():  # set up before `lab` is: from here on the plugin works
    times.append([time.perf_counter()])

times = []

@pytest.mark.parametrize("n", range({{count}}))
def test_work(before, lab, n):
    began = time.perf_counter()
    {WORK}
    times[-1].append(time.perf_counter() - began)

def test_tell():
    ends = [item[0] for item in times[1:]]
    for (begin, work), end in zip(times[1:], ends[1:]):
        print("cost", end - begin - work)
"""
SERVER = ROOT / "docs" / "examples" / "own-server" / "my_server.py"


def pytest(folder: Path, text: str, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run tests of somebody's own with the plugin."""
    file = folder / "test_own.py"
    file.write_text(text)
    plugins = ["-p", "labctl.pytest_plugin", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(folder)]
    argv = (sys.executable, "-m", "pytest", *plugins, f"--lab-artifacts={folder / 'kept'}", str(file), "-q", *argv)
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)


def labctl(*argv: str, code: int | None = 0) -> float:
    """Run labctl; return the seconds that it took."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "labctl", *argv], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert code is None or done.returncode == code, done.stdout + done.stderr
    return time.perf_counter() - began


def tell(what: str, seconds: list[float]) -> None:
    """Print the spread of some times."""
    ms = [round(item * 1000) for item in sorted(seconds)]
    print(f"{what}: median {statistics.median(ms):.0f} ms, least {ms[0]} ms, most {ms[-1]} ms, of {len(ms)}")


def cost(runs: int, folder: Path) -> None:
    """Measure what the plugin adds to a test, and `reset` alone."""
    done = pytest(folder, OWN.format(count=runs + 2), "-s")
    assert done.returncode == 0, done.stdout + done.stderr
    tell(
        "a test over its own work",
        [float(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("cost")],
    )
    from labctl.testing import Lab

    seconds = []
    with Lab("tcp-demo") as lab:
        for _ in range(runs):
            lab.host("client").run("lab tcp greet tcp-server", check=True)
            began = time.perf_counter()
            lab.reset()
            seconds.append(time.perf_counter() - began)
    tell("reset", seconds)


def first(runs: int, folder: Path) -> None:
    """Measure the first test against `labctl up`: each time a new process and a new lab."""
    text = f'import pytest\n@pytest.mark.lab("tcp-demo")\ndef test_work(lab):\n    {WORK}\n'
    tests, ups = [], []
    for _ in range(runs):
        done = pytest(folder, text, "--durations=0", "-vv")
        parts = [line.split() for line in done.stdout.splitlines() if "test_work" in line and "s " in line]
        tests.append(sum(float(part[0][:-1]) for part in parts if part[1] in ("setup", "call")))
        ups.append(labctl("up", "tcp-demo", "--lab", "bench-first"))
        ups[-1] += labctl("exec", "--lab", "bench-first", "client", "--", "lab", "tcp", "greet", "tcp-server")
        labctl("down", "bench-first")
    tell("first test, set up and played", tests)
    tell("`labctl up`, and `exec` of the same", ups)


def flakes(runs: int, folder: Path) -> None:
    """Run 8 workers with a lab each, again and again."""
    text = (
        'import pytest\npytestmark = pytest.mark.lab("tcp-demo", scope="session")\n'
        f'@pytest.mark.parametrize("n", range(24))\ndef test_work(lab, n):\n    {WORK}\n'
    )
    failed = 0
    for number in range(1, runs + 1):
        began = time.perf_counter()
        done = pytest(folder, text, "-n", "8")
        failed += done.returncode != 0
        print(f"run {number}: {done.stdout.strip().splitlines()[-1]}, {time.perf_counter() - began:.1f} s in all")
        if done.returncode:
            print(done.stdout[-3000:])
    print(f"{failed} of {runs} runs failed")


def grade(runs: int, folder: Path) -> None:
    """Grade so many submissions, and one alone."""
    submissions = folder / "submissions"
    submissions.mkdir()
    for number in range(runs):
        (submissions / f"server{number:02}.py").write_bytes(SERVER.read_bytes())
    alone = statistics.median(labctl("grade", "tcp-demo", str(SERVER), "-q", code=None) for _ in range(3))
    together = labctl("grade", "tcp-demo", str(submissions), "-q", code=None)
    cores = os.cpu_count() or 1
    ratio = together / (runs * alone / cores)
    print(f"one alone {alone:.1f} s; {runs} together {together:.1f} s on {cores} cores; ratio {ratio:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["cost", "first", "flakes", "grade"])
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        {"cost": cost, "first": first, "flakes": flakes, "grade": grade}[options.what](options.runs, Path(place))
