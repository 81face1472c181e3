"""Faults as they are said, merged and kept; nothing is broken here."""

import json
import time
from pathlib import Path

import pytest
import yaml

from labctl.cli.faults import outcome, what_stays
from labctl.commands.faults import Broken, faults, inflict
from labctl.engine.fake import FakeEngine
from labctl.engine.helpers import helper_body
from labctl.errors import LabError, UsageError
from labctl.faults import units
from labctl.faults.impairment import (
    WORDS,
    Filter,
    Impairment,
    checked,
    merged,
    of_rule,
    read_filter,
    read_nth,
    read_what,
)
from labctl.faults.read import impair, read_fault
from labctl.faults.state import CRASHED, HostFaults, after
from labctl.model import Found, FoundHost
from labctl.scenario.read import ScenarioError, parse_scenario

HOSTS = ["a", "b", "c"]


class TestUnits:
    @pytest.mark.parametrize(
        ("read", "text", "value"),
        [
            (units.read_duration, "40ms", 40_000_000),
            (units.read_duration, "1.5s", 1_500_000_000),
            (units.read_duration, "100us", 100_000),
            (units.read_duration, "0", 0),
            (units.read_rate, "1mbit", 1_000_000),
            (units.read_rate, "64kbit", 64_000),
            (units.read_size, "64kb", 64_000),
            (units.read_share, "5%", 0.05),
            (units.read_share, "0.1%", 0.001),
            (units.read_share, "100%", 1.0),
        ],
    )
    def test_numbers_with_their_units(self, read, text, value):
        assert read(text) == pytest.approx(value)

    @pytest.mark.parametrize(
        ("read", "text"),
        [
            *[(units.read_duration, text) for text in ("40", "ms", "-1ms", "40 miles", "")],
            *[(units.read_rate, text) for text in ("1", "1mb", "fast")],
            *[(units.read_size, text) for text in ("1", "1kbit")],
            # above nothing, and too little to be anything: it must not lift what is there
            (units.read_duration, "0.0001us"),
            (units.read_rate, "0.1bit"),
            (units.read_size, "0.4b"),
            *[(units.read_share, text) for text in ("5", "101%", "-1%", "half")],
        ],
    )
    def test_a_number_without_its_unit_is_refused_by_its_name(self, read, text):
        with pytest.raises(ValueError, match=f"^`{text}`: "):
            read(text)

    def test_what_is_written_reads_back(self):
        said = {
            "delay": "40ms",
            "jitter": "500us",
            "loss": "2.5%",
            "rate": "1.5mbit",
            "buffer": "64kb",
            "burst": "4",
            "mtu": "1200b",
        }
        what = read_what(said)
        assert read_what({name: WORDS[name].write(what[WORDS[name].rule]) for name in said}) == what


