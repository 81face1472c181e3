"""What shapers did, in the ladder: a dropped packet's arrow breaks, a held one slants."""

import re

import pytest

from labctl.wire.html import page_data
from labctl.wire.ladder import lay_out
from labctl.wire.mermaid import draw_mermaid
from labctl.wire.shaped import HEAD, Fates, Shaped, read_events, told
from labctl.wire.svg import draw_svg
from labctl.wire.terminal import TextLadder
from tests.wire.frames import ACK, MS, PSH, Talk, tcp

LOST = tcp(PSH | ACK, 101, 301, b"never seen")
HELD = tcp(PSH | ACK, 101, 301, b"came late.")


@pytest.fixture
def trace():
    """The handshake; then a segment is dropped, and one that was held for 80 ms crosses."""
    seen = Talk().opened().at(100, HELD).b(101, ACK, 301, 111).trace
    seen.shaped = [
        Shaped(10 * MS, 0, "lost", "client → server", LOST[:HEAD]),
        Shaped(20 * MS, 100 * MS, "sent", "client → server", HELD[:HEAD]),
    ]
    return seen


def test_the_lost_one_is_a_row_without_a_frame_in_its_place(trace):
    rows = [row for row in lay_out(trace).rows if row.kind == "packet"]
    assert [(row.frame, row.lost) for row in rows] == [
        (1, False),
        (2, False),
        (3, False),
        (0, True),
        (4, False),
        (5, False),
    ]
    assert (rows[3].source, rows[3].target, rows[3].conversation) == ("client", "server", 1)
    assert rows[3].notes == ["lost on purpose (client → server)"]


def test_the_held_one_tells_for_how_long(trace):
    row = next(row for row in lay_out(trace).rows if row.frame == 4)
    assert row.sent_ns == 20 * MS
    assert "held for 80.0 ms" in row.notes


def test_text(trace):
    lines = list(TextLadder(100, colour=False).draw(lay_out(trace)))
    (line,) = [line for line in lines if "✗" in line]
    assert "▶" not in line
    assert "10 octets" in line


def test_svg_breaks_the_one_and_slants_the_other(trace):
    text = draw_svg(lay_out(trace), "t")
    text = text.replace("aria-label='", 'aria-label="')
    assert 'aria-label="lost, 10.000 ms, client to server' in text

    def slope(name):
        part = text.split(f'aria-label="{name}')[1]
        top, bottom = re.search(r'<line class="l[^>]* y1="(\d+)"[^>]* y2="(\d+)"', part).groups()
        return int(bottom) - int(top)

    assert slope("frame 4") > 20 > slope("frame 5")


def test_page_and_mermaid(trace):
    ladder = lay_out(trace)
    rows = [row for row in page_data(trace, ladder, 64)["rows"] if row[0] == 0]
    assert [row[15] for row in rows] == [0, 0, 0, 1, 0, 0]
    assert rows[4][16] == pytest.approx(20_000)
    assert "--x" in draw_mermaid(ladder)


def test_a_fate_belongs_to_the_frame_that_looks_the_same_and_crossed_then(trace):
    fates = Fates(trace.shaped)
    assert [fates.of(packet) is not None for packet in trace.packets] == [False, False, False, True, False]
    again = Talk().at(500, HELD).trace
    assert fates.of(again.packets[0]) is None


@pytest.mark.parametrize(
    ("verdict", "held", "words"),
    [
        ("sent", 0, ""),
        ("sent", 5, "held for 5.0 ms"),
        ("corrupted", 0, "one bit was flipped on its way"),
        ("reordered", 0, "it overtook others"),
    ],
)
def test_words(verdict, held, words):
    (item,) = read_events([[MS, MS + held * MS, verdict, "r", "00"]])
    assert told(item) == words
