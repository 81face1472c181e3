"""Sentences about conversations, and questions from Python: both stand on the same events."""

import pytest

from labctl.wire.ask import Wire
from labctl.wire.expect import Count, Expectation, expectation_of
from labctl.wire.explain import explain
from tests.wire.frames import ACK, FIN, PSH, RST, SYN, Talk, udp
from tests.wire.test_expect import greeting


def told(talk):
    trace = talk.trace
    return [str(sentence) for sentence in explain(trace.conversations[0], trace)]


class TestSentences:
    def test_a_greeting(self):
        assert told(greeting()) == [
            "client opened a connection to server:7 by the three-way handshake, in 2.0 ms. (frames 1, 2, 3; RFC 9293 section 3.5)",
            "server sent 24 octets in 2 segments.",
            "server closed first, by a FIN. (frame 7; RFC 9293 section 3.6)",
            "Both ends closed in order; server keeps TIME-WAIT, for stray segments and in case its last ACK is lost."
            " (frame 9; RFC 9293 section 3.6.1)",
        ]

    def test_a_connection_that_took_more_than_one_syn(self):
        opened, *_ = told(Talk().a(0, SYN, 100).a(1000, SYN, 100).b(1001, SYN | ACK, 300, 101).a(1002, ACK, 101, 301))
        assert "in 1.00 s, 2.0 ms after the SYN that was answered. (frames 2, 3, 4;" in opened

    def test_a_refusal(self):
        assert told(Talk().a(0, SYN, 100).b(1, RST | ACK, 0, 101)) == [
            "server refused: nobody listens on port 7 there. (frames 1, 2; RFC 9293 section 3.5.2)"
        ]

    def test_a_reset_because_octets_came_late(self):
        talk = Talk().opened().a(3, FIN | ACK, 101, 301).b(4, ACK | PSH, 301, 102, b"late").a(5, RST, 102)
        assert any("client reset the connection: octets came after it had closed." in line for line in told(talk))

    def test_a_reset_whose_reason_does_not_show(self):
        assert any("server reset the connection. (" in line for line in told(Talk().opened().b(3, RST | ACK, 301, 101)))

    def test_a_time_out_and_many(self):
        talk = Talk().opened().a(3, ACK, 101, 301, b"data").a(203, ACK, 101, 301, b"data")
        assert any("client had no acknowledgment in time" in line and "RFC 6298" in line for line in told(talk))
        for number in range(5):
            talk.a(603 + 400 * number, ACK, 101, 301, b"data")
        assert any(
            "client had no acknowledgment in time and sent the same 6 times again" in line for line in told(talk)
        )

    def test_a_datagram_that_nobody_answers(self):
        assert told(Talk().at(0, udp(b"hi"))) == [
            "No connection: client sent 1 datagram with 2 octets. (frame 1; RFC 768)",
            "Nothing came back, so client cannot know what became of it.",
        ]


class TestQuestions:
    def test_what_holds_can_be_asked_in_a_row(self):
        talk = Wire(greeting().trace).tcp("client", "server:7")
        assert len(repr(talk)) < 200  # what a prompt shows of it
        talk.opens().sends("Thank you", by="server").closes_first("server").never_retransmits().reaches(
            "TIME-WAIT", "server"
        )
        talk.carries(24, by="server").carries(0).takes(at_most=0.1).turns(1)

    def test_any_word_can_be_asked(self):
        Wire(greeting().trace).check("packets", "client", kind="TCP").check("packets", kind="ARP", count=Count(0, 0))
        with pytest.raises(AssertionError, match="ICMP packets: 0 packets of ICMP"):
            Wire(greeting().trace).check("packets", kind="ICMP")

    @pytest.mark.parametrize(
        ("word", "holds", "fails"),
        [
            ("handshake", {"from": "client", "to": "server:7", "count": 1}, {"from_": "server"}),
            ("octets", {"from": "server", "count": 24}, {"from": "server", "count": {"most": 23}}),
            ("segments", {"from": "server", "count": {"least": 2, "most": 2}}, {"from": "server", "count": 1}),
            ("duration", {"from": "client", "most": 1.0}, {"from": "client", "least": 1.0}),
            ("state", {"from": "server", "is": "TIME-WAIT"}, {"from": "client", "is_": "TIME-WAIT"}),
            ("close", {"first": "server"}, {"first": "client"}),
            ("retransmissions", {"count": 0}, {"count": 2}),
            (
                "data",
                {"from": "server", "contains": "Thank", "after": expectation_of("handshake", to="server:7")},
                {"from": "server", "contains": "Thank", "before": expectation_of("handshake", to="server:7")},
            ),
        ],
    )
    def test_its_particulars_are_called_as_in_scenario_files(self, word, holds, fails):
        wire = Wire(greeting().trace)
        wire.check(word, **holds)
        with pytest.raises(AssertionError):
            wire.check(word, **fails)

    def test_a_call_is_asked_for_by_its_name(self):
        asked = expectation_of("call", name="connect", on="client", to="server", error="EINPROGRESS", count=2)
        assert asked == Expectation("call", "client", "server", call="connect", error="EINPROGRESS", count=Count(2, 2))

    def test_a_particular_that_there_is_not_is_named(self):
        with pytest.raises(ValueError, match=r"`colour` is no particular of an expectation; known: .*contains.*least"):
            Wire(greeting().trace).check("data", colour="red")

    @pytest.mark.parametrize(
        "ask",
        [
            lambda talk: talk.closes_first("client"),
            lambda talk: talk.sends("x"),
            lambda talk: talk.resets(),
            lambda talk: talk.is_refused(),
            lambda talk: talk.retransmits(times=1),
            lambda talk: talk.carries(1),
            lambda talk: talk.retransmits_fast(),
            lambda talk: talk.closes_window("server"),
            lambda talk: talk.keeps_alive("client"),
            lambda talk: talk.turns(2),
            lambda talk: talk.is_unreachable(),
            lambda talk: talk.takes(at_most=0.001),
        ],
    )
    def test_what_does_not_hold_raises(self, ask):
        with pytest.raises(AssertionError):
            ask(Wire(greeting().trace).tcp("client", "server:7"))

    def test_a_failure_brings_the_ladder(self):
        with pytest.raises(AssertionError, match="server closed first") as caught:
            Wire(greeting().trace).tcp("client", "server:7").closes_first("client")
        assert "─FIN─" in str(caught.value)

    def test_of_much_only_what_is_around_the_evidence_is_shown(self):
        talk = Talk().opened()
        for number in range(60):
            talk.a(3 + number, ACK, 101 + 4 * number, 301, b"data")
        with pytest.raises(AssertionError, match="nobody closed it") as caught:
            Wire(talk.trace).tcp("client", "server:7").closes_first("client")
        assert len(str(caught.value).splitlines()) == 7

    def test_a_state_that_was_not_reached_tells_the_way(self):
        wire = Wire(Talk().opened().trace)
        with pytest.raises(
            AssertionError, match="it was never reached; there was client:4000 by CLOSED → SYN-SENT → ESTABLISHED"
        ):
            wire.tcp("client", "server:7").reaches("CLOSING", "client")

    def test_udp(self):
        with pytest.raises(AssertionError, match="no connection"):
            Wire(Talk().at(0, udp(b"hi")).trace).tcp("client").opens()
        Wire(Talk().at(0, udp(b"hi")).trace).udp("client", ":7").sends("hi")
