"""What a tap is asked on its stdin, and what it answers: octets in, lines out, no packet socket."""

import json
import time

import pytest

from services.tools.tap import HOLD_MS, Desk


class Capture:
    """A tap whose last block of frames comes with the next `drain`."""

    def __init__(self):
        self.frames, self.coming = 3, 2

    def drain(self):
        self.frames, self.coming = self.frames + self.coming, 0

    def count(self):
        return {"received": self.frames, "dropped": 1}


@pytest.fixture
def desk():
    return Desk(Capture())


def told(capfd):
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


def wait(desk):
    time.sleep((desk.patience() or 0) / 1000)
    desk.answer()


class TestDesk:
    def test_it_tells_how_the_capture_stands_once_the_block_being_filled_is_in_it(self, desk, capfd):
        assert desk.patience() is None
        desk.hear(b'{"id": "1", "do": "tell"}\n')
        desk.answer()
        assert told(capfd) == []
        assert HOLD_MS < desk.patience() <= 1.5 * HOLD_MS
        wait(desk)
        assert told(capfd) == [{"id": "1", "received": 5, "dropped": 1, "marks": []}]
        assert desk.patience() is None

    def test_notes_are_kept_and_later_ones_take_their_place(self, desk, capfd):
        desk.hear(
            b'{"id": "1", "do": "mark", "marks": [[7, "ready"]]}\n{"id": "2", "do": "mark", "marks": [[8, "on"]]}\n'
        )
        assert told(capfd) == [{"id": "1"}, {"id": "2"}]
        desk.hear(b'{"id": "3", "do": "tell"}\n{"id": "4", "do": "tell"}\n')
        wait(desk)
        assert [(one["id"], one["marks"]) for one in told(capfd)] == [("3", [[8, "on"]]), ("4", [[8, "on"]])]

    def test_a_question_may_be_cut_anywhere(self, desk, capfd):
        for octet in b'{"id": "1", "do": "mark", "marks": []}\n':
            desk.hear(bytes([octet]))
        assert told(capfd) == [{"id": "1"}]

    @pytest.mark.parametrize(
        "line", [b"x", b"[]", b"7", b"{}", b'{"id": "1", "do": "dance"}', b'{"do": "mark"}', b"\xff"]
    )
    def test_what_is_no_question_gets_an_error_and_the_tap_goes_on(self, desk, capfd, line):
        desk.hear(line + b'\n{"id": "2", "do": "mark", "marks": []}\n')
        first, second = told(capfd)
        assert "this is no question" in first["error"]
        assert second == {"id": "2"}
