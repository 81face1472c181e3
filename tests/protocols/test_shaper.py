"""The shaper's decisions: what a seed says, to whom, and when; no socket, no clock."""

import struct
from ipaddress import ip_address

import pytest

from services.tools.shaper import engine
from services.tools.shaper.decide import NANO, Effect, Stream, Transmitter, bursty, predict
from services.tools.shaper.engine import SNAP, Engine, carried_over
from services.tools.shaper.frames import flipped, flipped_octet, parse
from services.tools.shaper.rules import Rule, Rules

KEY = "udp|client|udp-server"
MS = 1_000_000
GOLDEN_LOSS = [2, 13, 22, 23, 32, 36, 40, 47, 50, 55, 57]
GOLDEN_BURST = [7, 14, 30, 31, 32, 40, 41]


def lost(effect, seed=7, count=40, key=KEY):
    return [number for number, fate in enumerate(predict(effect, seed, key, count)) if not fate.copies]


def frame(source="10.0.0.2", target="10.0.0.3", *, proto=17, ports=(5000, 7), flags=0x10, payload=b"0123456789"):
    header = struct.pack("!HH", *ports)
    if proto == 6:
        header += struct.pack("!IIBBHHH", 1, 1, 5 << 4, flags, 1024, 0, 0)
    elif proto == 17:
        header += struct.pack("!HH", 8 + len(payload), 0)
    if ":" in source:
        ip = struct.pack("!IHBB", 6 << 28, len(header + payload), proto, 64)
        return bytes(12) + b"\x86\xdd" + ip + ip_address(source).packed + ip_address(target).packed + header + payload
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(header + payload), 1, 0x4000, 64, proto, 0)
    return bytes(12) + b"\x08\x00" + ip + ip_address(source).packed + ip_address(target).packed + header + payload


class TestDecisions:
    """A seed says the same on every machine, in every Python."""

    def test_loss_is_this_set(self):
        assert lost(Effect(loss=0.1), count=60) == GOLDEN_LOSS
        assert lost(Effect(loss=0.2, burst=3), count=60) == GOLDEN_BURST

    def test_one_property_does_not_shift_another(self):
        alone = lost(Effect(loss=0.2), count=500)
        assert alone == lost(Effect(loss=0.2, delay_ns=9, jitter_ns=5, corrupt=0.3, reorder=0.1), count=500)

    def test_streams_and_seeds_differ(self):
        sets = {tuple(lost(Effect(loss=0.3), seed, 200, key)) for seed in (1, 2) for key in (KEY, "tcp|a|b")}
        assert len(sets) == 4

    @pytest.mark.parametrize(("loss", "burst"), [(0.05, 4), (0.2, 3), (0.01, 10)])
    def test_bursts_have_the_mean_loss_and_the_mean_length_that_were_asked_for(self, loss, burst):
        fates = [fate.copies == 0 for fate in predict(Effect(loss=loss, burst=burst), 1, KEY, 200_000)]
        rows = sum(now and not before for before, now in zip([False, *fates], fates, strict=False))
        five_sigma = (
            5 * (2 * burst / (loss * len(fates))) ** 0.5
        )  # rows are what varies: few of them, of very unlike lengths
        assert sum(fates) / len(fates) == pytest.approx(loss, rel=five_sigma)
        assert sum(fates) / rows == pytest.approx(burst, rel=five_sigma)

    def test_gilbert_elliott_by_its_numbers_is_the_same_chain(self):
        assert lost(Effect(gemodel=bursty(0.2, 3)), count=500) == lost(Effect(loss=0.2, burst=3), count=500)

    @pytest.mark.parametrize("share", [0.0, 1.0])
    def test_nothing_and_all(self, share):
        assert len(lost(Effect(loss=share), count=100)) == 100 * share

    def test_a_duplicate_that_is_also_lost_comes_once(self):
        assert {fate.copies for fate in predict(Effect(duplicate=1, loss=1), 1, KEY, 20)} == {1}

    def test_jitter_stays_within_its_bounds_and_normal_jitter_never_goes_back_in_time(self):
        uniform = [fate.delay_ns for fate in predict(Effect(delay_ns=50 * MS, jitter_ns=10 * MS), 1, KEY, 5000)]
        assert 40 * MS <= min(uniform) < 41 * MS
        assert 59 * MS < max(uniform) <= 60 * MS
        normal = [f.delay_ns for f in predict(Effect(delay_ns=MS, jitter_ns=MS, distribution="normal"), 1, KEY, 5000)]
        assert min(normal) == 0
        assert max(normal) > 3 * MS

    def test_what_needs_no_chance_is_decided_once(self):
        stream = Stream(Effect(delay_ns=5), 1, KEY)
        assert stream.decide() is stream.decide()


