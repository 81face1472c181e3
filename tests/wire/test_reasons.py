"""Causes in words: each rule has a capture that shows it, and one beside it that does not."""

import pytest

from labctl.wire.again import by_acks, by_time
from labctl.wire.explain import explain
from labctl.wire.model import Call
from labctl.wire.notes import Notes, apply_notes
from labctl.wire.reasons import doubles
from labctl.wire.shaped import HEAD, Shaped
from labctl.wire.tie import tie
from tests.wire.frames import ACK, FIN, MS, PSH, RST, SYN, A, B, Talk, ip, tcp, udp


def told(trace):
    return [str(sentence) for sentence in explain(trace.conversations[0], trace)]


def said(trace, text):
    found = [line for line in told(trace) if text in line]
    assert len(found) == 1, (text, told(trace))
    return found[0]


def never(trace, text):
    assert not any(text in line for line in told(trace)), told(trace)


def call(host, name, at, result=0, text="3", error="", seconds=0.0002, transport="TCP"):
    local, peer = ("10.0.0.1:4000", "10.0.0.2:7") if host == "client" else ("10.0.0.2:7", "10.0.0.1:4000")
    return Call(host, 1, "p", round(at * MS), seconds, name, 3, result, error, text, local, peer, transport)


class TestSentAgain:
    """RFC 6298 section 5, RFC 8985 section 7.3, RFC 5681 section 3.2: by time, as a probe, or because ACKs asked for it."""

    def test_a_time_out(self):
        trace = Talk().opened().a(3, ACK, 101, 301, b"data").a(213, ACK, 101, 301, b"data").trace
        assert said(trace, "again") == (
            "client had no acknowledgment in time, so it sent 4 octets again, 210 ms after the last new octet."
            " (frame 5; RFC 6298 section 5)"
        )

    def test_a_tail_loss_probe_is_the_last_segment_sooner_than_any_time_out(self):
        talk = Talk().opened().a(3, ACK, 101, 301, b"data").a(4, ACK, 105, 301, b"tail").a(24, ACK, 105, 301, b"tail")
        assert said(talk.trace, "tail loss probe").endswith("(frame 6; RFC 8985 section 7.3)")
        never(talk.trace, "no acknowledgment in time")

    def test_neither_the_last_one_nor_late_enough_is_told_without_a_cause(self):
        talk = Talk().opened().a(3, ACK, 101, 301, b"data").a(4, ACK, 105, 301, b"tail").a(24, ACK, 101, 301, b"data")
        assert said(talk.trace, "again") == "client sent 4 octets again, 20 ms after the last new octet. (frame 6)"

    def test_three_duplicates(self):
        talk = Talk().opened()
        for number in range(5):
            talk.a(3 + number / 10, ACK, 101 + 4 * number, 301, b"data")
        for number in range(4):
            talk.b(4 + number / 10, ACK, 301, 105)
        assert "after 3 duplicate ACKs" in said(talk.a(4.5, ACK, 105, 301, b"data").trace, "showed a gap")

    def test_time_outs_that_double(self):
        talk = Talk().opened().a(0.003, ACK, 101, 301, b"data")
        for at in (200, 600, 1400, 3000):
            talk.a(at, ACK, 101, 301, b"data")
        line = said(talk.trace, "no acknowledgment in time")
        assert line == (
            "client had no acknowledgment in time and sent the same 4 times again, 0.4, 0.8, 1.6 s apart: its time-out doubles each time."
            " (frames 5, 6, 7, 8; RFC 6298 section 5.5)"
        )
        never(talk.a(3300, ACK, 101, 301, b"data").trace, "doubles")
        assert not doubles([1, 1])

    def test_an_ack_after_a_repetition_is_not_called_late(self):
        talk = Talk().opened().a(3, ACK, 101, 301, b"data").a(203, ACK, 101, 301, b"data").b(204, ACK, 301, 105)
        never(talk.trace, "waited before it acknowledged")

    def test_words(self):
        assert by_time("FIN", 190_000_000, last=True)[2] == "RFC 6298 section 5"
        assert by_acks("x", 1)[1:] == ("x again, after 1 duplicate ACK", "RFC 8985 section 6.2")


