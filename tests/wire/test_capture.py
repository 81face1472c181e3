"""Capture files: what is written is read back, what others write is read, and no octets at all raise anything but `CaptureError`."""

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.wire import pcap
from labctl.wire.build import build_trace
from labctl.wire.capture import ETHERNET, RAW_IP, Capture, Frame, Interface
from labctl.wire.read import CaptureError, read_capture
from labctl.wire.write import write_pcapng

FRAMES = [
    Frame(1795452855_000000001, b"first frame", 11),
    Frame(1795452855_123456789, b"cut", 1500, ETHERNET, "a note"),
]


def classic(order="<", magic=0xA1B2C3D4, records=((1, 5, b"abc", 3), (2, 7, b"de", 9)), link=1):
    text = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    return text + b"".join(struct.pack(f"{order}IIII", s, f, len(o), n) + o for s, f, o, n in records)


class TestWritten:
    def test_all_is_read_back(self):
        whole = Capture(
            list(FRAMES), [Interface(snap=96, name="lab-0", filter="tcp", ticks=10**9)],
            {"10.0.0.1": "client", "fd00::1": "client", "10.0.0.2": "tcp-server"}, ["lab x"], 7, "labctl 1",
        )  # fmt: skip
        seen = read_capture(write_pcapng(whole))
        assert seen.frames == whole.frames
        assert (seen.names, seen.comments, seen.dropped) == (whole.names, whole.comments, 7)
        assert (seen.application, seen.problem) == ("labctl 1", "")
        assert [(i.snap, i.name, i.filter, i.ticks) for i in seen.interfaces] == [(96, "lab-0", "tcp", 10**9)]

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 2**63), st.binary(max_size=40), st.text(max_size=9).filter(lambda t: "\0" not in t)
            )
        )
    )
    def test_any_frames_are_read_back(self, items):
        frames = [Frame(when, octets, len(octets), ETHERNET, note) for when, octets, note in items]
        assert read_capture(write_pcapng(Capture(frames))).frames == frames

    def test_frames_of_two_link_types_stay_apart(self):
        frames = [Frame(1, b"a", 1), Frame(2, b"b", 1, RAW_IP)]
        assert read_capture(write_pcapng(Capture(frames))).frames == frames


class TestClassic:
    @pytest.mark.parametrize("order", "<>")
    @pytest.mark.parametrize(("magic", "unit"), [(0xA1B2C3D4, 1000), (0xA1B23C4D, 1)])
    def test_both_byte_orders_and_both_units(self, order, magic, unit):
        seen = read_capture(classic(order, magic))
        assert seen.frames == [Frame(10**9 + 5 * unit, b"abc", 3), Frame(2 * 10**9 + 7 * unit, b"de", 9)]
        assert seen.interfaces[0].snap == 65535

    @pytest.mark.parametrize("cut", range(24, len(classic())))
    def test_a_file_that_is_broken_off_is_read_so_far_and_says_so(self, cut):
        seen = read_capture(classic()[:cut])
        assert len(seen.frames) == (cut >= 43)
        assert bool(seen.problem) == (cut not in (24, 43))

    def test_a_record_that_claims_too_much_ends_the_reading(self):
        seen = read_capture(classic(records=[(1, 0, b"abc", 3)]) + struct.pack("<IIII", 2, 0, 1 << 30, 60))
        assert len(seen.frames) == 1
        assert "claims more" in seen.problem

    @given(st.lists(st.integers(0, len(classic())), max_size=5))
    def test_frames_do_not_depend_on_where_a_stream_is_cut(self, cuts):
        data, stream = classic(), pcap.Stream()
        places = [0, *sorted(cuts), len(data)]
        parts = [data[a:b] for a, b in itertools.pairwise(places)]
        assert [frame for part in parts for frame in stream.feed(part)] == read_capture(data).frames


