"""What connections' ends said, tied to frames: in order, each line once, gaps said; and where it shows: ladder, facts, calls, sentences."""

import itertools
import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.wire.ask import Wire
from labctl.wire.build import TraceBuilder, build_trace
from labctl.wire.capture import Capture, Frame
from labctl.wire.dialogue import dialogues_of
from labctl.wire.expect import Count, Expectation, judge
from labctl.wire.explain import explain
from labctl.wire.facts import trace_facts
from labctl.wire.html import page_data
from labctl.wire.ladder import lay_out
from labctl.wire.mermaid import draw_mermaid
from labctl.wire.model import Call, Packet
from labctl.wire.packet import read_packet
from labctl.wire.svg import draw_svg
from labctl.wire.terminal import TextLadder
from tests.wire.frames import ACK, FIN, NAMES, PSH, SYN, A, B, tcp


class Session:
    """Segments of a connection of `client` to a port of `server`, numbered as TCP does; frames 1 to 3 are the handshake."""

    def __init__(self, port=25, ms=0, source_port=4000):
        self.frames, self.ms = [], ms
        self.ports = (source_port, port)
        self.next = {"C": 101, "S": 301}
        self.add("C", SYN, 100, 0)
        self.add("S", SYN | ACK, 300, 101)
        self.add("C", ACK, 101, 301)

    def add(self, by, flags, seq, ack, data=b""):
        ends = {} if by == "C" else {"source": B, "target": A}
        ports = self.ports if by == "C" else self.ports[::-1]
        octets = tcp(flags, seq, ack, data, ports=ports, **ends)
        self.frames.append(Frame(self.ms * 1_000_000, octets, len(octets)))
        self.ms += 1
        return self

    def say(self, by, data, flags=PSH | ACK):
        other = "S" if by == "C" else "C"
        self.add(by, flags, self.next[by], self.next[other], data)
        self.next[by] += len(data) + bool(flags & FIN)
        return self

    def lose(self, by, octets):
        self.next[by] += octets
        return self

    @property
    def trace(self):
        return build_trace(Capture(self.frames), NAMES)


def mail():
    return (
        Session().say("S", b"220 relay ESMTP\r\n").say("C", b"EHLO client\r\n")
        .say("S", b"250-relay\r\n250-SIZE 1000\r\n250 PIPELINING\r\n")
        .say("C", b"MAIL FROM:<a@lab.test>\r\nRCPT TO:<b@lab.test>\r\nDATA\r\n")
        .say("S", b"250 ok\r\n").say("S", b"250 ok\r\n354 go on\r\n").say("C", b"Subject: hi\r\n\r\nhel").say("C", b"lo\r\n.\r\n")
        .say("S", b"250 2.0.0 Queued\r\n")
    )  # fmt: skip


def texts(trace, **which):
    return [row.text for row in lay_out(trace, **which).rows if row.kind == "packet"]


def said(trace, number=1):
    return [item.line.text for item in dialogues_of(trace).of(trace.conversation(number)).said]


