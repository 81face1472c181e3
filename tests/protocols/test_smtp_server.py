"""The server's end of SMTP: octets in, events and octets out."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.smtp_relay.commands import COMMANDS, State
from services.smtp_relay.envelope import Reply
from services.smtp_relay.protocol import (
    MessageDropped,
    MessageEnded,
    Policy,
    ServerConnection,
    TextReceived,
    TlsWanted,
)
from services.wire.errors import LocalProtocolError

ROUTES = {"lab.test", "büro.test"}
POLICY = Policy("relay", ROUTES.__contains__, postmaster="alice@lab.test", max_size=2000, max_recipients=3)
BEGIN = b"EHLO c\r\nMAIL FROM:<a@lab.test>\r\nRCPT TO:<b@lab.test>\r\n"


class Owner:
    """Does what a connection's owner does: collects the text, and says yes to whole messages."""

    def __init__(self, greet=True, answer=True, **policy):
        from dataclasses import replace

        self.conn = ServerConnection(replace(POLICY, **policy))
        self.answer = answer
        self.text = b""
        self.taken = []
        self.events = []
        if greet:
            self.conn.greet()
            assert self.said().startswith("220 ")

    def feed(self, data):
        self.conn.receive_data(data)
        return self.look()

    def look(self):
        while events := self.conn.events():
            self.events += events
            for event in events:
                match event:
                    case TextReceived(data):
                        self.text += data
                    case MessageDropped():
                        self.text = b""
                    case MessageEnded(envelope):
                        if self.answer:
                            self.taken.append((envelope, self.text))
                            self.text = b""
                            self.conn.accept("1F")
        return self.said()

    def said(self):
        return self.conn.data_to_send().decode()

    def codes(self, data):
        """Return the codes of the replies to some octets."""
        return [line[:3] for line in self.feed(data).split("\r\n") if line[3:4] == " "]


def data(text, **policy):
    """Send one message's text by DATA; return the owner and the last reply."""
    owner = Owner(**policy)
    replies = owner.feed(BEGIN + b"DATA\r\n" + text + b"\r\n.\r\n").splitlines()
    return owner, replies[-1]


