"""The wire of a real lab: captured from its first frame, drawn, judged, and gone with the lab."""

import json
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import docker
import pytest

from labctl.engine.sdk import DockerEngine
from labctl.wire.build import build_trace
from labctl.wire.model import SYN
from labctl.wire.read import read_capture

ROOT = Path(__file__).parents[2]
SCENARIO = """\
scenario: judged
title: Judged
hosts: [tcp-server, client]
steps:
  - say: Greet.
    on: client
    run: lab tcp greet tcp-server 12345
    wire:
      - handshake: {from: client, to: "tcp-server:12345"}
      - close: {first: CLOSER}
"""


@pytest.fixture
def engine():
    with closing(docker.from_env()) as client:
        yield client


def taps_of(engine, lab):
    return engine.containers.list(filters={"label": [f"labctl.lab={lab}", "labctl.role=tap"]})


def tap_of(engine, lab):
    (tap,) = taps_of(engine, lab)
    return tap


class TestTap:
    def test_captures_from_before_the_first_host_with_no_more_privilege_than_it_needs(self, labctl, engine, tmp_path):
        lab = labctl.name()
        labctl("up", "tcp-demo", "--lab", lab, "--tap")
        tap = tap_of(engine, lab)
        host = tap.attrs["HostConfig"]
        assert (host["CapDrop"], sorted(host["CapAdd"]), host["Privileged"]) == (
            ["ALL"],
            ["NET_ADMIN", "NET_RAW"],
            False,
        )
        assert host["ReadonlyRootfs"]
        assert {found["name"] for found in labctl.json("ps", lab)["hosts"]} == {"tcp-server", "client"}
        for other in engine.containers.list(filters={"label": [f"labctl.lab={lab}", "labctl.role=host"]}):
            assert other.attrs["State"]["StartedAt"] > tap.attrs["State"]["StartedAt"]
            assert not other.attrs["HostConfig"]["CapAdd"]
        labctl("exec", "--lab", lab, "client", "--", "lab", "tcp", "greet", "tcp-server")
        labctl("trace", lab, "--out", str(tmp_path / "t.pcapng"))
        capture = read_capture((tmp_path / "t.pcapng").read_bytes())
        trace = build_trace(capture)
        assert "before the lab was ready" in labctl("trace", lab).stdout
        assert (capture.dropped, capture.problem) == (0, "")
        assert set(capture.names.values()) == {"tcp-server", "client"}
        arp = next(packet.number for packet in trace.packets if packet.kind == "ARP")
        syn = next(packet.number for packet in trace.packets if packet.flags & SYN)
        assert arp < syn
        greeting = [
            item
            for item in trace.conversations
            if item.answerer.name == "tcp-server:12345" and item.answerer.octets == 24
        ]
        assert [event.kind for event in greeting[-1].events] == ["handshake", "half-close", "closed"]

    def test_goes_with_the_lab_after_kill_9_too(self, labctl, engine):
        lab = labctl.name()
        argv = [sys.executable, "-m", "labctl", "up", "tcp-demo", "--lab", lab, "--tap"]
        up = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        taps = {"label": [f"labctl.lab={lab}", "labctl.role=tap"]}
        while not engine.containers.list(all=True, sparse=True, filters=taps):
            assert time.monotonic() < deadline
        up.kill()
        up.wait()
        labctl("down", lab)
        mine = {"label": f"labctl.lab={lab}"}
        assert engine.containers.list(all=True, sparse=True, filters=mine) == []
        assert engine.networks.list(filters=mine) == []
        assert engine.volumes.list(filters=mine) == []

    def test_a_filter_that_is_none_fails_up_in_words(self, labctl, engine):
        lab = labctl.name()
        told = labctl("up", "tcp-demo", "--lab", lab, "--tap", "--filter", "tcp porter 7", code=1)
        assert "does not listen" in told.stderr
        assert "syntax error" in told.stderr
        assert engine.containers.list(all=True, filters={"label": f"labctl.lab={lab}"}) == []
        assert engine.networks.list(filters={"label": f"labctl.lab={lab}"}) == []

    def test_it_tells_how_many_frames_it_received_and_what_was_noted(self, labctl):
        lab = labctl.name()
        labctl("up", "tcp-demo", "--lab", lab, "--tap")
        with closing(DockerEngine()) as docker_engine:
            tap = docker_engine.look(lab).tap
            docker_engine.mark_tap(tap, [(7, "ready"), (8, "✓ 1. Greet.")])
            tapped = docker_engine.read_tap(tap)
            assert tapped.marks == ((7, "ready"), (8, "✓ 1. Greet."))
            (file,) = tapped.files
            assert 0 < tapped.received <= len(read_capture(file).frames)  # a frame may have come in between
            docker_engine.change(tap, "kill")  # then there is the capture still
            assert docker_engine.read_tap(tap).files[0].startswith(file)

    def test_a_filter_and_a_snap_length_are_kept_to(self, labctl, tmp_path):
        lab = labctl.name()
        labctl("up", "tcp-demo", "--lab", lab, "--tap", "--filter", "udp port 9 or arp", "--snap", "64")
        labctl("exec", "--lab", lab, "client", "--", "lab", "tcp", "echo", "tcp-server", "7", "x" * 100)
        labctl("trace", lab, "-o", str(tmp_path / "t.pcapng"))
        capture = read_capture((tmp_path / "t.pcapng").read_bytes())
        assert capture.interfaces[0].filter == "udp port 9 or arp"
        assert capture.interfaces[0].snap == 64
        assert not any(packet.kind == "TCP" for packet in build_trace(capture).packets)

    def test_a_lab_without_one_says_how_to_get_one_and_follow_starts_one(self, labctl, engine):
        lab = labctl.name()
        labctl("up", "tcp-demo", "--lab", lab)
        assert "--tap" in labctl("trace", lab, code=1).stderr
        argv = [
            sys.executable,
            "-u",
            "-m",
            "labctl",
            "trace",
            lab,
            "--follow",
            "--width",
            "240",
        ]  # IPv6 may add two lanes
        follow = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        guard = threading.Timer(60, follow.kill)  # a follower that says nothing fails the test, it does not hold it up
        guard.start()
        try:
            self.watch(labctl, engine, lab, follow)
            follow.send_signal(signal.SIGINT)
            follow.communicate(timeout=20)
            assert follow.returncode == 130
        finally:
            guard.cancel()
            follow.kill()
            follow.communicate()

    def watch(self, labctl, engine, lab, follow):
        assert any("had no tap" in line for line in follow.stderr)
        deadline = time.monotonic() + 30
        while not any(b"listening" in tap.logs() for tap in taps_of(engine, lab)):
            assert time.monotonic() < deadline
        labctl("exec", "--lab", lab, "client", "--", "lab", "tcp", "greet", "tcp-server")
        # a line without an end is known as one when the FIN comes, which may be after its segment was drawn as octets
        assert any("Thank you" in line for line in follow.stdout)
        labctl("impair", "client", "tcp-server", "--lab", lab, "--loss", "100%", "--filter", "udp")
        shout = "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'nobody hears', ('tcp-server', 9))"
        labctl("exec", "--lab", lab, "client", "--", "python3", "-c", shout)
        assert any("✗" in line and "nobody hears" in line for line in follow.stdout)


