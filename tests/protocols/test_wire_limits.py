"""Where a line is too long, what came before it still counts, wherever TCP cut the stream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.wire.errors import RemoteProtocolError
from services.wire.lines import LineReader


class TestTooLong:
    def test_a_line_without_end_is_refused_at_the_limit_and_not_kept(self) -> None:
        reader = LineReader(10)
        assert list(reader.each_line(b"x" * 9)) == []
        with pytest.raises(RemoteProtocolError):
            list(reader.each_line(b"x" * 1_000_000))
        assert reader.pending == 0

    @given(st.lists(st.binary(max_size=20), max_size=5), st.data())
    def test_lines_before_one_that_is_too_long_are_always_yielded(
        self, before: list[bytes], data: st.DataObject
    ) -> None:
        good = [line.replace(b"\n", b"").replace(b"\r", b"") for line in before]
        wire = b"".join(line + b"\r\n" for line in good) + b"y" * 50 + b"\r\n"
        cut = data.draw(st.integers(0, len(wire)))
        reader, seen = LineReader(30), []
        with pytest.raises(RemoteProtocolError):
            for part in (wire[:cut], wire[cut:]):
                for line in reader.each_line(part):
                    seen.append(line)
        assert seen == good
