"""The client's end of SMTP and LMTP, against scripted servers and against our own server's end."""

import pytest

from services.smtp_relay.client import Broken, ClientConnection, Delivered, Phase, Ready, TextWanted
from services.smtp_relay.envelope import Reply
from services.smtp_relay.protocol import MessageEnded, Policy, ServerConnection, TextReceived
from services.wire.errors import LocalProtocolError


def ready(*extensions, lmtp=True):
    """Return a connection that has shaken hands."""
    conn = ClientConnection("relay", lmtp=lmtp)
    conn.receive_data(b"220 there\r\n")
    assert conn.data_to_send() == (b"LHLO relay\r\n" if lmtp else b"EHLO relay\r\n")
    lines = ["there", *extensions]
    for n, line in enumerate(lines, 1):
        conn.receive_data(f"250{'-' if n < len(lines) else ' '}{line}\r\n".encode())
    assert conn.events() == [Ready()]
    return conn


def send(conn, *recipients, **facts):
    conn.send("a@lab.test", recipients or ("b@lab.test", "c@lab.test"), **facts)
    return conn.data_to_send()


class TestPipelined:
    """RFC 2920."""

    def test_envelope_and_data_go_in_one_go(self):
        conn = ready("PIPELINING", "SIZE 1000", "8BITMIME")
        wire = send(conn, size=20, eight_bit=True, smtputf8=True)
        assert wire.split(b"\r\n") == [
            b"MAIL FROM:<a@lab.test> SIZE=20 BODY=8BITMIME", b"RCPT TO:<b@lab.test>", b"RCPT TO:<c@lab.test>", b"DATA", b"",
        ]  # fmt: skip

    def test_each_recipient_has_an_answer_in_lmtp(self):
        conn = ready("PIPELINING")
        send(conn, "b@x", "no@x", "c@x")
        conn.receive_data(b"250 ok\r\n250 ok\r\n550 5.1.1 who?\r\n250 ok\r\n354 go\r\n")
        assert conn.events() == [TextWanted()]
        conn.send_text(b"hi\r\n.x\r\n")
        conn.end_text()
        assert conn.data_to_send() == b"hi\r\n..x\r\n.\r\n"
        conn.receive_data(b"250 2.0.0 kept\r\n452 4.2.2 full\r\n")
        assert conn.events() == [
            Delivered((Reply(250, "2.0.0", "kept"), Reply(550, "5.1.1", "who?"), Reply(452, "4.2.2", "full")))
        ]
        assert conn.phase is Phase.READY

    def test_one_answer_is_for_all_in_smtp(self):
        conn = ready("PIPELINING", lmtp=False)
        send(conn)
        conn.receive_data(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n")
        conn.events()
        conn.send_text(b"hi")
        conn.end_text()
        assert conn.data_to_send() == b"hi\r\n.\r\n"
        conn.receive_data(b"250 fine\r\n")
        assert conn.events() == [Delivered((Reply(250, "", "fine"),) * 2)]

    @pytest.mark.parametrize("answer", [b"503 no\r\n", b"554 5.5.1 no valid recipients\r\n"])
    def test_no_recipient_taken(self, answer):
        conn = ready("PIPELINING")
        send(conn)
        conn.receive_data(b"250 ok\r\n550 no\r\n451 later\r\n" + answer)
        assert [reply.code for reply in conn.events()[0].replies] == [550, 451]
        assert conn.phase is Phase.READY

    def test_a_server_that_wants_a_text_for_nobody_gets_an_empty_one(self):
        conn = ready("PIPELINING", lmtp=False)
        send(conn)
        conn.receive_data(b"250 ok\r\n550 no\r\n550 no\r\n354 go\r\n")
        assert conn.data_to_send() == b".\r\n"
        conn.receive_data(b"554 nobody\r\n")
        assert [reply.code for reply in conn.events()[0].replies] == [550, 550]

    def test_a_refused_sender_is_every_recipients_answer(self):
        conn = ready("PIPELINING")
        send(conn)
        conn.receive_data(b"550 5.7.1 not you\r\n503 no\r\n503 no\r\n503 no\r\n")
        assert conn.events() == [Delivered((Reply(550, "5.7.1", "not you"),) * 2)]

    def test_data_refused_after_recipients_were_taken(self):
        conn = ready("PIPELINING")
        send(conn)
        conn.receive_data(b"250 ok\r\n250 ok\r\n250 ok\r\n451 4.3.0 no\r\n")
        assert [reply.code for reply in conn.events()[0].replies] == [451, 451]


class TestOneAtATime:
    """A server without PIPELINING."""

    def test_the_next_command_waits_for_the_answer(self):
        conn = ready()
        assert send(conn) == b"MAIL FROM:<a@lab.test>\r\n"
        for expected in (b"RCPT TO:<b@lab.test>\r\n", b"RCPT TO:<c@lab.test>\r\n", b"DATA\r\n"):
            conn.receive_data(b"250 ok\r\n")
            assert conn.data_to_send() == expected
        conn.receive_data(b"354 go\r\n")
        assert conn.events() == [TextWanted()]

    @pytest.mark.parametrize("answers", [b"550 no\r\n", b"250 ok\r\n550 no\r\n550 no\r\n"])
    def test_a_transaction_in_vain_is_reset(self, answers):
        conn = ready()
        send(conn)
        for line in answers.splitlines(keepends=True):
            conn.receive_data(line)
        assert conn.data_to_send().endswith(b"RSET\r\n")
        conn.receive_data(b"250 reset\r\n")
        assert [reply.code for reply in conn.events()[0].replies] == [550, 550]
        assert conn.phase is Phase.READY


class TestChunks:
    """RFC 3030: the text goes along with the envelope."""

    def test_all_in_one_go(self):
        conn = ready("PIPELINING", "CHUNKING")
        assert conn.can_take_along()
        assert send(conn, text=b"hi\r\n.x").endswith(b"RCPT TO:<c@lab.test>\r\nBDAT 8 LAST\r\nhi\r\n.x\r\n")
        conn.receive_data(b"250 ok\r\n250 ok\r\n550 no\r\n250 2.0.0 kept\r\n")
        assert [reply.code for reply in conn.events()[0].replies] == [250, 550]

    def test_refused_for_all(self):
        conn = ready("PIPELINING", "CHUNKING")
        send(conn, text=b"hi\r\n")
        conn.receive_data(b"250 ok\r\n550 no\r\n550 no\r\n503 no recipients\r\n")
        assert [reply.code for reply in conn.events()[0].replies] == [550, 550]
        assert conn.phase is Phase.READY


class TestTrouble:
    @pytest.mark.parametrize("greeting", [b"554 go away\r\n", b"421 4.3.2 busy\r\n"])
    def test_a_server_that_does_not_greet(self, greeting):
        conn = ClientConnection("relay", lmtp=True)
        conn.receive_data(greeting)
        assert conn.events()[0].reply.code == int(greeting[:3])
        assert conn.closing

    def test_a_server_without_extensions_hears_helo(self):
        conn = ClientConnection("relay", lmtp=False)
        conn.receive_data(b"220 old\r\n502 what?\r\n250 hello\r\n")
        assert conn.data_to_send() == b"EHLO relay\r\nHELO relay\r\n"
        assert conn.events() == [Ready()]

    @pytest.mark.parametrize(
        "reply", [b"hello\r\n", b"99 x\r\n", b"250-a\r\n550 b\r\n", b"\r\n", b"250x\r\n", b"x" * 70_000]
    )
    def test_what_is_no_reply_breaks_the_conversation(self, reply):
        conn = ready("PIPELINING")
        send(conn)
        conn.receive_data(reply)
        assert isinstance(conn.events()[0], Broken)
        assert conn.closing

    @pytest.mark.parametrize("answers", [b"", b"250 ok\r\n", b"250 ok\r\n421 bye\r\n"])
    def test_an_end_in_mid_envelope_tells_nothing_of_any_recipient(self, answers):
        conn = ready("PIPELINING")
        send(conn)
        conn.receive_data(answers)
        conn.receive_eof()
        assert [type(event) for event in conn.events()] == [Broken]

    def test_an_end_between_the_answers_keeps_those_that_came(self):
        conn = ready("PIPELINING")
        send(conn)
        conn.receive_data(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n")
        conn.events()
        conn.end_text()
        conn.receive_data(b"250 kept\r\n")
        conn.receive_eof()
        delivered, broken = conn.events()
        assert [reply.code for reply in delivered.replies] == [250, 421]
        assert isinstance(broken, Broken)

    def test_verbs_in_the_wrong_state_are_our_own_bug(self):
        conn = ClientConnection("relay", lmtp=True)
        for call in (lambda: conn.send("", ["b"]), lambda: conn.send_text(b""), conn.end_text, conn.quit):
            with pytest.raises(LocalProtocolError):
                call()

    def test_quit_waits_for_its_answer(self):
        conn = ready()
        conn.quit()
        assert conn.data_to_send() == b"QUIT\r\n"
        conn.receive_data(b"221 bye\r\n")
        assert conn.closing
        assert conn.events() == []


class TestBothEnds:
    """Our client's end and our server's end, joined in memory."""

    @pytest.mark.parametrize("step", [1, 7, 1000])
    @pytest.mark.parametrize("along", [False, True])
    def test_a_message_arrives_as_it_was_sent(self, step, along):
        server = ServerConnection(Policy("there", {"lab.test"}.__contains__))
        client = ClientConnection("here", lmtp=False)
        text = b"Subject: x\r\n\r\n.\r\n..\r\nbody\r\n" * 20
        got, taken, replies = b"", [], None
        server.greet()
        while replies is None:
            for sender, receiver in ((server, client), (client, server)):
                wire = sender.data_to_send()
                for at in range(0, len(wire), step):
                    receiver.receive_data(wire[at : at + step])
            for event in server.events():
                if isinstance(event, TextReceived):
                    got += event.data
                elif isinstance(event, MessageEnded):
                    taken.append((event.envelope.sender, list(event.envelope.recipients), got))
                    server.accept("1")
            for event in client.events():
                if isinstance(event, Ready):
                    assert client.can_take_along()
                    client.send("a@lab.test", ["b@lab.test", "c@else.test"], text=text if along else None)
                elif isinstance(event, TextWanted):
                    client.send_text(text)
                    client.end_text()
                elif isinstance(event, Delivered):
                    replies = event.replies
        assert taken == [("a@lab.test", ["b@lab.test"], text)]
        assert [reply.code for reply in replies] == [250, 550]
