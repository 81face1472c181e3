"""Whether the model and tshark find the same trouble: captures made under faults, each mark of either compared frame by frame.

    .venv/bin/python bench/agreement.py [--keep FOLDER] [--captures FOLDER] [--tshark COMMAND]

A lab transfers under each of the faults below, and its tap captures; then both programs read the captures. `--keep` leaves them in a
folder, `--captures` reads such a folder instead of making new ones. The rules of the model are those of tshark 4.4; who has an older
one says from where to take it: `--tshark "docker run --rm -i IMAGE tshark"`.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from labctl.cli.wiring import builder_for, connect, helpers_image  # noqa: E402
from labctl.commands.down import down  # noqa: E402
from labctl.commands.measure import FAR, NEAR, Bench  # noqa: E402
from labctl.commands.trace import see  # noqa: E402
from labctl.commands.up import up  # noqa: E402
from labctl.model import TapSpec  # noqa: E402
from labctl.progress import Silent  # noqa: E402
from labctl.scenario.catalog import find_scenario  # noqa: E402
from labctl.wire.build import build_trace  # noqa: E402
from labctl.wire.capture import Capture  # noqa: E402
from labctl.wire.read import read_capture  # noqa: E402
from labctl.wire.write import write_pcapng  # noqa: E402

DOWN, UP = f"{FAR} {NEAR}", f"{NEAR} {FAR}"
GET, PUT, SLOW, IDLE = "get", "put", "slow", "idle"
CASES = {  # name → (what the client does, impairments)
    "loss-1": (GET, [f"{DOWN} loss 1% seed 1 delay 10ms"]),
    "loss-1-up": (PUT, [f"{UP} loss 1% seed 2 delay 10ms"]),
    "loss-3": (GET, [f"{DOWN} loss 3% seed 3 delay 10ms"]),
    "loss-5": (PUT, [f"{UP} loss 5% seed 4 delay 5ms"]),
    "loss-10": (GET, [f"{DOWN} loss 10% seed 5 delay 5ms"]),
    "loss-20": (GET, [f"{DOWN} loss 20% seed 6"]),
    "loss-both": (GET, [f"{DOWN} loss 3% seed 7 delay 10ms", f"{UP} loss 3% seed 8 delay 10ms"]),
    "loss-of-acks": (PUT, [f"{DOWN} loss 20% seed 9 delay 10ms"]),
    "loss-in-rows": (GET, [f"{DOWN} loss 3% burst 4 seed 10 delay 10ms"]),
    "delay": (GET, [f"{DOWN} delay 40ms", f"{UP} delay 40ms"]),
    "jitter": (GET, [f"{DOWN} delay 20ms jitter 2ms seed 11"]),
    "jitter-more": (PUT, [f"{UP} delay 20ms jitter 8ms seed 12"]),
    "reorder-1": (GET, [f"{DOWN} delay 10ms reorder 1% seed 13"]),
    "reorder-5": (PUT, [f"{UP} delay 10ms reorder 5% seed 14"]),
    "reorder-and-loss": (GET, [f"{DOWN} delay 10ms reorder 2% loss 2% seed 15"]),
    "duplicate-2": (GET, [f"{DOWN} duplicate 2% seed 16"]),
    "duplicate-10": (PUT, [f"{UP} duplicate 10% seed 17 delay 5ms"]),
    "duplicate-acks": (GET, [f"{UP} duplicate 10% seed 18 delay 5ms"]),
    "corrupt-1": (GET, [f"{DOWN} corrupt 1% seed 19 delay 5ms"]),
    "corrupt-3": (PUT, [f"{UP} corrupt 3% seed 20"]),
    "rate": (GET, [f"{DOWN} rate 8mbit buffer 30kb"]),
    "rate-and-loss": (PUT, [f"{UP} rate 8mbit loss 1% seed 21"]),
    "slow-reader": (SLOW, []),
    "slow-reader-and-loss": (SLOW, [f"{DOWN} loss 2% seed 22 delay 5ms"]),
    "idle": (IDLE, []),
    "all": (GET, [f"{DOWN} delay 10ms jitter 1ms loss 2% duplicate 1% reorder 1% corrupt 1% seed 23"]),
}
PROGRAM = """
import socket, sys, time
what, size = sys.argv[1], int(sys.argv[2])
port = {"put": 9, "idle": 7}.get(what, 19)
conn = socket.socket()
if what == "slow":
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20000)
conn.settimeout(20)
conn.connect(("tcp-server", port))
end = time.monotonic() + 20
if what == "idle":
    for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1)):
        conn.setsockopt(socket.IPPROTO_TCP, option, value)
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    conn.sendall(b"hello"), conn.recv(5), time.sleep(5)
elif what == "put":
    conn.sendall(bytes(size))
else:
    while size > 0 and time.monotonic() < end:
        if what == "slow":
            time.sleep(0.4)
        size -= len(conn.recv(65536))