class TestTransmitter:
    """A line is never faster than it says, and drops what its buffer does not hold."""

    @pytest.mark.parametrize("rate", [1_000_000, 3_333_333, 10_000_000])
    def test_n_octets_never_take_less_than_their_time(self, rate):
        line = Transmitter(rate, buffer=10**9)
        ends = [line.send(0, size) for size in (1500, 40, 1, 999) for _ in range(250)]
        assert ends[-1] >= (1500 + 40 + 1 + 999) * 250 * 8 * NANO / rate
        assert ends[-1] <= (1500 + 40 + 1 + 999) * 250 * 8 * NANO / rate + 1000

    def test_the_buffer_is_in_octets_and_empties(self):
        line = Transmitter(8_000, buffer=1000)  # 1 octet a millisecond
        assert line.send(0, 600) == 600 * MS
        assert line.send(0, 400) == 1000 * MS
        assert line.send(0, 1) is None
        assert line.send(500 * MS, 400) == 1400 * MS

    def test_an_idle_line_saves_nothing_up(self):
        line = Transmitter(8_000)
        assert line.send(10 * NANO, 100) == 10 * NANO + 100 * MS


class TestFrames:
    @pytest.mark.parametrize(("source", "target"), [("10.0.0.2", "10.0.0.3"), ("fd00::2", "fd00::3")])
    def test_ends_and_payload(self, source, target):
        packet = parse(frame(source, target))
        assert (packet.source, packet.target, packet.protocol, packet.ports) == (source, target, "udp", (5000, 7))
        assert packet.end - packet.payload == 10

    @pytest.mark.parametrize(
        ("flags", "payload", "kinds"),
        [
            (0x02, b"", {"syn"}),
            (0x12, b"", {"syn-ack"}),
            (0x10, b"", {"ack"}),
            (0x18, b"x", {"data"}),
            (0x11, b"", {"fin"}),
            (0x19, b"x", {"data", "fin"}),
            (0x14, b"", {"rst"}),
        ],
    )
    def test_kinds_of_segments(self, flags, payload, kinds):
        assert parse(frame(proto=6, flags=flags, payload=payload)).kinds == kinds

    def test_what_is_no_ip_or_cut_short_is_nothing(self):
        assert parse(bytes(12) + b"\x08\x06" + bytes(28)) is None
        assert all(parse(frame()[:length]) is None for length in range(20))

    @pytest.mark.parametrize("place", [0, 0.5, 0.999])
    def test_one_bit_of_the_payload_is_flipped(self, place):
        before, after = frame(), flipped(frame(), place)
        changed = [n for n, (one, other) in enumerate(zip(before, after, strict=True)) if one != other]
        assert len(changed) == 1
        assert changed[0] >= parse(before).payload
        assert (before[changed[0]] ^ after[changed[0]]).bit_count() == 1

    def test_an_octet_is_counted_from_one_and_padding_is_none(self):
        octets = frame(payload=b"ab") + bytes(16)
        assert flipped_octet(octets, 2)[-17] == ord("b") ^ 1
        assert flipped_octet(octets, 3) == octets


class Wire:
    """An engine whose clock the test turns."""

    HOSTS = {"server": ["10.0.0.3", "fd00::3"], "other": ["10.0.0.4"]}  # noqa: RUF012

    def __init__(self, *rules, own="client", hosts=HOSTS):
        self.sent = []
        self.now = 0
        self.engine = Engine(lambda octets: self.sent.append((self.now, octets)))
        self.engine.set_rules(Rules(rules, hosts, own))

    def take(self, octets, at=0):
        self.now = at
        self.engine.take(octets, at)

    def run(self, until):
        while self.engine.held and self.engine.held[0][0] <= until:
            self.now = self.engine.held[0][0]
            self.engine.release(self.now)