class TestSentences:
    @pytest.mark.parametrize(
        ("text", "source", "target", "where", "what"),
        [
            ("drop the third data segment from a", "a", "", Filter("tcp", of="data", nth=((3, 3),)), {"loss": 1.0}),
            ("drop the 12th packet from a to b", "a", "b", Filter(nth=((12, 12),)), {"loss": 1.0}),
            ("delay the second ack from a by 80ms", "a", "", Filter(of="ack", nth=((2, 2),)), {"delay_ns": 80_000_000}),
            (
                "corrupt octet 10 of the first reply from b",
                "b",
                "",
                Filter(of="data", nth=((1, 1),)),
                {"corrupt_octet": 10},
            ),
            ("duplicate the 2nd udp datagram from a to c", "a", "c", Filter("udp", nth=((2, 2),)), {"duplicate": 1.0}),
            ("drop the first syn on port 80 from a", "a", "", Filter(of="syn", port=80, nth=((1, 1),)), {"loss": 1.0}),
            ("impair a b tcp port 25 delay 40ms", "a", "b", Filter("tcp", 25), {"delay_ns": 40_000_000}),
            ("impair a loss 1% nth 2-4", "a", "", Filter(nth=((2, 4),)), {"loss": 0.01}),
        ],
    )
    def test_reads(self, text, source, target, where, what):
        (item,) = read_fault(text, HOSTS).impairments
        assert (item.source, item.target, item.where, dict(item.what)) == (source, target, where, what)

    def test_both_is_two(self):
        ways = read_fault("impair a b both delay 1ms seed 5 for 30s").impairments
        assert [(way.source, way.target, way.seed, way.lasts) for way in ways] == [
            ("a", "b", 5, 30.0),
            ("b", "a", 5, 30.0),
        ]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("impair", "`impair` takes one host or two"),
            ("impair a b", "`impair` needs a property"),
            ("impair a b delay", "`delay` needs a value"),
            ("impair a b delya 4ms", "there is no property `delya`; did you mean `delay`?"),
            ("impair a b delay 4", "delay `4`: a duration with its unit"),
            ("impair a b jitter 4ms", None),
            ("impair a z delay 4ms", "host `z` is not among"),
            ("impair a delay 4ms nth 0", "numbers from 1"),
            (
                "drop the third wheel from a",
                "`drop` takes a sentence, such as `drop the third data segment from client`",
            ),
            ("delay the third data segment from a", "by 80ms"),
            ("corrupt it", "corrupt octet 10"),
            ("corrupt octet 0 of the first reply from a", "octets of a payload are counted from 1"),
            ("partition", "`partition` takes one host or two, not 0"),
            ("crash a cut later", "`cut first` or `cut after`"),
            ("pause a for 3s", "`pause` takes no `for`"),
            ("impair a a loss 5%", "`impair` takes two different hosts, not `a` twice"),
            ("partition b b", "`partition` takes two different hosts, not `b` twice"),
            ("partition a b for 0s", "a duration above zero"),
            ("impair a b loss 5% for 0s", "a duration above zero"),
            ("impair a b delay 1ms distribution pareto", "distribution `pareto` is none; known: `normal`, `uniform`"),
        ],
    )
    def test_what_is_wrong_is_told(self, text, said):
        if said is None:
            with pytest.raises(ValueError, match="needs a `delay`"):
                checked(read_fault(text).impairments[0])
            return
        with pytest.raises(ValueError) as error:
            read_fault(text, HOSTS)
        assert said in str(error.value)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("tcp port", "`port` needs a value"),
            ("sctp", "`sctp` is no part of a filter"),
            ("port x", "`x`: a whole number"),
            ("port 0", "`0` is not a port"),
            ("port 65536", "`65536` is not a port"),
            ("icmp port 3", "`3` is not a port of icmp"),
            ("udp syn", "`syn` is a kind of TCP's segments, and udp has none"),
            ("tcp udp", "`udp`: a filter has one protocol"),
            ("syn data", "`data`: a filter has one kind of packet"),
            ("port 25 port 80", "`port`: a filter has one port"),
        ],
    )
    def test_filters_that_are_none(self, text, said):
        with pytest.raises(ValueError) as error:
            read_filter(text)
        assert said in str(error.value)

    def test_numbers(self):
        assert read_nth("3,5-7") == ((3, 3), (5, 7))


def one(**what):
    return Impairment("a", "b", what=what)


class TestMerging:
    def test_what_is_not_said_stays(self):
        (item,) = merged([one(delay_ns=5, loss=0.1)], [one(loss=0.2)])
        assert item.what == {"delay_ns": 5, "loss": 0.2}

    def test_zero_lifts_a_property_and_with_the_last_the_rule(self):
        (item,) = merged([one(delay_ns=5, loss=0.1)], [one(loss=0)])
        assert item.rule()["delay_ns"] == 5
        assert "loss" not in item.rule()
        assert merged([one(loss=0.1)], [one(loss=0)]) == ()

    def test_replacing_forgets(self):
        (item,) = merged([one(delay_ns=5)], [one(loss=0.2)], replacing=True)
        assert item.what == {"loss": 0.2}

    def test_another_filter_is_another_rule(self):
        assert len(merged([one(delay_ns=5)], [Impairment("a", "b", Filter("tcp", 25), {"loss": 0.1})])) == 2

    @pytest.mark.parametrize(
        ("what", "said"),
        [
            ({"jitter_ns": 1}, "`jitter` needs a `delay`"),
            ({"delay_ns": 1, "jitter_ns": 2}, "nothing arrives before"),
            ({"reorder": 0.1}, "`reorder` needs a `delay`"),
            ({"burst": 3}, "`burst` needs a `loss`"),
            ({"loss": 0.9, "burst": 2}, "longer rows"),
            ({"loss": 0.9, "gemodel": (0.1, 0.1, 1, 0)}, "leave `loss` out"),
            ({"corrupt_octet": 3}, "needs `nth`"),
            ({"buffer": 3}, "`buffer` needs a `rate`"),
        ],
    )
    def test_what_contradicts_itself_is_refused(self, what, said):
        with pytest.raises(ValueError, match=said):
            merged([], [one(**what)])

    @pytest.mark.parametrize("text", ["rate 1mbit", "mtu 600b", "delay 1ms reorder 5%"])
    def test_what_cannot_be_done_to_single_packets(self, text):
        with pytest.raises(ValueError, match="is for all packets, and `nth` picks single ones"):
            merged([], read_fault(f"impair a b nth 3 {text}").impairments)

    def test_a_rule_and_back(self):
        item = Impairment("a", "b", Filter("tcp", 25, "data", ((2, 3),)), {"loss": 0.5}, 7, 30.0, 9)
        assert of_rule("a", json.loads(json.dumps(item.rule()))) == item


