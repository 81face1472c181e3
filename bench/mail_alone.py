"""The relay's figures that have no peer: memory, idle sessions, a long queue, kill -9; on this machine's disk, without containers.

.venv/bin/python bench/mail_alone.py [--rounds 30] [memory idle queue kill]
"""

import argparse
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from services.smtp_relay.store import NewMessage, Store  # noqa: E402
from tests.loopback.killing import rounds  # noqa: E402
from tests.loopback.relay import Relay  # noqa: E402
from tests.loopback.sink import Sink  # noqa: E402

TEXT = b"Subject: x\r\n\r\n" + (b"x" * 76 + b"\r\n") * 52  # 4 KiB
BIG = b"Subject: x\r\n\r\n" + (b"x" * 76 + b"\r\n") * ((50 << 20) // 78)
NOWHERE = {"host": "127.0.0.1", "port": 1, "protocol": "lmtp"}
QUEUED = 100_000


def memory_of(relay: Relay, field: str) -> float:
    """Return a figure of the relay's process, in MiB: `VmRSS` now, `VmHWM` the most so far."""
    found = re.search(rf"{field}:\s+(\d+)", Path(f"/proc/{relay.process.pid}/status").read_text())
    assert found
    return int(found[1]) / 1024


def memory(folder: Path, _: int) -> None:
    """Print what a 50 MiB message costs, taken and passed on."""
    with Sink() as sink:
        relay = Relay(folder, routes={"lab.test": sink})
        relay.send(TEXT)
        sink.wait(1)
        idle = memory_of(relay, "VmRSS")
        relay.send(BIG)
        sink.wait(2, timeout=120)
        print(
            f"50 MiB message: {idle:.0f} MiB idle, {memory_of(relay, 'VmHWM') - idle:.0f} MiB more at most   (goal ≤ 128)"
        )
        relay.stop()


def idle(folder: Path, _: int) -> None:
    """Print what 200 idle sessions cost one that sends."""
    with Sink() as sink:
        relay = Relay(folder, routes={"lab.test": sink})

        def latency() -> float:
            taken = []
            with relay.smtp() as client:
                for _ in range(200):
                    began = time.perf_counter()
                    client.sendmail("a@lab.test", ["b@lab.test"], TEXT)
                    taken.append(time.perf_counter() - began)
            return statistics.median(taken)

        ratios = []
        for _ in range(5):
            alone = latency()
            sessions = [socket.create_connection(("127.0.0.1", relay.port)) for _ in range(200)]
            for session in sessions:
                session.recv(100)
            ratios.append(latency() / alone)
            for session in sessions:
                session.close()
        print(f"200 idle sessions: others' latency × {statistics.median(ratios):.2f}   (goal ≤ 2)")
        relay.stop()


def queue(folder: Path, _: int) -> None:
    """Print how long the relay starts, and `lab-queue list` takes, with 100,000 messages queued."""
    store, now = Store(folder), time.time()
    first = int(now * 1e6)
    for start in range(0, QUEUED, 500):
        store.commit([
            NewMessage(first + n, "a@lab.test", {f"u{n}@lab.test": "lab.test"}, now + 3600, len(TEXT), False, False, b"X: y\r\n", TEXT)
            for n in range(start, start + 500)
        ])  # fmt: skip
    store.close()
    began = time.monotonic()
    relay = Relay(folder, routes={"lab.test": NOWHERE})
    print(f"{QUEUED:,} queued: ready after {time.monotonic() - began:.2f} s   (goal ≤ 3)")
    program = "import sys; from services.smtp_relay.mailq import main; sys.exit(main(sys.argv[1:]))"
    for words in (["list"], ["list", "--json"], ["summary"]):
        seconds = []
        for _ in range(5):
            began = time.monotonic()
            subprocess.run(
                [sys.executable, "-c", program, *words], cwd=ROOT, env=relay.env, stdout=subprocess.DEVNULL, check=True
            )
            seconds.append(time.monotonic() - began)
        print(f"{QUEUED:,} queued: lab-queue {' '.join(words)} {statistics.median(seconds):.2f} s   (goal ≤ 1)")
    relay.stop()


def kill(folder: Path, number: int) -> None:
    """Print what became of the messages of a relay that is killed in mid-load."""
    tally = rounds(folder, number, seed=int(time.time()))
    print(
        f"{tally.rounds} × kill -9: {len(tally.accepted)} accepted, {len(tally.lost)} lost, {tally.damaged} damaged, "
        f"{tally.duplicates} duplicates, {tally.unasked} arrived without their 250   (goal: 0 lost, 0 damaged)"
    )


FIGURES = {"memory": memory, "idle": idle, "queue": queue, "kill": kill}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("figures", nargs="*", choices=[*FIGURES, []], help=f"of {', '.join(FIGURES)}; default all")
    parser.add_argument("--rounds", type=int, default=30, help="of kill -9; default %(default)s")
    options = parser.parse_args()
    for name in options.figures or FIGURES:
        with tempfile.TemporaryDirectory(dir=ROOT) as folder:  # not in /tmp, which may be memory
            FIGURES[name](Path(folder) / "queue", options.rounds)


if __name__ == "__main__":
    main()