class TestSession:
    """RFC 5321 section 4.3, 4.1.4."""

    WIRE = (
        BEGIN
        + b"DATA\r\nSubject: hi\r\n\r\n..dot\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<c@LAB.test>\r\nBDAT 4\r\nab\r\nBDAT 2 LAST\r\nxyQUIT\r\n"
    )

    @pytest.mark.parametrize("cut", range(len(WIRE) + 1))
    def test_what_is_taken_and_said_does_not_depend_on_where_tcp_cuts_the_stream(self, cut):
        owner = Owner()
        said = owner.feed(self.WIRE[:cut]) + owner.feed(self.WIRE[cut:])
        assert [text for _, text in owner.taken] == [b"Subject: hi\r\n\r\n.dot\r\n", b"ab\r\nxy"]
        assert [list(envelope.recipients) for envelope, _ in owner.taken] == [["b@lab.test"], ["c@lab.test"]]
        last = [line[:3] for line in said.splitlines() if line[3:4] == " "]
        assert last == ["250", "250", "250", "354", "250", "250", "250", "250", "250", "221"]
        assert owner.conn.closing

    def test_ehlo_lists_the_extensions(self):
        said = Owner().feed(b"EHLO c\r\n").splitlines()
        assert {line[4:] for line in said[1:]} == {
            "PIPELINING", "SIZE 2000", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "CHUNKING", "HELP",
        }  # fmt: skip

    def test_helo_has_no_extensions(self):
        owner = Owner()
        assert owner.feed(b"HELO c\r\n") == "250 relay greets c\r\n"
        assert owner.codes(b"MAIL FROM:<a@b.test> SIZE=5\r\n") == ["555"]

    def test_250_is_said_only_when_the_owner_accepts(self):
        owner = Owner(answer=False)
        assert owner.codes(BEGIN + b"DATA\r\n.\r\nNOOP\r\n")[-1] == "354"
        assert owner.conn.state is State.AWAITING_VERDICT
        assert owner.codes(b"NOOP\r\n") == []
        owner.conn.accept("A1")
        assert owner.look().splitlines() == ["250 2.0.0 Queued as A1", "250 2.0.0 Done", "250 2.0.0 Done"]

    def test_a_refusal_is_said_and_the_next_message_may_come(self):
        owner = Owner(answer=False)
        owner.feed(BEGIN + b"DATA\r\n.\r\n")
        owner.conn.refuse(Reply(452, "4.3.1", "full"))
        assert owner.look() == "452 4.3.1 full\r\n"
        assert owner.codes(b"MAIL FROM:<a@lab.test>\r\n") == ["250"]

    @pytest.mark.parametrize("verb", ["greet", "tls_started"])
    def test_verbs_in_the_wrong_state_are_our_own_bug(self, verb):
        with pytest.raises(LocalProtocolError):
            getattr(Owner().conn, verb)()
        for call in (lambda c: c.accept("1"), lambda c: c.refuse(Reply(451, "", ""))):
            with pytest.raises(LocalProtocolError):
                call(Owner().conn)

    @pytest.mark.parametrize(
        ("before", "line"),
        [
            (b"", b"MAIL FROM:<a@lab.test>"), (b"", b"RCPT TO:<b@lab.test>"), (b"", b"DATA"), (b"EHLO c\r\n", b"DATA"),
            (b"EHLO c\r\n", b"RCPT TO:<b@lab.test>"), (b"EHLO c\r\nMAIL FROM:<>\r\n", b"MAIL FROM:<>"),
            (b"EHLO c\r\nMAIL FROM:<>\r\n", b"DATA"), (b"EHLO c\r\n", b"BDAT 0 LAST"),
        ],
    )  # fmt: skip
    def test_out_of_order_is_503(self, before, line):
        owner = Owner()
        owner.feed(before)
        assert owner.feed(line + b"\r\n").startswith("503 5.5.1 ")
        assert owner.taken == []

    def test_rset_ehlo_and_quit_drop_what_came_by_chunks(self):
        for line in (b"RSET\r\n", b"EHLO c\r\n", b"QUIT\r\n"):
            owner = Owner()
            owner.feed(BEGIN + b"BDAT 3\r\nabc" + line)
            assert MessageDropped() in owner.events
            assert owner.text == b""

    def test_a_message_that_the_clients_fin_cuts_off_is_dropped(self):
        owner = Owner()
        owner.feed(BEGIN + b"DATA\r\nhalf a message\r\n")
        owner.conn.receive_eof()
        owner.look()
        assert owner.events[-1] == MessageDropped()
        assert owner.conn.closing
        assert owner.taken == []

    def test_a_fin_after_the_dot_does_not_hinder_the_verdict(self):
        owner = Owner(answer=False)
        owner.feed(BEGIN + b"DATA\r\n.\r\n")
        owner.conn.receive_eof()
        assert not owner.conn.closing
        owner.conn.accept("A")
        assert owner.look().startswith("250 ")
        assert owner.conn.closing


class TestCommandTable:
    """One table for dispatch, HELP, the 501 texts."""

    @pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda c: c.name)
    def test_help_tells_every_command(self, command):
        owner = Owner()
        assert command.name in owner.feed(b"HELP\r\n")
        told = owner.feed(f"help {command.name.lower()}\r\n".encode())
        assert command.usage in told
        assert command.rfc in told

    @pytest.mark.parametrize("command", [c for c in COMMANDS.values() if c.wants_argument], ids=lambda c: c.name)
    def test_a_missing_argument_is_501_with_the_syntax(self, command):
        owner = Owner()
        owner.feed(b"EHLO c\r\n" + (b"MAIL FROM:<>\r\n" if command.name == "RCPT" else b""))
        said = owner.feed(command.name.encode() + b"\r\n")
        assert said.startswith("501 5.5.4 ")
        assert command.usage in said

    @pytest.mark.parametrize("command", [c for c in COMMANDS.values() if not c.argument], ids=lambda c: c.name)
    def test_an_argument_too_many_is_501(self, command):
        owner = Owner(tls=True)
        owner.feed(BEGIN if command.name == "DATA" else b"EHLO c\r\n")
        assert owner.feed(command.name.encode() + b" x\r\n").startswith("501 5.5.4 ")

    @pytest.mark.parametrize("line", [b"FOO", b"", b"STARTTLS", b"MAILFROM:<>", b"\xff\xfe"])
    def test_what_is_not_known_is_500(self, line):
        owner = Owner()
        owner.feed(b"EHLO c\r\n")
        assert owner.codes(line + b"\r\n") == ["500"]

    def test_vrfy_expn_noop(self):
        owner = Owner()
        assert owner.codes(b"VRFY bob\r\nEXPN all\r\nNOOP x\r\nHELP nonsense\r\n") == ["252", "502", "250", "504"]


