"""Readers of what crossed: octets of both ends in, lines out; the same lines wherever TCP cuts the streams, and never an exception."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dialogue import HOSTS, PORTS, C, FtpData, S, Transfer, reader_for
from services.dialogue.half import LONGEST

quickly = settings(max_examples=25, deadline=None)


def hear(port, *said, cuts=()):
    """Return the lines of a transcript: (`C` or `S`, octets) in turns; `cuts` are places at which each turn is cut."""
    reader = reader_for(port)
    lines = []
    for by, octets in said:
        places = sorted({0, len(octets), *(cut % (len(octets) + 1) for cut in cuts)})
        for begin, end in pairwise(places):
            lines += reader.receive(by, octets[begin:end])
    return lines


def told(lines):
    return [f"{line.by}: {line.text}" for line in lines]


def crlf(*lines):
    return "".join(f"{line}\r\n" for line in lines).encode()


SMTP = (
    (S, crlf("220 relay ESMTP")),
    (C, crlf("EHLO client")),
    (S, crlf("250-relay greets client", "250-SIZE 1000", "250-PIPELINING", "250 HELP")),
    (C, crlf("AUTH PLAIN AGFsaWNlAHNlY3JldA==")),
    (S, crlf("235 2.7.0 welcome")),
    (C, crlf("MAIL FROM:<alice@lab.test>", "RCPT TO:<bob@lab.test>", "RCPT TO:<nobody@lab.test>", "DATA")),
    (S, crlf("250 sender ok", "250 recipient ok", "550 nobody of that name", "354 go on")),
    (C, crlf("Subject: hi", "", "..dots", ".", "QUIT")),
    (S, crlf("250 2.0.0 Queued", "221 bye")),
)
LMTP = (
    (S, crlf("220 mail LMTP")),
    (C, crlf("LHLO relay")),
    (S, crlf("250 mail")),
    (C, crlf("MAIL FROM:<>", "RCPT TO:<a@x>", "RCPT TO:<b@x>", "BDAT 5 LAST") + b"hello"),
    (S, crlf("250 ok", "250 ok", "250 ok")),
    (S, crlf("250 a has it", "452 b is full")),
)
FTP = (
    (S, crlf("220-Welcome", "to the lab", "220 ready")),
    (C, crlf("USER lab")),
    (S, crlf("331 password, please")),
    (C, crlf("PASS secret")),
    (S, crlf("230 logged in")),
    (C, crlf("EPSV")),
    (S, crlf("229 Entering Extended Passive Mode (|||40000|)")),
    (C, crlf("RETR a file.txt")),
    (S, crlf("150 here it comes")),
    (S, crlf("226 done")),
)
POP3 = (
    (S, crlf("+OK ready")),
    (C, crlf("USER bob", "PASS secret")),
    (S, crlf("+OK", "+OK logged in")),
    (C, crlf("LIST", "LIST 1", "RETR 1", "DELE 9")),
    (
        S,
        crlf(
            "+OK 1 message",
            "1 20",
            ".",
            "+OK 1 20",
            "+OK 20 octets",
            "Subject: x",
            "",
            "hello",
            ".",
            "-ERR no such message",
        ),
    ),
)
IMAP = (
    (S, crlf("* OK ready")),
    (C, crlf("a1 LOGIN bob {6}")),
    (S, crlf("+ go on")),
    (C, crlf("secret")),
    (S, crlf("a1 OK logged in")),
    (C, crlf("a2 SELECT INBOX", "a3 FETCH 1 BODY[]", "a4 NOOP")),
    (
        S,
        crlf("* 1 EXISTS", "a2 OK selected") + b"* 1 FETCH (BODY[] {7}\r\na\r\nb\r\nc)\r\na3 OK done\r\na4 OK done\r\n",
    ),
)
HTTP = (
    (C, crlf("GET /page.html HTTP/1.1", "Host: web", "Authorization: Basic YTpi", "")),
    (S, crlf("HTTP/1.1 200 OK", "Content-Type: text/html; charset=utf-8", "Content-Length: 12", "") + b"<p>hello</p>"),
    (C, crlf("HEAD / HTTP/1.1", "", "GET /old HTTP/1.1", "")),
    (
        S,
        crlf(
            "HTTP/1.1 200 OK",
            "Content-Length: 99",
            "",
            "HTTP/1.1 301 Moved",
            "Location: /new",
            "Transfer-Encoding: chunked",
            "",
        ),
    ),
    (S, b"5\r\nhello\r\n3;x=y\r\nxyz\r\n0\r\n\r\n"),
    (C, crlf("POST /RPC2?token=abc HTTP/1.0", "Content-Length: 3", "") + b"a=b"),
    (S, crlf("HTTP/1.0 204 No Content", "")),
)
NNTP = (
    (S, crlf("200 ready")),
    (C, crlf("GROUP lab.test", "ARTICLE 1")),
    (S, crlf("211 2 1 2 lab.test", "220 1 <a@b>", "Subject: x", "", "..", ".")),
    (C, crlf("AUTHINFO USER bob", "AUTHINFO PASS secret", "POST")),
    (S, crlf("381 more", "281 welcome", "340 go on")),
    (C, crlf("Subject: y", "", "text", ".")),
    (S, crlf("240 received")),
)
GOPHER = ((C, b"/search\tburrow\r\n"), (S, b"0About\t/about\tgopher\t70\r\niinfo\t\t\t0\r\n.\r\n"))
TELNET = (
    (S, b"\xff\xfd\x18\xff\xfb\x01login: "),
    (C, b"\xff\xfb\x18\xff\xfd\x01"),
    (S, b"\xff\xfa\x18\x01\xff\xf0"),
    (C, b"\xff\xfa\x18\x00XTERM\xff\xf0\xff\xfa\x1f\x00\x50\x00\x18\xff\xf0"),
    (C, b"student\r\n"),
    (S, b"student\r\nPassword: "),
    (C, b"secret\r\0"),
    (S, b"\r\nwelcome\r\n"),
    (C, b"\xff\xf6"),
)
FILE = (
    (C, crlf("STAT a.txt", "GET a.txt 0 3", "LIST")),
    (S, crlf("OK 26 1700000000", "OK 3 26") + b"abc" + crlf("OK 0")),
    (C, b"PUT b.txt 5 " + b"0a" * 32 + b"\r\nhelloSTAT no\r\nQUIT\r\n"),
    (S, crlf("OK " + "0a" * 32, "ERR 404 there is no such file", "OK goodbye")),
)
CHAT = ((S, b"* you are guest1\r\n"), (C, b"/name ana\r\nhello\r\n"), (S, b"* guest1 is now ana\r\nbob: hi\n"))
GREETING = ((S, b"Thank you for connecting"),)
DAYTIME = ((S, b"Monday, November 23, 2026 11:54:05-UTC\r\n"),)
TIME = ((S, (2_208_988_800 + 60).to_bytes(4, "big")),)

TRANSCRIPTS = {
    25: SMTP, 24: LMTP, 21: FTP, 110: POP3, 143: IMAP, 80: HTTP, 119: NNTP, 70: GOPHER, 23: TELNET, 9000: FILE, 12346: CHAT,
    12345: GREETING, 13: DAYTIME, 37: TIME,
}  # fmt: skip


class TestTranscripts:
    def test_smtp(self):
        lines = hear(25, *SMTP)
        assert told(lines) == [
            "S: 220 relay ESMTP", "C: EHLO client", "S: 250-relay greets client, SIZE 1000, PIPELINING, HELP (4 lines)",
            "C: AUTH PLAIN (hidden)", "S: 235 2.7.0 welcome", "C: MAIL FROM:<alice@lab.test>", "C: RCPT TO:<bob@lab.test>",
            "C: RCPT TO:<nobody@lab.test>", "C: DATA", "S: 250 sender ok", "S: 250 recipient ok", "S: 550 nobody of that name",
            "S: 354 go on", "C: text of 23 octets", "C: QUIT", "S: 250 2.0.0 Queued", "S: 221 bye",
        ]  # fmt: skip
        assert [line.answers for line in lines] == [0, 0, 2, 0, 4, 0, 0, 0, 0, 6, 7, 8, 9, 0, 0, 14, 15]
        assert "250-PIPELINING" in lines[2].said

    def test_smtp_auth_in_steps(self):
        lines = hear(25, (S, crlf("220 x")), (C, crlf("AUTH LOGIN")), (S, crlf("334 VXNlcm5hbWU6")), (C, crlf("Ym9i")),
                     (S, crlf("334 UGFzc3dvcmQ6")), (C, crlf("c2VjcmV0")), (S, crlf("535 no")), (C, crlf("QUIT")))  # fmt: skip
        assert [line.text for line in lines if line.by == C] == ["AUTH LOGIN", "(hidden)", "(hidden)", "QUIT"]
        assert lines[-2].answers == 2

    def test_lmtp_answers_a_text_for_each_recipient(self):
        lines = hear(24, *LMTP)
        assert told(lines)[-3:] == ["S: 250 ok", "S: 250 a has it", "S: 452 b is full"]
        chunk = next(line for line in lines if line.word == "BDAT")
        assert [line.answers for line in lines[-2:]] == [chunk.number] * 2

    def test_ftp(self):
        lines = hear(21, *FTP)
        assert told(lines)[:5] == ["S: 220-Welcome, to the lab, ready (3 lines)", "C: USER lab", "S: 331 password, please",
                                   "C: PASS (hidden)", "S: 230 logged in"]  # fmt: skip
        retr = next(line for line in lines if line.word == "RETR")
        assert [line.answers for line in lines[-2:]] == [retr.number] * 2

    def test_ftp_agrees_on_data_connections(self):
        reader = reader_for(21)
        for by, octets in (*FTP, (C, crlf("PORT 10,0,0,1,200,17", "LIST", "EPRT |2|::1|4000|", "STOR x"))):
            reader.receive(by, octets)
        assert [(item.by, item.host, item.port, item.what) for item in reader.transfers] == [
            (S, "", 40000, "RETR a file.txt"), (C, "10.0.0.1", 51217, "LIST"), (C, "::1", 4000, "STOR x"),
        ]  # fmt: skip

    def test_ftp_data_are_counted(self):
        reader = FtpData(Transfer(S, "", 40000, "RETR x"))
        assert reader.receive(S, b"\x16\x03\x01abc") == []
        assert (reader.body, reader.body_of()) == (6, "of RETR x")
        assert told(reader.eof(S)) == ["S: RETR x: 6 octets"]

    def test_pop3(self):
        assert told(hear(110, *POP3)) == [
            "S: +OK ready", "C: USER bob", "C: PASS (hidden)", "S: +OK", "S: +OK logged in", "C: LIST", "C: LIST 1", "C: RETR 1",
            "C: DELE 9", "S: +OK 1 message", "S: LIST's answer, 6 octets", "S: +OK 1 20", "S: +OK 20 octets", "S: message 1, 21 octets",
            "S: -ERR no such message",
        ]  # fmt: skip

    def test_imap(self):
        lines = hear(143, *IMAP)
        assert told(lines) == [
            "S: * OK ready", "S: + go on", "C: a1 LOGIN (hidden)", "S: a1 OK logged in", "C: a2 SELECT INBOX", "C: a3 FETCH 1 BODY[]",
            "C: a4 NOOP", "S: * 1 EXISTS", "S: a2 OK selected", "S: * 1 FETCH (BODY[] {7 octets})", "S: a3 OK done", "S: a4 OK done",
        ]  # fmt: skip
        assert [line.answers for line in lines[-3:]] == [6, 6, 7]

    def test_http(self):
        lines = hear(80, *HTTP)
        assert told(lines) == [
            "C: GET /page.html, Basic (hidden)", "S: 200 OK, 12 octets, text/html", "S: 12 octets of body", "C: HEAD /", "C: GET /old",
            "S: 200 OK, 99 octets", "S: 301 Moved → /new, chunked", "S: 8 octets of body, chunked",
            "C: POST /RPC2?token=(hidden), 3 octets", "C: 3 octets of body", "S: 204 No Content",
        ]  # fmt: skip
        assert [line.answers for line in lines if line.kind == "reply"] == [1, 4, 5, 9]

    def test_http_body_to_the_end_of_the_connection(self):
        reader = reader_for(80)
        reader.receive(C, crlf("GET / HTTP/1.0", ""))
        reader.receive(S, crlf("HTTP/1.0 200 OK", "") + b"abc")
        assert told(reader.eof(S)) == ["S: 3 octets of body, to the end of the connection"]

    def test_nntp(self):
        assert told(hear(119, *NNTP)) == [
            "S: 200 ready", "C: GROUP lab.test", "C: ARTICLE 1", "S: 211 2 1 2 lab.test", "S: 220 1 <a@b>", "S: article, 18 octets",
            "C: AUTHINFO USER bob", "C: AUTHINFO PASS (hidden)", "C: POST", "S: 381 more", "S: 281 welcome", "S: 340 go on",
            "C: article of 20 octets", "S: 240 received",
        ]  # fmt: skip

    def test_gopher(self):
        reader = reader_for(70)
        lines = [line for by, octets in GOPHER for line in reader.receive(by, octets)]
        assert told(lines + reader.eof(S)) == [
            "C: /search, search for burrow",
            'S: menu, from "About"',
            "S: menu, 39 octets",
        ]

    def test_telnet(self):
        assert told(hear(23, *TELNET)) == [
            "S: IAC DO TERMINAL-TYPE", "S: IAC WILL ECHO", "C: IAC WILL TERMINAL-TYPE", "C: IAC DO ECHO",
            "S: IAC SB TERMINAL-TYPE SEND IAC SE", "C: IAC SB TERMINAL-TYPE IS XTERM IAC SE", "C: IAC SB NAWS 80 24 IAC SE",
            'C: "student"', 'S: "login: student"', "C: (hidden)", 'S: "Password: "', 'S: "welcome"', "C: IAC AYT",
        ]  # fmt: skip

    def test_file(self):
        assert told(hear(9000, *FILE)) == [
            "C: STAT a.txt", "C: GET a.txt 0 3", "C: LIST", "S: OK 26 1700000000", "S: OK 3 26", "S: 3 octets of file", "S: OK 0",
            "C: PUT b.txt 5 0a0a0a0a…", "C: 5 octets of file", "C: STAT no", "C: QUIT", f"S: OK {'0a' * 32}",
            "S: ERR 404 there is no such file", "S: OK goodbye",
        ]  # fmt: skip

    def test_people_and_clocks(self):
        assert told(hear(12346, *CHAT)) == [
            "S: * you are guest1",
            "C: /name ana",
            "C: hello",
            "S: * guest1 is now ana",
            "S: bob: hi",
        ]
        assert told(hear(12345, *GREETING)) == ["S: Thank you for connecting"]
        assert told(hear(13, *DAYTIME)) == ["S: Monday, November 23, 2026 11:54:05-UTC"]
        assert told(hear(37, *TIME)) == ["S: 2,208,988,860 seconds since 1900: 60 since 1970"]


class TestSecrets:
    @pytest.mark.parametrize("port", TRANSCRIPTS)
    def test_no_line_holds_a_password(self, port):
        for line in hear(port, *TRANSCRIPTS[port]):
            held = " ".join((line.text, line.rest, *line.said))
            assert not any(word in held for word in ("secret", "AGFs", "YTpi", "token=abc")), held

    @pytest.mark.parametrize("ask", ["Password: ", "password for bob: ", "Enter passphrase: "])
    def test_telnet_keys_are_hidden_one_by_one(self, ask):
        reader = reader_for(23)
        reader.receive(S, ask.encode())
        for key in b"pw\r\n":
            reader.receive(C, bytes((key,)))
            assert "p" not in reader.partial(C, 1).replace("(hidden)", "") or key == ord("\n")

    def test_what_is_unprintable_is_escaped(self):
        (line,) = hear(12346, (C, b"\x1b[2Jhi \xff\xe2\x80\xae\r\n"))
        assert line.text == "\\x1b[2Jhi \\xff\\u202e"


def record(kind, body):
    return bytes((kind, 3, 3)) + len(body).to_bytes(2, "big") + body


def message(kind, body):
    return bytes((kind,)) + len(body).to_bytes(3, "big") + body


def extension(kind, body):
    return kind.to_bytes(2, "big") + len(body).to_bytes(2, "big") + body


def hello(*extensions):
    held = b"".join(extensions)
    return message(1, b"\3\3" + bytes(32) + b"\0" + b"\0\2\x13\x01" + b"\1\0" + len(held).to_bytes(2, "big") + held)


NAME = extension(0, b"\0\x0d\0\0\x0asmtp-relay")
VERSIONS = extension(43, b"\4\3\4\3\3")
SERVER_HELLO = message(2, b"\3\3" + bytes(32) + b"\0" + b"\x13\x02\0" + b"\0\6" + extension(43, b"\3\4"))
TLS = (
    (C, record(22, hello(NAME, VERSIONS))),
    (S, record(22, SERVER_HELLO) + record(20, b"\1") + record(23, bytes(100))),
    (C, record(20, b"\1") + record(23, bytes(40))),
)
AFTER_STARTTLS = (
    (S, crlf("220 x")),
    (C, crlf("EHLO a")),
    (S, crlf("250 STARTTLS")),
    (C, crlf("STARTTLS")),
    (S, crlf("220 go")),
    *TLS,
)


class TestTls:
    HELLO = "C: TLS ClientHello, server name smtp-relay, TLS 1.3 or TLS 1.2"
    CHOSEN = "S: TLS ServerHello, TLS 1.3, TLS_AES_256_GCM_SHA384"
    CHANGES = ("S: TLS ChangeCipherSpec", "C: TLS ChangeCipherSpec")

    def test_from_the_first_octet_at_any_port(self):
        assert told(hear(443, *TLS)) == told(hear(25, *TLS)) == [self.HELLO, self.CHOSEN, *self.CHANGES]

    def test_after_starttls(self):
        assert told(hear(25, *AFTER_STARTTLS))[4:] == ["S: 220 go", self.HELLO, self.CHOSEN, *self.CHANGES]

    def test_octets_that_cannot_be_read_are_counted(self):
        reader = reader_for(443)
        for by, octets in TLS:
            reader.receive(by, octets)
        assert (reader.body, reader.body_of()) == (45, "under TLS, encrypted")

    def test_an_alert(self):
        assert told(hear(443, *TLS[:2], (C, record(21, b"\2\x30"))))[-1] == "C: TLS Alert, fatal: unknown_ca"

    def test_what_turns_out_to_be_no_tls(self):
        assert told(hear(443, (C, b"\x16hello world")))[-1] == "C: TLS ends: what follows are no records"


class TestCuts:
    @pytest.mark.parametrize("port", TRANSCRIPTS)
    @quickly
    @given(cuts=st.lists(st.integers(0, 400), max_size=12))
    def test_any_cut_gives_the_same_lines(self, port, cuts):
        assert hear(port, *TRANSCRIPTS[port], cuts=cuts) == hear(port, *TRANSCRIPTS[port])

    @pytest.mark.parametrize("port", TRANSCRIPTS)
    def test_octet_by_octet(self, port):
        assert hear(port, *TRANSCRIPTS[port], cuts=range(1000)) == hear(port, *TRANSCRIPTS[port])

    @quickly
    @given(cuts=st.lists(st.integers(0, 400), max_size=12))
    def test_tls(self, cuts):
        assert hear(25, *AFTER_STARTTLS, cuts=cuts) == hear(25, *AFTER_STARTTLS)


class TestGarbage:
    @pytest.mark.parametrize("port", PORTS)
    @quickly
    @given(
        said=st.lists(st.tuples(st.sampled_from((C, S)), st.binary(max_size=60) | st.integers(1, 5000)), max_size=10)
    )
    def test_no_octets_and_no_gap_raise(self, port, said):
        reader = reader_for(port)
        for by, what in said:
            lines = reader.gap(by, what) if isinstance(what, int) else reader.receive(by, what)
            assert all(line.text.isprintable() for line in lines)
            reader.partial(by, 1)
        reader.eof(C), reader.eof(S)

    @pytest.mark.parametrize("port", TRANSCRIPTS)
    @quickly
    @given(data=st.data())
    def test_broken_transcripts_do_not_raise(self, port, data):
        reader = reader_for(port)
        for by, octets in TRANSCRIPTS[port]:
            spoilt = bytearray(octets)
            for _ in range(data.draw(st.integers(0, 3))):
                spoilt[data.draw(st.integers(0, len(spoilt) - 1))] = data.draw(st.integers(0, 255))
            reader.receive(by, bytes(spoilt))
        reader.eof(S)

    @quickly
    @given(st.binary(max_size=200))
    def test_records_of_garbage(self, body):
        hear(443, (C, record(22, body)), (S, record(22, message(2, body))), (C, record(22, message(1, body))))

    def test_another_protocol_is_not_told(self):
        assert hear(25, (S, b"SSH-2.0-OpenSSH\r\n"), (C, b"SSH-2.0-x\r\n")) == []
        assert hear(80, (C, b"hello\r\n"), (S, b"what?\r\n")) == []


class TestMemory:
    @pytest.mark.parametrize("port", [25, 80, 110, 143, 119, 21, 70, 9000, 12346])
    def test_a_line_without_end_is_not_kept(self, port):
        reader = reader_for(port)
        reader.receive(S, b"2")
        for _ in range(100):
            reader.receive(C, b"x" * 10_000)
        assert reader.halves[C].waiting <= LONGEST

    def test_a_telnet_command_without_end_is_not_kept(self):
        reader = reader_for(23)
        reader.receive(C, b"\xff\xfa\x18")
        for _ in range(20):
            reader.receive(C, b"x" * 5000)
        assert told(reader.receive(C, b"\r\n\xff\xf6hello\r\n"))[-1] == 'C: "hello"'

    @pytest.mark.parametrize("cut", [1, LONGEST - 1, LONGEST, LONGEST + 1, 20_000])
    def test_a_long_line_is_told_by_its_beginning_wherever_it_is_cut(self, cut):
        octets = b"a" * 30_000 + b"\r\nnext\r\n"
        lines = hear(12346, (C, octets[:cut]), (C, octets[cut:]))
        assert [line.text for line in lines] == ["a" * 199 + "…", "next"]


class TestGaps:
    def test_reading_goes_on_with_the_next_line(self):
        reader = reader_for(25)
        reader.receive(S, crlf("220 x"))
        reader.receive(C, b"EHLO cli")
        assert told(reader.gap(C, 10)) == ["C: 10 octets were not captured"]
        assert told(reader.receive(C, b"alf\r\nNOOP\r\n")) == ["C: NOOP"]

    def test_a_counted_body_steps_over_its_part_of_the_gap(self):
        reader = reader_for(80)
        reader.receive(C, crlf("GET / HTTP/1.1", "", "GET /2 HTTP/1.1", ""))
        reader.receive(S, crlf("HTTP/1.1 200 OK", "Content-Length: 100", "") + b"abc")
        assert told(reader.gap(S, 97)) == ["S: 97 octets were not captured", "S: 100 octets of body"]
        assert (
            told(reader.receive(S, crlf("HTTP/1.1 404 Not Found", "Content-Length: 0", "")))[0]
            == "S: 404 Not Found, 0 octets"
        )

    def test_a_text_still_ends_at_its_dot(self):
        reader = reader_for(25)
        for by, octets in SMTP[:7]:
            reader.receive(by, octets)
        reader.gap(C, 500)
        assert told(reader.receive(C, b"rest\r\n.\r\nQUIT\r\n")) == ["C: text of 506 octets", "C: QUIT"]

    def test_the_middle_of_a_connection(self):
        reader = reader_for(25)
        reader.midway()
        assert told(reader.receive(S, b"alf a reply\r\n250 ok\r\n")) == ["S: 250 ok"]


def test_hosts_are_those_of_the_lab():
    assert {"smtp-relay", "news-server", "file-server"} <= set(HOSTS)
    assert reader_for(2525, "smtp-relay").name == "SMTP"
    assert reader_for(2525) is None