BUSY = "451 4.7.1 Try again later"


class TestReplies:
    """Faults of the application, in the same words as those of packets."""

    @pytest.mark.parametrize(
        ("text", "where", "what", "ports"),
        [
            (f'impair a b port 25 at RCPT reply "{BUSY}" probability 30%', Filter(port=25, at="RCPT"),
             {"reply": BUSY, "probability": 0.3}, {"25": "smtp"}),
            (f'impair a b at rcpt nth 1-2 reply "{BUSY}"', Filter(at="RCPT", nth=((1, 2),)), {"reply": BUSY},
             {"25": "smtp", "587": "smtp", "2525": "smtp", "24": "lmtp"}),
            ("impair a b tcp port 80 stall 10s after 1000", Filter(port=80), {"stall_ns": 10**10, "after": 1000}, {"80": "http"}),
            ("impair a b greeting 5s", Filter(), {"greeting_ns": 5 * 10**9}, {}),
            ("impair a b port 9000 truncate 20", Filter(port=9000), {"truncate": 20}, {"9000": "tcp"}),
            ('impair a b at SELECT reply "* BYE gone"', Filter(at="SELECT"), {"reply": "* BYE gone"}, {"143": "imap"}),
            ('impair a b at RETR reply "-ERR gone"', Filter(at="RETR"), {"reply": "-ERR gone"}, {"110": "pop3"}),
            ('impair a b at GROUP reply "400 gone"', Filter(at="GROUP"), {"reply": "400 gone"}, {"119": "nntp", "433": "nntp"}),
            ("impair a b port 993 stall 5s", Filter(port=993), {"stall_ns": 5 * 10**9}, {"993": "tcp"}),
            ('impair a b at RETR reply "426 gone" after 9', Filter(at="RETR"), {"reply": "426 gone", "after": 9}, {"21": "ftp"}),
        ],
    )  # fmt: skip
    def test_reads(self, text, where, what, ports):
        (item,) = read_fault(text, HOSTS).impairments
        assert (item.where, dict(item.what), item.rule()["ports"]) == (where, what, ports)
        (kept,) = merged([], [item])
        rule = json.loads(json.dumps(kept.rule()))
        assert of_rule(rule["from"], rule) == kept
        assert read_fault(f"impair a b {kept.where} {kept.told}").impairments == (kept,)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            (
                f'port 25 at RCTP reply "{BUSY}"',
                "there is no verb `RCTP` in SMTP, LMTP, FTP, HTTP, IMAP, POP3 or NNTP; did you mean `RCPT`?",
            ),
            (f'port 80 at RCPT reply "{BUSY}"', "port 80 speaks HTTP, which has no verb `RCPT`; known: GET, "),
            (
                f'port 143 at SELECT reply "{BUSY}"',
                "port 143 speaks IMAP, which has no reply `451 4.7.1 Try again later`; one is `* BYE",
            ),
            (
                f'port 9000 at RCPT reply "{BUSY}"',
                "it is not known what port 9000 speaks; replies can be changed at 25 (SMTP)",
            ),
            (
                'port 993 at SELECT reply "* BYE x"',
                "port 993 speaks TLS from the first octet, so no reply in it can be read",
            ),
            (
                f'port 110 at RETR reply "{BUSY}"',
                "port 110 speaks POP3, which has no reply `451 4.7.1 Try again later`; one is `-ERR",
            ),
            ('port 110 at "." reply "-ERR no"', "port 110 speaks POP3, which has no verb `.`"),
            (f'at FETCH reply "{BUSY}"', "no protocol has both the verb `FETCH` and the reply"),
            ('reply "try again"', "reply `try again`: a reply is expected, such as `451 4.7.1 Try again later` (SMTP)"),
            (f'reply "{BUSY}" probability 130%', "probability `130%`: a percentage from `0%` to `100%`"),
            (f'reply "{BUSY}" probability 0%', "probability `0%` would never hit"),
            ("port 80 greeting 5s", "port 80 speaks HTTP, where the server says no greeting"),
            ("loss 5% at RCPT", "`at RCPT` picks replies"),
            (f'reply "{BUSY}" at', "`at` needs a value"),
            (f'reply "{BUSY}', "a quote is not closed"),
            ("truncate -3", "truncate `-3`: a whole number"),
        ],
    )
    def test_what_is_wrong_is_told(self, text, said):
        with pytest.raises(ValueError) as error:
            read_fault(f"impair a b {text}", HOSTS)
        assert said in str(error.value)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("stall 1s truncate 3", "of `reply`, `stall` and `truncate` a reply can have one"),
            ("after 3", "`after` needs a `reply`"),
            ("probability 3%", "`probability` needs a `reply`"),
            ("truncate 3 after 3", "`after` needs a `stall`"),
            ("greeting 1s at MAIL", "say `greeting` without `at MAIL`"),
            ("udp stall 1s", "`udp` picks packets"),
            ("data stall 1s", "`data` picks packets"),
        ],
    )
    def test_what_contradicts_itself_is_refused(self, text, said):
        with pytest.raises(ValueError, match=said):
            merged([], read_fault(f"impair a b {text}").impairments)

    def test_packets_and_replies_in_one_go_are_two(self):
        packets, answers = read_fault(f'impair a b port 25 at RCPT delay 5ms reply "{BUSY}"').impairments
        assert (packets.ident, answers.ident) == ("a → b (port 25)", "a → b: replies (port 25 at RCPT)")

    def test_they_are_kept_where_the_replies_are_given(self):
        new = after(read_fault("impair a b both greeting 1s"), {}, HOSTS)
        assert {name: [item.ident for item in state.replies] for name, state in new.items()} == {
            "b": ["a → b: replies"],
            "a": ["b → a: replies"],
        }
        assert set(after(read_fault("impair a greeting 1s"), {}, HOSTS)) == {"b", "c"}

    def test_they_merge_are_replaced_and_are_healed(self):
        now = after(read_fault(f'impair a b at RCPT reply "{BUSY}" probability 30% seed 7'), {}, HOSTS)
        (item,) = after(read_fault("impair a b at RCPT probability 50%"), now, HOSTS)["b"].replies
        assert (item.what, item.seed) == ({"reply": BUSY, "probability": 0.5}, 7)
        (item,) = after(read_fault("impair a b at RCPT stall 2s replace"), now, HOSTS)["b"].replies
        assert item.what == {"stall_ns": 2 * 10**9}
        assert len(after(read_fault(f'impair a b at DATA reply "{BUSY}"'), now, HOSTS)["b"].replies) == 2
        assert not after(read_fault("heal a b"), now, HOSTS)["b"]
        assert not after(read_fault("heal a"), now, HOSTS)["b"]
        assert not after(read_fault("heal c"), now, HOSTS)

    def test_a_scenario_says_the_same(self):
        text = (
            "scenario: x\ntitle: x\nhosts: [a, b]\nlinks:\n"
            "  - {from: a, to: b, port: 25, at: RCPT, nth: 1-2, reply: 451 4.7.1 Greylisted, probability: 50%}\n"
        )
        (item,) = parse_scenario(text, "x.yaml", HOSTS).links[0].impairments()
        assert item.where == Filter(port=25, at="RCPT", nth=((1, 2),))
        with pytest.raises(ScenarioError, match="speaks HTTP"):
            parse_scenario(text.replace("25", "80"), "x.yaml", HOSTS)


