"""Copy a growing capture to stdout, as it grows: `python3 -m services.tools.follow /capture/lab.pcap`. Ends when its stdin does.

A tap writes a ring: `lab.pcap0`, `lab.pcap1`, …, then `lab.pcap0` again. The copy is one file: later headers are left out.
While nothing comes, a full stop goes to stderr every now and then, so that who listens can do something else meanwhile.
"""

import os
import select
import sys
from pathlib import Path
from typing import BinaryIO

HEADER = 24  # octets of a pcap file's header
BEAT = 10  # polls between two full stops
POLL = 0.02  # seconds; a learner sees a frame within a tenth of a second of the wire


def main(stem: str) -> None:
    """Follow the ring until stdin ends."""
    out = sys.stdout.buffer
    folder, name = Path(stem).parent, Path(stem).name
    current = _oldest(folder, name)
    stream: BinaryIO = current.open("rb")
    silent = 0
    while True:
        if octets := stream.read(1 << 20):
            out.write(octets)
            out.flush()
            silent = 0
            continue
        silent += 1
        if silent % BEAT == 0:
            sys.stderr.write(".")
            sys.stderr.flush()
        newer = _next(folder, name, current)
        if newer is not None:  # the ring went on, so this file is complete; a last look at it comes first
            out.write(stream.read())
            stream.close()
            current, stream = newer, _behind_header(newer)
        elif _asked_to_end():
            return


def _asked_to_end() -> bool:
    readable, _, _ = select.select([sys.stdin], [], [], POLL)
    return bool(readable) and not os.read(sys.stdin.fileno(), 1024)


def _ring(folder: Path, name: str) -> list[Path]:
    return sorted((path for path in folder.glob(f"{name}*")), key=lambda path: path.stat().st_mtime_ns)


def _oldest(folder: Path, name: str) -> Path:
    while True:
        if files := _ring(folder, name):
            return files[0]
        if _asked_to_end():
            sys.exit(0)


def _next(folder: Path, name: str, current: Path) -> Path | None:
    files = _ring(folder, name)
    place = files.index(current)
    return files[place + 1] if place + 1 < len(files) else None


def _behind_header(path: Path) -> BinaryIO:
    stream = path.open("rb")
    stream.seek(HEADER)
    return stream


if __name__ == "__main__":
    main(sys.argv[1])
