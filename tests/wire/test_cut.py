"""Partitions in the ladder: what crossed the bridge and was dropped where it arrived is drawn so, and changes nothing there."""

from dataclasses import replace

import pytest

from labctl.wire.build import build_trace
from labctl.wire.capture import Capture
from labctl.wire.cut import Cut, read_cuts
from labctl.wire.explain import explain
from labctl.wire.facts import trace_facts
from labctl.wire.html import page_data
from labctl.wire.ladder import lay_out
from labctl.wire.mermaid import draw_mermaid
from labctl.wire.model import Call
from labctl.wire.notes import Notes, read_notes, write_notes
from labctl.wire.svg import draw_svg
from labctl.wire.terminal import TextLadder
from labctl.wire.tie import tie
from tests.wire.frames import ACK, FIN, MS, NAMES, PSH, RST, SYN, A, B, Talk, ether, ip, kinds, udp


def deaf(since, until=0, *, other="client"):
    """Return a time, in milliseconds, during which the server hears nothing of the client."""
    return Cut("server", (B,), other, (A,) if other else (), since * MS, until * MS)


def seen(talk, *cuts):
    return build_trace(Capture(talk.frames), NAMES, cuts)


def states(side):
    return [(frame, state.value) for frame, state in side.states]


@pytest.fixture
def talk():
    """The handshake, a segment, and the same again, which is acknowledged."""
    return (
        Talk().opened().a(50, PSH | ACK, 101, 301, b"data").a(300, PSH | ACK, 101, 301, b"data").b(301, ACK, 301, 105)
    )


class TestDrops:
    def test_what_comes_from_the_other_host_while_it_is_in_force(self, talk):
        assert seen(talk, deaf(10, 100)).unheard == {4: "server was cut off from client"}
        assert seen(talk, deaf(10)).unheard.keys() == {4, 5}
        assert seen(talk, deaf(60, 100)).unheard == {}
        assert seen(talk).unheard == {}

    def test_one_that_hears_nothing_at_all(self, talk):
        assert seen(talk, deaf(10, other="")).unheard[4] == "nothing reached server any more"

    def test_not_what_is_no_ip(self):
        question = (
            bytes.fromhex("0001080006040001020000000001") + bytes([10, 0, 0, 1]) + bytes(6) + bytes([10, 0, 0, 2])
        )
        assert seen(Talk().at(20, ether(0x0806, question)), deaf(10)).unheard == {}

    def test_not_neighbour_discovery(self):
        one, other = "fd00::1", "fd00::2"
        talk = Talk()
        for kind in (135, 136, 128):
            talk.at(20, ip(58, bytes([kind, 0]) + bytes(22), source=one, target=other))
        pair = Cut("server", (other,), "client", (one,), 10 * MS, 0)
        assert seen(talk, pair).unheard.keys() == {3}
        assert seen(talk, replace(pair, other="", sources=())).unheard.keys() == {1, 2, 3}


class TestStates:
    def test_a_fin_that_was_not_heard_closes_at_the_sender_alone(self):
        talk = Talk().opened().a(50, FIN | ACK, 101, 301)
        cut, whole = (seen(talk, *cuts).conversations[0] for cuts in ([deaf(10)], []))
        assert states(cut.opener)[-1] == states(whole.opener)[-1] == (4, "FIN-WAIT-1")
        assert states(cut.answerer)[-1] == (3, "ESTABLISHED")
        assert states(whole.answerer)[-1] == (4, "CLOSE-WAIT")

    def test_its_repetition_is_heard(self):
        talk = Talk().opened().a(50, FIN | ACK, 101, 301).a(300, FIN | ACK, 101, 301).b(301, ACK, 301, 102)
        one = seen(talk, deaf(10, 100)).conversations[0]
        assert states(one.answerer)[-1] == (5, "CLOSE-WAIT")
        assert states(one.opener)[-1] == (6, "FIN-WAIT-2")

    def test_a_fin_behind_octets_that_were_not_heard_is_not_heard_either(self):
        talk = Talk().opened().a(50, PSH | ACK, 101, 301, b"data").a(150, FIN | ACK, 105, 301)
        talk = talk.a(300, PSH | ACK, 101, 301, b"data").b(301, ACK, 301, 106)
        assert states(seen(talk, deaf(10, 100)).conversations[0].answerer)[-1] == (7, "CLOSE-WAIT")

    def test_a_reset(self):
        one = seen(Talk().opened().a(50, RST, 101), deaf(10)).conversations[0]
        assert (states(one.opener)[-1], states(one.answerer)[-1]) == ((4, "CLOSED"), (3, "ESTABLISHED"))

    def test_a_handshake_whose_last_ack_was_not_heard(self):
        talk = Talk().opened().b(1000, SYN | ACK, 300, 101).a(1001, ACK, 101, 301)
        one = seen(talk, deaf(1.5, 100)).conversations[0]
        assert states(one.opener)[-1] == (2, "ESTABLISHED")
        assert states(one.answerer)[-1] == (5, "ESTABLISHED")
        assert [event.frame for event in one.events if event.kind == "handshake"] == [5]

    def test_an_ack_of_a_fin_that_was_not_heard(self):
        talk = Talk().opened().a(5, FIN | ACK, 101, 301).b(6, FIN | ACK, 301, 102).a(50, ACK, 102, 302)
        one = seen(talk, deaf(10)).conversations[0]
        assert states(one.answerer)[-1] == (5, "LAST-ACK")
        assert "closed" not in kinds(one)