class TestAddresses:
    @pytest.mark.parametrize(
        ("line", "reply"),
        [
            ("MAIL FROM:a@lab.test", "501 5.1.7"), ("MAIL FROM:<a@lab.test", "501 5.1.7"), ("MAIL FROM:<a b@lab.test>", "501 5.1.7"),
            ("MAIL FROM:<a@-x.test>", "501 5.1.7"), ("MAIL FROM:<" + "a" * 65 + "@lab.test>", "501 5.1.7"),
            ("MAIL FROM:<a@" + "b." * 150 + "test>", "501 5.1.7"), ("MAIL TO:<a@lab.test>", "501 5.5.4"),
            ("MAIL FROM:<ü@lab.test>", "553 5.6.7"), ("MAIL FROM:<a@lab.test> FOO=1", "555 5.5.4"),
            ("MAIL FROM:<a@lab.test> SIZE=2001", "552 5.3.4"), ("MAIL FROM:<a@lab.test> SIZE=x", "501 5.5.4"),
            ("MAIL FROM:<a@lab.test> BODY=BINARYMIME", "501 5.5.4"), ("MAIL FROM:<a@lab.test> SMTPUTF8=1", "501 5.5.4"),
            ("MAIL FROM:<a@lab.test> SIZE=1 SIZE=1", "501 5.5.4"), ("MAIL FROM:<>", "250 2.1.0"), ("MAIL FROM: <a@lab.test>", "250 2.1.0"),
            ("mail from:<a@lab.test> size=2000 body=8bitmime", "250 2.1.0"), ('MAIL FROM:<"a b"@lab.test>', "250 2.1.0"),
            ("MAIL FROM:<a@[10.0.0.1]>", "250 2.1.0"), ("MAIL FROM:<@x.test,@y.test:a@lab.test>", "250 2.1.0"),
            ("MAIL FROM:<ü@büro.test> SMTPUTF8", "250 2.1.0"),
        ],
    )  # fmt: skip
    def test_mail(self, line, reply):
        owner = Owner()
        owner.feed(b"EHLO c\r\n")
        assert owner.feed(f"{line}\r\n".encode()).startswith(reply)

    @pytest.mark.parametrize(
        ("line", "reply"),
        [
            ("RCPT TO:<b@other.test>", "550 5.7.1"), ("RCPT TO:<b@sub.lab.test>", "550 5.7.1"), ("RCPT TO:<>", "501 5.1.3"),
            ("RCPT TO:<b>", "501 5.1.3"), ("RCPT TO:<b@lab.test> NOTIFY=NEVER", "555 5.5.4"), ("RCPT TO:<ü@lab.test>", "553 5.6.7"),
            ("RCPT TO:<b@lab.test>", "250 2.1.5"), ("RCPT TO:<Postmaster>", "250 2.1.5"), ("RCPT TO:<b@LAB.TEST>", "250 2.1.5"),
            ("RCPT TO:<b%other.test@lab.test>", "250 2.1.5"), ('RCPT TO:<"b@other.test"@lab.test>', "250 2.1.5"),
            ("RCPT TO:<@lab.test:b@other.test>", "550 5.7.1"),
        ],
    )  # fmt: skip
    def test_rcpt(self, line, reply):
        owner = Owner()
        owner.feed(b"EHLO c\r\nMAIL FROM:<a@lab.test>\r\n")
        assert owner.feed(f"{line}\r\n".encode()).startswith(reply)

    def test_nobody_may_relay_to_a_domain_without_a_route(self):
        owner = Owner()
        assert owner.codes(b"EHLO c\r\nMAIL FROM:<a@lab.test>\r\nRCPT TO:<b@else.test>\r\nDATA\r\n")[-2:] == [
            "550",
            "503",
        ]

    def test_postmaster_without_a_domain_is_the_labs(self):
        owner = Owner()
        owner.feed(b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<POSTMASTER>\r\nDATA\r\n.\r\n")
        assert list(owner.taken[0][0].recipients) == ["alice@lab.test"]

    def test_an_address_named_twice_is_one_recipient(self):
        owner = Owner()
        owner.feed(BEGIN + b'RCPT TO:<"b"@LAB.test>\r\nDATA\r\n.\r\n')
        assert owner.taken[0][0].recipients == {"b@lab.test": "lab.test"}


class TestText:
    """RFC 5321 sections 4.5.2, 4.5.3.1.6, 2.3.8."""

    @pytest.mark.parametrize(
        ("wire", "text"),
        [
            (b"", b""), (b".\r\n", b""), (b"..\r\n", b".\r\n"), (b"a\r\n..\r\n..b\r\n", b"a\r\n.\r\n.b\r\n"), (b"\r\n", b"\r\n"),
            (b".x\r\n", b"x\r\n"), (b"\r\n\r\n", b"\r\n\r\n"), (b"a.\r\n", b"a.\r\n"),
        ],
    )  # fmt: skip
    def test_dots_are_undone(self, wire, text):
        owner = Owner()
        owner.feed(BEGIN + b"DATA\r\n" + wire + (b"" if wire == b".\r\n" else b".\r\n"))
        assert [text for _, text in owner.taken] == [text]

    @settings(max_examples=300, deadline=None)
    @given(st.lists(st.sampled_from([b"\r\n", b".", b"a", b"..", b"x\r\n."]), max_size=12), st.data())
    def test_what_a_client_stuffs_comes_out_the_same(self, parts, cuts):
        from services.smtp_relay.text import DotStuffer

        text = b"".join(parts)
        if text and not text.endswith(b"\r\n"):
            text += b"\r\n"
        stuffer, wire, rest = DotStuffer(), b"", text
        while rest:
            size = cuts.draw(st.integers(1, len(rest)))
            wire += stuffer.send(rest[:size])
            rest = rest[size:]
        wire += stuffer.end()
        owner = Owner()
        owner.feed(BEGIN + b"DATA\r\n")
        while wire:
            size = cuts.draw(st.integers(1, len(wire)))
            owner.feed(wire[:size])
            wire = wire[size:]
        assert [text for _, text in owner.taken] == [text]

    SMUGGLED = b"MAIL FROM:<evil@lab.test>\r\nRCPT TO:<b@lab.test>\r\nDATA\r\nevil\r\n"

    @pytest.mark.parametrize(
        "end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\n.\r", b"\r\r\n.\r\n", b"\n\n.\r\r\n"]
    )  # fmt: skip
    def test_smuggling_is_refused_and_nothing_of_it_is_a_command(self, end):
        """CVE-2023-51764, -51765, -51766: an end of the text that only some servers see."""
        owner = Owner()
        codes = owner.codes(BEGIN + b"DATA\r\nhi" + end + self.SMUGGLED + b".\r\n")
        assert codes[:4] == ["250", "250", "250", "354"]
        assert codes[4:] == ["554", "421"]
        assert owner.taken == []
        assert "evil@lab.test" not in str([e for e in owner.events if isinstance(e, MessageEnded)])

    def test_smuggling_by_chunks_is_refused(self):
        owner = Owner()
        body = b"hi\n.\r\n" + self.SMUGGLED
        assert owner.codes(BEGIN + b"BDAT %d LAST\r\n" % len(body) + body)[-2:] == ["554", "421"]
        assert owner.taken == []

    @pytest.mark.parametrize("cut", [(b"a\r", b"\nb\r\n"), (b"a\r\n", b"b\r\n"), (b"a", b"\r\n")])
    def test_a_line_end_may_be_cut_by_chunks(self, cut):
        one, two = cut
        owner = Owner()
        owner.feed(BEGIN + b"BDAT %d\r\n%sBDAT %d LAST\r\n%s" % (len(one), one, len(two), two))
        assert [text for _, text in owner.taken] == [one + two]

    @pytest.mark.parametrize(("one", "two"), [(b"a\r", b"b\r\n"), (b"a", b"\nb"), (b"a", b"b\r")])
    def test_a_bare_one_that_chunks_hide_is_found(self, one, two):
        owner = Owner()
        codes = owner.codes(BEGIN + b"BDAT %d\r\n%sBDAT %d LAST\r\n%s" % (len(one), one, len(two), two))
        assert codes[-2:] == ["554", "421"]
        assert owner.taken == []

    @pytest.mark.parametrize(
        ("text", "reply"),
        [
            (b"a\0b", "554 5.6.0 a NUL"), ("ü".encode(), "554 5.6.1 8-bit"), (b"x" * 999, "500 5.6.0 a line"),
            (b"x" * 500 + b"\r\n" + b"y" * 999 + b"\r\n", "500 5.6.0 a line"),
            (b"x\r\n" * 700, "552 5.3.4"),
        ],
    )  # fmt: skip
    def test_what_a_text_may_not_hold(self, text, reply):
        owner, said = data(text)
        assert said.startswith(reply)
        assert owner.taken == []
        assert owner.codes(b"NOOP\r\n") == ["250"]

    def test_998_octets_and_crlf_are_a_line_the_added_dot_not_counted(self):
        owner, said = data(b"x" * 998 + b"\r\n." + b"." + b"y" * 997)
        assert said.startswith("250")
        assert len(owner.taken) == 1

    def test_8bit_is_taken_where_it_was_declared(self):
        owner = Owner()
        owner.feed(
            b"EHLO c\r\nMAIL FROM:<a@lab.test> BODY=8BITMIME\r\nRCPT TO:<b@lab.test>\r\nDATA\r\n\xc3\xbc\r\n.\r\n"
        )
        assert owner.taken[0][0].eight_bit

    def test_a_refused_text_is_not_handed_out_further(self):
        owner = Owner()
        owner.feed(BEGIN + b"DATA\r\nbare\nlf\r\n" + b"x" * 500 + b"\r\n.\r\n")
        assert owner.text == b""

    def test_a_text_without_end_is_cut_off(self):
        owner = Owner()
        owner.feed(BEGIN + b"DATA\r\n")
        said = "".join(owner.feed(b"x" * 70 + b"\r\n") for _ in range(100))
        assert said.startswith("552 5.3.4")
        assert owner.conn.closing


