"""Two traces of one scenario side by side: what differs is told, and nothing else."""

import random
from pathlib import Path

import pytest

from labctl.errors import UsageError
from labctl.wire.align import MOST, align, pair_up
from labctl.wire.build import build_trace
from labctl.wire.capture import Capture
from labctl.wire.cut import Cut
from labctl.wire.diff import Tolerance, diff, diff_facts
from labctl.wire.diff_text import DiffText
from labctl.wire.model import Call
from labctl.wire.shaped import HEAD, Shaped
from tests.wire.frames import ACK, FIN, MS, NAMES, PSH, RST, SYN, A, B, Talk, tcp, udp

GOLDEN = Path(__file__).parent / "golden"


def greeting(port=4000, isn=100, late=0.0, twice=False, refuse_first=False, text=b"Thank you"):
    """A greeting; its second half comes `late` ms later, or twice."""
    talk = Talk()
    one, back = {"ports": (port, 7)}, {"ports": (7, port)}
    if refuse_first:
        talk.a(0, SYN, 9, ports=(3999, 7)).b(1, RST | ACK, 0, 10, ports=(7, 3999))
    talk.a(10, SYN, isn, **one).b(11, SYN | ACK, 300, isn + 1, **back).a(12, ACK, isn + 1, 301, **one)
    talk.b(13 + late, ACK | PSH, 301, isn + 1, text, **back)
    if twice:
        talk.b(213 + late, ACK | PSH, 301, isn + 1, text, **back)
        late += 200
    talk.a(14 + late, ACK, isn + 1, 310, **one).b(15 + late, FIN | ACK, 310, isn + 1, **back)
    return talk.a(16 + late, FIN | ACK, isn + 1, 311, **one).b(17 + late, ACK, 311, isn + 2, **back).trace


def differences(a, b, **more):
    return [(item.which, item.kind) for pair in diff(a, b, **more).differing for item in pair.differences]


class TestAlike:
    def test_a_clients_port_and_sequence_numbers_do_not_count(self):
        result = diff(greeting(), greeting(port=51234, isn=7_000_000))
        assert result.same
        assert len(result.compared) == 1

    def test_acks_that_mean_nothing_do_not_count(self):
        talk = Talk().opened().b(3, ACK | PSH, 301, 101, b"one").b(4, ACK | PSH, 304, 101, b"two")
        more = Talk().opened().b(3, ACK | PSH, 301, 101, b"one").a(3.5, ACK, 101, 304).b(4, ACK | PSH, 304, 101, b"two")
        assert diff(talk.trace, more.trace).same

    def test_times_within_the_tolerance_are_the_same(self):
        assert diff(greeting(), greeting(late=19)).same
        assert differences(greeting(), greeting(late=30)) == [("both", "time")]
        assert diff(greeting(), greeting(late=30), tolerance=Tolerance(0.05, 0)).same
        assert differences(greeting(), greeting(late=3), tolerance=Tolerance(0, 0.5)) == [("both", "time")]

    def test_what_was_before_the_lab_was_ready_does_not_count(self):
        assert diff(greeting(refuse_first=True), greeting(), since_a=5 * MS).same

    def test_addresses_without_names_are_told_apart_by_their_order(self):
        def nameless(a, b):
            frames = [Talk().at(0, udp(b"hi", source=a, target=b)).frames[0]]
            return build_trace(Capture(frames))

        assert diff(nameless("10.0.0.1", "10.0.0.2"), nameless("10.9.0.3", "10.9.0.2")).same


