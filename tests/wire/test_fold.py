"""Long ladders made short: what happened stays, what repeats is counted, and nothing is left out in silence."""

import pytest

from labctl.wire.fold import fold
from labctl.wire.ladder import Mark, lay_out
from labctl.wire.mermaid import draw_mermaid
from labctl.wire.svg import draw_svg
from labctl.wire.terminal import TextLadder
from tests.wire.frames import ACK, MS, Talk


def bulk(segments=100):
    talk = Talk().opened()
    for number in range(segments):
        talk.a(10 + number, ACK, 101 + 10 * number, 301, b"0123456789")
    return talk


def total(rows):
    """How many packets rows stand for."""
    return sum(len(row.frames) if row.kind == "gap" else row.kind == "packet" for row in rows)


def test_a_short_one_stays_as_it_is():
    ladder = lay_out(bulk(5).trace)
    assert list(fold(ladder, 100).rows) == list(ladder.rows)


def test_the_middle_of_a_run_is_counted():
    rows = fold(lay_out(bulk().trace), 100).rows
    assert [row.kind for row in rows] == ["conversation", *["packet"] * 7, "gap", *["packet"] * 3]
    assert rows[8].text == "… 93 more packets …"
    assert rows[-1].frame == 103


def test_what_happened_in_its_midst_stays():
    talk = bulk(50).a(300, ACK, 101 + 49 * 10, 301, b"0123456789")
    for number in range(50, 100):
        talk.a(400 + number, ACK, 101 + 10 * number, 301, b"0123456789")
    rows = fold(lay_out(talk.trace), 100).rows
    assert [row.kind for row in rows].count("gap") == 2
    assert any(row.tone == "bad" and row.frame == 54 for row in rows)


@pytest.mark.parametrize("most", [4, 10, 30])
def test_a_limit_leaves_every_step_its_beginning(most):
    talk = Talk()
    for number in range(40):
        talk.at(number, Talk().opened().frames[0].octets.replace(b"\x0f\xa0", (5000 + number).to_bytes(2, "big"), 1))
    marks = [Mark(0, "1. one"), Mark(10 * MS, "2. two"), Mark(12 * MS, "3. three")]
    ladder = lay_out(talk.trace, marks=marks)
    rows = fold(ladder, most).rows
    assert [row.text for row in rows if row.kind == "mark"] == [mark.text for mark in marks]
    assert len(rows) <= most + len(marks)
    assert total(rows) == total(ladder.rows) == 40


def test_every_picture_says_what_is_left_out():
    ladder = fold(lay_out(bulk().trace, marks=[Mark(0, "1. Send.", False, notes=("too many",))]), 100)
    for drawn in ("\n".join(TextLadder(80, colour=False).draw(ladder)), draw_svg(ladder, "t"), draw_mermaid(ladder)):
        assert "93 more packets" in drawn
    assert "too many" in draw_svg(ladder, "t")
    assert "    too many" in list(TextLadder(80, colour=False).draw(ladder))