class TestChunks:
    """RFC 3030."""

    def test_a_chunk_out_of_order_is_read_over_and_503(self):
        owner = Owner()
        assert owner.codes(b"EHLO c\r\nBDAT 6 LAST\r\nNOOP\r\nNOOP\r\n") == ["250", "503", "250"]

    def test_after_a_refused_chunk_the_others_are_503(self):
        owner = Owner()
        codes = owner.codes(BEGIN + b"BDAT 3\r\na\0bBDAT 3 LAST\r\nxyzMAIL FROM:<a@lab.test>\r\n")
        assert codes[3:] == ["554", "503", "250"]
        assert owner.taken == []

    @pytest.mark.parametrize("argument", [b"x", b"-1", b"3 FIRST", b"9" * 21])
    def test_a_count_that_cannot_be_read_ends_the_connection(self, argument):
        owner = Owner()
        assert owner.codes(BEGIN + b"BDAT " + argument + b"\r\n")[-1] == "501"
        assert owner.conn.closing

    def test_too_many_octets_are_552(self):
        owner = Owner()
        assert owner.codes(BEGIN + b"BDAT 2001 LAST\r\n" + b"x\r\n" * 667)[-1] == "552"
        assert not owner.conn.closing
        assert owner.codes(b"BDAT 999999999 LAST\r\n")[-1] == "552"
        assert owner.conn.closing

    def test_data_after_bdat_is_503(self):
        assert Owner().codes(BEGIN + b"BDAT 1\r\nxDATA\r\n")[-1] == "503"