class TestDifferent:
    def test_a_delay_is_told_once_where_it_came_in(self):
        (pair,) = diff(greeting(), greeting(late=200)).differing
        (one,) = pair.differences
        assert (one.frame_a, one.at_a, one.at_b) == (4, pytest.approx(0.003), pytest.approx(0.203))
        assert one.text == 'server → client: 9 octets "Thank you", from octet 1: 200.0 ms later in B'

    def test_a_retransmission_is_only_in_the_trace_that_has_it(self):
        (pair,) = diff(greeting(), greeting(twice=True)).differing
        assert [(one.which, one.frame_b) for one in pair.differences if one.kind == "packet"][:1] == [("B", 5)]
        assert "again" in pair.differences[0].text

    def test_other_octets_of_the_same_length(self):
        assert differences(greeting(), greeting(text=b"Thank YOU")) == [("both", "octets")]

    def test_a_connection_more_is_held_against_its_like(self):
        result = diff(greeting(), greeting(refuse_first=True))
        assert [(pair.a, pair.b) for pair in result.differing] == [(0, 1)]
        assert len(result.compared) == 2

    def test_one_that_is_refused_and_one_that_is_not_are_the_same_connection(self):
        refused = Talk().a(10, SYN, 9).b(11, RST | ACK, 0, 10).trace
        (pair,) = diff(greeting(), refused).differing
        assert (pair.a, pair.b) == (1, 1)
        assert ("B", "packet") in differences(greeting(), refused)

    def test_what_a_shaper_dropped(self):
        broken = greeting()
        head = tcp(PSH | ACK, 301, 101, b"Thank you", ports=(7, 4000), source="10.0.0.2", target="10.0.0.1")[:HEAD]
        broken.shaped = [Shaped(12 * MS, 0, "lost", "server → client", head)]
        (pair,) = diff(greeting(), broken).differing
        assert [(one.which, one.kind) for one in pair.differences] == [("B", "lost")]
        assert "lost on purpose" in pair.differences[0].text

    def test_who_closes_first(self):
        talk = Talk().opened().a(5, FIN | ACK, 101, 301).b(6, FIN | ACK, 301, 102).a(7, ACK, 102, 302)
        other = Talk().opened().b(5, FIN | ACK, 301, 101).a(6, FIN | ACK, 101, 302).b(7, ACK, 302, 102)
        told = [one.text for pair in diff(talk.trace, other.trace).differing for one in pair.differences]
        assert any("client closes first" in text for text in told)
        assert any("server closes first" in text for text in told)

    def test_calls_where_both_have_them(self):
        a, b, bare = greeting(), greeting(), greeting()
        for trace, seconds, error in ((a, 0.001, ""), (b, 0.5, ""), (bare, 0, "")):
            if trace is not bare:
                trace.calls = [Call("client", 1, "p", 10 * MS, seconds, "connect", 3, 0, error, "3", conversation=1)]
        assert differences(a, b) == [("both", "call")]
        assert diff(a, bare).same
        assert diff(a, bare).notes == ("only A has socket calls: they are not compared",)
        b.calls[0].error = "ECONNREFUSED"
        assert differences(a, b) == [("A", "call"), ("B", "call")]

    def test_a_longer_time_that_came_in_small_parts(self):
        def slow(step):
            talk = Talk().opened()
            for number in range(20):
                talk.a(3 + number * step, ACK | PSH, 101 + number, 301, b"x")
            return talk.trace

        assert differences(slow(1), slow(15)) == [("both", "duration")]


class TestText:
    @pytest.fixture
    def result(self):
        bulk = Talk().opened()
        for number in range(6):
            bulk.b(20 + number, ACK | PSH, 301 + 100 * number, 101, b"y" * 100)
        return diff(greeting(refuse_first=True), greeting(late=200, twice=True)), diff(
            Talk().opened().trace, bulk.trace
        )

    @pytest.mark.parametrize("width", [48, 100])
    def test_golden(self, result, width):
        lines = [line for one in result for line in [*DiffText(width, colour=False).draw(one, "before", "after"), ""]]
        assert max(map(len, lines)) <= width
        assert "\n".join(lines) == (GOLDEN / f"diff-{width}.txt").read_text()

    def test_no_difference_is_one_line(self):
        lines = list(DiffText(120, colour=True).draw(diff(greeting(), greeting()), "a", "b"))
        assert lines == ["no difference between a and b: 1 conversation alike, times within 20 ms or 25 %"]

    def test_marks_are_coloured_and_plain_ascii_will_do(self, result):
        told = "\n".join(DiffText(100, colour=True).draw(result[0], "a", "b"))
        assert "\x1b[31m- " in told
        assert "\x1b[32m+ " in told
        assert "\x1b[33m~ " in told
        assert "\n".join(DiffText(100, colour=False, ascii_only=True).draw(result[0], "a", "b")).isascii()

    def test_facts(self, result):
        facts = diff_facts(result[0])
        assert facts["same"] is False
        assert {one["in"] for pair in facts["conversations"] for one in pair["differences"]} == {"B", "both"}
        assert diff_facts(diff(greeting(), greeting()))["conversations"] == []


