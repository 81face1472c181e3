"""Socket calls: what strace writes is read, and each call is tied to the segments that it caused or waited for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.wire.build import build_trace
from labctl.wire.capture import Capture
from labctl.wire.ladder import is_idle, lay_out
from labctl.wire.strace import read_strace
from labctl.wire.tie import tie
from tests.wire.frames import ACK, FIN, MS, NAMES, PSH, RST, SYN, A, B, Talk, kinds, udp

ENDS = "[10.0.0.1:4000->10.0.0.2:7]"
PEER = '{sa_family=AF_INET, sin_port=htons(7), sin_addr=inet_addr("10.0.0.2")}'
PEER6 = '{sa_family=AF_INET6, sin6_port=htons(7), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "fd00::2", &sin6_addr), sin6_scope_id=0}'


def at(ms, text, process=9):
    ns = round(ms * MS)
    return f"{process}  {ns // 10**9}.{ns % 10**9:09d} {text}"


def read(*lines):
    return read_strace("\n".join(lines) + "\n", "client", "step-1", NAMES)


class TestLines:
    def test_a_call_with_result_time_and_octets(self):
        (call,) = read(at(5, f'sendto(3<TCP:{ENDS}>, "hi\\r\\n\\0", 5, MSG_NOSIGNAL, NULL, 0) = 5 <0.000012000>'))
        assert (call.name, call.descriptor, call.result, call.error, call.seconds) == ("sendto", 3, 5, "", 0.000012)
        assert (call.local, call.peer, call.transport, call.octets) == (
            "10.0.0.1:4000",
            "10.0.0.2:7",
            "TCP",
            b"hi\r\n\0",
        )
        assert (call.time_ns, call.text) == (5 * MS, '3, "hi\\r\\n\\0", 5, MSG_NOSIGNAL')

    @pytest.mark.parametrize(("place", "said"), [(PEER, "server:7"), (PEER6, "[fd00::2]:7")])
    def test_an_address_is_told_by_name(self, place, said):
        (call,) = read(at(1, f"connect(3<TCP:[77]>, {place}, 16) = -1 ECONNREFUSED (Connection refused) <0.000071>"))
        assert (call.error, call.result, call.text) == ("ECONNREFUSED", -1, f"3, {said}, 16")

    def test_a_socket_that_is_made(self):
        (call,) = read(at(1, "socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3<TCP:[77]> <0.000009>"))
        assert (call.descriptor, call.transport, call.seconds) == (3, "TCP", 0.000009)

    def test_six(self):
        (call,) = read(at(1, "close(35<TCPv6:[[fd00::3]:9->[fd00::2]:3830]>) = 0 <0.000045>"))
        assert (call.local, call.peer, call.text) == ("[fd00::3]:9", "[fd00::2]:3830", "35")

    def test_an_interrupted_call_is_put_together(self):
        calls = read(
            at(1, f"recvfrom(3<TCP:{ENDS}>, <unfinished ...>"), at(2, f"close(4<TCP:{ENDS}>) = 0 <0.000001>", 10),
            at(3, '<... recvfrom resumed>"ok", 100, 0, NULL, NULL) = 2 <0.002000>'),
        )  # fmt: skip
        assert [(call.name, call.time_ns, call.octets) for call in calls] == [
            ("recvfrom", MS, b"ok"),
            ("close", 2 * MS, b""),
        ]

    def test_a_call_that_still_waits(self):
        (call,) = read(at(1, f"recvfrom(3<TCP:{ENDS}>, <unfinished ...>"))
        assert (call.result, call.seconds) == (None, None)

    def test_text_that_looks_like_a_result_is_an_argument(self):
        (call,) = read(at(1, f'write(3<TCP:{ENDS}>, "a) = -1 EIO <0.5>", 17) = 17 <0.000002>'))
        assert (call.result, call.error, call.octets) == (17, "", b"a) = -1 EIO <0.5>")

    @pytest.mark.parametrize("line", ["read(3</etc/hosts>, \"x\", 9) = 1 <0.000001>", "write(1<pipe:[5]>, \"x\", 1) = 1 <0.000001>",
                                      "close(4<UNIX-STREAM:[5->6]>) = 0 <0.000001>", "+++ exited with 0 +++",
                                      "epoll_wait(3<x>, [], 9, 0) = 0 <0.000002>",
                                      "poll([{fd=4</dev/null>}], 1, 5) = 1 <0.000002>", "getpid() = 4"])  # fmt: skip
    def test_what_is_no_socket_is_left_out(self, line):
        assert read(at(1, line)) == []

    def test_a_socket_knows_its_addresses_from_later_calls(self):
        calls = read(
            at(1, "socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3<TCP:[77]> <0.000009>"),
            at(2, f"connect(3<TCP:[77]>, {PEER}, 16) = 0 <0.001>"),
            at(4, f'recvfrom(3<TCP:{ENDS}>, "x", 9, 0, NULL, NULL) = 1 <0.000002>'),
            at(5, f"close(3<TCP:{ENDS}>) = 0 <0.000002>"),
            at(6, "socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3<TCP:[78]> <0.000009>"),
        )  # fmt: skip
        assert [(call.local, call.peer) for call in calls] == [("10.0.0.1:4000", "10.0.0.2:7")] * 4 + [("", "")]

    @given(st.lists(st.text(max_size=60), max_size=6))
    def test_any_lines(self, lines):
        read(*lines)

    @given(st.data())
    def test_lines_that_are_cut(self, data):
        line = at(1, f'sendto(3<TCP:{ENDS}>, "hi", 2, 0, {PEER}, 16) = 2 <0.000012>')
        read(line[: data.draw(st.integers(0, len(line)))])


def tied(talk, *lines, host="client"):
    trace = build_trace(Capture(talk.frames), NAMES)
    tie(trace, read_strace("\n".join(lines), host, "step-1", NAMES))
    return trace


class TestTies:
    """`connect` to the SYN and its answer, `send` to what carries its octets, `close` to the FIN."""

    def test_a_whole_client(self):
        talk = Talk().opened().a(5, PSH | ACK, 101, 301, b"ask").b(6, PSH | ACK, 301, 104, b"answer")
        talk.b(7, FIN | ACK, 307, 104).a(8, FIN | ACK, 104, 308).b(9, ACK, 308, 105)
        trace = tied(
            talk,
            at(-0.1 + 1000, "getpid() = 1"),
            at(0, "socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3<TCP:[77]> <0.000001>"),
            at(0, f"connect(3<TCP:[77]>, {PEER}, 16) = 0 <0.002>"),
            at(4.9, f'sendto(3<TCP:{ENDS}>, "ask", 3, 0, NULL, 0) = 3 <0.0002>'),
            at(5.2, f'recvfrom(3<TCP:{ENDS}>, "answer", 99, 0, NULL, NULL) = 6 <0.001>'),
            at(6.5, f'recvfrom(3<TCP:{ENDS}>, "", 99, 0, NULL, NULL) = 0 <0.001>'),
            at(7.9, f"close(3<TCP:{ENDS}>) = 0 <0.0002>"),
        )
        assert [(call.name, call.frames) for call in trace.calls] == [
            ("socket", ()), ("connect", (1, 2)), ("sendto", (4,)), ("recvfrom", (5,)), ("recvfrom", (6,)), ("close", (7,)),
        ]  # fmt: skip
        assert {call.conversation for call in trace.calls} == {1}
        assert trace.calls[1].peer == "server:7"

    @pytest.mark.parametrize(
        ("first", "tied_to"),
        [("shutdown(3<TCP:{}>, SHUT_WR)", [(4,), ()]), ("shutdown(3<TCP:{}>, SHUT_RD)", [(), (4,)])],
    )
    def test_a_fin_is_of_the_call_that_sent_it(self, first, tied_to):
        """Shutting the reading side sends nothing; behind a shutdown of the writing side, close sends nothing more."""
        trace = tied(
            Talk().opened().a(5, FIN | ACK, 101, 301).b(6, ACK, 301, 102),
            at(4.9, f"{first.format(ENDS)} = 0 <0.0002>"),
            at(5.15, f"close(3<TCP:{ENDS}>) = 0 <0.0002>"),
        )
        assert [call.frames for call in trace.calls] == tied_to

    def test_two_sends_share_a_segment_and_one_send_takes_two(self):
        talk = Talk().opened().a(5, PSH | ACK, 101, 301, b"abcd").a(5.1, PSH | ACK, 105, 301, b"ef")
        sends = [
            at(4 + n / 10, f'write(3<TCP:{ENDS}>, "x", {size}) = {size} <0.00001>') for n, size in enumerate((1, 2, 3))
        ]
        assert [call.frames for call in tied(talk, *sends).calls] == [(4,), (4,), (4, 5)]

    def test_octets_sent_again_are_tied_to_the_frame_that_first_carried_them(self):
        talk = Talk().opened().a(5, ACK, 101, 301, b"data").a(205, ACK, 101, 301, b"data")
        (call,) = tied(talk, at(4.9, f'write(3<TCP:{ENDS}>, "data", 4) = 4 <0.0002>')).calls
        assert call.frames == (4,)

    def test_both_ends_count_for_themselves(self):
        """What the client sent is not what the server has taken so far, though both speak of the same octets."""
        talk = Talk().opened().a(5, PSH | ACK, 101, 301, b"one").a(7, PSH | ACK, 104, 301, b"more")
        talk.b(9, PSH | ACK, 301, 108, b"answer")
        trace, back = talk.trace, "[10.0.0.2:7->10.0.0.1:4000]"
        client = [
            at(4.9, f'sendto(3<TCP:{ENDS}>, "one", 3, 0, NULL, 0) = 3 <0.0002>'),
            at(6.9, f'sendto(3<TCP:{ENDS}>, "more", 4, 0, NULL, 0) = 4 <0.0002>'),
            at(9.1, f'recvfrom(3<TCP:{ENDS}>, "answer", 99, 0, NULL, NULL) = 6 <0.001>'),
        ]
        server = [
            at(5.1, f'recvfrom(3<TCP:{back}>, "one", 99, 0, NULL, NULL) = 3 <0.0002>'),
            at(7.1, f'recvfrom(3<TCP:{back}>, "more", 99, 0, NULL, NULL) = 4 <0.0002>'),
            at(8.9, f'sendto(3<TCP:{back}>, "answer", 6, 0, NULL, 0) = 6 <0.0002>'),
        ]
        calls = [
            call
            for host, lines in (("client", client), ("server", server))
            for call in read_strace("\n".join(lines), host, "step-1", NAMES)
        ]
        tie(trace, calls)
        told = {host: [call.frames for call in trace.calls if call.host == host] for host in ("client", "server")}
        assert told == {"client": [(4,), (5,), (6,)], "server": [(4,), (5,), (6,)]}

    def test_a_refusal(self):
        talk = Talk().a(1, SYN, 100).b(1.1, RST | ACK, 0, 101)
        (call,) = tied(
            talk, at(0.9, f"connect(3<TCP:[77]>, {PEER}, 16) = -1 ECONNREFUSED (Connection refused) <0.0005>")
        ).calls
        assert (call.frames, call.conversation, call.error) == ((1, 2), 1, "ECONNREFUSED")

    def test_a_server_accepts_when_the_handshake_is_through(self):
        ends = "[10.0.0.2:7->10.0.0.1:4000]"
        line = at(2.1, f"accept4(5<TCP:[0.0.0.0:7]>, NULL, NULL, 0) = 6<TCP:{ends}> <0.00001>")
        (call,) = tied(Talk().opened(), line, host="server").calls
        assert (call.frames, call.descriptor) == ((1, 2, 3)[2:], 6)

    def test_a_call_is_put_where_its_segment_shows_that_it_ran(self):
        talk = Talk().opened().a(9, PSH | ACK, 101, 301, b"ask")
        (call,) = tied(talk, at(4, f'write(3<TCP:{ENDS}>, "ask", 3) = 3 <0.001>')).calls
        assert call.end_ns == 9 * MS

    def test_datagrams_are_counted(self):
        talk = Talk().at(1, udp(b"one")).at(2, udp(b"two")).at(3, udp(b"reply", ports=(7, 4000), source=B, target=A))
        ends = f"UDP:{ENDS}"
        trace = tied(
            talk, at(0.9, f'sendto(3<{ends}>, "one", 3, 0, NULL, 0) = 3 <0.0002>'),
            at(1.9, f'sendto(3<{ends}>, "two", 3, 0, NULL, 0) = 3 <0.0002>'),
            at(2.5, f'recvfrom(3<{ends}>, "reply", 9, 0, NULL, NULL) = 5 <0.0006>'),
        )  # fmt: skip
        assert [call.frames for call in trace.calls] == [(1,), (2,), (3,)]

    def test_an_unconnected_server_is_known_by_its_port_and_its_peer(self):
        talk = Talk().at(1, udp(b"one")).at(2, udp(b"yes", ports=(7, 4000), source=B, target=A))
        from_a = '{sa_family=AF_INET, sin_port=htons(4000), sin_addr=inet_addr("10.0.0.1")}'
        trace = tied(
            talk, at(0.5, f'recvfrom(3<UDP:[0.0.0.0:7]>, "one", 9, 0, {from_a}, [16]) = 3 <0.0006>'),
            at(1.9, f'sendto(3<UDP:[0.0.0.0:7]>, "yes", 3, 0, {from_a}, 16) = 3 <0.0002>'), host="server",
        )  # fmt: skip
        assert [call.frames for call in trace.calls] == [(1,), (2,)]

    def test_nagle_holds_a_small_segment_back(self):
        """RFC 9293 section 3.7.4: not before what was sent before is acknowledged."""
        talk = (
            Talk().opened().a(5, PSH | ACK, 101, 301, b"one").b(45, ACK, 301, 104).a(45.1, PSH | ACK, 104, 301, b"two")
        )
        lines = [
            at(4.9, f'write(3<TCP:{ENDS}>, "one", 3) = 3 <0.0002>'),
            at(5.5, f'write(3<TCP:{ENDS}>, "two", 3) = 3 <0.00001>'),
        ]
        trace = tied(talk, *lines)
        assert "nagle" in kinds(trace.conversations[0])
        assert trace.conversations[0].events[-1].frames == (5, 6)


class TestIdle:
    def test_event_loops_and_health_checks_have_nothing_to_do_with_the_wire(self):
        waits = read(at(1, f"poll([{{fd=3<TCP:{ENDS}>}}], 1, 5) = 1 <0.002>"))
        assert not is_idle(waits[0], [2 * MS])
        assert is_idle(waits[0], [90 * MS])
        own = read(at(1, "close(3<TCP:[127.0.0.1:7->127.0.0.1:9]>) = 0 <0.00001>"))
        assert is_idle(own[0], [MS])

    def test_the_ladder_leaves_them_out_and_says_so(self):
        trace = tied(Talk().opened(), at(500, f"poll([{{fd=3<TCP:{ENDS}>}}], 1, 5) = 0 <0.5>"))
        ladder = lay_out(trace)
        assert [row.kind for row in ladder.rows] == ["conversation", *["packet"] * 3]
        assert ladder.left_out == {"calls that have nothing to do with the wire": 1}
        assert "call" in [row.kind for row in lay_out(trace, everything=True).rows]