class TestPcapng:
    """draft-ietf-opsawg-pcapng, as others write it."""

    def block(self, kind, body, order="<"):
        total = len(body) + 12
        return struct.pack(f"{order}II", kind, total) + body + struct.pack(f"{order}I", total)

    def section(self, order="<"):
        return self.block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)

    def interface(self, options=b"", snap=0, order="<"):
        return self.block(1, struct.pack(f"{order}HHI", 1, 0, snap) + options, order)

    def frame(self, ticks, octets, order="<", interface=0):
        head = struct.pack(f"{order}IIIII", interface, ticks >> 32, ticks & 0xFFFFFFFF, len(octets), len(octets))
        return self.block(6, head + octets + bytes(-len(octets) % 4), order)

    @pytest.mark.parametrize("order", "<>")
    def test_times_count_microseconds_where_nothing_else_is_said(self, order):
        data = self.section(order) + self.interface(order=order) + self.frame(5, b"abcde", order)
        assert read_capture(data).frames == [Frame(5000, b"abcde", 5)]

    @pytest.mark.parametrize(("resolution", "ns"), [(0, 10**9), (3, 10**6), (9, 1), (0x8A, 976562)])
    def test_resolution_is_a_power_of_ten_or_of_two(self, resolution, ns):
        option = struct.pack("<HHBxxx", 9, 1, resolution) + bytes(4)
        data = self.section() + self.interface(option) + self.frame(1, b"x")
        assert read_capture(data).frames[0].time_ns == ns

    def test_an_offset_is_added(self):
        option = struct.pack("<HHq", 14, 8, 100) + bytes(4)
        assert (
            read_capture(self.section() + self.interface(option) + self.frame(0, b"x")).frames[0].time_ns == 100 * 10**9
        )

    def test_each_section_numbers_its_own_interfaces(self):
        one = self.section() + self.interface() + self.frame(1, b"a")
        other = self.section(">") + self.interface(order=">") + self.frame(2, b"b", ">")
        assert [frame.octets for frame in read_capture(one + other).frames] == [b"a", b"b"]

    def test_unknown_blocks_are_passed_over(self):
        data = self.section() + self.interface() + self.block(0x0BAD, b"1234") + self.frame(1, b"a")
        assert len(read_capture(data).frames) == 1

    def test_simple_and_obsolete_packets(self):
        simple = self.block(3, struct.pack("<I", 60) + b"abcd")
        old = self.block(2, struct.pack("<HHIIII", 0, 0, 0, 7, 2, 2) + b"xy\0\0")
        seen = read_capture(self.section() + self.interface(snap=3) + simple + old)
        assert [(f.octets, f.length) for f in seen.frames] == [(b"abc", 60), (b"xy", 2)]

    def test_a_frame_of_no_interface_ends_the_reading(self):
        seen = read_capture(self.section() + self.frame(1, b"a"))
        assert (seen.frames, "no interface" in seen.problem) == ([], True)

    def test_every_cut_is_read_so_far(self):
        data = write_pcapng(Capture(list(FRAMES), names={"10.0.0.1": "client"}))
        whole = [read_capture(data[:cut]) for cut in range(4, len(data))]
        assert {len(seen.frames) for seen in whole} == {0, 1}
        assert (
            sum(not seen.problem for seen in whole) == 4
        )  # cut where a block ends: behind the section, its interface, names, a frame


class TestGarbage:
    @pytest.mark.parametrize("octets", [b"", b"\0", b"GIF89a", b"{}", b"\x1f\x8b\x08\0"])
    def test_is_no_capture(self, octets):
        with pytest.raises(CaptureError, match="neither pcapng nor pcap"):
            read_capture(octets)

    @given(
        st.sampled_from([classic(), write_pcapng(Capture(list(FRAMES), names={"10.0.0.1": "c"}, dropped=1))]), st.data()
    )
    def test_a_file_with_any_octets_changed_is_read_somehow(self, octets, data):
        changed = bytearray(octets)
        for _ in range(data.draw(st.integers(1, 8))):
            changed[data.draw(st.integers(4, len(changed) - 1))] = data.draw(st.integers(0, 255))
        build_trace(read_capture(bytes(changed)))

    @given(st.sampled_from([*pcap.FORMATS, b"\x0a\x0d\x0d\x0a"]), st.binary(max_size=200))
    def test_any_octets_behind_a_magic_number(self, magic, rest):
        build_trace(read_capture(magic + rest))