BROKEN = {
    "a": HostFaults((Impairment("a", "b", what={"loss": 0.1}), Impairment("a", "", what={"loss": 0.1})), {"b": None, "c": None}),
    "b": HostFaults((Impairment("b", "c", what={"loss": 0.1}),), {"a": None, CRASHED: None}),
    "c": HostFaults(cuts={"a": None}),
}  # fmt: skip


class TestState:
    def test_a_partition_is_a_cut_at_both_ends(self):
        assert after(read_fault("partition a b"), {}, HOSTS) == {
            "a": HostFaults(cuts={"b": None}), "b": HostFaults(cuts={"a": None}),
        }  # fmt: skip

    def test_of_one_from_all(self):
        new = after(read_fault("partition a for 5s"), {}, HOSTS)
        assert {name: dict(state.cuts) for name, state in new.items()} == {
            "a": {"b": 5.0, "c": 5.0},
            "b": {"a": 5.0},
            "c": {"a": 5.0},
        }

    def test_to_one_from_all_is_one_rule_each(self):
        new = after(read_fault("impair a both loss 1%"), {}, HOSTS)
        assert [(item.source, item.target) for state in new.values() for item in state.impairments] == [
            ("a", ""),
            ("b", "a"),
            ("c", "a"),
        ]

    @pytest.mark.parametrize(
        ("fault", "left"),
        [
            ("heal", {"a": (0, []), "b": (0, []), "c": (0, [])}),
            ("heal a b", {"a": (1, ["c"]), "b": (1, []), "c": (0, ["a"])}),
            ("heal a c", {"a": (2, ["b"]), "b": (1, ["a", CRASHED]), "c": (0, [])}),
            ("heal b", {"a": (1, ["c"]), "b": (0, []), "c": (0, ["a"])}),
            ("heal c", {"a": (2, ["b"]), "b": (0, ["a", CRASHED]), "c": (0, [])}),
            ("restart b", {"a": (2, ["b", "c"]), "b": (1, ["a"]), "c": (0, ["a"])}),
        ],
    )
    def test_healing_lifts_what_concerns_those_hosts(self, fault, left):
        new = BROKEN | after(read_fault(fault), BROKEN, HOSTS)
        assert {name: (len(state.impairments), list(state.cuts)) for name, state in new.items()} == left

    def test_a_crash_with_its_network_cut_first_is_heard_by_nobody(self):
        new = after(read_fault("crash a cut first"), {}, HOSTS)
        assert new == {"a": HostFaults(cuts={CRASHED: None})}
        assert after(read_fault("crash a"), {}, HOSTS) == {}


