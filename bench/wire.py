"""How fast a capture becomes a model and a page, beside tshark on the same file; and whether both find the same trouble in it.

    .venv/bin/python bench/wire.py [-n 5] [--packets 100000] [CAPTURE …]

| figure | ours | peer |
| --- | --- | --- |
| to the model | read, parse, conversations, TCP's states and trouble | `tshark -T fields` with eight fields |
| to the page | the same, and one HTML file of all frames | the same |
| the page | opened and scrolled in headless Chromium, where there is one | – |
| agreement | events of each CAPTURE, frame by frame | tshark's analysis flags |

Contenders take turns; processor seconds of whole processes, medians. The capture is made here: connections that send, with losses.
Agreement is printed for the captures that are named: make them under faults (`labctl run … --report`), pcap and pcapng are read.
"""

import argparse
import random
import resource
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from labctl.wire.build import build_trace  # noqa: E402
from labctl.wire.capture import Capture, Frame  # noqa: E402
from labctl.wire.read import read_capture  # noqa: E402
from labctl.wire.write import write_pcapng  # noqa: E402

FIELDS = ["frame.number", "frame.time_epoch", "ip.src", "ip.dst", "tcp.srcport", "tcp.dstport", "tcp.flags", "tcp.len"]
FLAGS = {  # tshark's flag → our events
    "tcp.analysis.retransmission": {"retransmission", "fast retransmission", "spurious retransmission"},
    "tcp.analysis.duplicate_ack": {"duplicate ack"},
    "tcp.analysis.out_of_order": {"out of order"},
    "tcp.analysis.zero_window": {"zero window"},
}
MODEL = "import sys; from pathlib import Path; from labctl.wire.read import read_capture; from labctl.wire.build import build_trace\n"
MODEL += "trace = build_trace(read_capture(Path(sys.argv[1]).read_bytes()))\n"
PAGE = (
    MODEL
    + "from labctl.wire.html import draw_html; from labctl.wire.ladder import lay_out; from labctl.paths import page_file\n"
)
PAGE += "Path(sys.argv[2]).write_text(draw_html(trace, lay_out(trace), page_file().read_text(), 'bench'))\n"
MEASURE = """<script>
{ const opened = performance.now(); let worst = 0;
for (let n = 0; n < 200; n++) { const begin = performance.now(); scroll.scrollTop += 400; draw(); document.body.getBoundingClientRect();
worst = Math.max(worst, performance.now() - begin); }
document.title = `${D.rows.length} rows: open after ${Math.round(opened)} ms; the slowest of 200 screens took ${Math.round(worst)} ms`; }
</script></body>"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-n", type=int, default=5, help="turns; default %(default)s")
    parser.add_argument("--packets", type=int, default=100_000, help="frames of the capture; default %(default)s")
    parser.add_argument("captures", nargs="*", type=Path, metavar="CAPTURE", help="captures to compare with tshark")
    options = parser.parse_args()
    if not shutil.which("tshark"):
        sys.exit("tshark is not installed: Debian's package is `tshark`")
    with tempfile.TemporaryDirectory() as folder:
        if options.n:
            speed(Path(folder), options.n, options.packets)
    if options.captures:
        agreement(options.captures)


def speed(folder: Path, turns: int, packets: int) -> None:
    """Print processor seconds of each contender, and ratios."""
    capture, page = folder / "bench.pcapng", folder / "bench.html"
    capture.write_bytes(write_pcapng(Capture(list(traffic(packets)))))
    contenders = {
        "tshark": ["tshark", "-r", str(capture), "-T", "fields", *(part for name in FIELDS for part in ("-e", name))],
        "model": [sys.executable, "-c", MODEL, str(capture)],
        "page": [sys.executable, "-c", PAGE, str(capture), str(page)],
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(turns):
        for name, argv in contenders.items():
            seconds[name].append(processor_seconds(argv))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in medians.items():
        print(f"{name:8} {value:6.2f} s of processor, {value / medians['tshark']:.3f} of tshark's")
    print(
        f"memory   {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MiB at most, tshark among them"
    )
    print(f"page     {page.stat().st_size / 1e6:.1f} MB for {packets} frames")
    browse(page)
    small = folder / "small.html"
    capture.write_bytes(write_pcapng(Capture(list(traffic(10_000)))))
    subprocess.run([sys.executable, "-c", PAGE, str(capture), str(small)], cwd=ROOT, check=True)
    browse(small)


def processor_seconds(argv: list[str]) -> float:
    """Run a command and return the processor time that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def browse(page: Path) -> None:
    """Open and scroll a page, and print what the browser measured; nothing where there is no Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        print("browser  no Chromium here")
        return
    page.write_text(page.read_text().replace("</body>", MEASURE))
    argv = [
        chromium,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--window-size=1280,900",
        "--timeout=20000",
        "--dump-dom",
        f"file://{page}",
    ]
    began = time.monotonic()
    dom = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120).stdout
    title = dom.partition("<title>")[2].partition("</title>")[0]
    print(f"browser  {title} (whole process {time.monotonic() - began:.1f} s)")


def traffic(packets: int) -> list[Frame]:
    """Return frames of many connections that send, a hundredth of their segments twice."""
    frames: list[Frame] = []
    chance = random.Random(7)
    now = 1_700_000_000_000_000_000
    port = 1024
    while len(frames) < packets:
        port = port % 60000 + 1024
        seq, ack = chance.randrange(1 << 32), chance.randrange(1 << 32)
        for flags, mine, theirs, out in ((2, seq, 0, True), (18, ack, seq + 1, False), (16, seq + 1, ack + 1, True)):
            frames.append(segment(now, port, flags, mine, theirs, b"", out))
            now += 40_000
        seq += 1
        for _ in range(chance.randrange(20, 200)):
            data = bytes(chance.randrange(1, 1400))
            frames.append(segment(now, port, 24, seq, ack + 1, data, True))
            if chance.random() < 0.01:
                now += 210_000_000
                frames.append(segment(now, port, 24, seq, ack + 1, data, True))
            seq += len(data)
            now += 30_000
            frames.append(segment(now, port, 16, ack + 1, seq, b"", False))
            now += 60_000
    return frames[:packets]


def segment(now: int, port: int, flags: int, seq: int, ack: int, data: bytes, out: bool) -> Frame:
    """Return a segment between 10.0.0.1 and 10.0.0.2."""
    ends = (b"\x0a\0\0\1", b"\x0a\0\0\2") if out else (b"\x0a\0\0\2", b"\x0a\0\0\1")
    ports = (port, 9) if out else (9, port)
    tcp = struct.pack(">HHIIHHHH", *ports, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 0x5000 | flags, 64000, 0, 0)
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40 + len(data), 1, 0x4000, 64, 6, 0, *ends)
    octets = bytes(12) + b"\x08\0" + ip + tcp + data
    return Frame(now, octets, len(octets))


def agreement(paths: list[Path]) -> None:
    """Print for each flag how often both say it of the same frame, and every difference."""
    total = {flag: [0, 0] for flag in FLAGS}
    for path in paths:
        theirs = tshark_flags(path)
        trace = build_trace(read_capture(path.read_bytes()))
        for flag, kinds in FLAGS.items():
            ours = {event.frame for item in trace.conversations for event in item.events if event.kind in kinds}
            total[flag][0] += len(ours & theirs[flag])
            total[flag][1] += len(ours | theirs[flag])
            if ours != theirs[flag]:
                print(
                    f"{path.name}: {flag}: only tshark {sorted(theirs[flag] - ours)}, only we {sorted(ours - theirs[flag])}"
                )
    print(f"agreement with tshark on {len(paths)} captures")
    for flag, (both, either) in total.items():
        print(f"{flag:30} {both:6} of {either:6} {both / either if either else 1:.4f}")
    both, either = (sum(pair[index] for pair in total.values()) for index in (0, 1))
    print(f"{'all':30} {both:6} of {either:6} {both / either if either else 1:.4f}")


def tshark_flags(path: Path) -> dict[str, set[int]]:
    """Return which frames tshark marks with which flag."""
    argv = [
        "tshark",
        "-r",
        str(path),
        "-T",
        "fields",
        "-e",
        "frame.number",
        *(part for flag in FLAGS for part in ("-e", flag)),
    ]
    found: dict[str, set[int]] = {flag: set() for flag in FLAGS}
    for line in subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines():
        number, *marks = line.split("\t")
        for flag, mark in zip(FLAGS, marks, strict=False):
            if mark:
                found[flag].add(int(number))
    return found


if __name__ == "__main__":
    main()
