"""Telnet's commands and text told apart; what the client answers; how both read in words."""

import random

import pytest

from services.client.telnet_options import Answers, in_words
from services.telnet import protocol
from services.telnet.protocol import (
    DO,
    DONT,
    ECHO,
    IAC,
    LINEMODE,
    NAWS,
    NEW_ENVIRON,
    SB,
    SE,
    SGA,
    TTYPE,
    WILL,
    WONT,
    Command,
    Negotiation,
    Scanner,
    Subnegotiation,
    Text,
    escape,
)

WIRE = (
    b"hello \xff\xff!"
    + bytes((IAC, DO, TTYPE, IAC, SB, TTYPE, 1, IAC, SE))
    + b"login: "
    + bytes((IAC, protocol.AYT, IAC, SB, NAWS, 0, 80, IAC, IAC, 24, IAC, SE, IAC, WILL, ECHO))
)
EVENTS = [
    Text(b"hello \xff!"), Negotiation(DO, TTYPE), Subnegotiation(TTYPE, b"\x01"), Text(b"login: "), Command(protocol.AYT),
    Subnegotiation(NAWS, b"\x00P\xff\x18"), Negotiation(WILL, ECHO),
]  # fmt: skip


def scan(*pieces):
    scanner = Scanner()
    events = []
    for piece in pieces:
        scanner.receive_data(piece)
        events += scanner.events()
    return events


def joined(events):
    """Events with neighbouring texts as one: where text is cut is the network's business."""
    out = []
    for event in events:
        if out and isinstance(event, Text) and isinstance(out[-1], Text):
            out[-1] = Text(out[-1].data + event.data)
        else:
            out.append(event)
    return out


class TestScanner:
    """RFC 854: a command is two octets or three; RFC 855: parameters stand between SB and SE."""

    def test_text_and_commands_are_told_apart(self):
        assert scan(WIRE) == EVENTS

    @pytest.mark.parametrize("cut", range(len(WIRE) + 1))
    def test_events_do_not_depend_on_where_tcp_cuts_the_stream(self, cut):
        assert joined(scan(WIRE[:cut], WIRE[cut:])) == EVENTS

    def test_octet_by_octet(self):
        assert joined(scan(*(bytes((octet,)) for octet in WIRE))) == EVENTS

    def test_escaped_text_comes_out_as_it_went_in(self):
        data = bytes(range(256)) * 2
        assert joined(scan(escape(data))) == [Text(data)]

    def test_a_subnegotiation_whose_end_was_forgotten_ends_at_the_next_command(self):
        assert scan(bytes((IAC, SB, TTYPE, 1, IAC, DO, ECHO))) == [
            Subnegotiation(TTYPE, b"\x01"),
            Negotiation(DO, ECHO),
        ]

    def test_a_subnegotiation_without_end_holds_no_more_than_its_limit(self):
        scanner = Scanner()
        scanner.receive_data(bytes((IAC, SB, TTYPE)))
        for _ in range(100):
            scanner.receive_data(b"x" * 1000)
        assert len(scanner._inbox) <= 2 * protocol.SUBNEGOTIATION_LIMIT
        scanner.receive_data(bytes((IAC, SE)) + b"after")
        assert [event for event in scanner.events() if isinstance(event, Text)][-1].data.endswith(b"after")

    @pytest.mark.parametrize("seed", range(50))
    def test_any_octets_are_taken(self, seed):
        source = random.Random(seed)
        data = bytes(source.choice((source.randrange(256), IAC, SB, SE, DO)) for _ in range(400))
        whole = joined(scan(data))
        cut = source.randrange(len(data))
        assert joined(scan(data[:cut], data[cut:])) == whole


class Terminal:
    """As much of telnetlib.Telnet as `Answers` uses."""

    def __init__(self):
        self.sent = b""
        self.parameters = b""
        self.sock = self

    def sendall(self, octets):
        self.sent += octets

    def read_sb_data(self):
        return self.parameters


@pytest.fixture
def terminal():
    return Terminal()


@pytest.fixture
def answers(terminal):
    return Answers(terminal, "vt100", [("USER", "ana"), ("LANG", "C")], (80, 24))


def told(answers, terminal, command, option):
    """What is sent upon a command."""
    terminal.sent = b""
    answers(None, bytes((command,)), bytes((option,)))
    return terminal.sent