class TestEngine:
    def test_without_a_rule_for_it_a_frame_goes_at_once(self):
        wire = Wire(Rule("r", to="server", effect=Effect(loss=1.0)))
        wire.take(frame(target="10.0.0.4"))
        wire.take(bytes(12) + b"\x08\x06" + bytes(46))
        assert len(wire.sent) == 2

    def test_delay(self):
        wire = Wire(Rule("r", to="server", effect=Effect(delay_ns=5 * MS)))
        for version in (frame(), frame("fd00::2", "fd00::3")):
            wire.take(version, MS)
        wire.run(10 * MS)
        assert [when for when, _ in wire.sent] == [6 * MS, 6 * MS]

    def test_what_it_did_is_told_in_whole_or_from_a_time_on(self):
        wire = Wire(Rule("r", to="server", effect=Effect(loss=1.0)))
        for at in (MS, 2 * MS, 3 * MS):
            wire.take(frame(), at)
        whole = wire.engine.events(100)
        assert [(seen, sent, verdict, at) for seen, sent, verdict, *_, at in whole] == [
            (at + 100, 0, "lost", at) for at in (MS, 2 * MS, 3 * MS)
        ]
        assert wire.engine.events(100, after=2 * MS) == whole[2:]
        assert wire.engine.events(100, after=3 * MS) == []

    def test_the_rule_that_asks_for_more_comes_first(self):
        wire = Wire(
            Rule("all", effect=Effect(delay_ns=MS)),
            Rule("host", to="server", effect=Effect(delay_ns=2 * MS)),
            Rule("port", to="server", proto="udp", port=7, effect=Effect(delay_ns=3 * MS)),
        )
        wire.take(frame(ports=(5000, 7)))
        wire.take(frame(ports=(5000, 9)))
        wire.take(frame(target="10.0.0.4"))
        wire.run(NANO)
        assert [when for when, _ in wire.sent] == [MS, 2 * MS, 3 * MS]

    def test_a_rule_for_a_kind_leaves_the_rest_to_the_next(self):
        wire = Wire(Rule("data", of="data", effect=Effect(loss=1.0)), Rule("all", effect=Effect(delay_ns=MS)))
        wire.take(frame(proto=6, payload=b"x"))
        wire.take(frame(proto=6, payload=b""))
        wire.run(NANO)
        assert len(wire.sent) == 1
        assert wire.engine.rules.rules[0].counts["lost"] == 1

    def test_the_nth_is_dropped_and_the_lasting_rule_holds_for_the_others(self):
        picking = Rule("third", to="server", of="data", nth=((3, 3),), effect=Effect(loss=1.0))
        wire = Wire(picking, Rule("all", effect=Effect(delay_ns=MS)))
        for number in range(5):
            wire.take(frame(proto=6, payload=bytes([number])))
            wire.take(frame(proto=6, payload=b""))
        wire.run(NANO)
        assert [octets[-1] for _, octets in wire.sent if parse(octets).kinds == {"data"}] == [0, 1, 3, 4]
        assert {when for when, _ in wire.sent} == {MS}

    def test_the_nth_is_late_by_so_much_more(self):
        wire = Wire(
            Rule("second", nth=((2, 2),), effect=Effect(delay_ns=8 * MS)), Rule("all", effect=Effect(delay_ns=MS))
        )
        for number in range(3):
            wire.take(frame(payload=bytes([number])))
        wire.run(NANO)
        assert [(when, octets[-1]) for when, octets in wire.sent] == [(MS, 0), (MS, 2), (9 * MS, 1)]

    def test_the_nth_is_late_within_its_jitter(self):
        wire = Wire(Rule("first", nth=((1, 9),), effect=Effect(delay_ns=8 * MS, jitter_ns=4 * MS)))
        for _ in range(9):
            wire.take(frame(payload=b"x"))
        wire.run(NANO)
        times = [when for when, _ in wire.sent]
        assert 4 * MS <= min(times) < 8 * MS < max(times) <= 12 * MS

    def test_what_happens_to_none_is_counted_and_told_of_none(self):
        """The loss is not drawn by this seed, and the payload has no octet 10."""
        by_chance = Rule("maybe", nth=((1, 1),), effect=Effect(loss=1e-9))
        wire = Wire(by_chance, Rule("octet", nth=((1, 1),), effect=Effect(corrupt_octet=10)))
        wire.take(frame(payload=b"short"))
        assert [octets[-5:] for _, octets in wire.sent] == [b"short"]
        assert [rule.counts["seen"] for rule in wire.engine.rules.rules] == [1, 1]
        assert not any(rule.counts["lost"] or rule.counts["corrupted"] for rule in wire.engine.rules.rules)
        assert wire.engine.events(0) == []

    def test_an_octet_of_the_nth_is_spoilt(self):
        wire = Wire(Rule("first", nth=((1, 1),), effect=Effect(corrupt_octet=10)))
        for _ in range(2):
            wire.take(frame(payload=b"0123456789"))
        assert [octets[-1:] for _, octets in wire.sent] == [b"8", b"9"]

    def test_a_packet_that_is_too_long_vanishes(self):
        wire = Wire(Rule("hole", effect=Effect(mtu=100)))
        wire.take(frame(payload=bytes(72)))
        wire.take(frame(payload=bytes(73)))
        assert len(wire.sent) == 1
        assert wire.engine.rules.rules[0].counts["too_long"] == 1

    def test_each_rule_tells_how_long_its_own_packets_waited(self):
        slow, quick = (
            Rule(name, proto=name, effect=Effect(delay_ns=ns)) for name, ns in (("tcp", 9 * MS), ("udp", 2 * MS))
        )
        wire = Wire(slow, quick)
        for proto in (6, 17, 6, 6):
            wire.take(frame(proto=proto, payload=b"x"))
        wire.run(NANO)
        rules = wire.engine.facts()["rules"]
        assert {name: facts["waited_us"] for name, facts in rules.items()} == {"tcp": 9000, "udp": 2000}

    def test_healing_sends_what_is_held(self):
        wire = Wire(Rule("r", effect=Effect(delay_ns=NANO)))
        wire.take(frame())
        wire.engine.flush()
        assert len(wire.sent) == 1
        assert not wire.engine.held

    def test_the_log_tells_what_became_of_each(self):
        wire = Wire(Rule("r", effect=Effect(loss=0.5, delay_ns=MS)))
        for _ in range(20):
            wire.take(frame(payload=bytes(200)), 1)
        told = wire.engine.events(1000)
        assert [entry[2] == "lost" for entry in told] == [
            f.copies == 0 for f in predict(Effect(loss=0.5), 1, "udp|client|server", 20)
        ]
        assert {(seen, sent) for seen, sent, *_ in told} == {(1001, 0), (1001, 1001 + MS)}
        assert {len(head) for *_, head, _ in told} == {2 * SNAP}

    def test_what_does_not_fit_into_memory_is_overrun_and_no_loss(self, monkeypatch):
        monkeypatch.setattr(engine, "HELD", 5)
        wire = Wire(Rule("r", effect=Effect(delay_ns=MS)))
        for _ in range(8):
            wire.take(frame())
        wire.run(NANO)
        assert len(wire.sent) == 5
        assert wire.engine.facts()["refused"] == 3
        assert wire.engine.rules.rules[0].counts["lost"] == 0

    def test_what_the_kernel_dropped_is_counted_though_reading_resets_the_kernels_counter(self):
        told = [struct.pack("=II", 10, 3), struct.pack("=II", 4, 0), struct.pack("=II", 9, 2)]

        class Source:
            def getsockopt(self, *_):
                return told.pop(0)

        overruns = engine.Overruns(Source())
        assert [overruns.total() for _ in range(3)] == [3, 3, 5]

    def test_other_rules_keep_their_counts_and_go_on(self):
        facts = {"ident": "r", "to": "server", "loss": 0.5, "seed": 3}
        wire = Wire(Rule.of_facts(facts))
        for _ in range(10):
            wire.take(frame())
        more = {
            "rules": [facts, {"ident": "s", "to": "other", "delay_ns": 1}],
            "hosts": {"server": ["10.0.0.3"]},
            "own": "client",
        }
        wire.engine.set_rules(carried_over(wire.engine.rules, more))
        for _ in range(10):
            wire.take(frame())
        assert wire.engine.rules.rules[0].counts["lost"] == len(lost(Effect(loss=0.5), 3, 20, "udp|client|server"))

    def test_a_rule_said_again_counts_anew(self):
        facts = {"ident": "r", "nth": [[1, 1]], "loss": 1.0}
        wire = Wire(Rule.of_facts(facts | {"since": 1}))
        wire.take(frame())
        wire.engine.set_rules(carried_over(wire.engine.rules, {"rules": [facts | {"since": 2}]}))
        wire.take(frame())
        assert wire.sent == []
