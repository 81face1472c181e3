"""Framing, and what the small services say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.wire import small
from services.wire.errors import RemoteProtocolError
from services.wire.lines import LineReader

WIRE = b"one\r\n\r\ntwo\nthree\r\n"


class TestFraming:
    """RFC 5321 section 2.3.8; a bare LF is taken too."""

    @pytest.mark.parametrize("cut", range(len(WIRE) + 1))
    def test_lines_do_not_depend_on_where_tcp_cuts_the_stream(self, cut):
        reader = LineReader(64)
        assert reader.receive_data(WIRE[:cut]) + reader.receive_data(WIRE[cut:]) == [b"one", b"", b"two", b"three"]
        assert reader.pending == 0

    @given(
        st.lists(st.binary(max_size=30).filter(lambda line: b"\n" not in line and not line.endswith(b"\r"))), st.data()
    )
    def test_any_lines_come_out_as_they_went_in(self, lines, data):
        wire = b"".join(line + b"\r\n" for line in lines)
        reader, seen = LineReader(64), []
        while wire:
            cut = data.draw(st.integers(1, len(wire)))
            seen += reader.receive_data(wire[:cut])
            wire = wire[cut:]
        assert seen == lines

    @pytest.mark.parametrize("wire", [b"x" * 16, b"x" * 15 + b"\r\n", b"ok\n" + b"x" * 17])
    def test_a_line_over_the_limit_is_an_error_whether_it_ends_or_not(self, wire):
        with pytest.raises(RemoteProtocolError, match="longer than 16 octets"):
            LineReader(16).receive_data(wire)

    def test_the_limit_counts_the_line_end(self):
        assert LineReader(16).receive_data(b"x" * 14 + b"\r\n") == [b"x" * 14]


class TestDaytime:
    """RFC 867."""

    def test_is_one_line_of_ascii_in_utc(self):
        assert small.daytime(0) == b"Thursday, January 01, 1970 00:00:00-UTC\r\n"


class TestTime:
    """RFC 868: the values that the RFC itself gives."""

    @pytest.mark.parametrize(
        ("unix", "since_1900"),
        [(0, 2_208_988_800), (2_629_584_000 - 2_208_988_800, 2_629_584_000), (-2_208_988_800, 0)],
    )
    def test_counts_seconds_since_1900(self, unix, since_1900):
        assert int.from_bytes(small.time_now(unix), "big") == since_1900

    @given(st.integers(0, 2**34))
    def test_is_read_back_in_the_era_nearest_to_now(self, unix):
        assert small.read_time(small.time_now(unix), unix + 1000) == unix

    def test_wraps_in_2036(self):
        assert small.time_now(2_085_978_496) == b"\0\0\0\0"

    def test_anything_but_four_octets_is_no_time(self):
        with pytest.raises(ValueError, match="four octets"):
            small.read_time(b"123", 0)


class TestChargen:
    """RFC 864: the picture in the RFC."""

    def test_the_first_lines_are_those_of_the_rfc(self):
        lines = small.chargen_lines(0, 3).split(b"\r\n")
        assert lines[0] == b""" !"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg"""
        assert lines[1] == lines[0][1:] + b"h"
        assert lines[2] == lines[1][1:] + b"i"

    def test_each_line_has_72_characters_and_95_lines_make_a_cycle(self):
        lines = small.CYCLE.split(b"\r\n")[:-1]
        assert len(lines) == 95
        assert {len(line) for line in lines} == {72}
        assert small.chargen_lines(95, 1) == small.chargen_lines(0, 1)
        assert set(b"".join(lines)) == set(range(0x20, 0x7F))