class TestRun:
    def test_the_report_holds_the_trace_with_each_steps_verdict(self, labctl, tmp_path):
        done = labctl("run", "tcp-demo", "--lab", labctl.name(), "--report", str(tmp_path), "--trace")
        assert "✓ handshake from client to tcp-server:12345" in done.stdout
        assert "─SYN─" in done.stdout
        page = (tmp_path / "trace.html").read_text()
        data = json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)[1])
        assert [row[14] for row in data["rows"] if row and row[0] == 3] == [True] * 5
        assert read_capture((tmp_path / "trace.pcapng").read_bytes()).problem == ""
        assert (tmp_path / "trace.svg").read_text().startswith("<svg")
        assert not list(tmp_path.glob("tap*"))

    def test_an_expectation_that_is_not_met_shows_frames_and_a_cut_of_the_ladder(self, labctl, tmp_path):
        path = tmp_path / "judged.yaml"
        path.write_text(SCENARIO.replace("CLOSER", "client"))
        done = labctl("run", str(path), "--lab", labctl.name(), code=1)
        assert re.search(r"1  ✗ close from client: tcp-server closed first \(frame \d+\)", done.stdout)
        assert "tcp-server closes first" in done.stdout
        assert "─FIN─" in done.stdout
        assert "judged failed: 0 of 1" in done.stdout

    def test_no_trace_judges_nothing_of_the_wire_and_says_so(self, labctl, tmp_path):
        path = tmp_path / "judged.yaml"
        path.write_text(SCENARIO.replace("CLOSER", "client"))
        done = labctl("run", str(path), "--lab", labctl.name(), "--no-trace")
        assert "was not judged" in done.stdout


