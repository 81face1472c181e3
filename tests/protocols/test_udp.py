"""The small services over UDP: datagrams in, datagrams out."""

import pytest

from services.udp import protocol
from services.udp.protocol import Chargen, Question, Responder
from services.wire import small

PEER = ("10.0.0.9", 40000)
ANSWERS = {
    "greeting": protocol.greeting,
    "echo": protocol.echo,
    "daytime": protocol.daytime(lambda: 0.0),
    "chargen": Chargen(),
    "time": protocol.time_now(lambda: 0.0),
}


def ask(answer, data=b"?", addr=PEER):
    core = Responder(answer)
    core.receive_datagram(data, addr)
    return core.datagrams_to_send()


class TestAnswers:
    @pytest.mark.parametrize(
        ("name", "answer"),
        [
            ("greeting", b"Thank you for connecting"),
            ("echo", b"?"),
            ("daytime", small.daytime(0)),
            ("time", small.time_now(0)),
        ],
    )
    def test_each_datagram_is_answered_with_one(self, name, answer):
        assert ask(ANSWERS[name]) == [(answer, PEER)]

    def test_discard_answers_nothing(self):
        assert ask(protocol.discard) == []

    @pytest.mark.parametrize("size", [0, 1, 65507])
    def test_echo_answers_with_as_many_octets_as_came(self, size):
        assert ask(protocol.echo, b"x" * size) == [(b"x" * size, PEER)]

    def test_what_was_taken_is_not_sent_again(self):
        core = Responder(protocol.echo)
        core.receive_datagram(b"once", PEER)
        core.datagrams_to_send()
        assert core.datagrams_to_send() == []


class TestChargen:
    """RFC 864: 0 to 512 octets."""

    def test_an_answer_has_at_most_512_octets_in_whole_lines(self):
        answer = Chargen()(b"")
        assert len(answer) <= 512
        assert answer.endswith(b"\r\n")

    def test_the_pattern_goes_on_where_it_ended(self):
        chargen = Chargen()
        both = chargen(b"") + chargen(b"")
        assert both == small.chargen_lines(0, 2 * Chargen.LINES)


class TestAmplificationGuard:
    """No service answers a system port (RFC 6335 section 6): two that answer each other would never end."""

    @pytest.mark.parametrize("name", ANSWERS)
    @pytest.mark.parametrize("port", [1, 7, 19, 53, 123, 1023])
    def test_a_well_known_source_port_is_never_answered(self, name, port):
        assert ask(ANSWERS[name], addr=("10.0.0.9", port)) == []

    @pytest.mark.parametrize("name", ANSWERS)
    def test_the_first_port_above_them_is(self, name):
        assert len(ask(ANSWERS[name], addr=("10.0.0.9", 1024))) == 1


class TestQuestion:
    def test_is_asked_again_at_its_interval_and_then_given_up(self):
        question = Question(b"?", tries=2, interval=1.0)
        assert question.datagrams_to_send(10.0) == [b"?"]
        assert question.datagrams_to_send(10.5) == []
        assert question.next_deadline() == 11.0
        assert question.datagrams_to_send(11.0) == [b"?"]
        assert not question.gave_up(11.9)
        assert question.gave_up(12.0)

    def test_the_first_answer_counts_and_ends_the_asking(self):
        question = Question(b"?")
        question.datagrams_to_send(0.0)
        question.receive_datagram(b"first")
        question.receive_datagram(b"duplicate")
        assert question.data == b"first"
        assert question.datagrams_to_send(100.0) == []
        assert not question.gave_up(100.0)
