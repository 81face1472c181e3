"""The kernel's emulator: when it is chosen, in which words it is told, and which packets are led through it."""

import re
import struct
import time

import pytest

from services.tools.proxy.keeper import Keeper
from services.tools.shaper import cut, netem, plumbing, supervisor
from services.tools.shaper.plumbing import PlumbingError
from tests.protocols.test_shaper import frame

DELAY = {"ident": "r", "to": "server", "seed": 1, "delay_ns": 50_000_000}


class TestChoice:
    def test_a_plain_delay_may_be_either_and_all_else_is_the_shapers(self):
        assert netem.wanted([DELAY]) == ""
        assert netem.wanted([DELAY | {"loss": 0.1}]) == "shaper"
        assert netem.wanted([DELAY | {"proto": "tcp"}]) == "shaper"
        assert netem.wanted([DELAY, DELAY]) == "shaper"
        assert netem.wanted([DELAY | {"backend": "shaper"}]) == "shaper"

    def test_netem_may_be_asked_for(self):
        assert netem.wanted([DELAY | {"loss": 0.1, "rate": 10**6, "backend": "netem"}]) == "netem"

    @pytest.mark.parametrize("more", [{"proto": "tcp"}, {"nth": [[3, 3]]}, {"mtu": 1200}, {"burst": 4}, {"of": "data"}])
    def test_what_it_cannot_do_is_told(self, more):
        with pytest.raises(PlumbingError, match=f"netem cannot do `{next(iter(more))}`"):
            netem.wanted([DELAY | more | {"backend": "netem"}])

    @pytest.mark.parametrize(
        ("there", "rules", "backend"),
        [(True, [DELAY], "netem"), (False, [DELAY], "shaper"), (True, [DELAY | {"loss": 0.1}], "shaper")],
    )
    def test_what_is_there_decides(self, monkeypatch, there, rules, backend):
        monkeypatch.setattr(netem, "is_there", lambda: there)
        made = supervisor.Supervisor.__new__(supervisor.Supervisor)
        made.rules, made.has_netem = rules, None
        assert made._choose() == backend

    def test_asked_for_and_not_there(self, monkeypatch):
        monkeypatch.setattr(netem, "is_there", lambda: False)
        made = supervisor.Supervisor.__new__(supervisor.Supervisor)
        made.rules, made.has_netem = [DELAY | {"backend": "netem"}], None
        with pytest.raises(PlumbingError, match="this kernel has no netem"):
            made._choose()

    def test_probing_believes_what_the_kernel_shows_not_what_it_accepts(self, monkeypatch):
        monkeypatch.setattr(netem, "sh", lambda *argv, **_: "qdisc noqueue" if "show" in argv else "")
        assert not netem.is_there()
        monkeypatch.setattr(
            netem, "sh", lambda *argv, **_: "qdisc netem limit 1000 delay 40ms" if "show" in argv else ""
        )
        assert netem.is_there()


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"delay_ns": 50_000_000}, "limit 100000 delay 50000us"),
        ({"delay_ns": 50_000_000, "jitter_ns": 5_000_000}, "limit 100000 delay 50000us 5000us"),
        (
            {"delay_ns": 1000, "jitter_ns": 500, "distribution": "normal"},
            "limit 100000 delay 1us 0.5us distribution normal",
        ),
        ({"loss": 0.05}, "limit 100000 loss random 5%"),
        ({"loss": 0.00001}, "limit 100000 loss random 0.001%"),
        ({"gemodel": (0.1, 0.2, 1, 0)}, "limit 100000 loss gemodel 10% 20% 100% 0%"),
        ({"duplicate": 0.01, "corrupt": 0.02}, "limit 100000 duplicate 1% corrupt 2%"),
        ({"delay_ns": 1_000_000, "reorder": 0.25}, "limit 100000 delay 1000us reorder 25%"),
        ({"rate": 1_000_000}, "limit 43 rate 1000000bit -14"),  # 64 kB, in packets of 1500 octets
        (
            {"rate": 10_000_000, "delay_ns": 120_000_000},
            "limit 184 delay 120000us rate 10000000bit -14",
        ),  # 125 kB; 150 kB on their way
    ],
)
def test_words(rule, words):
    assert " ".join(netem.arguments(rule)) == words