"""
OCTETS = 600_000
FLAGS = {  # what it is called → (tshark's flags, our events)
    "retransmission": (("retransmission",), {"retransmission", "fast retransmission", "spurious retransmission"}),
    "fast": (("fast_retransmission",), {"fast retransmission"}),
    "spurious": (("spurious_retransmission",), {"spurious retransmission"}),
    "duplicate ACK": (("duplicate_ack",), {"duplicate ack"}),
    "out of order": (("out_of_order",), {"out of order"}),
    "zero window": (("zero_window",), {"zero window"}),
    "window full": (("window_full",), {"window full"}),
    "keep-alive, probe": (("keep_alive", "zero_window_probe"), {"keep-alive", "zero window probe"}),
    "keep-alive ACK": (("keep_alive_ack",), {"keep-alive ack"}),
}
MARKS = (
    "retransmission",
    "duplicate ACK",
    "out of order",
    "zero window",
    "window full",
    "keep-alive, probe",
    "keep-alive ACK",
)  # the others are kinds of the first


def main() -> None:
    """Make captures, or take them, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--keep", type=Path, help="folder for the captures")
    parser.add_argument("--captures", type=Path, help="folder with captures that were made before")
    parser.add_argument("--tshark", default="tshark", help="the command that runs it; it gets a capture on its stdin")
    options = parser.parse_args()
    tshark = shlex.split(options.tshark)
    if not shutil.which(tshark[0]):
        sys.exit("tshark is not installed: Debian's package is `tshark`")
    if options.captures:
        compare(sorted(options.captures.glob("*.pcapng")), tshark)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        compare(list(capture(folder)), tshark)


def capture(folder: Path) -> Iterator[Path]:
    """Make a capture under each of the faults."""
    engine, name = connect(), f"bench-agreement-{os.getpid()}"
    spec = TapSpec(snap=128)
    up(engine, builder_for(engine), find_scenario("tcp-demo"), Silent(), lab=name, tap=spec)
    try:
        bench = Bench(engine, name, helpers_image(engine))
        client = engine.look(name).host(NEAR)
        assert client is not None
        for case, (what, impairments) in CASES.items():
            before = len(see(engine, name).capture.frames)
            for impairment in impairments:
                bench.say(f"impair {impairment}")
            engine.exec(client, ["python3", "-c", PROGRAM, what, str(OCTETS)], timeout=60)
            bench.say("heal")
            whole = see(engine, name).capture
            path = folder / f"{case}.pcapng"
            path.write_bytes(write_pcapng(replace(whole, frames=whole.frames[before:])))
            yield path
    finally:
        down(engine, [name], Silent())


def compare(paths: list[Path], tshark: list[str]) -> None:
    """Print for each capture and each kind of mark how often both set it, and the frames where one does."""
    same: Counter[str] = Counter()
    either: Counter[str] = Counter()
    print(f"| {'capture':22} | marks | both | only tshark | only the model |\n|---|---|---|---|---|")
    for path in paths:
        theirs, ours = tshark_marks(path, tshark), our_marks(read_capture(path.read_bytes()))
        for mark in FLAGS:
            same[mark] += len(ours[mark] & theirs[mark])
            either[mark] += len(ours[mark] | theirs[mark])
        counts = [sum(len(kind(ours[mark], theirs[mark])) for mark in MARKS) for kind in (set.union, set.intersection)]
        only = [differences(one, other) for one, other in ((theirs, ours), (ours, theirs))]
        print(f"| {path.stem:22} | {counts[0]} | {counts[1]} | {only[0]} | {only[1]} |")
    print(f"\nagreement on {len(paths)} captures\n")
    for mark in FLAGS:
        print(f"{mark:20} {same[mark]:6} of {either[mark]:6}  {same[mark] / (either[mark] or 1):.4f}")
    both, total = (sum(counter[mark] for mark in MARKS) for counter in (same, either))
    print(f"{'all':20} {both:6} of {total:6}  {both / (total or 1):.4f}")


def differences(one: dict[str, set[int]], other: dict[str, set[int]]) -> str:
    """Return what only one of the two marks: kind and frames."""
    return "; ".join(f"{mark} {sorted(one[mark] - other[mark])}" for mark in MARKS if one[mark] - other[mark])


def our_marks(captured: Capture) -> dict[str, set[int]]:
    """Return which frames the model marks with what."""
    events = [event for item in build_trace(captured).conversations for event in item.events]
    return {mark: {event.frame for event in events if event.kind in kinds} for mark, (_, kinds) in FLAGS.items()}


def tshark_marks(path: Path, tshark: list[str]) -> dict[str, set[int]]:
    """Return which frames tshark marks with what."""
    flags = [flag for names, _ in FLAGS.values() for flag in names]
    fields = [part for name in ("frame.number", *(f"tcp.analysis.{flag}" for flag in flags)) for part in ("-e", name)]
    done = subprocess.run(
        [*tshark, "-n", "-r", "-", "-T", "fields", *fields], capture_output=True, check=True, input=path.read_bytes()
    )
    found: dict[str, set[int]] = {flag: set() for flag in flags}
    for line in done.stdout.decode().splitlines():
        number, *marks = line.split("\t")
        for flag, mark in zip(flags, marks, strict=False):
            if mark:
                found[flag].add(int(number))
    return {mark: set().union(*(found[name] for name in names)) for mark, (names, _) in FLAGS.items()}


if __name__ == "__main__":
    main()