class TestDiff:
    def test_a_delay_and_a_loss_show_as_what_differs_between_two_runs(self, labctl, tmp_path):
        path = tmp_path / "judged.yaml"
        text = SCENARIO.replace("CLOSER", "tcp-server")
        faults = "links:\n  - {from: tcp-server, to: client, delay: 300ms}\n"
        faults += "steps:\n  - fault: drop the first data segment from tcp-server to client"
        for name, said in (("before", text), ("after", text.replace("steps:", faults))):
            path.write_text(said)
            labctl("run", str(path), "--lab", labctl.name(), "--report", str(tmp_path / name))
        before, after = str(tmp_path / "before"), str(tmp_path / "after")
        assert labctl("diff", before, before).stdout.startswith("no difference between")
        facts = json.loads(labctl("diff", before, after, "--json", code=1).stdout)
        (pair,) = facts["conversations"]
        assert pair["title"] == "TCP client → tcp-server:12345"
        assert pair["seconds_b"] - pair["seconds_a"] > 0.3
        syn_ack = next(one for one in pair["differences"] if "SYN, ACK" in one["text"])
        assert (syn_ack["in"], syn_ack["kind"]) == ("both", "time")
        assert any(one["kind"] == "lost" and one["in"] == "B" for one in pair["differences"])
        assert "later in B" in labctl("diff", before, after, code=1).stdout


class TestCalls:
    def test_calls_stand_beside_the_segments_that_they_caused(self, labctl):
        lab = labctl.name()
        labctl("run", "tcp-demo", "--lab", lab, "--calls", "--keep", "--quiet")
        facts = labctl.json("trace", lab)
        (talk,) = [
            item for item in facts["conversations"] if item["answerer"]["port"] == 7 and item["opener"]["octets"] == 11
        ]
        calls = {
            call["name"]: call
            for call in facts["calls"]
            if call["host"] == "client" and call["conversation"] == talk["number"]
        }
        packets = {packet["frame"]: packet for packet in facts["packets"]}
        assert packets[calls["connect"]["frames"][0]]["flags"] == "SYN"
        assert packets[calls["sendto"]["frames"][0]]["payload"] == 11
        assert "FIN" in packets[calls["shutdown"]["frames"][0]]["flags"]
        server = [
            call for call in facts["calls"] if call["host"] == "tcp-server" and call["conversation"] == talk["number"]
        ]
        assert {"accept4", "read", "write", "close"} <= {call["name"] for call in server}

    def test_a_host_that_is_started_again_runs_under_strace_again(self, labctl):
        lab = labctl.name()
        labctl("up", "tcp-demo", "--lab", lab, "--tap", "--calls")
        for _ in range(2):
            labctl("restart", "tcp-server", "--lab", lab)
            labctl(
                "exec",
                "--lab",
                lab,
                "client",
                "--",
                "sh",
                "-c",
                "lab wait tcp-server:7 && lab tcp echo tcp-server 7 hi",
            )
        assert "tcp-server" in {call["host"] for call in labctl.json("trace", lab)["calls"]}

    def test_without_it_no_host_runs_under_strace(self, labctl):
        lab = labctl.name()
        labctl("up", "tcp-demo", "--lab", lab, "--tap")
        assert "strace" not in labctl("exec", "--lab", lab, "tcp-server", "--", "cat", "/proc/1/cmdline").stdout
        assert labctl.json("trace", lab)["calls"] == []


def test_what_a_partition_drops_is_drawn_so_also_after_the_host_was_started_again(labctl):
    lab = labctl.name()
    labctl("up", "tcp-demo", "--lab", lab, "--tap")

    def unheard():
        packets = labctl.json("trace", lab)["packets"]
        return [packet for packet in packets if packet["kind"] == "TCP" and packet.get("unheard")]

    knock = "python3 -c \"import socket; socket.create_connection(('tcp-server', 7), 1.5)\""
    labctl("partition", "client", "tcp-server", "--lab", lab)
    labctl("exec", "--lab", lab, "client", "--", "sh", "-c", f"! {knock}")
    labctl("heal", "--lab", lab)
    labctl("exec", "--lab", lab, "client", "--", "sh", "-c", knock)
    syns = unheard()
    assert len(syns) >= 2
    assert {packet["text"].split()[0] for packet in syns} == {"SYN"}
    assert {packet["unheard"] for packet in syns} == {"tcp-server was cut off from client"}
    drawn = labctl("trace", lab).stdout
    assert drawn.count("✗") == len(syns)
    assert "dropped where it arrived" in re.sub(r"\s+", " ", drawn)
    labctl("restart", "tcp-server", "--lab", lab)
    assert unheard() == syns
