"""Notes beside a capture: written, read back the same, and never a traceback whatever stands in the file."""

import contextlib
import json
import random

import pytest

from labctl.wire.capture import Capture
from labctl.wire.ladder import Mark
from labctl.wire.model import Call
from labctl.wire.notes import Notes, NotesError, apply_notes, notes_facts, read_notes, write_notes
from labctl.wire.shaped import Shaped
from tests.wire.frames import ACK, FIN, MS, PSH, Talk

CALL = Call(
    "client",
    7,
    "step-1",
    2 * MS,
    0.001,
    "sendto",
    3,
    4,
    "",
    '3, "data", 4, 0',
    "10.0.0.1:4000",
    "10.0.0.2:7",
    "TCP",
    b"da\0\xff",
)
NOTES = Notes(
    "demo", "1 of 1 steps as expected", 5, 4, 0,
    (Mark(1, "1. Grüße", True, 1), Mark(2, "2. two", False, 2), Mark(3, "three")),
    (CALL, Call("server", 1, "server", 1, None, "epoll_wait", None, None, "", "4")),
    (Shaped(1, 0, "lost", "client → server", b"\0\x01"),),
    (("client", "impair to server: loss 5%"),),
)  # fmt: skip


def talk():
    return Talk().opened().a(3, ACK | PSH, 101, 301, b"data")


class TestRoundTrip:
    def test_what_was_written_is_read(self):
        assert read_notes(write_notes(NOTES)) == NOTES
        assert read_notes(write_notes(Notes())) == Notes()

    def test_the_file_carries_its_version(self):
        assert json.loads(write_notes(NOTES))["version"] == 1

    def test_calls_are_tied_to_frames_when_they_are_read(self):
        trace = talk().trace
        apply_notes(trace, read_notes(write_notes(NOTES)))
        assert [(call.frames, call.peer) for call in trace.calls if call.name == "sendto"] == [((4,), "server:7")]
        assert [item.verdict for item in trace.shaped] == ["lost"]
        assert NOTES.calls[0].frames == ()  # the notes stay as they were

    def test_beside_a_capture_of_their_own_only(self):
        assert NOTES.belong_to(Capture(talk().frames))
        assert NOTES.belong_to(Capture(talk().frames[:2]))
        assert not NOTES.belong_to(Capture(talk().frames[1:]))
        assert not NOTES.belong_to(Capture(talk().b(5, FIN | ACK, 301, 105).frames))

    def test_without_anything_to_say_there_are_none(self):
        assert not Notes("name", frames=9)
        assert Notes(ready_ns=1)
        assert NOTES


class TestGarbage:
    @pytest.mark.parametrize(
        ("octets", "why"),
        [
            (b"", "no JSON"),
            (b"\xff\xfe", "no JSON"),
            (b"[" * 100_000, "no JSON"),
            (b"7", "no notes"),
            (b'{"version": 1}', "no notes"),
            (b'{"version": 2, "notes": {}}', "version is 2"),
            (b'{"notes": {}}', "version is None"),
            (b'{"version": 1, "notes": {}}', "`name`"),
        ],
    )
    def test_it_says_why(self, octets, why):
        with pytest.raises(NotesError, match=why):
            read_notes(octets)

    @pytest.mark.parametrize(
        ("place", "value", "why"),
        [
            (("marks", 0, "passed"), 1, r"`marks\[0\]`: `passed`"),
            (("calls", 1, "seconds"), float("nan"), r"`calls\[1\]`: `seconds`"),
            (("calls", 0, "octets"), "0g", "hexadecimal"),
            (("calls", 0, "host"), "\ud800", "`host` is no text"),
            (("calls", 0, "time_ns"), True, "whole number"),
            (("shaped", 0, "seen_ns"), 1 << 70, "whole number"),
            (("calls",), {}, "no list"),
            (("faults", 0), 7, "no object"),
        ],
    )
    def test_it_says_where(self, place, value, why):
        facts = notes_facts(NOTES)
        *way, last = place
        inner = facts
        for key in way:
            inner = inner[key]
        inner[last] = value
        with pytest.raises(NotesError, match=why):
            read_notes(json.dumps({"version": 1, "notes": facts}).encode())

    def test_any_cut_and_any_changed_octet_is_an_error_or_notes(self):
        whole, dice = write_notes(NOTES), random.Random(7)
        for cut in range(len(whole)):
            with pytest.raises(NotesError):
                read_notes(whole[:cut])
        for _ in range(2000):
            octets = bytearray(whole)
            for _ in range(dice.randint(1, 3)):
                octets[dice.randrange(len(octets))] = dice.randrange(256)
            with contextlib.suppress(NotesError):
                apply_notes(talk().trace, read_notes(bytes(octets)))