def test_all_that_tc_is_told():
    text = netem.batch("eth0", {"delay_ns": 50_000_000}, ["10.0.0.3"], clsact=False)
    lines = re.sub(r"bytecode '[^']*'", "bytecode …", text).splitlines()
    assert lines == [
        "qdisc add dev lab-shaper1 root netem limit 100000 delay 50000us",
        "qdisc add dev lab-shaper1 clsact",
        "filter add dev lab-shaper1 ingress protocol all prio 7162 bpf bytecode … action mirred egress redirect dev lab-shaper1",
        "qdisc add dev lab-shaper0 clsact",
        "filter add dev lab-shaper0 ingress protocol all prio 7162 bpf bytecode … action mirred egress redirect dev eth0",
        "qdisc add dev eth0 clsact",
        "filter add dev eth0 egress protocol all prio 7162 bpf bytecode … action mirred egress redirect dev lab-shaper0",
    ]
    assert "qdisc add dev eth0 clsact" not in netem.batch("eth0", {"delay_ns": 1}, [], clsact=True)


@pytest.mark.parametrize(
    ("told", "counts"),
    [
        ("", {}),
        ("[]", {}),
        ('[{"kind": "noqueue"}]', {}),
        (
            '[{"kind": "netem", "bytes": 1140, "packets": 10, "drops": 3, "qlen": 2}]',
            {"seen": 15, "octets": 1000, "sent": 10, "lost": 3, "held": 2},
        ),
    ],
)
def test_what_it_counted(monkeypatch, told, counts):
    monkeypatch.setattr(netem, "sh", lambda *_, **__: told)
    assert netem.facts() == counts


def run(program, octets, mark=0, kind=0):
    """Run a program of the classic BPF (as tc would) on a frame; return what it gives."""
    at, value = 0, 0
    while True:
        code, so, not_so, operand = program[at]
        at += 1
        if code == 0x06:
            return operand
        if code == 0x20 and operand == 0xFFFFF000 + 20:
            value = mark
        elif code == 0x20 and operand == 0xFFFFF000 + 4:
            value = kind
        elif code in (0x20, 0x28, 0x30):
            form = {0x20: "!I", 0x28: "!H", 0x30: "!B"}[code]
            value = struct.unpack_from(form, octets, operand)[0]
        elif code == 0x15:
            at += so if value == operand else not_so
        elif code == 0x35:
            at += so if value >= operand else not_so


def solicitation():
    """A neighbour solicitation (RFC 4861 section 4.3)."""
    made = bytearray(frame("fd00::2", "fd00::3", proto=58, payload=bytes(20)))
    made[54] = 135
    return bytes(made)


def echo():
    made = bytearray(frame("fd00::2", "fd00::3", proto=58, payload=bytes(20)))
    made[54] = 128
    return bytes(made)


class TestPrograms:
    """The filters' programs, run by hand."""

    ARP = bytes(12) + b"\x08\x06" + bytes(46)

    def test_all_ip_passes_by_the_engine_but_what_it_sent_and_neighbour_discovery(self):
        program = plumbing.passes_by(0x1AB)
        assert run(program, frame())
        assert run(program, frame("fd00::2", "fd00::3"))
        assert run(program, echo())
        assert not run(program, frame(), mark=0x1AB)
        assert not run(program, solicitation())
        assert not run(program, self.ARP)

    def test_what_goes_to_a_host_is_led_through_netem(self):
        program = netem.leads(["10.0.0.3", "10.0.0.9", "fd00::3", "fd00::9"])
        assert run(program, frame(target="10.0.0.3"))
        assert run(program, frame(target="10.0.0.9"))
        assert run(program, frame("fd00::2", "fd00::3"))
        assert run(program, frame("fd00::2", "fd00::9"))
        assert run(program, echo())
        assert not run(program, frame(target="10.0.0.3"), kind=3)  # it has been through
        for other in (frame(target="10.0.0.4"), frame("fd00::2", "fd00::4"), solicitation(), self.ARP):
            assert not run(program, other)

    def test_to_all_where_there_are_no_addresses(self):
        program = netem.leads([])
        assert run(program, frame())
        assert run(program, frame("fd00::2", "fd00::3"))
        assert not run(program, solicitation())
        assert not run(program, self.ARP)