class TestKnownFromTheShaper:
    """What was dropped before the tap: its repetition is the first that crosses, and only the shaper's log tells."""

    def trace(self, again, *others, acks=()):
        talk = Talk().opened()
        for at, seq in others:
            talk.a(at, ACK, seq, 301, b"data")
        for at in acks:
            talk.b(at, ACK, 301, 101)
        trace = talk.a(again, ACK, 101, 301, b"data").trace
        apply_notes(
            trace, Notes(shaped=(Shaped(3 * MS, 0, "lost", "client → server", tcp(ACK, 101, 301, b"data")[:HEAD]),))
        )
        return trace

    def test_a_time_out(self):
        line = said(self.trace(213), "the shaper had dropped what was sent first")
        assert line.startswith(
            "client had no acknowledgment in time, so it sent 4 octets again, 210 ms after the last segment"
        )

    def test_a_tail_loss_probe(self):
        assert "RFC 8985 section 7.3" in said(self.trace(23), "the shaper had dropped")

    def test_a_repetition_before_others_is_no_probe_of_the_tail(self):
        never(self.trace(23, (4, 105)), "tail loss probe")

    def test_duplicate_acks(self):
        line = said(
            self.trace(5, (3.1, 105), (3.2, 109), (3.3, 113), acks=(4, 4.1, 4.2, 4.3)), "the shaper had dropped"
        )
        assert "did not wait for its timer" in line
        assert "overtook" not in " ".join(
            told(self.trace(5, (3.1, 105), (3.2, 109), (3.3, 113), acks=(4, 4.1, 4.2, 4.3)))
        )

    def test_a_black_hole(self):
        trace = Talk().opened().trace
        trace.shaped = [Shaped(at * MS, 0, "too long", "r", tcp(ACK, 101, 301, b"data")[:HEAD]) for at in (5, 9)]
        assert said(trace, "too long") == (
            "2 segments of client's were too long for the path and vanished, and no ICMP told client. (RFC 2923 section 2.1)"
        )

    def test_what_was_lost_of_an_earlier_connection_is_not_told(self):
        trace = Talk().opened().trace
        trace.shaped = [Shaped(-5 * MS, 0, "too long", "r", tcp(ACK, 101, 301, b"data")[:HEAD])]
        never(trace, "too long")

    def test_datagrams(self):
        trace = Talk().at(0, udp(b"hi")).trace
        trace.shaped = [Shaped(5 * MS, 0, "lost", "client → server", udp(b"ho")[:HEAD])]
        assert (
            said(trace, "never crossed")
            == "1 datagram more of client's never crossed: lost on purpose (client → server)."
        )


class TestProbes:
    """RFC 1122 section 4.2.3.6 and RFC 9293 section 3.8.6.1 look the same on the wire of Linux: the window tells them apart."""

    def test_keep_alive(self):
        talk = Talk().opened().a(1000, ACK, 100, 301).b(1001, ACK, 301, 101)
        assert said(talk.trace, "asked") == (
            "client asked once whether the other end is still there. (frame 4; RFC 1122 section 4.2.3.6)"
        )

    def test_a_closed_window(self):
        talk = Talk().opened().b(3, ACK, 301, 101, window=0).a(203, ACK, 100, 301).b(204, ACK, 301, 101, window=0)
        talk.a(603, ACK, 100, 301).b(604, ACK, 301, 101, window=0)
        assert said(talk.trace, "asked") == (
            "client asked 2 times whether the closed window has opened. (frames 5, 7; RFC 9293 section 3.8.6.1)"
        )