class TestAlign:
    def test_the_longest_common_order(self):
        assert align("abcd", "axcd") == [(0, 0), (1, None), (None, 1), (2, 2), (3, 3)]
        assert align("", "ab") == [(None, 0), (None, 1)]
        assert align("aa", "a") == [(0, 0), (1, None)]

    @pytest.mark.parametrize("size", [0, 1, 30, 3000])
    def test_every_place_once_and_only_equals_are_matched(self, size):
        dice = random.Random(size)
        one, other = ([dice.randrange(40) for _ in range(size)] for _ in range(2))
        assert size < 2500 or size * size > MOST
        places = align(one, other)
        assert sorted(a for a, _ in places if a is not None) == list(range(size))
        assert sorted(b for _, b in places if b is not None) == list(range(size))
        assert all(one[a] == other[b] for a, b in places if a is not None and b is not None)

    def test_what_looks_alike_is_matched_before_what_has_only_the_name(self):
        assert pair_up([("x", "good")], [("x", "bad"), ("x", "good")]) == [(None, 0), (0, 1)]
        assert pair_up([("x", "good")], [("x", "bad")]) == [(0, 0)]


class TestCommand:
    @pytest.mark.parametrize("said", ["20", "ms", "5%,x", "-1ms"])
    def test_a_tolerance_that_is_none(self, said):
        from labctl.cli.diff import _tolerance

        with pytest.raises(UsageError):
            _tolerance(said)

    def test_tolerances(self):
        from labctl.cli.diff import _tolerance

        assert _tolerance("20ms,25%") == Tolerance()
        assert _tolerance("1s") == Tolerance(1.0, 0.0)
        assert _tolerance("10%") == Tolerance(0.0, 0.1)

    def test_exit_codes(self, tmp_path, capsys):
        from labctl.cli.app import run_cli
        from labctl.wire.write import write_pcapng

        for name, trace in (("a", greeting()), ("b", greeting(late=200))):
            frames = [packet_frame(packet) for packet in trace.packets]
            (tmp_path / f"{name}.pcapng").write_bytes(write_pcapng(Capture(frames, names=dict(NAMES))))
        a, b = str(tmp_path / "a.pcapng"), str(tmp_path / "b.pcapng")
        for other, code in ((a, 0), (b, 1)):
            with pytest.raises(SystemExit) as left:
                run_cli(["diff", a, other])
            assert left.value.code == code
        assert "200.0 ms later in B" in " ".join(capsys.readouterr().out.split())
        (tmp_path / "b.pcapng").write_bytes(b"rubbish")
        assert run_cli(["diff", a, b]) == 2


def packet_frame(packet):
    from labctl.wire.capture import Frame

    return Frame(packet.time_ns, packet.octets, packet.length)


def test_what_a_partition_dropped_differs_from_what_arrived():
    talk = Talk().a(0, SYN, 100).a(1000, SYN, 100).b(1001, SYN | ACK, 300, 101).a(1002, ACK, 101, 301)
    whole = Talk().opened().trace
    cut = Cut("server", (B,), "client", (A,), -MS, 500 * MS)
    broken = build_trace(Capture(talk.frames), NAMES, (cut,))
    (pair,) = diff(whole, broken).differing
    (told,) = [one for one in pair.differences if one.frame_b == 1]
    assert (told.which, told.text) == (
        "B",
        "client → server: SYN; dropped where it arrived: server was cut off from client",
    )
    assert diff(broken, broken).same
