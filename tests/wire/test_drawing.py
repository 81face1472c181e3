"""Ladders as text, SVG, page and Mermaid: what they say, that they fit, and that nobody's octets get out of them."""

import base64
import json
import re
import struct
from pathlib import Path
from xml.etree import ElementTree

import pytest

from labctl.paths import page_file
from labctl.wire.html import OCTETS, PLACE, draw_html
from labctl.wire.ladder import Mark, lay_out
from labctl.wire.mermaid import draw_mermaid
from labctl.wire.model import Call
from labctl.wire.svg import draw_svg
from labctl.wire.terminal import TextLadder, width_of
from labctl.wire.tie import tie
from tests.wire.frames import ACK, FIN, MS, PSH, A, B, Talk, ether, udp

GOLDEN = Path(__file__).parent / "golden"
EVIL = b"</script><svg onload=alert(1)>\x1b[2J\x00&\"'"


def greeting():
    talk = Talk().opened().b(3, ACK | PSH, 301, 101, b"Thank you for connecting").a(4, ACK, 101, 325)
    return talk.b(5, FIN | ACK, 325, 101).a(6, FIN | ACK, 101, 326).b(7, ACK, 326, 102)


def text(talk, width=100, marks=(), **more):
    return list(TextLadder(width, colour=False).draw(lay_out(talk.trace, marks=marks, **more)))


class TestText:
    def test_a_greeting(self):
        """The picture as a whole."""
        drawn = "\n".join(text(greeting(), marks=[Mark(0, "1. Greet.", True)])) + "\n"
        assert drawn == (GOLDEN / "greeting.txt").read_text()

    def test_what_is_said_beside_the_lanes_begins_in_one_column_with_colours_and_without(self):
        lines = text(greeting())
        colours = TextLadder(100, colour=True).draw(lay_out(greeting().trace))
        assert [re.sub(r"\x1b\[\d*m", "", line).rstrip() for line in colours] == lines
        assert {line.index("client") for line in lines if "client: " in line} == {lines[2].index("client: SYN-SENT")}

    @pytest.mark.parametrize("width", [20, 48, 60, 72, 80, 100, 132, 200])
    def test_fits_the_width(self, width):
        talk = greeting().a(
            300, ACK, 102, 326, "breite Zeichen 漢字漢字漢字漢字 und mehr als hinpasst, viel mehr".encode() * 3
        )
        for line in text(
            talk, width, marks=[Mark(0, "A step with a very long sentence that no terminal has room for " * 3)]
        ):
            assert width_of(line) <= max(width, 48), line

    def test_what_was_left_out_and_what_is_wrong_fit_too(self):
        ladder = lay_out(greeting().trace, frames=[1])
        ladder.left_out.update({"before the lab was ready": 309, "calls that have nothing to do with the wire": 211})
        ladder.problems.append("the ring of 256 MB went round: the first 12345 frames are gone, and so on")
        lines = list(TextLadder(60, colour=False).draw(ladder))
        assert all(width_of(line) <= 60 for line in lines)
        assert "calls that have nothing to do with the wire" in " ".join(lines)
        assert " ".join(lines[:2]) == f"! {ladder.problems[0]}"

    def test_colours_go_by_protocol_and_by_trouble(self):
        talk = Talk().opened().a(3, ACK, 101, 301, b"data").a(203, ACK, 101, 301, b"data")
        lines = list(TextLadder(100, colour=True).draw(lay_out(talk.trace)))
        assert any(line.startswith("\x1b[36m    1") for line in lines)
        assert any(line.startswith("\x1b[31m    5") for line in lines)
        assert not any("\x1b" in line for line in text(talk))

    def test_a_terminal_without_unicode_gets_ascii(self):
        drawn = "\n".join(TextLadder(80, colour=False, ascii_only=True).draw(lay_out(Talk().opened().trace)))
        assert "SYN" in drawn
        assert "->|" in drawn
        assert drawn.isascii()

    def test_octets_of_a_peer_do_not_move_the_cursor(self):
        assert "\x1b" not in "\n".join(text(Talk().opened().a(3, ACK, 101, 301, b"hello \x1b[2J there")))

    def test_what_is_left_out_is_said(self):
        talk = Talk().opened().at(9, udp(b"hi"))
        assert text(talk, since_ns=5 * MS)[-1] == "left out: 3 before the lab was ready"

    def test_nothing_at_all(self):
        assert text(Talk()) == ["no packets"]


class TestSvg:
    def test_every_line_has_an_accessible_name(self):
        root = ElementTree.fromstring(
            draw_svg(lay_out(greeting().trace, marks=[Mark(0, "1. Greet.", False)]), "a title")
        )
        space = "{http://www.w3.org/2000/svg}"
        assert root.get("role") == "figure"
        assert root.find(f"{space}title").text == "a title"
        assert not [item for item in root.iter(f"{space}g") if item.get("role") not in ("list", "listitem")]
        items = root.find(f"{space}g[@role='list']").findall(f"{space}g[@role='listitem']")
        names = [item.get("aria-label") for item in items]
        assert "1. Greet., failed" in names
        assert any(name.startswith("frame 1, 0.000 ms, client to server: SYN; client is SYN-SENT") for name in names)
        assert all(names)

    def test_octets_of_a_peer_are_text(self):
        drawn = draw_svg(lay_out(Talk().opened().a(3, ACK, 101, 301, EVIL).trace), "<title>")
        ElementTree.fromstring(drawn)
        assert "onload=alert(1)>" not in drawn

    def test_follows_the_readers_mode(self):
        assert "prefers-color-scheme:dark" in draw_svg(lay_out(greeting().trace), "x")


