"""The kernel's emulator: when it is chosen, in which words it is told, and which packets are led through it."""

import struct

import pytest

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
        ({"delay_ns": 50_000_000, "jitter_ns": 5_000_000, "seed": 3}, "limit 100000 delay 50000us 5000us seed 3"),
        (
            {"delay_ns": 1000, "jitter_ns": 500, "distribution": "normal"},
            "limit 100000 delay 1us 0.5us distribution normal seed 1",
        ),
        ({"loss": 0.05, "seed": 7}, "limit 100000 loss random 5% seed 7"),
        ({"gemodel": (0.1, 0.2, 1, 0)}, "limit 100000 loss gemodel 10% 20% 100% 0% seed 1"),
        ({"rate": 1_000_000}, "limit 100000 rate 1000000bit -14"),
        ({"duplicate": 0.01, "corrupt": 0.02}, "limit 100000 duplicate 1% corrupt 2% seed 1"),
    ],
)
def test_words(rule, words):
    assert " ".join(netem.arguments(rule)) == words


def run(program, octets, mark=0):
    """Run a program of the classic BPF (as tc would) on a frame; return what it gives."""
    at, value = 0, 0
    while True:
        code, so, not_so, operand = program[at]
        at += 1
        if code == 0x06:
            return operand
        if code == 0x20 and operand == 0xFFFFF000 + 20:
            value = mark
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
        for other in (frame(target="10.0.0.4"), frame("fd00::2", "fd00::4"), solicitation(), self.ARP):
            assert not run(program, other)

    def test_to_all_where_there_are_no_addresses(self):
        program = netem.leads([])
        assert run(program, frame())
        assert run(program, frame("fd00::2", "fd00::3"))
        assert not run(program, solicitation())
        assert not run(program, self.ARP)


def test_a_cut_is_one_transaction_over_a_table_of_its_own():
    text = cut.program(["10.0.0.3", "fd00::3"])
    assert text.startswith("table inet labctl\ndelete table inet labctl\n")
    assert "ip saddr 10.0.0.3 drop" in text
    assert "ip6 saddr fd00::3 drop" in text
    assert 'iifname != "lo" drop' in cut.program([], everything=True)
