"""The chat's room and its members, without a socket."""

import pytest

from services.tcp.chat import COMMANDS, Room, Talker
from services.wire.errors import RemoteProtocolError


def lines(member):
    return member.data_to_send().decode().split("\r\n")[:-1]


@pytest.fixture
def room():
    return Room()


@pytest.fixture
def pair(room):
    """Two members whose welcome has been read."""
    ana, bob = room.enter(), room.enter()
    ana.receive_data(b"/name ana\r\n")
    bob.receive_data(b"/name bob\r\n")
    lines(ana), lines(bob)
    return ana, bob


class TestEntering:
    def test_the_newcomer_learns_its_name_and_the_others_that_it_came(self, room):
        first, second = room.enter(), room.enter()
        assert lines(second) == ["* you are guest2; 1 other is here; /help tells the commands"]
        assert lines(first)[-1] == "* guest2 came in"

    def test_a_taken_guest_name_is_passed_over(self, room):
        room.enter().receive_data(b"/name guest2\n")
        assert room.enter().name == "guest3"


class TestTalking:
    def test_a_line_reaches_the_others_with_its_name_and_not_its_sender(self, pair):
        ana, bob = pair
        ana.receive_data(b"hello\r\n")
        assert lines(bob) == ["ana: hello"]
        assert lines(ana) == []

    @pytest.mark.parametrize("cut", range(len("grüß dich\r\n".encode()) + 1))
    def test_it_does_not_depend_on_where_tcp_cuts(self, pair, cut):
        ana, bob = pair
        wire = "grüß dich\r\n".encode()
        ana.receive_data(wire[:cut])
        ana.receive_data(wire[cut:])
        assert lines(bob) == ["ana: grüß dich"]

    def test_who_has_something_to_send_is_known(self, room, pair):
        room.talkative.clear()
        pair[0].receive_data(b"hi\n")
        assert room.talkative == {pair[1]}

    def test_control_characters_cannot_forge_a_line_or_move_a_cursor(self, pair):
        ana, bob = pair
        ana.receive_data(b"a\x1b[2Jb\rc\n")
        assert lines(bob) == ["ana: a\ufffd[2Jb\ufffdc"]

    def test_octets_that_are_no_utf8_are_replaced(self, pair):
        ana, bob = pair
        ana.receive_data(b"\xff\xfe\n")
        assert lines(bob) == ["ana: \ufffd\ufffd"]

    def test_an_empty_line_says_nothing(self, pair):
        pair[0].receive_data(b"\r\n  \r\n")
        assert lines(pair[1]) == []

    def test_a_line_that_is_too_long_is_refused_in_words(self, pair):
        with pytest.raises(RemoteProtocolError) as caught:
            pair[0].receive_data(b"x" * 1_000_000)
        assert caught.value.reply == b"* line longer than 1024 octets; goodbye\r\n"


class TestCommands:
    def test_every_command_of_the_table_is_told_by_help_and_answered(self, room):
        member = room.enter()
        lines(member)
        member.receive_data(b"/help\n")
        told = lines(member)
        assert [line.split()[1].rstrip(":").lstrip("/") for line in told] == [command.name for command in COMMANDS]
        for command in COMMANDS:
            member.receive_data(f"/{command.name}\n".encode())
            assert "no command" not in " ".join(lines(member))

    def test_who_lists_the_names(self, pair):
        pair[0].receive_data(b"/who\n")
        assert lines(pair[0]) == ["* here: ana, bob"]

    def test_a_new_name_is_told_to_all(self, pair):
        ana, bob = pair
        ana.receive_data(b"/name eve\n")
        assert lines(ana) == lines(bob) == ["* ana is now eve"]

    @pytest.mark.parametrize(
        ("name", "why"), [("bob", "taken"), ("a b", "needed"), ("", "needed"), ("x" * 21, "needed"), ("operator", "server's own"),
                          ("operator-7", "server's own")],
    )  # fmt: skip
    def test_a_name_that_cannot_be_had_is_refused(self, pair, name, why):
        ana, bob = pair
        ana.receive_data(f"/name {name}\n".encode())
        assert why in lines(ana)[0]
        assert lines(bob) == []

    def test_an_unknown_command_is_not_said_to_the_others(self, pair):
        ana, bob = pair
        ana.receive_data(b"/quti\n")
        assert lines(ana) == ["* there is no command /quti; /help tells them"]
        assert lines(bob) == []

    def test_after_quit_nothing_more_is_taken(self, pair):
        ana, bob = pair
        ana.receive_data(b"/quit\nstill here\n")
        assert ana.closing
        assert lines(ana) == ["* goodbye"]
        assert lines(bob) == []


class TestLeaving:
    def test_the_others_are_told_once(self, room, pair):
        ana, bob = pair
        ana.leave()
        ana.leave()
        assert lines(bob) == ["* ana left"]
        assert list(room.members) == ["bob"]


class TestOperator:
    def test_speaks_under_the_servers_name(self, room, pair):
        operator = room.enter(operator=True)
        lines(pair[0])
        operator.receive_data(b"closing soon\n")
        assert lines(pair[0]) == ["operator: closing soon"]

    def test_a_second_one_has_a_name_of_its_own(self, room):
        assert [room.enter(operator=True).name, room.enter(operator=True).name] == ["operator", "operator-2"]


class TestTalker:
    def test_joined_to_a_room_it_talks(self, room):
        talker, member, other = Talker(), room.enter(), room.enter()
        talker.say("hello\nthere")
        member.receive_data(talker.data_to_send())
        assert lines(other)[-1] == "guest1: hello there"
        talker.receive_data(member.data_to_send())
        assert talker.events() == ["* you are guest1; 0 others are here; /help tells the commands", "* guest2 came in"]
        assert talker.events() == []