class TestPage:
    PAGE = page_file().read_text()

    def data(self, talk):
        page = draw_html(talk.trace, lay_out(talk.trace), self.PAGE, "a title")
        return page, json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)[1])

    @staticmethod
    def column(data, name, form):
        octets = base64.b64decode(data["columns"][name])
        return struct.unpack(f"<{len(octets) // struct.calcsize(form)}{form}", octets)

    @staticmethod
    def octets(page):
        return base64.b64decode(re.search(r'<script id="octets" type="text/plain">(.*?)</script>', page, re.S)[1])

    def test_brings_all_it_needs(self):
        assert self.PAGE.count(PLACE) == self.PAGE.count(OCTETS) == 1
        assert not re.search(r"""(src|href)=["']?https?:|@import|url\(|fetch\(|XMLHttpRequest|WebSocket""", self.PAGE)

    def test_carries_rows_and_octets(self):
        page, data = self.data(greeting())
        assert data["lanes"] == ["client", "server"]
        assert len(data["rows"]) == len(self.column(data, "frame", "I")) == 9
        talk = greeting()
        assert self.octets(page) == b"".join(frame.octets for frame in talk.frames)
        assert data["conversations"][0]["title"] == "TCP client:4000 → server:7"

    def test_octets_of_a_peer_do_not_end_the_script(self):
        page, data = self.data(Talk().opened().a(3, ACK, 101, 301, EVIL).at(4, udp(EVIL)))
        assert page.count("</script>") == self.PAGE.count("</script>")
        assert any("</script>" in item for item in data["texts"])

    def test_keeps_few_octets_of_many_frames(self):
        talk = Talk().opened()
        for number in range(4100):
            talk.a(10 + number, ACK, 101 + 500 * number, 301, b"x" * 500)
        _, data = self.data(talk)
        assert max(self.column(data, "kept", "I")) == 120
        assert self.column(data, "length", "I")[4] == 554
        assert list(self.column(data, "at", "d"))[-1] == 4_109_000.0


class TestMermaid:
    def test_a_greeting(self):
        drawn = draw_mermaid(lay_out(greeting().trace))
        assert drawn.startswith("sequenceDiagram\n    participant H0 as client\n    participant H1 as server\n")
        assert "    H0->>H1: 1 · 0.0 ms · SYN\n" in drawn

    def test_a_step_carries_its_verdict(self):
        drawn = draw_mermaid(lay_out(greeting().trace, marks=[Mark(0, "1. Greet.", True), Mark(1, "2. Ask.", False)]))
        assert "    Note over H0,H1: ✓ 1. Greet.\n" in drawn
        assert "    Note over H0,H1: ✗ 2. Ask.\n" in drawn

    def test_its_own_signs_are_escaped(self):
        drawn = draw_mermaid(lay_out(Talk().opened().a(3, ACK, 101, 301, b"end; loop #1 <b> 100%").trace))
        assert "#59; loop #35;1 #60;b#62; 100#37;" in drawn


def test_times_are_of_the_first_row():
    ladder = lay_out(greeting().trace, since_ns=0)
    assert (ladder.begin_ns, ladder.rows[-1].time_ns) == (0, 7 * MS)


@pytest.mark.parametrize("width", [64, 80, 100, 120, 200])
def test_a_call_stays_between_its_lane_and_the_next(width):
    trace = Talk().opened().a(3, ACK | PSH, 101, 301, b"x" * 40).trace
    words = f"{b'x' * 40!r}, 40, MSG_NOSIGNAL"
    one, other = f"{A}:4000", f"{B}:7"
    sent = Call("client", 1, "c", 2_900_000, 0.000123, "sendto", 4, 40, "", words, one, other, "TCP", b"x" * 40)
    took = Call("server", 1, "s", 2_900_000, 0.000223, "recvfrom", 4, 40, "", words, other, one, "TCP", b"x" * 40)
    tie(trace, [sent, took])
    lines = list(TextLadder(width, colour=False).draw(lay_out(trace)))
    rails = [
        at for at, char in enumerate(next(line for line in lines if "conn" in line or "client:" in line)) if char == "│"
    ]
    for name in ("sendto", "recvfrom"):
        (line,) = [line for line in lines if f"{name}(" in line]
        assert [line[at] for at in rails] == ["│", "│"], "\n".join(lines)
        assert " = 40  " in line


def test_a_live_ladder_is_of_what_is_new_without_the_networks_housekeeping():
    report = bytes.fromhex("3a000502000001008f00000000000001") + bytes(20)
    one, group = b"\xfe\x80" + bytes(13) + b"\1", b"\xff\2" + bytes(13) + b"\x16"
    talk = Talk().opened().at(3, ether(0x86DD, bytes.fromhex("6000000000240001") + one + group + report))
    talk = talk.a(4, ACK | PSH, 101, 301, b"x")
    assert [row.frame for row in lay_out(talk.trace, frames=range(3, 6)).rows if row.kind == "packet"] == [3, 5]
    assert [
        row.frame for row in lay_out(talk.trace, frames=range(3, 6), everything=True).rows if row.kind == "packet"
    ] == [3, 4, 5]
    assert not lay_out(talk.trace, frames=range(3, 6), conversations=[7]).rows
