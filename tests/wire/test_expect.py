"""Expectations: each word of the vocabulary, met and not met, with its evidence."""

import pytest

from labctl.wire.expect import Count, Expectation, judge
from labctl.wire.model import Call
from tests.wire.frames import ACK, FIN, PSH, RST, SYN, Talk, ip, udp


def greeting():
    talk = (
        Talk()
        .opened()
        .b(3, ACK | PSH, 301, 101, b"Thank you ")
        .b(3.1, ACK | PSH, 311, 101, b"for connecting")
        .a(4, ACK, 101, 325)
    )
    return talk.b(5, FIN | ACK, 325, 101).a(6, FIN | ACK, 101, 326).b(7, ACK, 326, 102)


def verdict(talk, what, calls=(), **more):
    trace = talk.trace
    trace.calls = list(calls)
    return judge(Expectation(what, **more), trace)


CASES = [
    ("handshake", {"source": "client", "target": "server:7"}, True, (1, 2, 3)),
    ("handshake", {"source": "server"}, False, ()),
    ("handshake", {"target": "server:8"}, False, ()),
    ("data", {"source": "server", "contains": "you for"}, True, (4, 5)),
    ("data", {"source": "server", "contains": ("Thank", "connecting")}, True, (4, 5)),
    ("data", {"source": "server", "lacks": "Thank"}, False, (4,)),
    ("data", {"source": "server", "contains": "Thank", "lacks": "Goodbye"}, True, (4,)),
    ("handshake", {"source": "client", "count": Count(1, 1)}, True, (1, 2, 3)),
    ("handshake", {"source": "client", "count": Count(2, 2)}, False, (1, 2, 3)),
    ("handshake", {"target": "server:8", "count": Count(0, 0)}, True, ()),
    ("data", {"source": "client"}, False, ()),
    ("octets", {"source": "server", "count": Count(24, 24)}, True, (4, 5)),
    ("octets", {"source": "client", "count": Count(0, 0)}, True, ()),
    ("segments", {"source": "server", "count": Count(2, 2)}, True, (4, 5)),
    ("segments", {"source": "server", "count": Count(1, 1)}, False, (4, 5)),
    ("close", {"source": "server"}, True, (7, 8, 9)),
    ("close", {"source": "client"}, False, (7,)),
    ("state", {"source": "server", "state": "TIME-WAIT"}, True, (8,)),
    ("state", {"source": "client", "state": "TIME-WAIT"}, False, (9,)),
    ("no_retransmission", {}, True, ()),
    ("retransmission", {}, False, ()),
    ("reset", {}, False, ()),
    ("refused", {}, False, ()),
    ("round_trips", {"source": "client", "count": Count(1, 1)}, True, (2,)),
    ("duration", {"count": Count(0, 0.1)}, True, (1, 9)),
    ("duration", {"count": Count(1)}, False, (1, 9)),
    ("datagrams", {}, False, ()),
    ("datagrams", {"count": Count(0, 0)}, True, ()),
    ("packets", {"kind": "TCP", "source": "server", "contains": "FIN"}, True, (7,)),
    ("packets", {"kind": "UDP"}, False, ()),
    ("packets", {"count": Count(0, 0)}, False, (1, 2, 3, 4, 5, 6, 7, 8, 9)),
    ("packets", {"kind": "ARP", "count": Count(0, 0)}, True, ()),
    ("keep_alive", {}, False, ()),
    ("zero_window", {"count": Count(0, 0)}, True, ()),
    ("unreachable", {}, False, ()),
]


@pytest.mark.parametrize(("what", "more", "met", "frames"), CASES)
def test_words(what, more, met, frames):
    seen = verdict(greeting(), what, **more)
    assert (seen.met, seen.frames) == (met, frames), seen


def test_reports_of_who_listens_to_which_group_are_no_packets_of_a_lesson():
    """The machine's own bridge sends them whenever one of its programs joins a group: RFC 3376, RFC 3810."""
    igmp = ip(2, bytes([0x22, 0, 0, 0, 0, 0, 0, 0]), source="10.0.0.254", target="224.0.0.22")
    mld = ip(58, bytes([143, 0, 0, 0, 0, 0, 0, 0]), source="fe80::1", target="ff02::16")
    nothing = Count(0, 0)
    assert verdict(Talk().at(0, igmp).at(1, mld), "packets", count=nothing).met
    assert not verdict(Talk().at(0, ip(103, bytes(8))), "packets", count=nothing).met