class TestTrouble:
    """An end is judged by what it heard, not by what crossed the bridge."""

    def test_what_is_sent_again_for_want_of_an_ack_that_was_not_heard_is_not_needless(self):
        talk = (
            Talk().opened().b(3, PSH | ACK, 301, 101, b"data").a(50, ACK, 101, 305).b(300, PSH | ACK, 301, 101, b"data")
        )
        assert [event.kind for event in seen(talk).conversations[0].events][1:] == [
            "delayed ack",
            "spurious retransmission",
        ]
        assert [event.kind for event in seen(talk, deaf(10)).conversations[0].events][1:] == [
            "delayed ack",
            "retransmission",
        ]

    def test_duplicates_that_were_not_heard_make_nobody_send_again(self):
        talk = Talk().opened().b(3, PSH | ACK, 301, 101, b"data").b(4, PSH | ACK, 305, 101, b"more")
        for at in (50, 51, 52, 53):
            talk.a(at, ACK, 101, 301)
        talk.b(60, PSH | ACK, 301, 101, b"data")
        assert "fast retransmission" in kinds(seen(talk).conversations[0])
        assert not {"fast retransmission", "duplicate ack"} & set(kinds(seen(talk, deaf(10)).conversations[0]))

    def test_probes_are_probes_all_the_same(self):
        talk = Talk().opened().a(1000, ACK, 100, 301).a(2000, ACK, 100, 301)
        assert kinds(seen(talk, deaf(10)).conversations[0]).count("keep-alive") == 2


def test_calls_took_what_was_heard(talk):
    took = Call("server", 1, "s", 301 * MS, 0.001, "recv", 4, 4, "", "", f"{B}:7", f"{A}:4000", "TCP", b"data")
    for cuts, frames in (((deaf(10, 100),), (5,)), ((), (4,))):
        trace = seen(talk, *cuts)
        tie(trace, [replace(took)])
        assert trace.calls[0].frames == frames

    datagrams = Talk().at(50, udp(b"lost")).at(300, udp(b"came"))
    got = Call("server", 1, "s", 301 * MS, 0.001, "recvfrom", 4, 4, "", "", f"{B}:7", f"{A}:4000", "UDP", b"came")
    trace = seen(datagrams, deaf(10, 100))
    tie(trace, [got])
    assert trace.calls[0].frames == (2,)


class TestPictures:
    def test_the_row_is_broken_and_says_why(self, talk):
        rows = [row for row in lay_out(seen(talk, deaf(10, 100))).rows if row.kind == "packet"]
        assert [row.frame for row in rows if row.lost] == [4]
        assert rows[3].notes == ["dropped where it arrived: server was cut off from client"]

    def test_text(self, talk):
        lines = list(TextLadder(100, colour=False).draw(lay_out(seen(talk, deaf(10, 100)))))
        (line,) = [line for line in lines if "✗" in line]
        assert line.startswith("    4")
        assert "✗" in line[line.index("data") : line.index("│", line.index("data"))]
        assert "▶" not in line

    def test_others(self, talk):
        ladder = lay_out(trace := seen(talk, deaf(10, 100)))
        assert "--x" in draw_mermaid(ladder)
        assert "frame 4, 50.000 ms, client to server" in draw_svg(ladder, "t")
        packets = [row for row in page_data(trace, ladder, 100)["rows"] if isinstance(row, list) and row[0] == 0]
        assert [(row[5], row[15]) for row in packets][3:5] == [(4, 1), (5, 0)]
        assert [packet.get("unheard") for packet in trace_facts(trace)["packets"]][3:5] == [
            "server was cut off from client",
            None,
        ]

    def test_the_account(self, talk):
        trace = seen(talk, deaf(10, 310))
        told = [str(sentence) for sentence in explain(trace.conversations[0], trace)]
        assert "2 packets were dropped where they arrived: server was cut off from client. (frames 4, 5)" in told


def test_notes_keep_them():
    notes = Notes(cuts=(deaf(10, 100), deaf(200, other="")))
    assert notes
    assert read_notes(write_notes(notes)) == notes
    older = write_notes(Notes("x")).replace(b', "cuts": []', b"")
    assert b"cuts" not in older
    assert read_notes(older) == Notes("x")


def test_a_shaper_tells_them():
    told = {"host": "server", "addresses": [B], "other": "client", "sources": [A], "since_ns": 10 * MS, "until_ns": 0}
    assert read_cuts([told]) == [deaf(10)]
