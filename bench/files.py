"""How fast the file server and its client are, side by side with their peers in one run; prints ratios and raw medians.

    .venv/bin/python bench/files.py [-n 5] [--big-n 3] [--only get,put,mirror,kill] [--seed 7]

| figure | ours | peer |
| --- | --- | --- |
| GET of 1 GiB; 100 GETs of 10 MiB at once | `services/file` | nginx, pyftpdlib, vsftpd, each with the same files |
| PUT of 1 GiB, checked and on the disk | `lab file put` | `curl -T` into each FTP server, `sha256sum`, `sync` |
| 10,000 files of 1 KiB | `lab file mirror` | the same library, a connection for each file; a process for each |
| kill -9 of server and of client | PUTs killed at random moments, then resumed | – |

Every server runs in a container on one throw-away internal network, with the same limits, and has the first processor; who loads it has
the second. All serve one volume, whose files are in the page cache. Contenders take turns (A B B A …); medians of the pairwise ratios,
and never a timed pass or fail. One receiver (`peers/files/fetch.c`) gets the files from all servers and drops them inside the kernel.
Beside the rates stands the CPU time of the server's container for a GiB.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

from file_kills import kill_both  # noqa: E402
from file_lab import BIG, BIG_NAME, HUNDREDTH, HUNDREDTH_NAME, MANY, FileLab  # noqa: E402

from labctl.progress import Silent  # noqa: E402
from labctl.provision.compose_tool import ensure_compose  # noqa: E402

FILES = ROOT / "bench" / "peers" / "files"
GETS = {  # server → protocol, port, path of the folder with the files
    "file-server": ("file", 9000, ""),
    "nginx": ("http", 80, ""),
    "pyftpdlib": ("ftp", 21, "get/files/"),
    "vsftpd": ("ftp", 21, "get/files/"),
}
FTP = ("pyftpdlib", "vsftpd")
OUT = "/tmp/out"  # noqa: S108 - the container's own
Turns = dict[str, list[float]]  # contender → seconds, one a turn


def in_turns(contenders: dict[str, Callable[[], float]], runs: int) -> Turns:
    """Measure contenders in turns, each turn the other way round; the first one warms caches and does not count."""
    seconds: Turns = {name: [] for name in contenders}
    for turn in range(runs + 1):
        for name in list(contenders)[:: 1 if turn % 2 else -1]:
            taken = contenders[name]()
            if turn:
                seconds[name].append(taken)
    return seconds


def ratio(turns: Turns, ours: str, peer: str) -> float:
    """Return how many times as fast as a peer we are: the median over the turns."""
    return statistics.median(b / a for a, b in zip(turns[ours], turns[peer], strict=True))


def show(figure: str, turns: Turns, ours: str, peer: str, goal: str, more: str = "") -> None:
    """Print one line of the table."""
    mine, other = statistics.median(turns[ours]), statistics.median(turns[peer])
    factor = ratio(turns, ours, peer)
    print(f"{figure:<30}{mine:>9.3f} s  {peer:<34}{other:>9.3f} s{factor:>8.2f}  {goal:<7} {more}", flush=True)


def gets(lab: FileLab, runs: int, figure: str, name: str, octets: int, width: int, goal: str) -> Turns:
    """Compare the servers at sending one file over a number of connections."""
    cpu: Turns = {server: [] for server in GETS}

    def fetch(server: str) -> float:
        protocol, port, folder = GETS[server]
        before = lab.cpu_seconds(server)
        said = lab.run("load", "fetch", protocol, lab.host(server), str(port), folder + name, str(octets), str(width))
        cpu[server].append((lab.cpu_seconds(server) - before) / (octets * width / 2**30))
        return float(said)

    turns = in_turns({server: partial(fetch, server) for server in GETS}, runs)
    cost = {server: statistics.median(values[1:]) for server, values in cpu.items()}
    for peer in list(GETS)[1:]:
        more = f"CPU s/GiB: {cost['file-server']:.3f}, {cost[peer]:.3f}"
        show(figure, turns, "file-server", peer, goal if peer == "nginx" else "≥ 1.0", more)
    return turns


def puts(lab: FileLab, runs: int) -> Turns:
    """Compare the ways to bring a file there so that it is known to be whole and on the disk.

    Of each FTP server one turn gives three figures: with the digest of the source, with that of what arrived, and with both, as they would
    have to be compared (and as `lab file put` and its server do).
    """
    source = f"/data/get/files/{BIG_NAME}"
    there = f"/data/incoming/{BIG_NAME}"
    target = lab.host("put-server")

    def timed(*commands: str) -> list[float]:
        clean = f"rm -f /data/incoming/* /data/put/files/{BIG_NAME}; sync"  # nobody pays for another's pages
        lab.run("keeper", "sh", "-c", clean)
        script = "; ".join(f"{command}; echo $EPOCHREALTIME" for command in ("set -e", *commands))
        stamps = lab.run("client", "bash", "-c", script).splitlines()
        moments = [float(stamp) for stamp in stamps]
        return [after - before for before, after in pairwise(moments)]

    def ours() -> float:
        return timed(f"lab file put {target} {source} >/dev/null")[0]

    parts: Turns = {}

    def ftp(server: str) -> float:
        curl = f"curl -sST {source} ftp://{lab.host(server)}/incoming/"
        sums = [f"sha256sum {path} >/dev/null" for path in (source, there)]
        before, sent, synced, after = timed(sums[0], curl, f"sync {there} /data/incoming", sums[1])
        for digest, seconds in (("source", before), ("arrived", after), ("both", before + after)):
            parts.setdefault(f"curl, {server}, digest: {digest}", []).append(sent + synced + seconds)
        return sent + synced

    turns = in_turns({"lab file put": ours} | {server: partial(ftp, server) for server in FTP}, runs)
    turns = {"lab file put": turns["lab file put"]} | {name: values[1:] for name, values in parts.items()}
    for peer in list(turns)[1:]:
        show("PUT of 1 GiB", turns, "lab file put", peer, "–" if "both" in peer else "≥ 0.9")
    return turns


def mirrors(lab: FileLab, runs: int, one_by_one: int, sample: int = 50) -> Turns:
    """Compare the ways to fetch many small files."""
    server = lab.host("many-server")
    loop = f"for n in $(seq -f %05g {sample}); do lab file get {server} file-$n -o {OUT}/$n >{OUT}.said || exit; done"
    simple = (FILES / "one_by_one.py").read_text()
    ways = {
        "lab file mirror": (["lab", "file", "mirror", server, OUT], 1.0),
        "a connection a file": (["python3", "-SE", "-c", simple, server, OUT, str(one_by_one)], MANY / one_by_one),
        "a process a file": (["sh", "-c", f"mkdir {OUT}; {loop}"], MANY / sample),
    }

    def fetch(way: str) -> float:
        argv, scale = ways[way]
        out = lab.run("client", "bash", "-c", 'a=$EPOCHREALTIME; "$@" >&2 || exit; echo $a $EPOCHREALTIME', "-", *argv)
        began, ended = map(float, out.split())
        count = int(lab.run("client", "sh", "-c", f"ls {OUT} | wc -l; rm -r {OUT}").strip())
        if round(count * scale) != MANY:
            sys.exit(f"{way}: {count} files came")
        return (ended - began) * scale

    turns = in_turns({way: partial(fetch, way) for way in ways}, runs)
    show(
        f"{MANY:,} files of 1 KiB",
        turns,
        "lab file mirror",
        "a connection a file",
        "≥ 5",
        f"the peer's is {MANY / one_by_one:g} × that of {one_by_one}",
    )
    more = f"the peer's is {MANY / sample:g} × that of {sample}"
    show(f"{MANY:,} files of 1 KiB", turns, "lab file mirror", "a process a file", "–", more)
    return turns


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-n", type=int, default=5, help="turns; default %(default)s")
    parser.add_argument("--big-n", type=int, default=3, help="turns of the cases of 1 GiB; default %(default)s")
    parser.add_argument(
        "--kills", type=int, default=20, help="of the server, and as many of the client; default %(default)s"
    )
    parser.add_argument("--seed", type=int, default=7, help="of the moments of the kills; default %(default)s")
    parser.add_argument(
        "--one-by-one", type=int, default=MANY, metavar="N", help="small files by single connections; default all"
    )
    parser.add_argument("--only", default="get,put,mirror,kill", help="default %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw seconds here")
    options = parser.parse_args()
    only = options.only.split(",")
    subprocess.run([ROOT / "bin" / "labctl", "build", "-q", "file-demo"], check=True)
    compose = ensure_compose(Silent()).command
    subprocess.run([*compose, "-f", ROOT / "bench" / "compose.yaml", "build", "-q", "files"], check=True)
    lab = FileLab(os.environ.get("LAB_IMAGES", "labctl"))
    raw: dict[str, Turns] = {}
    try:
        lab.open()
        print(f"{'figure':<30}{'ours':>11}  {'peer':<34}{'':>11}{'ratio':>8}  goal")
        if "get" in only:
            raw["1 GiB"] = gets(lab, options.big_n, "GET of 1 GiB", BIG_NAME, BIG, 1, "≥ 0.95")
            raw["100 × 10 MiB"] = gets(
                lab, options.n, "100 GETs of 10 MiB at once", HUNDREDTH_NAME, HUNDREDTH, 100, "≥ 0.9"
            )
        if "put" in only:
            raw["put"] = puts(lab, options.big_n)
        if "mirror" in only:
            raw["mirror"] = mirrors(lab, options.n, options.one_by_one)
        if raw:
            lab.show_memory()
        if "kill" in only:
            kill_both(lab, options.kills, options.seed)
        if options.json:
            options.json.write_text(json.dumps(raw, indent=2) + "\n")
    finally:
        lab.close()


if __name__ == "__main__":
    main()
