"""TCP as the wire shows it: states (RFC 9293 section 3.3.2), and what went wrong."""

import pytest

from labctl.wire.expect import Count, Expectation, judge
from labctl.wire.explain import explain
from labctl.wire.model import State
from tests.wire.frames import ACK, FIN, PSH, RST, SYN, Talk, kinds

SHIFT0 = b"\x03\x03\x00\x01"


def states(side):
    return [state.value for _, state in side.states]


class TestOpening:
    """RFC 9293 section 3.5."""

    def test_three_segments_open_a_connection(self, talk):
        one = talk.opened().one
        assert states(one.opener) == ["CLOSED", "SYN-SENT", "ESTABLISHED"]
        assert states(one.answerer) == ["LISTEN", "SYN-RECEIVED", "ESTABLISHED"]
        assert [(event.kind, event.frames, event.text) for event in one.events] == [
            ("handshake", (1, 2, 3), "connection open after 2.00 ms")
        ]
        assert (one.opener.name, one.answerer.name) == ("client:4000", "server:7")

    def test_a_refusal(self, talk):
        one = talk.a(0, SYN, 100).b(1, RST | ACK, 0, 101).one
        assert kinds(one) == ["refused"]
        assert one.events[0].by == "server"
        assert (states(one.opener), states(one.answerer)) == (["CLOSED", "SYN-SENT", "CLOSED"], ["CLOSED"])

    def test_a_syn_that_nobody_answers(self, talk):
        one = talk.a(0, SYN, 100).a(1000, SYN, 100).a(3000, SYN, 100).one
        assert kinds(one) == ["retransmission", "retransmission", "unanswered"]
        assert one.events[-1].frames == (1, 2, 3)

    def test_both_open_at_once(self, talk):
        """RFC 9293 figure 7."""
        talk.a(0, SYN, 100).b(1, SYN, 300).a(2, SYN | ACK, 100, 301).b(3, SYN | ACK, 300, 101)
        one = talk.one
        assert "simultaneous open" in kinds(one)
        assert one.opener.state is one.answerer.state is State.ESTABLISHED

    def test_a_capture_that_begins_in_the_middle(self, talk):
        one = talk.b(0, ACK | PSH, 300, 101, b"reply").a(1, ACK, 101, 305).one
        assert one.opener.name == "client:4000"
        assert one.opener.state is one.answerer.state is State.ESTABLISHED
        assert one.answerer.octets == 5

    def test_the_same_ports_again_are_another_connection(self, talk):
        talk.opened().a(3, RST, 101).a(10, SYN, 9000).b(11, SYN | ACK, 7000, 9001).a(12, ACK, 9001, 7001)
        assert [kinds(item) for item in talk.trace.conversations] == [["handshake", "reset"], ["handshake"]]