class TestAnswers:
    """RFC 854: an option is agreed to or refused, and only a change is answered."""

    @pytest.mark.parametrize("option", [TTYPE, NEW_ENVIRON, SGA])
    def test_what_we_can_do_we_agree_to(self, answers, terminal, option):
        assert told(answers, terminal, DO, option) == bytes((IAC, WILL, option))

    @pytest.mark.parametrize("option", [LINEMODE, ECHO, 0, 38, 200])
    def test_what_we_cannot_do_we_refuse(self, answers, terminal, option):
        assert told(answers, terminal, DO, option) == bytes((IAC, WONT, option))

    def test_the_server_may_echo_and_may_not_encrypt(self, answers, terminal):
        assert told(answers, terminal, WILL, ECHO) == bytes((IAC, DO, ECHO))
        assert told(answers, terminal, WILL, protocol.ENCRYPT) == bytes((IAC, DONT, protocol.ENCRYPT))

    @pytest.mark.parametrize(("command", "option"), [(DO, TTYPE), (DO, LINEMODE), (WILL, ECHO), (WILL, 99)])
    def test_a_request_for_what_is_settled_is_not_answered(self, answers, terminal, command, option):
        assert told(answers, terminal, command, option)
        assert told(answers, terminal, command, option) == b""

    def test_what_was_agreed_to_can_be_taken_back(self, answers, terminal):
        told(answers, terminal, WILL, ECHO)
        assert told(answers, terminal, WONT, ECHO) == bytes((IAC, DONT, ECHO))
        assert told(answers, terminal, WILL, ECHO) == bytes((IAC, DO, ECHO))

    def test_the_windows_size_follows_the_agreement_and_each_change(self, answers, terminal):
        """RFC 1073; an octet 255 in it is doubled."""
        assert told(answers, terminal, DO, NAWS) == bytes((IAC, WILL, NAWS, IAC, SB, NAWS, 0, 80, 0, 24, IAC, SE))
        terminal.sent = b""
        answers.send_size((255, 50))
        assert terminal.sent == bytes((IAC, SB, NAWS, 0, IAC, IAC, 0, 50, IAC, SE))

    def test_no_size_is_sent_to_a_server_that_did_not_ask(self, answers, terminal):
        answers.send_size((100, 50))
        assert terminal.sent == b""

    def test_the_terminal_type_is_told_when_asked(self, answers, terminal):
        """RFC 1091."""
        terminal.parameters = bytes((TTYPE, 1))
        assert told(answers, terminal, SE, 0) == bytes((IAC, SB, TTYPE, 0)) + b"VT100" + bytes((IAC, SE))

    def test_variables_are_told_when_asked_each_as_what_it_is(self, answers, terminal):
        """RFC 1572: USER is well known (VAR, 0), LANG is the user's own (USERVAR, 3)."""
        terminal.parameters = bytes((NEW_ENVIRON, 1))
        sent = told(answers, terminal, SE, 0)
        assert sent == bytes((IAC, SB, NEW_ENVIRON, 0)) + b"\0USER\1ana\3LANG\1C" + bytes((IAC, SE))

    def test_octets_with_a_meaning_are_escaped_in_a_variable(self, terminal):
        answers = Answers(terminal, "dumb", [("X", "a\1\3b")], (80, 24))
        terminal.parameters = bytes((NEW_ENVIRON, 1))
        assert b"\3X\1a\2\1\2\3b" in told(answers, terminal, SE, 0)

    def test_parameters_that_ask_for_nothing_are_not_answered(self, answers, terminal):
        terminal.parameters = bytes((TTYPE, 0)) + b"xterm"
        assert told(answers, terminal, SE, 0) == b""


class TestInWords:
    @pytest.mark.parametrize(
        ("event", "words"),
        [
            (Text(b'say "hi"\r\n\x1b[2J\xe9'), '"say \\"hi\\"\\r\\n\\x1b[2J\\xe9"'),
            (Command(protocol.AYT), "IAC AYT"),
            (Negotiation(DO, TTYPE), "IAC DO TERMINAL-TYPE"),
            (Negotiation(WONT, 200), "IAC WONT 200"),
            (Subnegotiation(TTYPE, b"\x00VT100"), 'IAC SB TERMINAL-TYPE IS "VT100" IAC SE'),
            (Subnegotiation(TTYPE, b"\x01"), "IAC SB TERMINAL-TYPE SEND IAC SE"),
            (Subnegotiation(NAWS, b"\x00\x50\x00\x18"), "IAC SB NAWS 80 24 IAC SE"),
            (Subnegotiation(NAWS, b"\x00"), 'IAC SB NAWS "\\x00" IAC SE'),
        ],
    )
    def test_an_event_is_one_line(self, event, words):
        assert in_words(event) == words
