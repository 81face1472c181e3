"""`labctl matrix` on real hosts, and faults in the picture that `labctl run` draws."""

import json
import re
from xml.etree import ElementTree

TRIPS = """\
scenario: trips
title: Forty round trips
hosts: [tcp-server, client]
steps:
  - say: Forty octets there and back.
    on: client
    run: |
      python3 -c "import socket
      conn = socket.create_connection(('tcp-server', 7), 5)
      for number in range(40): conn.sendall(b'x'); conn.recv(1)"
    expect: {within: 60s}
"""


def test_a_lesson_under_two_faults(labctl, tmp_path):
    lab = labctl.name("matrix")
    (tmp_path / "trips.yaml").write_text(TRIPS)
    done = labctl(
        "matrix", str(tmp_path / "trips.yaml"), "--lab", lab, "--fault", "impair client both delay 50ms", "--fault", "partition client",
        "--json", "--html", str(tmp_path / "m.html"), "--junit", str(tmp_path / "m.xml"),
    )  # fmt: skip
    nothing, slow, cut = json.loads(done.stdout)["rows"]
    assert nothing["passed"]
    assert slow["passed"]
    assert slow["seconds"] > max(40 * 0.1, nothing["seconds"])
    assert not cut["passed"]
    assert "impair client both delay 50ms" in (tmp_path / "m.html").read_text()
    suites = ElementTree.parse(tmp_path / "m.xml").getroot()
    assert [suite.get("name") for suite in suites][1:] == ["impair client both delay 50ms", "partition client"]


PICKED = (
    """\
scenario: picked
title: Three packets are picked, twice
hosts: [tcp-server, client]
steps:
"""
    + 2
    * """\
  - fault: drop the third data segment from client to tcp-server
  - fault: delay the second ack from client to tcp-server by 80ms
  - fault: corrupt octet 10 of the first reply from tcp-server
  - say: Five lines there and back, each after a pause in which the last is acknowledged.
    on: client
    run: |
      python3 -c "import socket, time
      conn = socket.create_connection(('tcp-server', 7))
      for number in range(5): conn.sendall(b'line number %d\\n' % number); print(conn.recv(100).decode(), end=''); time.sleep(0.2)"
    expect: {stdout: {equals: "line number 0\\nline number 1\\nline number 2\\nline number 3\\nline number 4\\n"}, within: 30s}
    wire:
      - octets: {from: client, count: 70}
      - retransmission: {from: client}
      - retransmission: {from: tcp-server}
"""
)


def test_picked_packets_are_the_same_ones_each_time_and_drawn_though_no_tap_saw_them(labctl, tmp_path):
    path = tmp_path / "picked.yaml"
    path.write_text(PICKED)
    labctl("run", str(path), "--lab", labctl.name("picked"), "--report", str(tmp_path))
    text = (tmp_path / "trace.txt").read_text()
    assert text.count("lost on purpose") == 2
    assert text.count("held for 80.") == 2
    assert text.count("one bit was flipped on its way") == 2
    assert len(re.findall("""aria-label=["']lost, """, (tmp_path / "trace.svg").read_text())) == 2


def test_links_are_in_force_when_up_returns(labctl, tmp_path):
    """And `--dry-run` tells of them."""
    path = tmp_path / "links.yaml"
    path.write_text(
        "scenario: links\ntitle: Links\nhosts: [tcp-server, client]\nlinks: [{from: client, to: tcp-server, delay: 80ms}]\n"
    )
    lab = labctl.name("links")
    told = labctl("up", str(path), "--lab", lab, "--dry-run").stdout
    assert "impair client → tcp-server: delay 80ms" in told
    labctl("up", str(path), "--lab", lab, "--quiet")
    (found,) = labctl.json("faults", "--lab", lab)["faults"]
    assert (found["kind"], found["host"], found["to"], found["told"]) == (
        "impair",
        "client",
        "tcp-server",
        "delay 80ms",
    )
