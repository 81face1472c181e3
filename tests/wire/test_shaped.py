"""What shapers did, in the ladder: a dropped packet's arrow breaks, a held one slants."""

import re

import pytest

from labctl.wire.html import page_data
from labctl.wire.ladder import lay_out
from labctl.wire.mermaid import draw_mermaid
from labctl.wire.shaped import HEAD, Fates, Shaped, amend, read_events, told
from labctl.wire.svg import draw_svg
from labctl.wire.terminal import TextLadder
from tests.wire.frames import ACK, MS, PSH, A, B, Talk, tcp

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


def test_of_other_conversations_only_where_they_are_asked_for(trace):
    assert [row.lost for row in lay_out(trace, conversations=[1]).rows if row.kind == "packet"].count(True) == 1
    assert not any(row.lost for row in lay_out(trace, conversations=[2]).rows)


def test_text(trace):
    lines = list(TextLadder(100, colour=False).draw(lay_out(trace)))
    (line,) = [line for line in lines if "✗" in line]
    assert "▶" not in line
    assert "10 octets" in line


def test_svg_breaks_the_one_and_slants_the_other(trace):
    text = draw_svg(lay_out(trace), "t")
    text = text.replace("aria-label='", 'aria-label="')
    assert 'aria-label="lost, 10.000 ms, client to server' in text

    lines = [[int(n) for n in found] for found in re.findall(r'<line class="l[^>]* y1="(\d+)"[^>]* y2="(\d+)"', text)]
    slopes = [bottom - top for top, bottom in lines]  # of each packet in its turn; the lost one is the fourth
    assert slopes[4] > 20 > max(slopes[:4] + slopes[5:])
    assert text.count("m0 -12l-12 12") == 1
    assert 'transform="rotate(' in text.split('aria-label="frame 4')[1].split("</g>")[0], "its label follows the line"


class TestLostBeforeTheTap:
    """The tap sees only the second one of two segments; that it is the second, the shaper tells."""

    def events(self, *, duplicates):
        first = tcp(ACK, 101, 301, b"0123456789")
        talk = Talk().opened().a(11, ACK, 111, 301, b"more")
        for number in range(duplicates):
            talk.b(12 + number, ACK, 301, 101)
        trace = talk.a(20 if duplicates else 250, ACK, 101, 301, b"0123456789").trace
        trace.shaped = [Shaped(10 * MS, 0, "lost", "client → server", first)]
        amend(trace)
        again = trace.packets[-1].number
        return [event.kind for event in trace.conversations[0].events if event.frame == again]

    def test_a_time_out(self):
        assert "retransmission" in self.events(duplicates=0)

    def test_acks_had_told(self):
        assert "fast retransmission" in self.events(duplicates=3)

    def test_one_alone(self):
        talk = Talk().opened().a(250, ACK, 101, 301, b"0123456789")
        trace = talk.trace
        trace.shaped = [Shaped(10 * MS, 0, "lost", "client → server", tcp(ACK, 101, 301, b"0123456789"))]
        amend(trace)
        (event,) = [event for event in trace.conversations[0].events if event.kind == "retransmission"]
        assert (event.by, event.frame, event.text) == (
            "client",
            4,
            "10 octets again, 240 ms after the last segment; the shaper had dropped what was sent first",
        )


class TestHeldAck:
    """An ACK that its host sent at once, and a shaper held, is not a delayed ACK."""

    def delayed(self, sent_ns):
        late = tcp(ACK, 301, 105, source=B, target=A, ports=(7, 4000))
        talk = Talk().opened().a(3, ACK, 101, 301, b"data").at(103, late)
        trace = talk.trace
        trace.shaped = [Shaped(sent_ns, 103 * MS, "delayed", "server → client", late[:96])]
        amend(trace)
        return "delayed ack" in [event.kind for event in trace.conversations[0].events]

    def test_held(self):
        assert not self.delayed(4 * MS)

    def test_late_all_the_same(self):
        assert self.delayed(102 * MS)


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
    (item,) = read_events([[MS, MS + held * MS, verdict, "r", "00", MS]])
    assert told(item) == words