class TestEvidence:
    def test_a_failure_says_what_was_seen_and_where(self):
        assert str(verdict(greeting(), "close", source="client")) == "close from client: server closed first (frame 7)"
        told = str(verdict(greeting(), "data", source="server", contains="Goodbye"))
        assert (
            told
            == "data from server with 'Goodbye': server:7 sent 24 octets: \"Thank you for connecting\" (frames 4, 5)"
        )
        assert "there was TCP client:4000 → server:7" in str(verdict(greeting(), "handshake", target="server:8"))

    @pytest.mark.parametrize(
        ("what", "more", "told"),
        [
            ("duration", {"count": Count(0, 0.001)}, "duration (at most 1.0 ms): it took 7.0 ms (frames 1, 9)"),
            ("duration", {"count": Count(2)}, "duration (at least 2.00 s): it took 7.0 ms (frames 1, 9)"),
            (
                "round_trips",
                {"source": "client", "count": Count(7, 7)},
                "1 round trip, the handshake among them (frame 2)",
            ),
            (
                "close",
                {"source": "server", "before": Expectation("close", "server")},
                "it came after close from server (frames 7–9) (frames 7–9)",
            ),
        ],
    )
    def test_numbers_have_their_units_and_nouns_their_number(self, what, more, told):
        assert told in str(verdict(greeting(), what, **more))

    def test_a_refused_handshake_shows_the_reset(self):
        talk = Talk().a(0, SYN, 100).b(1, RST | ACK, 0, 101)
        seen = verdict(talk, "handshake", source="client")
        assert (seen.met, seen.frames, "refuses" in seen.said) == (False, (1, 2), True)
        assert verdict(talk, "refused", source="client").met
        assert verdict(talk, "reset", source="server").met
        assert not verdict(talk, "reset", source="client").met

    def test_a_retransmission_is_counted(self):
        talk = (
            Talk().opened().a(3, ACK, 101, 301, b"data").a(203, ACK, 101, 301, b"data").a(603, ACK, 101, 301, b"data")
        )
        assert verdict(talk, "retransmission", source="client", count=Count(2, 2)).frames == (5, 6)
        assert not verdict(talk, "retransmission", source="server").met
        assert verdict(talk, "no_retransmission").frames == (5, 6)
        assert not verdict(talk, "no_retransmission").met

    def test_a_gap_told_by_duplicates_is_filled_at_once(self):
        talk = Talk().opened().a(3, ACK, 101, 301, b"one").b(4, ACK, 301, 104)
        talk.a(5, ACK, 107, 301, b"3").a(5.1, ACK, 108, 301, b"4").a(5.2, ACK, 109, 301, b"5")
        talk.b(6, ACK, 301, 104).b(6.1, ACK, 301, 104).b(6.2, ACK, 301, 104).a(7, ACK, 104, 301, b"two")
        assert verdict(talk, "duplicate_ack", source="server", count=Count(3, 3)).met
        assert not verdict(talk, "duplicate_ack", source="client").met
        assert verdict(talk, "fast_retransmission", source="client").frames == (12,)
        assert verdict(talk, "retransmission", source="client:4000").met
        assert not verdict(talk, "retransmission", source="client:4001").met

    def test_a_closed_window_is_probed(self):
        talk = Talk().opened().a(3, ACK, 101, 301, b"data").b(4, ACK, 301, 105, window=0).a(300, ACK, 105, 301, b"x")
        assert verdict(talk, "zero_window", source="server").frames == (5,)
        assert verdict(talk, "window_probe", source="client").frames == (6,)
        assert not verdict(talk, "window_probe", source="server").met

    def test_a_silent_peer_is_asked(self):
        talk = Talk().opened().a(3, ACK, 101, 301, b"data").b(4, ACK, 301, 105).a(1000, ACK, 104, 301)
        assert verdict(talk, "keep_alive", source="client", count=Count(1, 1)).frames == (6,)
        assert "0 keep-alive probes" in str(verdict(talk, "keep_alive", source="server"))

    def test_a_question_that_is_asked_again_is_no_new_one(self):
        talk = Talk().opened().a(3, ACK, 101, 301, b"ask").a(300, ACK, 101, 301, b"ask").b(301, ACK, 301, 104, b"tell")
        talk.a(302, ACK, 101, 305, b"ask").b(303, ACK, 305, 104)
        assert verdict(talk, "round_trips", source="client", count=Count(2, 2)).met

    def test_what_must_not_be_said_is_looked_for_in_every_conversation(self):
        talk = greeting()
        talk.at(20, udp(b"the secret"))
        assert verdict(talk, "data", contains="Thank").met
        assert verdict(talk, "data", contains="Thank", lacks="secret").frames == (10,)


class TestOrder:
    HELLO = Expectation("handshake", "client")

    def test_after(self):
        assert verdict(greeting(), "data", source="server", after=self.HELLO).met
        assert not verdict(greeting(), "data", source="server", before=self.HELLO).met

    def test_before(self):
        assert judge(Expectation("handshake", before=Expectation("close")), greeting().trace).met

    def test_nothing_to_compare_with_is_a_failure(self):
        seen = verdict(greeting(), "data", source="server", after=Expectation("reset"))
        assert (seen.met, "nothing to compare with" in seen.said) == (False, True)


class TestStretch:
    def test_only_conversations_that_begin_in_it_count(self):
        talk = greeting()
        assert not judge(Expectation("handshake"), talk.trace, since_ns=1).met
        assert not judge(Expectation("handshake"), talk.trace, 0, 0).met
        assert judge(Expectation("handshake"), talk.trace, 0, 1).met


class TestCalls:
    CALL = Call(
        "client",
        1,
        "step",
        10,
        0.001,
        "connect",
        3,
        -1,
        "ECONNREFUSED",
        "3, server:7",
        "client:4000",
        "server:7",
        "TCP",
        frames=(1, 2),
    )

    def test_a_call_with_its_error(self):
        seen = verdict(
            greeting(), "call", [self.CALL], call="connect", source="client", target="server:7", error="ECONNREFUSED"
        )
        assert (seen.met, seen.frames) == (True, (1, 2))

    def test_one_that_failed_is_not_one_that_succeeded(self):
        seen = verdict(greeting(), "call", [self.CALL], call="connect")
        assert (seen.met, "= ECONNREFUSED" in seen.said) == (False, True)

    def test_without_a_record_it_says_how_to_get_one(self):
        assert "--calls" in verdict(greeting(), "call", call="connect").said


def test_an_unknown_word_is_told():
    with pytest.raises(ValueError, match="known: handshake"):
        verdict(greeting(), "handshak")