class TestLadder:
    def test_segments_say_what_they_are(self):
        assert texts(mail().trace)[3:] == [
            "S: 220 relay ESMTP", "C: EHLO client", "S: 250-relay, SIZE 1000, PIPELINING (3 lines)",
            "C: MAIL FROM:<a@lab.test> | RCPT TO:<b@lab.test> | DATA", "S: 250 ok", "S: 250 ok | 354 go on", "C: 18 octets of text",
            "C: text of 22 octets", "S: 250 2.0.0 Queued",
        ]  # fmt: skip

    def test_a_reply_that_is_not_to_the_last_words_says_which_it_answers(self):
        talk = mail().say("C", b"NOOP\r\n").say("C", b"HELP\r\n").say("S", b"250 ok\r\n")
        rows = [row for row in lay_out(talk.trace).rows if row.kind == "packet"]
        assert "answers frame 13" in rows[-1].notes
        assert not any("answers" in note for row in rows[:-1] for note in row.notes)

    def test_a_line_in_two_segments_is_told_where_it_ends(self):
        talk = Session().say("S", b"220 x\r\n").say("C", b"PASS sec").say("C", b"ret\r\nNOOP\r\n")
        assert texts(talk.trace)[4:] == ["C: 8 octets of a line", "C: PASS secret | NOOP"]

    def test_every_picture_hides_a_password(self):
        talk = (
            Session(110)
            .say("S", b"+OK\r\n")
            .say("C", b"USER bob\r\n")
            .say("S", b"+OK\r\n")
            .say("C", b"PASS se")
            .say("C", b"cret\r\n")
        )
        trace = talk.trace
        trace.calls.append(
            Call("client", 1, "", 7_500_000, 0.0, "send", 3, 14, "", '3, "PASS se", 7', conversation=1, frames=(7, 8))
        )
        ladder = lay_out(trace)
        drawn = [
            *TextLadder(120, colour=False).draw(ladder),
            draw_svg(ladder, "x"),
            draw_mermaid(ladder),
            json.dumps(trace_facts(trace)),
        ]
        told = page_data(trace, ladder, 96)["texts"]
        assert any("PASS (hidden)" in text for text in told)
        assert not any("PASS se" in text or "cret" in text for text in (*drawn, *told))

    def test_a_fin_ends_what_the_stream_ends(self):
        talk = (
            Session(80)
            .say("C", b"GET / HTTP/1.0\r\n\r\n")
            .say("S", b"HTTP/1.0 200 OK\r\n\r\nabc")
            .say("S", b"de", PSH | ACK | FIN)
        )
        assert texts(talk.trace)[-2:] == [
            "S: 200 OK | 3 octets of body",
            "S: 5 octets of body, to the end of the connection + FIN",
        ]

    def test_what_is_no_known_protocol_is_shown_as_before(self):
        assert texts(Session(7).say("C", b"hello").trace)[-1] == '5 octets "hello"'
        assert (
            texts(Session(25).say("S", b"SSH-2.0-x\r\n").say("C", b"hello\r\n").trace)[-1] == '7 octets "hello\\r\\n"'
        )

    def test_a_live_trace_is_read_on(self):
        frames = mail().frames
        builder = TraceBuilder(NAMES)
        shown = []
        for number, frame in enumerate(frames, 1):
            builder.feed([read_packet(number, frame)])
            shown += texts(builder.trace, frames=range(number, number + 1))
        assert shown == texts(mail().trace)

    def test_a_segment_that_a_shaper_dropped_is_told_by_the_one_sent_again(self):
        trace = Session().say("S", b"220 x\r\n").say("C", b"EHLO me\r\n").trace
        sent = trace.packets[-1]
        lost = Packet(0, 0, sent.length, sent.octets, "TCP", A, B, source_port=4000, target_port=25, payload_at=sent.payload_at,
                      payload=sent.payload, flags=sent.flags, seq=sent.seq, ack=sent.ack)  # fmt: skip
        assert dialogues_of(trace).text(lost, trace.conversation(1)) == "C: EHLO me"
        lost.seq += 1000
        assert dialogues_of(trace).text(lost, trace.conversation(1)) == "9 octets"


class TestOrder:
    LINES = ("220 x", "EHLO me", "NOOP", "RSET")

    def test_what_is_sent_again_is_told_once(self):
        talk = Session().say("S", b"220 x\r\n").say("C", b"EHLO me\r\n").add("C", ACK, 101, 308, b"EHLO me\r\n")
        assert said(talk.trace) == ["220 x", "EHLO me"]
        assert texts(talk.trace)[-1] == "C: 9 octets, seen before"

    @pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
    def test_segments_in_any_order_give_each_line_once(self, order):
        talk = Session().say("S", b"220 x\r\n")
        pieces = [(101, b"EHLO me\r\nNO"), (112, b"OP\r\nRS"), (118, b"ET\r\n")]
        for place in order:
            talk.add("C", ACK, pieces[place][0], 308, pieces[place][1])
        assert said(talk.trace) == list(self.LINES)

    def test_overlapping_segments_give_each_line_once(self):
        talk = (
            Session()
            .say("S", b"220 x\r\n")
            .add("C", ACK, 101, 308, b"EHLO me\r\nNO")
            .add("C", ACK, 104, 308, b"O me\r\nNOOP\r\nRSET\r\n")
        )
        assert said(talk.trace) == list(self.LINES)

    def test_numbers_that_go_round(self):
        talk = Session()
        talk.frames.clear()
        talk.add("C", SYN, 2**32 - 5, 0).add("S", SYN | ACK, 300, 2**32 - 4).add("S", ACK, 301, 2**32 - 4, b"220 x\r\n")
        talk.add("C", ACK, 2**32 - 4, 308, b"EHLO me\r\n").add("C", ACK, 5, 308, b"NOOP\r\n").add(
            "C", ACK, 11, 308, b"RSET\r\n"
        )
        assert said(talk.trace) == list(self.LINES)

    def test_a_keep_alive_says_nothing(self):
        talk = Session().say("S", b"220 x\r\n").add("C", ACK, 100, 308, b"\0").say("C", b"EHLO me\r\n")
        assert said(talk.trace) == ["220 x", "EHLO me"]


