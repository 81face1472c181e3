"""The chat's room as a crowd, and what strangers' octets may not do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tcp.chat import FRONT, MAX_LINE, SMALL, UNREAD, Member, Room, encode, printable
from services.wire.errors import RemoteProtocolError


def heard(member: Member) -> list[str]:
    """Return the lines that wait for a member; those of a room's rounds too."""
    while member.room.deliver():
        pass
    return member.data_to_send().decode().split("\r\n")[:-1]


def people(room: Room, *names: str) -> list[Member]:
    """Let people in, and forget what they were told about it."""
    members = [room.enter() for _ in names]
    for member, name in zip(members, names, strict=True):
        member.receive_data(encode(f"/name {name}"))
    for member in members:
        heard(member)
    return members


class TestStrangers:
    def test_an_unfinished_line_at_the_end_was_never_said(self) -> None:
        ana, ben = people(Room(), "ana", "ben")
        ana.receive_data(b"half a li")
        ana.receive_eof()
        assert ana.closing
        assert heard(ben) == []

    @given(st.binary(max_size=300))
    def test_no_octets_of_a_peer_can_forge_a_line_or_move_a_cursor(self, octets: bytes) -> None:
        ana, ben = people(Room(), "ana", "ben")
        ana.receive_data(octets.replace(b"/", b"") + b"\r\n")
        for line in heard(ben):
            assert line.startswith("ana: ")
            assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in line)

    def test_printable_keeps_what_people_write(self) -> None:
        assert printable("zażółć\t👩\u200d👧 \u3000") == "zażółć 👩\u200d👧 \u3000"
        assert printable("\x1b[2J\u202e\r") == "\ufffd[2J\ufffd\ufffd"

    @pytest.mark.parametrize("wire", [b"x" * MAX_LINE, b"x" * MAX_LINE + b"\n", b"x" * 1_000_000])
    def test_a_line_that_is_too_long_ends_the_connection_with_words(self, wire: bytes) -> None:
        ana, ben = people(Room(), "ana", "ben")
        with pytest.raises(RemoteProtocolError, match="longer than 1024 octets") as caught:
            ana.receive_data(b"before\n" + wire)
        assert caught.value.reply == b"* line longer than 1024 octets; goodbye\r\n"
        assert heard(ben) == ["ana: before"]


class TestNames:
    @pytest.mark.parametrize("name", ["operator", "Operator", "operator-2", "operators"])
    def test_nobody_can_pass_for_the_operator(self, name: str) -> None:
        (ana,) = people(Room(), "ana")
        ana.receive_data(encode(f"/name {name}"))
        assert heard(ana) == [f"* {name} is the server's own name"]


class TestCrowd:
    """Many silent listeners do not delay those who talk: a line goes at once to who spoke last, to the others in parts."""

    def test_a_line_is_given_to_few_at_once_and_to_all_in_the_end(self) -> None:
        room = Room()
        ana, ben = people(room, "ana", "ben")
        crowd = [room.enter() for _ in range(500)]
        for member in crowd:
            heard(member)
        room.talkative.clear()
        ana.receive_data(b"hello\r\n")
        assert room.talkative == {ben}
        assert room.deliver()
        assert len(room.talkative) == 1 + FRONT
        assert all(heard(member) == ["ana: hello"] for member in crowd)

    def test_arrivals_in_a_crowd_are_told_when_they_first_speak(self) -> None:
        room = Room()
        (ana,) = people(room, "ana")
        crowd = [room.enter() for _ in range(SMALL + 5)]
        assert len(heard(ana)) == SMALL - 1
        crowd[-1].receive_data(b"hi\r\n")
        assert heard(ana) == [f"* {crowd[-1].name} came in", f"{crowd[-1].name}: hi"]
        crowd[-2].leave()
        assert heard(ana) == []

    def test_who_stays_short(self) -> None:
        room = Room()
        crowd = [room.enter() for _ in range(SMALL + 5)]
        heard(crowd[0])
        crowd[0].receive_data(b"/who\r\n")
        (line,) = heard(crowd[0])
        assert line.endswith(", and 5 more")
        assert line.count("guest") == SMALL

    @given(st.lists(st.tuples(st.integers(0, FRONT + 9), st.integers(0, 3)), max_size=60))
    def test_everybody_hears_everything_of_the_others_once_and_in_order(self, turns: list[tuple[int, int]]) -> None:
        """Whoever is brought forward or falls back to the crowd meanwhile."""
        room = Room()
        members = people(room, *(f"m{number}" for number in range(FRONT + 10)))
        said = []
        for count, (speaker, parts) in enumerate(turns):
            members[speaker].receive_data(encode(f"line {count}"))
            said.append((speaker, f"m{speaker}: line {count}"))
            for _ in range(parts):
                room.deliver(5)
        for number, member in enumerate(members):
            assert heard(member) == [line for speaker, line in said if speaker != number]

    def test_a_flood_to_a_crowd_is_bounded_and_said_so(self) -> None:
        room = Room()
        (ana,) = people(room, "ana")
        *_, listener = [room.enter() for _ in range(FRONT + 1)]
        heard(listener)
        heard(ana)
        for _ in range(200):
            ana.receive_data(b"x" * 1000 + b"\r\n")
        told = heard(listener)
        assert sum(map(len, told)) <= UNREAD + 1024
        assert told[-1].startswith("* more was said")


class TestWhoDoesNotRead:
    def test_what_waits_is_dropped_for_a_word_about_it(self) -> None:
        ana, ben = people(Room(), "ana", "ben")
        ana.receive_data(b"hello\r\n" * 3)
        heard(ana)
        assert ben.room.deliver() is False
        assert ben.waiting > 0
        ben.put_out()
        ana.receive_data(b"more\r\n")
        assert heard(ben) == [f"* you do not read: more than {UNREAD} octets wait for you; goodbye"]
        assert ben.closing