def lab():
    hosts = tuple(FoundHost(f"id-{n}", "demo", n, addresses=(f"10.0.0.{i}",)) for i, n in enumerate(HOSTS, 2))
    return FakeEngine(Found(hosts))


class TestCommands:
    def break_(self, engine, *said):
        for text in said:
            inflict(engine, "demo", read_fault(text), lambda: "labctl/tools")

    def test_a_helper_is_started_once_and_only_where_it_is_needed(self):
        engine = lab()
        self.break_(engine, "impair a b delay 5ms", "impair a b loss 1%")
        assert engine.acted == ["start shaper-a", "apply shaper-a", "apply shaper-a"]
        (rule,) = next(iter(engine.shapers.values()))["rules"]
        assert (rule["delay_ns"], rule["loss"], rule["to"]) == (5_000_000, 0.01, "b")
        assert next(iter(engine.shapers.values()))["hosts"]["b"] == ["10.0.0.3"]

    @pytest.mark.parametrize(
        "text", ["impair a b delay 1ms", "impair b a both delay 1ms", "partition b a", "drop the first packet from a"]
    )
    def test_a_host_without_a_network_is_no_place_for_a_fault(self, text):
        """It would be told as done, and nothing would be so."""
        engine = lab()
        self.break_(engine, "crash a")
        with pytest.raises(LabError, match="host `a` is exited, so it has no network"):
            self.break_(engine, text)
        assert [item.kind for item in faults(engine, "demo")] == ["crashed"]
        self.break_(engine, "impair b a delay 1ms")  # what b sends is still sent

    def test_a_crash_that_does_not_come_to_its_end_is_told_and_healed(self, monkeypatch):
        """The host is cut off, and labctl ends before it kills it."""
        engine = lab()
        with monkeypatch.context() as patch, pytest.raises(LabError):
            patch.setattr(engine, "change", lambda *_: (_ for _ in ()).throw(LabError("gone")))
            self.break_(engine, "crash a cut first")
        assert [(item.kind, item.host, item.told) for item in faults(engine, "demo")] == [
            ("partition", "a", "nothing leaves it")
        ]
        self.break_(engine, "heal a")
        assert faults(engine, "demo") == ()

    def test_healing_a_whole_lab_starts_nothing(self):
        engine = lab()
        self.break_(engine, "heal")
        assert engine.acted == []

    def test_what_was_broken_is_broken_again_after_a_restart(self):
        engine = lab()
        self.break_(engine, "impair a b delay 5ms", "restart a")
        assert engine.acted[2:] == ["restart a", "remove shaper-a", "start shaper-a", "apply shaper-a"]
        assert len(next(iter(engine.shapers.values()))["rules"]) == 1

    def test_what_its_shaper_had_done_is_remembered_after_a_restart(self):
        engine = lab()
        self.break_(engine, "partition a b")
        cut = {"other": "b", "since_ns": 5, "until_ns": 9}
        (told,) = (told for told in engine.shapers.values() if told["host"] == "a")
        told["log"] = {"events": [[1, 0, "lost", "a → b", "", 1]], "cuts": [cut, cut | {"until_ns": 0}]}
        before = time.time_ns()
        self.break_(engine, "restart a")
        log = engine.ask_helper(engine.found.shaper("a"), {"do": "log"})
        assert log["events"] == [[1, 0, "lost", "a → b", "", 1]]
        assert log["cuts"][0] == cut
        assert before <= log["cuts"][1]["until_ns"] <= time.time_ns()  # it ended with the network that it was in

    @pytest.mark.parametrize(
        ("while_down", "cuts", "impaired"),
        [
            ("partition b", {"a": ["b"], "b": ["a", "c"]}, 1),
            ("partition b c", {"b": ["c"]}, 1),
            ("heal b", {}, 0),
            ("heal c", {}, 1),
        ],
    )
    def test_what_is_done_while_a_host_is_down_is_so_when_it_runs_again(self, while_down, cuts, impaired):
        engine = lab()
        self.break_(engine, "impair a b delay 5ms", "crash a cut first")
        (down,) = engine.shapers.values()
        down["stale"] = True
        down["log"] = {"events": [], "cuts": [{"other": "", "since_ns": 5, "until_ns": 0}]}
        self.break_(engine, while_down)
        assert down in engine.shapers.values()  # or nobody would know what had been cut off
        self.break_(engine, "restart a")
        now = {told["host"]: told for told in engine.shapers.values()}
        assert {name: sorted(now[name]["cut"]) for name in cuts} == cuts
        assert "a" in cuts or not now["a"]["cut"]
        assert len(now["a"]["rules"]) == impaired
        assert now["a"]["log"]["cuts"][0]["until_ns"]

    def test_a_partition_that_was_made_while_a_host_without_a_shaper_was_down_has_two_ends(self):
        engine = lab()
        self.break_(engine, "crash a", "partition b for 9s", "restart a")
        (cut,) = (told["cut"] for told in engine.shapers.values() if told["host"] == "a")
        assert cut == {"b": pytest.approx(9, abs=1)}

    def test_what_has_its_time_does_not_last_longer_for_a_restart(self, monkeypatch):
        engine = lab()
        self.break_(engine, "partition a b for 9s", "partition a c for 2s", "impair a b delay 5ms for 8s")
        change, clock = engine.change, [100.0]
        monkeypatch.setattr("labctl.commands.faults.time.monotonic", lambda: clock[0])

        def restart(*what):
            clock[0] += 3
            change(*what)

        monkeypatch.setattr(engine, "change", restart)
        for told in engine.shapers.values():  # as a shaper tells what is left
            told["rules"] = [rule | {"left": rule["for"]} for rule in told["rules"]]
        self.break_(engine, "restart a")
        now = {told["host"]: told for told in engine.shapers.values()}
        assert {name: now[name]["cut"] for name in "abc"} == {"a": {"b": 6.0}, "b": {"a": 6.0}, "c": {}}
        assert now["a"]["rules"][0]["for"] == 5.0

    def test_a_dead_helper_is_told_and_healed(self):
        engine = lab()
        self.break_(engine, "partition a b")
        dead = engine.found.shaper("a")
        del engine.shapers[dead.id]
        told = {(item.kind, item.host) for item in faults(engine, "demo")}
        assert told == {("shaper", "a"), ("partition", "b")}
        self.break_(engine, "heal")
        assert faults(engine, "demo") == ()
        assert "start shaper-a" in engine.acted[-4:]

    def test_what_is_in_force_is_listed(self):
        engine = lab()
        self.break_(engine, "impair a b delay 5ms loss 1% seed 4 udp", "partition b c for 30s", "pause c")
        listed = {(item.kind, item.host, item.to): item for item in faults(engine, "demo")}
        assert set(listed) == {
            ("impair", "a", "b"),
            ("partition", "b", "c"),
            ("partition", "c", "b"),
            ("paused", "c", ""),
        }
        assert (listed["impair", "a", "b"].told, listed["impair", "a", "b"].seed) == ("delay 5ms loss 1% (udp)", 4)
        assert listed["partition", "b", "c"].seconds_left == 30.0

    def test_the_backend_that_does_it_is_shown_and_one_without_a_seed_shows_none(self):
        engine = lab()
        self.break_(engine, "impair a b loss 5%")
        (found,) = faults(engine, "demo")
        assert (found.backend, found.seed) == ("shaper", 1)
        next(iter(engine.shapers.values()))["backend"] = "netem"
        (found,) = faults(engine, "demo")
        assert (found.backend, found.seed) == ("netem", None)

    def test_a_backend_that_was_asked_for_stays_until_it_is_replaced(self):
        engine = lab()
        inflict(engine, "demo", impair(["a", "b"], {"loss": "5%"}, backend="netem"), lambda: "labctl/tools")
        self.break_(engine, "impair a b delay 5ms")
        (rule,) = next(iter(engine.shapers.values()))["rules"]
        assert (rule["backend"], rule["loss"], rule["delay_ns"]) == ("netem", 0.05, 5_000_000)
        self.break_(engine, "impair a b delay 5ms replace")
        (rule,) = next(iter(engine.shapers.values()))["rules"]
        assert "backend" not in rule

    def test_what_has_a_seed_needs_the_shaper(self):
        engine = lab()
        self.break_(engine, "impair a b loss 5% seed 7")
        for told in ({"loss": "5%", "seed": "7"}, {"delay": "5ms"}):  # said now, or said before
            with pytest.raises(UsageError, match="what has a seed needs the shaper"):
                inflict(engine, "demo", impair(["a", "b"], told, backend="netem"), lambda: "labctl/tools")
        (rule,) = next(iter(engine.shapers.values()))["rules"]
        assert "backend" not in rule

    def test_impairments_that_contradict_each_other_only_together(self):
        engine = lab()
        self.break_(engine, "impair a b delay 5ms")
        with pytest.raises(UsageError, match="longer than `delay`"):
            self.break_(engine, "impair a b jitter 9ms")

    def test_without_an_image_it_says_so(self):
        with pytest.raises(LabError, match="no shaper runs here"):
            inflict(lab(), "demo", read_fault("partition a b"))

    def test_no_host_may_change_a_network(self):
        """Not what the containers of one lab show, but every host there is."""
        services = yaml.safe_load((Path(__file__).parents[2] / "compose.yaml").read_text())["services"]
        assert len(services) > 10
        for name, service in services.items():
            assert service["cap_drop"] == ["ALL"], name
            assert set(service.get("cap_add", ())) <= {"CHOWN", "DAC_OVERRIDE", "SETGID", "SETUID"}, name
            assert service.get("network_mode", "none") == "none", name
            assert not {"privileged", "devices", "pid"} & set(service), name

    def test_a_helper_has_two_capabilities_in_its_hosts_namespace_and_nothing_else(self):
        body = helper_body(lab().found.hosts[0], "labctl/tools")
        grants = body["HostConfig"]
        assert grants["NetworkMode"] == "container:id-a"
        assert (grants["CapDrop"], grants["CapAdd"]) == (["ALL"], ["NET_ADMIN", "NET_RAW"])
        assert grants["SecurityOpt"] == ["no-new-privileges:true"]
        assert grants["ReadonlyRootfs"]
        assert "Mounts" not in grants
        assert "Binds" not in grants