class TestLimits:
    def test_a_command_over_512_octets_is_500_and_the_next_is_understood(self):
        owner = Owner()
        assert owner.codes(b"NOOP " + b"x" * 505 + b"\r\n") == ["250"]
        assert owner.codes(b"NOOP " + b"x" * 506 + b"\r\nNOOP\r\n") == ["500", "250"]

    def test_a_command_without_end_holds_no_memory(self):
        owner = Owner()
        for _ in range(1000):
            owner.feed(b"x" * 1000)
            assert owner.conn.pending <= 1512
        assert owner.codes(b"\r\nNOOP\r\n") == ["500", "250"]

    @pytest.mark.parametrize("line", [b"NO\0OP", b"NOOP\nNOOP", b"NOOP\rNOOP"])
    def test_nul_and_bare_ends_in_commands_are_500(self, line):
        assert Owner().codes(line + b"\r\n") == ["500"]

    def test_recipients_over_the_limit_are_452_and_those_before_count(self):
        owner = Owner(max_recipients=100)
        lines = b"".join(b"RCPT TO:<u%d@lab.test>\r\n" % n for n in range(10_000))
        codes = owner.codes(b"EHLO c\r\nMAIL FROM:<>\r\n" + lines + b"DATA\r\n.\r\n")
        assert codes.count("452") == 9_900
        assert len(owner.taken[0][0].recipients) == 100

    def test_errors_end_the_connection_with_421(self):
        owner = Owner(max_errors=5)
        assert owner.codes(b"FOO\r\n" * 20) == ["500"] * 5 + ["421"]
        assert owner.conn.closing

    @pytest.mark.parametrize("line", [b"EHLO c", b"NOOP", b"RSET", b"HELP", b"VRFY x"])
    def test_a_flood_of_commands_without_a_message_ends_with_421(self, line):
        owner = Owner(max_idle_commands=10)
        codes = owner.codes((line + b"\r\n") * 50)
        assert len(codes) == 11
        assert codes[-1] == "421"
        assert owner.conn.closing

    def test_messages_make_room_for_more_of_them(self):
        owner = Owner(max_idle_commands=10)
        once = b"MAIL FROM:<>\r\nRCPT TO:<b@lab.test>\r\nDATA\r\n.\r\n" + b"RSET\r\n" * 5
        assert "421" not in owner.codes(b"EHLO c\r\n" + once * 20)
        assert len(owner.taken) == 20


