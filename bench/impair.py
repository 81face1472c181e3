"""What impairments are worth: each figure several times, in turns, as medians; nothing here passes or fails.

    .venv/bin/python bench/impair.py [-n 5]

| figure | is |
| --- | --- |
| partition, heal | seconds from the command's start, its own included, until it is in force; warm: its helpers run already |
| idle | what a shaper that does nothing adds to a round trip |
| delay | least and median round trip through 100 ms |
| loss | runs in which exactly the predicted datagrams were lost |
| rate | share of 1, 10 and 50 Mbit/s that datagrams get |
| TCP | Mbit/s of one connection: without a shaper, through one, through one with 50 ms |
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from labctl.cli.wiring import builder_for, connect, helpers_image  # noqa: E402
from labctl.commands.down import down  # noqa: E402
from labctl.commands.measure import FAR, NEAR, Bench  # noqa: E402
from labctl.commands.up import up  # noqa: E402
from labctl.progress import Silent  # noqa: E402
from labctl.scenario.catalog import find_scenario  # noqa: E402

ENV = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
PLACE = f"{NEAR} {FAR}"


def timed(lab: str, *argv: str) -> float:
    """Return how long a labctl command takes, in seconds."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "labctl", *argv, "--lab", lab, "-q"], cwd=ROOT, env=ENV, check=True)
    return time.monotonic() - began


def commands(bench: Bench, turns: int) -> None:
    """Time the commands, cold once and warm in turns."""
    print(f"partition, cold: {timed(bench.lab, 'partition', NEAR, FAR):.2f} s")
    timed(bench.lab, "heal")
    pairs = [(timed(bench.lab, "partition", NEAR, FAR), timed(bench.lab, "heal")) for _ in range(turns)]
    for name, values in zip(("partition", "heal"), zip(*pairs, strict=True), strict=True):
        print(f"{name}, warm: {statistics.median(values):.3f} s (least {min(values):.3f})")


def times(bench: Bench, turns: int) -> None:
    """Measure round trips."""
    added, late = [], []
    for _ in range(turns):
        base = statistics.median(bench.pings())
        bench.say(f"impair {PLACE} loss 0.000001%")
        added.append(statistics.median(bench.pings()) - base)
        bench.say(f"impair {PLACE} delay 100ms")
        late.append(bench.pings(20))
        bench.say("heal")
    print(f"idle: +{statistics.median(added):.2f} ms")
    print(
        f"delay 100 ms: least {min(map(min, late)):.2f} ms, median {statistics.median(map(statistics.median, late)):.2f} ms"
    )


def losses(bench: Bench, turns: int) -> None:
    """Count the runs that lose what was foretold."""
    exact = overrun = 0
    for seed in range(1, turns + 1):
        bench.say(f"impair {PLACE} loss 10% seed {seed} udp")
        got, _ = bench.datagrams(1000)
        exact += sorted(set(range(1000)) - set(got)) == bench.predicted(0.1, seed, 1000)
        overrun += bench.overrun()
        bench.say("heal")
    print(f"loss: exact in {exact} of {turns} runs, overrun {overrun}")


def rates(bench: Bench) -> None:
    """Measure what datagrams get of a line; 1000 octets each with their headers."""
    for mbit, count in ((1, 400), (10, 4000), (50, 12000)):
        bench.say(f"impair {PLACE} rate {mbit}mbit buffer 50mb udp")
        got, seconds = bench.datagrams(count, pause=0, size=972)
        share = len(got) * 8000 / seconds / 1e6 / mbit
        print(f"rate {mbit} Mbit/s: {share:.3f} of it, {len(got)} of {count} datagrams, overrun {bench.overrun()}")
        bench.say("heal")


def speeds(bench: Bench, turns: int) -> None:
    """Measure one connection, in turns."""
    seen: dict[str, list[float]] = {"": [], "loss 0.000001%": [], "delay 50ms": []}
    for _ in range(turns):
        for effect, values in seen.items():
            if effect:
                bench.say(f"impair {PLACE} {effect}")
            values.append(bench.throughput(3))
            bench.say("heal")
    for effect, values in seen.items():
        print(f"TCP, {effect or 'no shaper'}: {statistics.median(values):.0f} Mbit/s (most {max(values):.0f})")


def main() -> None:
    """Bring a lab up, measure, take it down."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-n", type=int, default=5)
    turns = parser.parse_args().n
    engine, name = connect(), f"bench-impair-{os.getpid()}"
    up(engine, builder_for(engine), find_scenario("tcp-demo"), Silent(), lab=name)
    try:
        bench = Bench(engine, name, helpers_image(engine))
        bench.say("partition client tcp-server")  # builds the image where that is to be done
        bench.say("heal")
        for role in (NEAR, FAR):
            helper = engine.look(name).shaper(role)
            if helper:
                engine.remove_helper(helper)
        commands(bench, turns)
        times(bench, turns)
        losses(bench, 4 * turns)
        rates(bench)
        speeds(bench, turns)
    finally:
        down(engine, [name], Silent())


if __name__ == "__main__":
    main()
