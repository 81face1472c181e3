"""tshark's answers, read: fields as a tree, its analysis held against ours; and how it is asked. No tshark is needed here."""

import json
import random

import pytest

from labctl.commands.deep import MOST, look_deeper
from labctl.commands.pictures import Choice, seen_facts, write_picture
from labctl.commands.trace import Seen
from labctl.engine.oneshot import body
from labctl.errors import LabError
from labctl.model import Executed
from labctl.wire.capture import Capture
from labctl.wire.deep import (
    DeepError,
    Disagreement,
    Node,
    cross_check,
    fields_argv,
    flags_argv,
    node_lines,
    read_fields,
)
from tests.wire.frames import ACK, Talk

PDML = b"""<?xml version="1.0" encoding="utf-8"?>
<pdml version="0"><packet>
  <proto name="geninfo" showname="General information"><field name="num" show="4" showname="Number" value="4"/></proto>
  <proto name="frame" showname="Frame 4"><field name="frame.number" show="4"/></proto>
  <proto name="tcp" showname="Transmission Control Protocol, Src Port: 7" size="20" pos="34">
    <field name="tcp.srcport" showname="Source Port: 7" size="2" pos="34" show="7" value="0007"/>
    <field name="tcp.hidden" showname="Hidden" hide="yes" size="2" pos="34" show="7"/>
    <field name="tcp.flags" showname="Flags: 0x012 (SYN, &lt;ACK&gt;)" size="2" pos="46" show="0x12">
      <field name="tcp.flags.syn" showname=".... ..1. = Syn: Set" size="1" pos="47" show="True"/>
    </field>
  </proto>
  <proto name="data" pos="54" size="1"><field name="" show="x" size="1" pos="54"/></proto>
</packet></pdml>
"""


def retransmitted():
    return Talk().opened().a(3, ACK, 101, 301, b"data").a(403, ACK, 101, 301, b"data")


class TestFields:
    def test_layers_with_their_fields_and_where_their_octets_are(self):
        (tcp, data) = read_fields(PDML)[4]
        assert tcp == Node(
            "Transmission Control Protocol, Src Port: 7", 34, 20,
            (Node("Source Port: 7", 34, 2), Node("Flags: 0x012 (SYN, <ACK>)", 46, 2, (Node(".... ..1. = Syn: Set", 47, 1),))),
        )  # fmt: skip
        assert list(node_lines([data])) == ["data", "  x"]

    def test_what_is_broken_off_or_no_pdml_is_an_error(self):
        for cut in (0, 10, len(PDML) // 2, len(PDML) - 9):
            with pytest.raises(DeepError):
                read_fields(PDML[:cut])
        with pytest.raises(DeepError):
            read_fields(b"<pdml><packet/></pdml>")

    def test_any_changed_octet_is_an_error_or_fields(self):
        dice = random.Random(3)
        for _ in range(500):
            octets = bytearray(PDML)
            octets[dice.randrange(len(octets))] = dice.randrange(256)
            try:
                assert isinstance(read_fields(bytes(octets)), dict)
            except DeepError as error:
                assert str(error)

    def test_frames_are_asked_for_in_spans(self):
        assert fields_argv([1, 2, 3, 7, 9, 10])[-1] == "frame.number in {1..3,7,9..10}"


class TestCheck:
    def check(self, output, frames=range(1, 99)):
        return cross_check(retransmitted().trace, output, frames)

    def test_agreement(self):
        assert str(self.check(b"5\t1\t\t\t\t\t\n")) == "tshark agrees on all 1 marked frames"
        assert flags_argv()[-2:] == ["-e", "tcp.analysis.window_full"]

    def test_what_either_marks_alone(self):
        check = self.check(b"5\t\t\t1\t\t\t\n3\t\t1\t\t\t\t\n")
        assert check.disagreements == (
            Disagreement(3, (), ("duplicate_ack",)), Disagreement(5, ("retransmission",), ("out_of_order",)),
        )  # fmt: skip
        assert str(check.disagreements[0]) == "frame 3: labctl says nothing, tshark duplicate ack"
        assert str(check) == "tshark and labctl differ on 2 of 2 marked frames"

    def test_only_the_frames_that_are_shown(self):
        assert self.check(b"5\t\t\t1\t\t\t\n", frames=[1, 2]).marked == 0

    def test_rubbish_is_passed_over(self):
        assert self.check(b"\xff\nfive\t1\n\n5\t1\n").disagreements == ()


class Tshark:
    """Answers as tshark would."""

    def __init__(self, code=0):
        self.code = code
        self.asked = []

    def run_once(self, image, argv, octets, seconds):
        self.asked.append((image, argv, octets[:4], seconds))
        if self.code:
            return Executed(self.code, b"", b"tshark: The file is  cut short\n")
        return Executed(0, PDML if "pdml" in argv else b"5\t1\n")


@pytest.fixture
def seen():
    talk = retransmitted()
    return Seen("x", Capture(talk.frames), talk.trace)


class TestAsking:
    def test_fields_and_check_come_together(self, seen):
        tshark = Tshark()
        deep = look_deeper(tshark, "labctl/tshark", seen, [1, 2, 3, 4, 5])
        assert list(deep.fields) == [4]
        assert (deep.check.marked, deep.check.disagreements, deep.left_out) == (1, (), 0)
        assert {octets for _, _, octets, _ in tshark.asked} == {b"\x0a\x0d\x0d\x0a"}

    def test_no_frame_is_no_question(self, seen):
        assert look_deeper(tshark := Tshark(), "i", seen, []).fields == {}
        assert tshark.asked == []

    def test_more_frames_than_are_told_are_counted(self, seen):
        assert look_deeper(Tshark(), "i", seen, range(1, MOST + 8)).left_out == 7

    @pytest.mark.parametrize(
        ("code", "said"), [(2, "The file is cut short"), (124, "longer than 60 s"), (137, "memory")]
    )
    def test_failures_are_told_in_words(self, seen, code, said):
        with pytest.raises(LabError, match=said):
            look_deeper(Tshark(code), "i", seen, [1])

    def test_fields_go_into_the_page_and_the_json(self, seen, tmp_path):
        from dataclasses import replace

        seen = replace(seen, fields=look_deeper(Tshark(), "i", seen, [4]).fields)
        assert seen_facts(seen)["deep"]["4"][0][0].startswith("Transmission Control Protocol")
        write_picture(seen, tmp_path / "x.html", Choice())
        page = (tmp_path / "x.html").read_text()
        assert "SYN, \\u003cACK>" in page
        write_picture(seen, tmp_path / "x.json", Choice())
        assert "4" in json.loads((tmp_path / "x.json").read_text())["deep"]


class TestContainer:
    """One question, and no right to anything else."""

    def test_it_has_no_network_no_privilege_and_limits(self):
        made = body("labctl/tshark", ["tshark", "-Y", "frame.number in {1}"], 77, 60)
        host = made["HostConfig"]
        assert made["User"] == "65534:65534"
        assert (host["NetworkMode"], host["CapDrop"], host["ReadonlyRootfs"], host["AutoRemove"]) == (
            "none",
            ["ALL"],
            True,
            True,
        )
        assert "CapAdd" not in host
        assert host["Memory"] == host["MemorySwap"] > 0
        assert host["PidsLimit"] > 0
        assert "head -c 77 | timeout -k 1 60 tshark -Y 'frame.number in {1}'" in made["Entrypoint"][2]
