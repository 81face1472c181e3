"""`labctl matrix` on real hosts, and faults in the picture that `labctl run` draws."""

import json
from xml.etree import ElementTree


def test_a_lesson_under_two_faults(labctl, tmp_path):
    lab = labctl.name("matrix")
    done = labctl(
        "matrix", "tcp-demo", "--lab", lab, "--fault", "impair client both delay 50ms", "--fault", "partition client", "--json",
        "--html", str(tmp_path / "m.html"), "--junit", str(tmp_path / "m.xml"),
    )  # fmt: skip
    nothing, slow, cut = json.loads(done.stdout)["rows"]
    assert nothing["passed"]
    assert slow["passed"]
    assert slow["seconds"] > nothing["seconds"]
    assert not cut["passed"]
    assert "impair client both delay 50ms" in (tmp_path / "m.html").read_text()
    suites = ElementTree.parse(tmp_path / "m.xml").getroot()
    assert [suite.get("name") for suite in suites][1:] == ["impair client both delay 50ms", "partition client"]


def test_a_dropped_segment_is_drawn_though_no_tap_saw_it(labctl, tmp_path):
    labctl("run", "tcp-retransmit", "--lab", labctl.name("drawn"), "--report", str(tmp_path))
    text = (tmp_path / "trace.txt").read_text()
    assert text.count("lost on purpose") == 2
    assert "held for 20." in text
    assert 'aria-label="lost, ' in (tmp_path / "trace.svg").read_text()


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
