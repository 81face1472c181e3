"""tshark as a second opinion: real captures, made where segments were lost on purpose, and one of a lab; and `trace --deep`."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from labctl.wire.build import build_trace
from labctl.wire.read import read_capture

CAPTURES = sorted((Path(__file__).parents[1] / "wire" / "captures").glob("*.pcapng"))
FLAGS = {
    "tcp.analysis.retransmission": {"retransmission", "fast retransmission", "spurious retransmission"},
    "tcp.analysis.duplicate_ack": {"duplicate ack"},
    "tcp.analysis.out_of_order": {"out of order"},
    "tcp.analysis.zero_window": {"zero window"},
    "tcp.analysis.keep_alive": {"keep-alive", "zero window probe"},  # tshark does not tell Linux' window probes apart
    "tcp.analysis.window_full": {"window full"},
}
ENOUGH = 0.99  # of the frames that either of the two marks


@pytest.fixture(scope="module")
def deep(built):
    """What `trace --deep` says of a capture; the first time it builds the image."""
    return json.loads(built("deep"))


@pytest.fixture(scope="module")
def tshark(deep):
    """Run tshark on a capture, and return its fields frame by frame."""

    image = f"{os.environ.get('LAB_IMAGES', 'labctl')}/tshark"

    def run(octets, *fields):
        argv = ["tshark", "-n", "-r", "-", "-T", "fields", *(part for name in fields for part in ("-e", name))]
        inside = ["docker", "run", "--rm", "-i", "--network", "none", image, *argv]
        done = subprocess.run(inside, input=octets, capture_output=True, check=True, timeout=120)
        return [line.split("\t") for line in done.stdout.decode().splitlines()]

    return run


def ours(octets, kinds):
    trace = build_trace(read_capture(octets))
    return {event.frame for item in trace.conversations for event in item.events if event.kind in kinds}


def test_fields_of_a_frame_and_whether_both_agree(deep, labctl, tmp_path):
    assert deep["tshark"]["disagreements"] == []
    layers = [layer[0] for layer in deep["deep"]["11"]]
    assert {"Internet Protocol Version 4", "Transmission Control Protocol"} <= {
        name.partition(",")[0] for name in layers
    }
    (tmp_path / "x.pcapng").write_bytes(CAPTURES[-1].read_bytes()[:-3])
    told = labctl("trace", str(tmp_path / "x.pcapng"), "--deep", "--frame", "1")  # broken off: read as far as it goes
    assert "Internet Protocol" in told.stdout


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_both_find_the_same_trouble(tshark, path):
    octets = path.read_bytes()
    rows = tshark(octets, "frame.number", *FLAGS)
    same = either = 0
    for column, kinds in enumerate(FLAGS.values(), 1):
        theirs = {int(row[0]) for row in rows if len(row) > column and row[column]}
        found = ours(octets, kinds)
        same, either = same + len(theirs & found), either + len(theirs | found)
    assert either > 10
    assert same / either >= ENOUGH, f"{same} of {either}"


def test_what_labctl_writes_is_read_frame_by_frame_with_its_names(labctl, tshark, tmp_path):
    lab = labctl.name()
    labctl("run", "tcp-demo", "--lab", lab, "--report", str(tmp_path), "--quiet")
    octets = (tmp_path / "trace.pcapng").read_bytes()
    fields = ("frame.number", "frame.len", "tcp.srcport", "tcp.dstport", "tcp.len", "tcp.seq_raw", "ip.src_host")
    trace = build_trace(read_capture(octets))
    rows = tshark(octets, *fields)
    assert len(rows) == len(trace.packets)
    for row, packet in zip(rows, trace.packets, strict=True):
        assert int(row[1]) == packet.length
        if packet.kind == "TCP":
            assert [int(item) for item in row[2:6]] == [
                packet.source_port,
                packet.target_port,
                packet.payload,
                packet.seq,
            ]