class TestResets:
    def reset(self, talk, *calls):
        trace = talk.trace
        tie(trace, calls)
        return said(trace, "reset the connection")

    def test_probes_that_were_not_answered(self):
        talk = Talk().opened().a(1000, ACK, 100, 301).a(2000, ACK, 100, 301).a(3000, RST | ACK, 101, 301)
        assert "its 2 probes were not answered. (frames 4, 5, 6; RFC 1122 section 4.2.3.6)" in self.reset(talk)

    def test_octets_after_close(self):
        talk = Talk().opened().a(3, FIN | ACK, 101, 301).b(4, ACK | PSH, 301, 102, b"late").a(5, RST, 102)
        assert "octets came after it had closed. (frames 5, 6; RFC 1122 section 4.2.2.13)" in self.reset(talk)

    def test_a_connection_that_is_not_known(self):
        talk = Talk().opened().a(3, ACK | PSH, 101, 301, b"data").b(4, RST, 301)
        assert (
            "it knew no such connection, or none any more, when frame 4 came. (frames 4, 5; RFC 9293 section 3.5.1)"
            in self.reset(talk)
        )

    @pytest.mark.parametrize("rst", [(RST | ACK, 301, 105), (RST, 299)])
    def test_a_reset_that_answers_nothing_is_told_without_a_cause(self, rst):
        talk = Talk().opened().a(3, ACK | PSH, 101, 301, b"data").b(4, *rst)
        assert self.reset(talk).startswith("server reset the connection. (frame 5; ")

    @pytest.mark.parametrize(
        ("calls", "words"),
        [
            ([("close", 4.9)], "its program closed while 4 octets lay unread"),
            ([("recvfrom", 4, 3), ("close", 4.9)], "its program closed while 1 octet lay unread"),
            ([("recvfrom", 4, 4), ("close", 4.9)], "connection. ("),
            ([("recvfrom", 4, 4, "3, x, 4, MSG_PEEK"), ("close", 4.9)], "4 octets lay unread"),
            (
                [("setsockopt", 2.5, 0, "3, SOL_SOCKET, SO_LINGER, {l_onoff=1, l_linger=0}, 8"), ("close", 4.9)],
                "SO_LINGER",
            ),
            ([], "connection. ("),
        ],
    )
    def test_a_programs_own_close(self, calls, words):
        talk = Talk().opened().a(3, ACK | PSH, 101, 301, b"data").b(5, RST | ACK, 301, 105)
        assert words in self.reset(talk, *(call("server", *one) for one in calls))


class TestClosing:
    def test_both_at_once(self):
        talk = Talk().opened().a(3, FIN | ACK, 101, 301).b(3.1, FIN | ACK, 301, 101)
        talk.a(4, ACK, 102, 302).b(4.1, ACK, 302, 102)
        assert said(talk.trace, "both keep TIME-WAIT").endswith("(frame 7; RFC 9293 section 3.6)")

    def test_one_after_the_other(self):
        talk = Talk().opened().a(3, FIN | ACK, 101, 301).b(4, FIN | ACK, 301, 102).a(5, ACK, 102, 302)
        assert "client keeps TIME-WAIT" in said(talk.trace, "TIME-WAIT")


class TestUnreachable:
    def test_a_port_and_the_call_that_heard_of_it(self):
        asked = udp(b"hi")
        talk = Talk().at(0, asked).at(1, ip(1, bytes([3, 3, 0, 0, 0, 0, 0, 0]) + asked[14:], source=B, target=A))
        trace = talk.trace
        tie(trace, [call("client", "recvfrom", 0.5, None, error="ECONNREFUSED", transport="UDP")])
        assert said(trace, "ICMP").startswith(
            "server answered with ICMP port unreachable: no socket is open on its port 7. (frames 1, 2; RFC"
        )
        assert (
            said(trace, "ECONNREFUSED")
            == "client's recvfrom() returned ECONNREFUSED for it. (frame 2; RFC 1122 section 4.1.3.3)"
        )

    def test_of_a_refused_connection_nothing_is_said_of_icmp(self):
        never(Talk().a(0, SYN, 100).b(1, RST | ACK, 0, 101).trace, "ICMP")


class TestNagle:
    def test_by_the_hosts_own_time_where_a_shaper_holds_what_it_sends(self):
        held = tcp(PSH | ACK, 102, 301, b"bc")
        talk = Talk().opened().a(53, ACK | PSH, 101, 301, b"a").b(104, ACK, 301, 102).at(156, held)
        trace = talk.trace
        trace.shaped = [Shaped(106 * MS, 156 * MS, "sent", "client → server", held[:HEAD])]
        tie(trace, [call("client", "sendto", 3, 1), call("client", "sendto", 5, 2)])
        assert "held back 101 ms" in said(trace, "Nagle")