class TestClosing:
    """RFC 9293 section 3.6."""

    def test_who_closes_first_keeps_time_wait(self, talk):
        talk.opened().b(3, FIN | ACK, 301, 101).a(4, ACK, 101, 302).a(5, FIN | ACK, 101, 302).b(6, ACK, 302, 102)
        one = talk.one
        assert states(one.answerer)[2:] == ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"]
        assert states(one.opener)[2:] == ["ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"]
        assert [(event.kind, event.by) for event in one.events[1:]] == [("half-close", "server"), ("closed", "server")]

    def test_fin_answered_by_fin_and_ack_in_one_segment(self, talk):
        talk.opened().a(3, FIN | ACK, 101, 301).b(4, FIN | ACK, 301, 102).a(5, ACK, 102, 302)
        assert states(talk.one.opener)[2:] == ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"]
        assert states(talk.one.answerer)[2:] == ["ESTABLISHED", "LAST-ACK", "CLOSED"] or "CLOSE-WAIT" in states(
            talk.one.answerer
        )

    def test_both_close_at_once(self, talk):
        """RFC 9293 figure 13."""
        talk.opened().a(3, FIN | ACK, 101, 301).b(4, FIN | ACK, 301, 101).a(5, ACK, 102, 302).b(6, ACK, 302, 102)
        assert states(talk.one.opener)[3:] == ["FIN-WAIT-1", "CLOSING", "TIME-WAIT"]
        assert states(talk.one.answerer)[3:] == ["FIN-WAIT-1", "CLOSING", "TIME-WAIT"]

    def test_data_goes_on_after_a_half_close(self, talk):
        talk.opened().a(3, FIN | ACK, 101, 301).b(4, ACK, 301, 102).b(5, ACK | PSH, 301, 102, b"late").a(
            6, ACK, 102, 305
        )
        assert talk.one.answerer.state is State.CLOSE_WAIT
        assert talk.one.stream(talk.one.answerer) == b"late"

    def test_a_fin_ahead_of_lost_octets_is_not_heard_yet(self, talk):
        talk.opened().a(3, FIN | ACK, 111, 301)
        assert talk.one.answerer.state is State.ESTABLISHED
        talk.a(4, ACK, 101, 301, b"0123456789").b(5, ACK, 301, 112)
        assert talk.one.answerer.state is State.CLOSE_WAIT

    def test_a_reset_names_its_sender(self, talk):
        one = talk.opened().b(3, RST | ACK, 301, 101).one
        assert [(event.kind, event.by) for event in one.events[1:]] == [("reset", "server")]
        assert one.opener.state is one.answerer.state is State.CLOSED


class TestSequence:
    def test_numbers_go_round(self, talk):
        top = 2**32 - 3
        talk.a(0, SYN, top - 1).b(1, SYN | ACK, 300, top).a(2, ACK, top, 301).a(3, ACK, top, 301, b"0123456789").b(
            4, ACK, 301, top + 10
        )
        assert talk.one.stream(talk.one.opener) == b"0123456789"
        assert kinds(talk.one) == ["handshake"]

    @pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 1, 0, 2)])
    def test_the_stream_is_in_order_whatever_crossed_when(self, talk, order):
        talk.opened()
        for number, piece in enumerate(order):
            talk.a(3 + number, ACK, 101 + 3 * piece, 301, [b"abc", b"def", b"ghi"][piece])
        assert talk.one.stream(talk.one.opener) == b"abcdefghi"

    def test_a_gap_ends_the_stream(self, talk):
        assert (
            talk.opened().a(3, ACK, 101, 301, b"abc").a(4, ACK, 107, 301, b"ghi").one.stream(talk.one.opener) == b"abc"
        )