LINKS = """\
scenario: a
title: b
hosts: [client, tcp-server]
links:
  - {%s}
"""


class TestLinks:
    def read(self, text):
        return parse_scenario(LINKS % text, "f.yaml", ["client", "tcp-server"])

    def test_from_the_start(self):
        (link,) = self.read(
            "from: client, to: tcp-server, delay: 40ms, loss: 1%, seed: 7, filter: tcp port 25, both: true"
        ).links
        there, back = link.impairments()
        assert (there.source, there.target, there.seed, there.told) == ("client", "tcp-server", 7, "delay 40ms loss 1%")
        assert (back.source, back.target) == ("tcp-server", "client")

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("from: client, dealy: 4ms", "f.yaml:5:20: links[0].dealy: unknown key `dealy`; did you mean `delay`?"),
            ("from: clinet, delay: 4ms", "f.yaml:5:12: links[0].from: host `clinet` is not among the scenario's hosts"),
            ("from: client, to: x, delay: 4ms", "links[0].to: host `x` is not among"),
            ("from: client, delay: '4'", "links[0]: delay `4`: a duration with its unit"),
            ("from: client, jitter: 4ms", "links[0]: `jitter` needs a `delay`"),
            ("from: client", "links[0]: say what is done there"),
            ("to: client, delay: 4ms", "links[0].from: key `from` is missing"),
            ("from: client, delay: 4", "links[0].delay: text is expected"),
        ],
    )
    def test_what_is_wrong_is_told_with_its_place(self, text, said):
        with pytest.raises(ScenarioError) as error:
            self.read(text)
        assert said in str(error.value)