class TestGreeting:
    """RFC 5321 sections 3.1, 4.3.1."""

    def test_who_talks_first_is_554_and_then_only_quit_is_understood(self):
        owner = Owner(greet=False)
        assert owner.codes(b"EHLO c\r\nMAIL FROM:<a@lab.test>\r\n") == ["554", "503", "503"]
        assert owner.codes(BEGIN + b"QUIT\r\n") == ["503", "503", "503", "221"]
        assert owner.taken == []
        assert owner.conn.closing

    def test_no_greeting_follows(self):
        owner = Owner(greet=False)
        owner.feed(b"x")
        with pytest.raises(LocalProtocolError):
            owner.conn.greet()


class TestTls:
    """RFC 3207."""

    def test_is_offered_where_there_is_a_certificate_and_not_under_tls(self):
        owner = Owner(tls=True)
        assert "250-STARTTLS" in owner.feed(b"EHLO c\r\n")
        assert owner.codes(b"STARTTLS\r\n") == ["220"]
        assert owner.events == [TlsWanted()]
        owner.conn.tls_started()
        assert "STARTTLS" not in owner.feed(b"EHLO c\r\n")
        assert owner.codes(b"STARTTLS\r\n") == ["503"]

    def test_what_was_pipelined_in_the_clear_is_forgotten(self):
        """CVE-2011-0411."""
        owner = Owner(tls=True)
        assert owner.codes(b"EHLO c\r\nSTARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@lab.test>\r\n") == ["250", "220"]
        owner.conn.tls_started()
        assert owner.codes(b"MAIL FROM:<a@lab.test>\r\n") == ["503"]

    def test_the_trace_says_esmtps(self):
        owner = Owner(tls=True)
        owner.feed(b"EHLO c\r\nSTARTTLS\r\n")
        owner.conn.tls_started()
        owner.feed(BEGIN + b"DATA\r\n.\r\n")
        assert owner.taken[0][0].protocol == "ESMTPS"


class TestAnything:
    """Whatever comes, in whatever order: nothing but replies, and no message that was not whole."""

    WORDS = (
        b"EHLO c\r\n", b"MAIL FROM:<a@lab.test>\r\n", b"RCPT TO:<b@lab.test>\r\n", b"DATA\r\n", b"\r\n.\r\n", b"x\r\n", b"\n", b"\r",
        b"\0", b"BDAT 3 LAST\r\n", b"BDAT 2\r\n", b"abc", b"RSET\r\n", b"HELP\r\n", b"QUIT\r\n", b".", b"STARTTLS\r\n", b"\xff", b"y" * 300,
    )  # fmt: skip

    @pytest.mark.parametrize("seed", range(200))
    def test_does_not_break_it(self, seed):
        choose = random.Random(seed)
        owner = Owner(greet=choose.random() < 0.9, tls=choose.random() < 0.5)
        wire = b"".join(choose.choice(self.WORDS) for _ in range(choose.randrange(1, 80)))
        said = ""
        while wire:
            size = choose.randrange(1, 200)
            said += owner.feed(wire[:size])
            wire = wire[size:]
            if owner.conn.state is State.AWAITING_TLS:
                owner.conn.tls_started()
        owner.conn.receive_eof()
        said += owner.look()
        lines = said.split("\r\n")
        assert lines.pop() == ""
        assert all(line[:3].isdigit() and line[3] in " -" for line in lines)
        queued = [line for line in lines if "Queued as" in line]
        assert len(queued) == len(owner.taken)
        assert all(b"\0" not in text and text.replace(b"\r\n", b"").isascii() for _, text in owner.taken)
        assert all(text.count(b"\n") == text.count(b"\r\n") == text.count(b"\r") for _, text in owner.taken)