class TestTrouble:
    def test_a_time_out(self, talk):
        one = talk.opened().a(3, ACK, 101, 301, b"data").a(203, ACK, 101, 301, b"data").one
        assert kinds(one) == ["handshake", "retransmission"]
        assert one.opener.octets == 4

    def test_three_duplicates(self, talk):
        talk.opened().a(3, ACK, 101, 301, b"lost").b(4, ACK, 301, 101)
        for number in range(4):
            talk.a(5 + number, ACK, 105 + 4 * number, 301, b"more").b(5.5 + number, ACK, 301, 101)
        talk.a(10, ACK, 101, 301, b"lost")
        assert kinds(talk.one).count("duplicate ack") == 5
        assert kinds(talk.one)[-1] == "fast retransmission"

    def test_a_sack_shows_the_hole(self, talk):
        sack = b"\x01\x01\x05\x0a" + (105).to_bytes(4, "big") + (109).to_bytes(4, "big")
        talk.opened().a(3, ACK, 101, 301, b"lo").a(3, ACK, 103, 301, b"st").a(3.1, ACK, 105, 301, b"more")
        talk.b(4, ACK, 301, 101, options=sack).b(4.1, ACK, 301, 101, options=sack).a(10, ACK, 103, 301, b"st")
        assert talk.one.events[-1].kind == "fast retransmission"
        assert "SACK" in talk.one.events[-1].text

    def test_one_duplicate_is_not_enough(self, talk):
        """tshark's rule: it takes two that repeat the first, though a modern sender (RFC 8985) needs none."""
        sack = b"\x01\x01\x05\x0a" + (105).to_bytes(4, "big") + (109).to_bytes(4, "big")
        talk.opened().a(3, ACK, 101, 301, b"lost").a(3.1, ACK, 105, 301, b"more").b(4, ACK, 301, 101, options=sack)
        talk.a(10, ACK, 101, 301, b"lost")
        assert talk.one.events[-1].kind == "retransmission"

    def test_sent_again_though_acknowledged(self, talk):
        talk.opened().a(3, ACK, 101, 301, b"data").b(4, ACK, 301, 105).a(210, ACK, 101, 301, b"data")
        assert kinds(talk.one)[-1] == "spurious retransmission"

    def test_out_of_order(self, talk):
        talk.opened().a(3, ACK, 105, 301, b"2222").a(3.2, ACK, 101, 301, b"1111")
        assert kinds(talk.one) == ["handshake", "lost segment", "out of order"]

    def test_a_window_closes_and_opens(self, talk):
        talk.opened().a(3, ACK, 101, 301, b"data").b(4, ACK, 301, 105, window=0).a(300, ACK, 105, 301, b"x").b(
            301, ACK, 301, 105, window=0
        )
        talk.b(400, ACK, 301, 105, window=900)
        assert kinds(talk.one) == ["handshake", "zero window", "zero window probe", "zero window", "window update"]

    def test_a_window_that_is_full(self, talk):
        talk.a(0, SYN, 100, options=SHIFT0).b(1, SYN | ACK, 300, 101, options=SHIFT0, window=10).a(2, ACK, 101, 301)
        assert kinds(talk.a(3, ACK, 101, 301, b"x" * 10).one) == ["handshake", "window full"]

    def test_keep_alive(self, talk):
        talk.opened().a(3, ACK, 101, 301, b"data").b(4, ACK, 301, 105).a(9000, ACK, 104, 301).b(9001, ACK, 301, 105)
        assert kinds(talk.one)[1:] == ["keep-alive", "keep-alive ack"]

    @pytest.mark.parametrize(("late", "seen"), [(5, False), (40, True), (600, False)])
    def test_an_ack_that_was_held_back(self, talk, late, seen):
        """RFC 1122 section 4.2.3.2: at most half a second."""
        talk.opened().a(3, ACK, 101, 301, b"data").b(3 + late, ACK, 301, 105)
        assert ("delayed ack" in kinds(talk.one)) == seen

    def test_an_ordinary_talk_has_no_trouble(self, talk):
        talk.opened()
        for number in range(5):
            talk.a(10 + number, ACK | PSH, 101 + 4 * number, 301 + 3 * number, b"ping")
            talk.b(10.4 + number, ACK | PSH, 301 + 3 * number, 105 + 4 * number, b"yes")
        assert kinds(talk.one) == ["handshake"]


class TestOthers:
    def test_icmp_is_told_in_the_conversation_that_it_speaks_of(self):
        import struct

        from tests.wire.frames import A, B, ip, udp

        asked = udp(b"hi")
        talk = Talk().at(0, asked).at(1, ip(1, struct.pack(">BBHI", 3, 3, 0, 0) + asked[14:], B, A))
        assert [(event.kind, event.frames, event.by) for event in talk.one.events] == [
            ("unreachable", (1, 2), "server")
        ]

    def test_fragments_are_one_datagram(self):
        import struct

        from tests.wire.frames import ip

        head = struct.pack(">HHHH", 4000, 7, 28, 0)
        talk = Talk().at(0, ip(17, head + b"x" * 8, ident=5, place=0x2000)).at(1, ip(17, b"y" * 12, ident=5, place=2))
        one = talk.one
        assert [(event.kind, event.text, event.frames) for event in one.events] == [
            ("fragments", "20 octets in 2 fragments", (1, 2))
        ]
        assert str(explain(one, talk.trace)[0]).startswith("No connection: client sent 1 datagram with 20 octets.")
        assert judge(Expectation("datagrams", "client", count=Count(1, 1)), talk.trace).met
        assert one.opener.name == "client:4000"