class TestWhatIsSaid:
    """A command says what is in force now, as the shapers tell it, and how it ends."""

    @pytest.mark.parametrize(
        ("before", "text", "said"),
        [
            ("", "impair a b both delay 5ms", "a → b: delay 5ms; b → a: delay 5ms (both ways, so a round trip takes the delay twice);"
             " H lifts it"),
            ("impair a b delay 5ms", "impair a b both loss 10%", "a → b: delay 5ms loss 10%; b → a: loss 10%; H lifts it"),
            ("impair a b loss 5%", "impair a b loss 0% for 3s", "a → b: nothing is left"),
            ("", "impair a b loss 5% for 3s", "a → b: loss 5%; it ends by itself after 3 s, or with H"),
            ("", "partition a b", "lab `x`: a and b: cut off; H lifts it"),
            ("", "partition a for 2s", "lab `x`: a: cut off; it ends by itself after 2 s, or with H"),
            ("", "pause a", "lab `x`: a: paused; H has it go on"),
            ("", "crash a", "lab `x`: a: killed; `labctl restart a --lab x` starts it again"),
            ("", "heal", "lab `x`: all hosts: healed"),
        ],
    )  # fmt: skip
    def test_in_words(self, before, text, said):
        fault = read_fault(text)
        now = after(read_fault(before), {}, HOSTS) if before else {}
        told = {
            host: {
                "rules": [item.rule() for item in state.impairments],
                "replies": [item.rule() for item in state.replies],
            }
            for host, state in after(fault, now, HOSTS).items()
        }
        assert outcome(fault, "x", told) == said.replace("H", "`labctl heal --lab x`")

    def test_of_two_that_are_healed_what_they_do_to_all_stays_and_is_said(self):
        there = [
            Broken("impair", "a", "all", "delay 5ms"),
            Broken("impair", "c", "all", "loss 1%"),
            Broken("reply", "all", "b", "reply 451"),
        ]
        assert list(what_stays(read_fault("heal a b"), "x", [*there, Broken("impair", "a", "c", "loss 2%")])) == [
            "a → all: delay 5ms stays; `labctl heal a --lab x` lifts it",
            "all → b: reply 451 stays; `labctl heal b --lab x` lifts it",
        ]