@pytest.fixture
def made(monkeypatch):
    """A supervisor that cuts nothing."""
    monkeypatch.setattr(cut, "cut", lambda *_, **__: None)
    monkeypatch.setattr(cut, "mend", lambda: None)
    monkeypatch.setattr(cut, "is_cut", lambda: True)
    made = supervisor.Supervisor.__new__(supervisor.Supervisor)
    made.own, made.addresses, made.hosts = "server", ["10.0.0.2"], {"client": ["10.0.0.3"]}
    made.kept, made.past, made._present, made._pid, made._has_cut = [], [], {}, 0, False
    return made


def test_when_cuts_were_in_force_is_remembered(made):
    began = time.time_ns()
    for cuts in ({"client": None}, {"client": None, cut.CRASHED: None}, {cut.CRASHED: None}):
        made.cuts = cuts
        made._enforce_cuts()
    one, other = made.log()["cuts"]
    assert (one["host"], one["addresses"], one["other"], one["sources"]) == (
        "server",
        ["10.0.0.2"],
        "client",
        ["10.0.0.3"],
    )
    assert (other["other"], other["until_ns"]) == ("", 0)
    assert began <= one["since_ns"] <= other["since_ns"] <= one["until_ns"]
    made.cuts = {}
    made._enforce_cuts()
    assert made.log()["cuts"][-1]["until_ns"] >= other["since_ns"]


def test_a_cut_of_a_host_that_got_another_address_is_another(made):
    for address in ("10.0.0.3", "10.0.0.3", "10.0.0.4"):
        made.cuts, made.hosts = {"client": None}, {"client": [address]}
        made._enforce_cuts()
    one, other = made.log()["cuts"]
    assert (one["sources"], other["sources"]) == (["10.0.0.3"], ["10.0.0.4"])
    assert one["until_ns"] <= other["since_ns"]
    assert not other["until_ns"]


def test_what_ends_when_the_host_has_gone_is_written_down_and_enforces_nothing(made, monkeypatch):
    made.cuts = {"client": time.monotonic() - 1, cut.CRASHED: None}
    made.rules, made.proxy = [DELAY | {"until": time.monotonic() - 1}], Keeper.__new__(Keeper)
    made.proxy.rules, made.proxy._drained_at = [DELAY | {"until": time.monotonic() - 1}], None
    made._enforce_cuts()
    monkeypatch.setattr(plumbing, "find_device", lambda _: None)
    monkeypatch.setattr(plumbing, "sh", None)  # it has no device on which anything could be done
    made.device = "eth0"
    made.expire()
    assert (made.rules, made.proxy.rules, [*made.cuts]) == ([], [], [cut.CRASHED])
    assert [bool(one["until_ns"]) for one in made.log()["cuts"]] == [True, False]
    made.cuts["client"] = None
    made._enforce(gone=True)
    assert [one["other"] for one in made.log()["cuts"]] == ["client", ""]  # nothing is cut off where there is no host


def test_a_cut_that_goes_with_a_failure_has_ended(made, monkeypatch):
    made.rules, made.cuts, made.backend = [DELAY], {"client": None}, "shaper"
    made._led = made._lines = None

    def fail():
        raise PlumbingError("no veth pair")

    monkeypatch.setattr(made, "_start", fail)
    monkeypatch.setattr(made, "_clean", lambda: None)
    with pytest.raises(PlumbingError):
        made._enforce()
    assert made.log()["cuts"][-1]["until_ns"]


def test_a_cut_is_one_transaction_over_a_table_of_its_own():
    text = cut.program(["10.0.0.3", "fd00::3"])
    assert text.startswith("table inet labctl\ndelete table inet labctl\n")
    assert "ip saddr 10.0.0.3 drop" in text
    assert "ip6 saddr fd00::3 drop" in text
    assert "output" not in text
    assert text.index("icmpv6 type nd-neighbor-solicit accept") < text.index("drop")
    assert text.index("icmpv6 type nd-neighbor-advert accept") < text.index("drop")
    crashed = cut.program([], crashed=True)
    assert 'hook prerouting priority raw; policy accept;\n    iifname != "lo" drop' in crashed
    assert 'hook output priority raw; policy accept;\n    oifname != "lo" drop' in crashed
