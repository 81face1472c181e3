"""What all eleven servers at once cost: how long they take to come up, how much memory and how much disk; prints ratios and raw medians.

    .venv/bin/python bench/tour.py [-n 5]

`labctl up internet-tour` against `docker compose --profile internet-tour up -d --wait` on the same file, in turns (A B A B …); memory is
what the containers' control groups hold without the page cache, right after they came up; disk is what the images' layers take, those
that several share counted once.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import docker  # noqa: E402

from bench.lifecycle import LAB, PROJECT, timed  # noqa: E402
from labctl.progress import Silent  # noqa: E402
from labctl.provision.compose_tool import ensure_compose  # noqa: E402

SCENARIO = "internet-tour"
MEBI = 1 << 20


def memory(client: docker.DockerClient) -> dict[str, int]:
    """Return host → octets that its processes hold."""
    held = {}
    for container in client.containers.list(filters={"label": f"labctl.lab={LAB}"}):
        usage = container.stats(stream=False)["memory_stats"]
        facts = usage["stats"]
        cached = facts.get("total_inactive_file", facts.get("inactive_file", 0))
        held[container.labels["com.docker.compose.service"]] = usage["usage"] - cached
    return held


def disk(client: docker.DockerClient, names: list[str]) -> int:
    """Return the octets of the images' layers, each counted once."""
    layers: dict[str, int] = {}
    for name in names:
        image = client.images.get(name)
        made = [
            entry["Size"]
            for entry in reversed(image.history())
            if entry["Size"] or entry["CreatedBy"].startswith(("WORKDIR", "COPY", "RUN"))
        ]
        ids = image.attrs["RootFS"]["Layers"]
        if len(ids) != len(made):
            sys.exit(f"{name}: {len(ids)} layers and {len(made)} steps: which is whose is not clear")
        layers |= dict(zip(ids, made, strict=True))
    return sum(layers.values())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-n", type=int, default=5, help="turns; default %(default)s")
    options = parser.parse_args()
    labctl = [str(ROOT / "bin" / "labctl")]
    compose = [
        *ensure_compose(Silent()).command,
        "-f",
        str(ROOT / "compose.yaml"),
        "-p",
        PROJECT,
        "--profile",
        SCENARIO,
    ]
    subprocess.run([*labctl, "build", SCENARIO, "-q"], check=True, cwd=ROOT)
    client = docker.from_env()
    ours, theirs, held = [], [], {}
    for turn in range(options.n + 1):
        taken = timed([*labctl, "up", SCENARIO, "--lab", LAB])
        held = memory(client)
        timed([*labctl, "down", LAB])
        peer = timed([*compose, "up", "-d", "--wait"])
        timed([*compose, "down", "-v"])
        if turn:  # the first turn warms caches
            ours.append(taken)
            theirs.append(peer)
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    print(f"labctl up {SCENARIO}  {statistics.median(ours):.2f} s   compose up --wait  {statistics.median(theirs):.2f} s   "
          f"ratio {ratio:.2f}  ≤ 0.9")  # fmt: skip
    print(f"memory  {sum(held.values()) / MEBI:.0f} MiB in all  ≤ 700   "
          + ", ".join(f"{host} {octets / MEBI:.0f}" for host, octets in sorted(held.items())))  # fmt: skip
    config = subprocess.run([*compose, "config", "--format", "json"], capture_output=True, check=True, cwd=ROOT)
    names = sorted({service["image"] for service in json.loads(config.stdout)["services"].values()})
    print(f"disk  {disk(client, names) / MEBI:.0f} MiB for {len(names)} images, shared layers once  ≤ 900")


if __name__ == "__main__":
    main()
