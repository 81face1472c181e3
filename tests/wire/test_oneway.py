"""One-way times: from the call that sent, past the shaper and the bridge, to the call that took; silent where an end was not seen."""

from dataclasses import replace

import pytest

from labctl.wire.explain import explain
from labctl.wire.facts import trace_facts
from labctl.wire.ladder import lay_out
from labctl.wire.model import Call
from labctl.wire.oneway import directions, one_ways
from labctl.wire.shaped import HEAD, Shaped
from labctl.wire.tie import tie
from tests.wire.frames import ACK, MS, PSH, Talk, tcp

HERE, THERE = "10.0.0.1:4000", "10.0.0.2:7"


def call(host, name, at, seconds, result, process=1):
    local, peer = (HERE, THERE) if host == "client" else (THERE, HERE)
    return Call(host, process, "p", round(at * MS), seconds, name, 3, result, "", "3", local, peer, "TCP")


def traced(*calls, held=None):
    data = tcp(PSH | ACK, 101, 301, b"data")
    trace = Talk().opened().at(50, data).trace
    if held is not None:
        trace.shaped = [Shaped((50 - held) * MS, 50 * MS, "delayed", "client → server", data[:HEAD])]
    tie(trace, [replace(call) for call in calls])
    return trace


SEND, RECV = call("client", "sendto", 9, 0.0005, 4), call("server", "recvfrom", 2.5, 0.0500, 4)


class TestWays:
    def test_both_ends_and_the_shaper(self):
        way = one_ways(traced(SEND, RECV, held=40))[4]
        assert (way.sender, way.receiver, way.sent_by, way.taken_by) == ("client", "server", "sendto", "recvfrom")
        assert (way.to_bridge, way.held, way.from_bridge, way.total) == (41 * MS, 40 * MS, 2.5 * MS, 43.5 * MS)
        assert str(way) == "sendto() 41.00 ms before, recvfrom() returned it 2.50 ms after"

    @pytest.mark.parametrize(
        ("calls", "held", "known"),
        [
            ((SEND,), None, (41 * MS, None, None)),
            ((RECV,), None, (None, None, 2.5 * MS)),
            ((), 40, (None, 40 * MS, None)),
        ],
    )
    def test_what_was_not_seen_is_left_out(self, calls, held, known):
        way = one_ways(traced(*calls, held=held))[4]
        assert (way.to_bridge, way.held, way.from_bridge) == known
        assert way.total is None

    def test_nothing_is_known_without_calls_and_shapers(self):
        assert one_ways(traced()) == {}
        assert one_ways(traced(held=0)) == {}  # it passed a shaper that did nothing to it

    def test_what_contradicts_itself_is_left_out(self):
        early = call("server", "recvfrom", 2.5, 0.0400, 4)  # returned before its octets crossed
        assert one_ways(traced(early)) == {}
        late = call("client", "sendto", 30, 0.0005, 4)  # called when its frame was in the shaper already
        assert one_ways(traced(late, held=40))[4].to_bridge is None

    def test_a_handshake_from_connect_to_accept(self):
        ways = one_ways(traced(call("client", "connect", -0.5, 0.0018, 0), call("server", "accept4", -9, 0.0113, 4)))
        assert {frame: (way.sent_by, way.taken_by) for frame, way in ways.items()} == {
            1: ("connect", ""),
            2: ("", "connect"),
            3: ("", "accept4"),
        }

    def test_a_direction_as_a_whole(self):
        trace = traced(SEND, RECV, held=40)
        (one,) = directions(trace.conversations[0], one_ways(trace))
        assert (one.sender, one.frames, one.middle, one.held) == ("client", (4,), pytest.approx(0.0435), 0.04)


class TestShown:
    def test_in_words(self):
        trace = traced(SEND, RECV, held=40)
        told = [str(one) for one in explain(trace.conversations[0], trace)]
        assert told[-1] == (
            "From client's call to server's, octets were on their way for 43.5 ms; of that client's shaper held it 40.0 ms. (frame 4)"
        )
        assert not any("on their way" in str(one) for one in explain(trace.conversations[0], traced(RECV)))

    def test_in_the_pages_detail_and_as_json(self):
        trace = traced(SEND, RECV)
        row = next(row for row in lay_out(trace).rows if row.frame == 4)
        assert row.detail.endswith("PSH; sendto() 41.00 ms before, recvfrom() returned it 2.50 ms after")
        facts = {packet["frame"]: packet for packet in trace_facts(trace)["packets"]}
        assert facts[4]["one_way"]["total"] == pytest.approx(0.0435)
        assert "one_way" not in facts[1]