class TestGaps:
    def test_what_was_acknowledged_and_never_seen_was_not_captured(self):
        talk = (
            Session()
            .say("S", b"220 x\r\n")
            .say("C", b"EHLO")
            .lose("C", 20)
            .say("C", b"more\r\nNOOP\r\n")
            .say("S", b"250 ok\r\n")
        )
        assert said(talk.trace) == ["220 x", "20 octets were not captured", "NOOP", "250 ok"]
        assert any(
            "20 octets were not captured of what client said." in str(one)
            for one in explain(talk.trace.conversations[0], talk.trace)
        )

    def test_frames_that_were_cut_short(self):
        talk = (
            Session(80)
            .say("C", b"GET / HTTP/1.1\r\n\r\n")
            .say("S", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n" + b"x" * 50)
        )
        talk.say("C", b"GET /2 HTTP/1.1\r\n\r\n").say("S", b"HTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n")
        frame = talk.frames[4]
        talk.frames[4] = frame._replace(octets=frame.octets[:-30])
        trace = talk.trace
        for packet in trace.packets:
            packet.problem = ""
        assert said(trace)[1:] == [
            "200 OK, 50 octets",
            "30 octets were not captured",
            "50 octets of body",
            "GET /2",
            "404 Gone, 0 octets",
        ]

    def test_a_connection_that_was_open_before(self):
        talk = mail()
        talk.frames = talk.frames[4:]
        lines = said(talk.trace)
        assert lines[0] == "250-SIZE 1000, PIPELINING (2 lines)"  # the first line may be half of one
        assert lines[-1] == "250 2.0.0 Queued"

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_frames_lost_twice_and_in_any_order_never_raise(self, data):
        frames = mail().frames
        kept = data.draw(st.lists(st.sampled_from(range(len(frames))), max_size=2 * len(frames)))
        trace = build_trace(Capture([frames[place] for place in kept]), NAMES)
        ladder = lay_out(trace)
        assert len([row for row in ladder.rows if row.kind == "packet"]) == len(kept)
        assert trace_facts(trace)["conversations"] is not None
        for conversation in trace.conversations:
            explain(conversation, trace)


def ftp():
    control = Session(21).say("S", b"220 x\r\n").say("C", b"PASV\r\n").say("S", b"227 Passive (10,0,0,2,156,64)\r\n")
    data = Session(40000, control.ms, 4001).say("S", b"x" * 100)
    control.ms = data.ms
    control.say("C", b"RETR file\r\n")
    data.ms = control.ms
    data.say("S", b"y" * 50).say("S", b"", ACK | FIN)
    control.frames = sorted(control.frames + data.frames, key=lambda frame: frame.time_ns)
    return control


class TestFtp:
    def test_data_connections_are_told_by_their_command(self):
        assert [text for text in texts(ftp().trace) if "RETR" in text] == [
            "100 octets of RETR file", "C: RETR file", "50 octets of RETR file", "RETR file: 150 octets + FIN",
        ]  # fmt: skip

    def test_and_so_in_sentences(self):
        trace = ftp().trace
        told = [str(one) for item in trace.conversations for one in explain(item, trace)]
        assert any(
            "For `RETR file` server waited for the data connection on its port 40000 (passive mode)." in one
            for one in told
        )
        assert any("It carried 150 octets for `RETR file` of conversation 1" in one for one in told)

    def test_a_port_that_was_not_agreed_on_is_none(self):
        trace = Session(40000).say("S", b"hello").trace
        assert dialogues_of(trace).of(trace.conversation(1)) is None


class TestSentences:
    def test_a_mail(self):
        trace = mail().trace
        told = [str(one) for one in explain(trace.conversations[0], trace)]
        assert (
            "client said EHLO and server offered SIZE and PIPELINING. (frames 5, 6; RFC 5321 section 4.1.1.1)" in told
        )
        assert (
            "client did not wait for each reply: 3 commands went in one segment. (frame 7; RFC 2920 section 3.1)"
            in told
        )
        assert (
            "A mail from <a@lab.test> to 1 recipient, 22 octets: 250 after DATA means that server took responsibility for it."
            " (frames 7, 11, 12; RFC 5321 section 6.1)" in told
        )

    def test_a_mail_that_never_ended(self):
        talk = Session().say("S", b"220 x\r\n").say("C", b"MAIL FROM:<a@b>\r\n").say("S", b"250 ok\r\n")
        told = [str(one) for one in explain(talk.trace.conversations[0], talk.trace)]
        assert any("was not ended, so client keeps responsibility" in one for one in told)


class TestExpectation:
    @pytest.mark.parametrize(
        ("more", "met"),
        [
            ({"source": "client", "equals": "EHLO client"}, True),
            ({"source": "server", "equals": "EHLO client"}, False),
            ({"source": "client", "equals": "EHLO"}, False),
            ({"source": "server", "contains": ("250", "PIPELINING")}, True),
            ({"source": "server", "equals": "250-SIZE 1000"}, True),
            ({"source": "server", "matches": r"^2\d\d .*Queued$"}, True),
            ({"source": "server", "matches": r"^5"}, False),
            ({"source": "server", "contains": "ok", "count": Count(2, 2)}, True),
            ({"source": "server", "contains": "ok", "count": Count(3)}, False),
            ({"source": "server:25", "target": "client", "contains": "354"}, True),
            ({"source": "client", "contains": "RCPT", "after": Expectation("line", contains="EHLO")}, True),
            ({"source": "client", "contains": "RCPT", "before": Expectation("line", contains="EHLO")}, False),
        ],
    )
    def test_a_line(self, more, met):
        assert judge(Expectation("line", **more), mail().trace).met is met

    def test_a_failure_shows_what_was_said(self):
        verdict = judge(Expectation("line", "client", equals="HELO x"), mail().trace)
        assert str(verdict).startswith("line from client that is 'HELO x': 0 such lines; there was 'EHLO client'")
        assert verdict.frames[0] == 5

    def test_where_no_protocol_is_known(self):
        assert "no protocol is known" in judge(Expectation("line", "client"), Session(7).say("C", b"x").trace).said

    def test_from_python(self):
        talk = Wire(mail().trace).tcp("client", "server:25")
        talk.says(equals="EHLO client").says("ok", by="server", times=2).says(matches="^RCPT TO:")
        with pytest.raises(AssertionError, match="EHLO client"):
            talk.says(equals="HELO client")


class TestLongTraces:
    def test_only_conversations_of_known_ports_are_read(self):
        trace = Session(7).say("C", b"x").trace
        lay_out(trace)
        assert dialogues_of(trace).of(trace.conversation(1)) is None

    def test_a_long_body_keeps_no_octets(self):
        talk = (
            Session(80)
            .say("C", b"GET / HTTP/1.1\r\n\r\n")
            .say("S", b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n")
        )
        for _ in range(200):
            talk.say("S", b"x" * 10_000)
        trace = talk.trace
        dialogue = dialogues_of(trace).of(trace.conversation(1))
        assert [one.line.text for one in dialogue.said] == [
            "GET /",
            "200 OK, 2,000,000 octets",
            "2,000,000 octets of body",
        ]
        assert all(half.waiting == 0 for half in dialogue.reader.halves.values())


def test_a_package_of_the_users_with_the_same_name_stays_his(tmp_path):
    """labctl runs inside a project that has a package `services` of its own."""
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "__init__.py").write_text("mine = True\n")
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\nimport services\nfrom labctl.cores import dialogue\n"
        "assert dialogue().reader_for(25).name == 'SMTP'\nimport services as again\nassert again.mine and again is services\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
