"""Packets: each kind as its RFC lays it out, and any octets at all."""

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.wire.build import build_trace
from labctl.wire.capture import ETHERNET, LINUX_SLL, LINUX_SLL2, RAW_IP, Capture, Frame
from labctl.wire.describe import detail, label
from labctl.wire.dns import read_dns
from labctl.wire.facts import trace_facts
from labctl.wire.html import draw_html
from labctl.wire.ladder import lay_out
from labctl.wire.mermaid import draw_mermaid
from labctl.wire.packet import read_packet
from labctl.wire.svg import draw_svg
from labctl.wire.terminal import TextLadder
from labctl.wire.trouble import tcp_options
from tests.wire.frames import ACK, SYN, A, B, Talk, ether, ip, tcp, udp

SIX_A, SIX_B = "fd00::1", "fd00::2"


def read(octets, length=None, link=ETHERNET):
    return read_packet(1, Frame(0, octets, length or len(octets), link))


class TestEthernet:
    def test_addresses_and_vlan_tags(self):
        packet = read(ether(0x8100, struct.pack(">HH", 0x2005, 0x0800) + udp(b"hi")[14:]))
        assert (packet.source_mac, packet.target_mac) == ("02:00:00:00:00:01", "02:00:00:00:00:02")
        assert (packet.kind, packet.data, packet.note) == ("UDP", b"hi", "VLAN 5")

    def test_another_type_is_named(self):
        assert read(ether(0x88CC, b"x" * 50)).note == "Ethernet type 0x88cc"

    @pytest.mark.parametrize(
        ("link", "head"), [(RAW_IP, b""), (LINUX_SLL, bytes(14) + b"\x08\0"), (LINUX_SLL2, b"\x08\0" + bytes(18))]
    )
    def test_other_links(self, link, head):
        assert read(head + udp(b"hi")[14:], link=link).data == b"hi"

    def test_an_unknown_link_is_said(self):
        assert "link type 105" in read(b"x" * 40, link=105).problem


class TestArp:
    def arp(self, operation, sender=A, target=B):
        pack = lambda a: ipaddress.ip_address(a).packed  # noqa: E731
        return ether(
            0x0806,
            struct.pack(">HHBBH", 1, 0x0800, 6, 4, operation) + b"\x02" * 6 + pack(sender) + bytes(6) + pack(target),
        )

    @pytest.mark.parametrize(("operation", "sender", "said"), [(1, A, f"who has {B}?"), (2, A, f"{A} is at 02:02:02:02:02:02"),
                                                               (1, B, f"{B} is at 02:02:02:02:02:02 (announced)"),
                                                               (1, "0.0.0.0", f"does anybody have {B}? (RFC 5227)")])  # fmt: skip
    def test_says_what_is_asked(self, operation, sender, said):
        packet = read(self.arp(operation, sender))
        assert (packet.kind, packet.note) == ("ARP", said)


class TestIp:
    def test_octets_behind_the_datagram_are_padding(self):
        assert read(udp(b"hi") + bytes(18)).payload == 2

    def test_a_large_segment_that_says_no_length(self):
        octets = bytearray(tcp(ACK, data=b"x" * 100))
        octets[16:18] = b"\0\0"
        assert read(bytes(octets)).payload == 100

    @pytest.mark.parametrize("first", [0x44, 0x55, 0x4F])
    def test_a_header_that_is_none_is_said(self, first):
        octets = bytearray(udp(b""))
        octets[14] = first
        assert read(bytes(octets)).problem

    def test_extension_headers_are_passed(self):
        body = bytes([60, 0]) + bytes(6) + bytes([44, 0]) + bytes(6) + bytes([17, 0, 0, 0, 0, 0, 0, 9])
        body += struct.pack(">HHHH", 4000, 7, 10, 0) + b"hi"
        packet = read(ip(0, body, SIX_A, SIX_B))
        assert (packet.kind, packet.source, packet.target_port, packet.data) == ("UDP", SIX_A, 7, b"hi")
        assert packet.fragment == (9, 0, False)

    def test_other_protocols_are_named(self):
        assert read(ip(132, b"x" * 12)).note == "SCTP"
        assert read(ip(59, b"", SIX_A, SIX_B)).note == "no next header"

    def test_a_snap_length_cuts_octets_and_not_lengths(self):
        whole = tcp(ACK, data=b"x" * 400)
        packet = read(whole[:96], len(whole))
        assert (packet.payload, len(packet.data), packet.problem) == (400, 42, "")
        assert "34 of 454 octets" in read(whole[:34], len(whole)).problem


class TestTcp:
    def test_fields(self):
        packet = read(tcp(SYN | ACK, 7, 9, b"data", window=500))
        assert (packet.seq, packet.ack, packet.window, packet.data, packet.flag_names) == (
            7,
            9,
            500,
            b"data",
            "SYN, ACK",
        )

    def test_options(self):
        packet = read(tcp(SYN, options=b"\x02\x04\x05\xb4\x01\x03\x03\x07\x04\x02"))
        assert tcp_options(packet) == {2: b"\x05\xb4", 3: b"\x07", 4: b""}

    @pytest.mark.parametrize("options", [b"\x02\x00", b"\x02\x01", b"\x02\x0a\x01\x01", b"\x05"])
    def test_a_broken_option_ends_the_reading(self, options):
        assert set(tcp_options(read(tcp(SYN, options=options)))) <= {2, 5}

    def test_a_header_longer_than_its_segment_is_said(self):
        octets = bytearray(tcp(ACK))
        octets[46] = 0xF0
        assert "TCP header of 60 octets in 20" in read(bytes(octets)).problem


