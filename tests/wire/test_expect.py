"""Expectations: each word of the vocabulary, met and not met, with its evidence."""

import pytest

from labctl.wire.expect import Count, Expectation, judge
from labctl.wire.model import Call
from tests.wire.frames import ACK, FIN, PSH, RST, SYN, Talk


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
    ("data", {"source": "server", "lacks": "Thank"}, False, (4, 5)),
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
    ("unreachable", {}, False, ()),
]


@pytest.mark.parametrize(("what", "more", "met", "frames"), CASES)
def test_words(what, more, met, frames):
    seen = verdict(greeting(), what, **more)
    assert (seen.met, seen.frames) == (met, frames), seen


class TestEvidence:
    def test_a_failure_says_what_was_seen_and_where(self):
        assert str(verdict(greeting(), "close", source="client")) == "close from client: server closed first (frame 7)"
        told = str(verdict(greeting(), "data", source="server", contains="Goodbye"))
        assert (
            told
            == "data from server with 'Goodbye': server:7 sent 24 octets: \"Thank you for connecting\" (frames 4, 5)"
        )
        assert "there was TCP client:4000 → server:7" in str(verdict(greeting(), "handshake", target="server:8"))

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