class TestUdp:
    def test_a_length_that_cannot_be_is_said(self):
        octets = bytearray(udp(b"hi"))
        octets[38:40] = b"\0\x50"
        assert "UDP length 80" in read(bytes(octets)).problem

    def test_a_shorter_length_counts(self):
        octets = bytearray(udp(b"hidden"))
        octets[38:40] = b"\0\x0a"
        assert read(bytes(octets)).data == b"hi"


class TestIcmp:
    def test_echo(self):
        assert read(ip(1, struct.pack(">BBHHH", 8, 0, 0, 1, 5) + b"x" * 8)).note == "echo request 5"

    def test_an_error_names_the_port(self):
        quoted = udp(b"hi")[14:]
        packet = read(ip(1, struct.pack(">BBHI", 3, 3, 0, 0) + quoted, B, A))
        assert packet.note == f"port unreachable: {B} port 7"

    def test_six(self):
        quoted = udp(b"hi", source=SIX_A, target=SIX_B)[14:]
        assert (
            read(ip(58, struct.pack(">BBHI", 1, 4, 0, 0) + quoted, SIX_B, SIX_A)).note
            == f"port unreachable: {SIX_B} port 7"
        )
        assert read(ip(58, struct.pack(">BBHI", 2, 0, 0, 1280) + quoted, SIX_B, SIX_A)).note.startswith(
            "packet too big, at most 1280 octets"
        )
        solicit = struct.pack(">BBHI", 135, 0, 0, 0) + ipaddress.ip_address(SIX_B).packed
        assert read(ip(58, solicit, SIX_A, "ff02::1:ff00:2")).note == f"who has {SIX_B}?"


class TestDns:
    QUESTION = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + b"\x06server\x03lab\0\0\x01\0\x01"

    def test_question(self):
        assert str(read_dns(self.QUESTION)) == "A server.lab?"

    def test_answer_with_a_pointer(self):
        answer = (
            struct.pack(">HHHHHH", 7, 0x8180, 1, 1, 0, 0)
            + self.QUESTION[12:]
            + b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x02"
        )
        message = read_dns(answer)
        assert message.answers == (("server.lab", "A", "10.0.0.2", 60),)
        assert str(message) == "A server.lab: 10.0.0.2"

    def test_no_such_name(self):
        assert str(read_dns(self.QUESTION[:2] + b"\x81\x83" + self.QUESTION[4:])) == "A server.lab: NXDOMAIN"

    def test_a_loop_of_pointers_is_no_message(self):
        assert read_dns(struct.pack(">HHHHHH", 7, 0, 1, 0, 0, 0) + b"\xc0\x0c\0\x01\0\x01") is None

    @given(st.binary(max_size=120))
    def test_any_octets(self, octets):
        read_dns(octets)


class TestAnything:
    """Whatever the octets: no traceback, in no part of the way to a picture."""

    SEEDS = (
        tcp(SYN, 1, options=b"\x02\x04\x05\xb4\x03\x03\x07"), tcp(ACK, 2, 3, b"data" * 9), udp(b"hello"),
        udp(TestDns.QUESTION, ports=(4000, 53)),
        udp(b"six", source=SIX_A, target=SIX_B), ip(1, struct.pack(">BBHI", 3, 3, 0, 0) + udp(b"hi")[14:], B, A), TestArp().arp(1),
        ip(44, bytes([17, 0, 0, 1, 0, 0, 0, 9]) + b"fragment", SIX_A, SIX_B), ip(17, b"fragment", place=0x2001),
    )  # fmt: skip

    def draw(self, frames):
        trace = build_trace(Capture(frames))
        for packet in trace.packets:
            found = trace.conversation(trace.of[packet.number])
            assert label(packet, found)
            assert detail(packet, found)
        ladder = lay_out(trace, everything=True)
        assert list(TextLadder(80, colour=True).draw(ladder))
        assert draw_svg(ladder, "any").endswith("</svg>\n")
        draw_mermaid(ladder)
        draw_html(trace, ladder, "__TRACE__", "any")
        trace_facts(trace)

    @given(
        st.lists(st.binary(max_size=120), min_size=1, max_size=4),
        st.sampled_from([ETHERNET, RAW_IP, LINUX_SLL, LINUX_SLL2, 105]),
    )
    def test_octets_at_random(self, items, link):
        self.draw([Frame(n, octets, len(octets), link) for n, octets in enumerate(items)])

    @given(st.data())
    def test_real_packets_changed_and_cut(self, data):
        frames = []
        for number in range(data.draw(st.integers(1, 6))):
            octets = bytearray(data.draw(st.sampled_from(self.SEEDS)))
            for _ in range(data.draw(st.integers(0, 3))):
                octets[data.draw(st.integers(12, len(octets) - 1))] = data.draw(st.integers(0, 255))
            kept = bytes(octets[: data.draw(st.integers(0, len(octets)))])
            frames.append(Frame(number * 10**6, kept, len(octets)))
        self.draw(frames)

    def test_a_hundred_of_one_kind_make_one_conversation(self):
        talk = Talk().opened()
        for number in range(100):
            talk.a(10 + number, ACK, 101 + number, 301, b"x")
        assert talk.one.stream(talk.one.opener) == b"x" * 100
