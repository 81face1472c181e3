"""Replies changed in a conversation: which one, where in the order, and whatever the network cuts the stream into."""

from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.tools.proxy.conversation import Conversation, Data, End, Leave, Reset, ToClient, ToServer, Wait
from services.tools.proxy.divert import program
from services.tools.proxy.dotted import Nntp, Pop3
from services.tools.proxy.ftp import DataConnection, Ftp
from services.tools.proxy.http import Http
from services.tools.proxy.imap import Imap
from services.tools.proxy.rules import Act, Flow, Rule, carried_over, predict
from services.tools.proxy.smtp import Lmtp, Smtp

BUSY = "451 4.7.1 Try again later"
SEEN = {"seen": 0, "answered": 0, "late": 0, "stalled": 0, "truncated": 0, "unread": 0}


def at(verb, *hits, **what):
    """Hit the replies to a verb: all, or those of these numbers."""
    numbers = iter(range(1, 1000))
    what = {"reply": what.get("reply", "").encode()} | {name: value for name, value in what.items() if name != "reply"}

    def choose(name):
        number = next(numbers) if name == verb else 0
        return Act(**what, counts=dict(SEEN)) if number and (not hits or number in hits) else None

    return choose


def play(talk, lines):
    """Say what both ends say, `("c" or "s", octets)`; return what the server gets, and what the client gets with waits and the end."""
    items = []
    for who, octets in lines:
        items += talk.client_said(octets) if who == "c" else talk.server_said(octets)
    items += talk.client_ended() + talk.server_ended()
    to_server = b"".join(item.octets for item in items if isinstance(item, ToServer))
    to_client = []
    for item in items:
        if isinstance(item, ToClient):
            if to_client and isinstance(to_client[-1], bytes):
                to_client[-1] += item.octets
            else:
                to_client.append(item.octets)
        elif not isinstance(item, ToServer | Data):
            to_client.append(item)
    return to_server, to_client


def split(lines, cuts):
    """Cut each end's octets at these places, given as shares of their length."""
    result = []
    for who, octets in lines:
        places = sorted({int(cut * len(octets)) for cut in cuts})
        result += [(who, octets[a:b]) for a, b in zip([0, *places], [*places, len(octets)], strict=True) if b > a]
    return result


SMTP = [
    ("s", b"220 relay ESMTP\r\n"),
    ("c", b"EHLO client\r\n"),
    ("s", b"250-relay\r\n250-PIPELINING\r\n250 CHUNKING\r\n"),
    ("c", b"MAIL FROM:<a@lab.test>\r\nRCPT TO:<b@lab.test>\r\nRCPT TO:<c@lab.test>\r\nDATA\r\n"),
]
TEXT = b".dot first\r\nSubject: x\r\n\r\nbody\r\n..\r\n.\r\n"


class TestSmtp:
    """RFC 5321: a reply of ours is in its place in the order, and the server never saw the command."""

    def test_only_one_reply_of_a_pipelined_batch_is_changed(self):
        talk = Smtp(at("RCPT", 2, reply=BUSY))
        server, client = play(
            talk, [*SMTP, ("s", b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 go\r\n"), ("c", TEXT), ("s", b"250 Queued\r\n")]
        )
        assert client == [
            b"220 relay ESMTP\r\n250-relay\r\n250-PIPELINING\r\n250 CHUNKING\r\n250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n"
            b"451 4.7.1 Try again later\r\n354 go\r\n250 Queued\r\n"
        ]
        assert b"c@lab.test" not in server
        assert server.endswith(b"DATA\r\n" + TEXT)

    def test_our_reply_waits_for_those_before_it(self):
        talk = Smtp(at("RCPT", 1, reply=BUSY))
        talk.server_said(b"220 x\r\n")
        assert [type(item) for item in talk.client_said(b"MAIL FROM:<a>\r\nRCPT TO:<b>\r\n")] == [ToServer]
        assert talk.server_said(b"250 Ok\r\n") == [ToClient(b"250 Ok\r\n"), ToClient(b"451 4.7.1 Try again later\r\n")]

    def test_at_the_texts_end_the_server_is_left_before_the_dot(self):
        talk = Smtp(at(".", reply=BUSY))
        lines = [*SMTP, ("s", b"250 Ok\r\n250 Ok\r\n250 Ok\r\n354 go\r\n"), ("c", TEXT), ("c", b"RSET\r\n")]
        server, client = play(talk, lines)
        assert server.endswith(b"DATA\r\n" + TEXT.removesuffix(b".\r\n"))
        assert client[-3:] == [Leave(), b"451 4.7.1 Try again later\r\n421 4.3.2 this connection ends\r\n", End()]

    def test_421_ends_the_connection_and_nothing_behind_it_is_done(self):
        talk = Smtp(at("RCPT", 2, reply="421 4.3.2 closing"))
        server, client = play(talk, [*SMTP, ("s", b"250 Ok\r\n250 Ok\r\n")])
        assert client[-2].endswith(b"250 Ok\r\n421 4.3.2 closing\r\n")
        assert client[-1] == End()
        assert b"DATA" not in server

    def test_a_chunk_whose_command_is_answered_by_us_is_swallowed(self):
        talk = Smtp(at("BDAT", 1, reply=BUSY))
        server, client = play(
            talk, [("s", b"220 x\r\n"), ("c", b"BDAT 6 LAST\r\nRSET\r\nRSET\r\n"), ("s", b"250 Ok\r\n")]
        )
        assert server == b"RSET\r\n"
        assert client == [b"220 x\r\n451 4.7.1 Try again later\r\n250 Ok\r\n"]

    def test_after_starttls_nothing_is_read(self):
        talk = Smtp(at("RCPT", reply=BUSY))
        lines = [
            ("s", b"220 x\r\n"),
            ("c", b"STARTTLS\r\n"),
            ("s", b"220 go\r\n"),
            ("c", b"RCPT \x16\x03\r\n"),
            ("s", b"\x16\x03\n"),
        ]
        server, client = play(talk, lines)
        assert talk.opaque
        assert server == b"STARTTLS\r\nRCPT \x16\x03\r\n"
        assert client == [b"220 x\r\n220 go\r\n\x16\x03\n"]

    def test_a_refused_starttls_is_none(self):
        talk = Smtp(at("NOOP", reply=BUSY))
        server, _ = play(talk, [("s", b"220 x\r\n"), ("c", b"STARTTLS\r\nNOOP\r\n"), ("s", b"454 no\r\n")])
        assert not talk.opaque
        assert server == b"STARTTLS\r\n"

    def test_the_greeting_is_late_or_another(self):
        assert play(Smtp(at("GREETING", wait=5.0)), [("s", b"220 x\r\n")])[1] == [Wait(5.0), b"220 x\r\n"]
        assert play(Smtp(at("GREETING", reply="554 no")), [("s", b"220-x\r\n220 x\r\n")])[1] == [b"554 no\r\n"]
        assert play(Smtp(at("GREETING", reply="421 no")), [("s", b"220 x\r\n")])[1] == [b"421 no\r\n", End()]

    def test_an_answer_to_a_challenge_is_no_command(self):
        chosen = []
        talk = Smtp(lambda verb: chosen.append(verb))
        play(
            talk,
            [
                ("s", b"220 x\r\n"),
                ("c", b"AUTH LOGIN\r\n"),
                ("s", b"334 VXNlcg==\r\n"),
                ("c", b"Ym9i\r\n"),
                ("s", b"235 Ok\r\n"),
            ],
        )
        assert chosen == ["GREETING", "AUTH"]

    def test_a_line_without_end_is_passed_on_unread(self):
        talk = Smtp(at("RCPT", reply=BUSY))
        server, _ = play(talk, [("s", b"220 x\r\n"), ("c", b"x" * 70_000), ("c", b"\r\nRCPT\r\n")])
        assert talk.opaque
        assert server == b"x" * 70_000 + b"\r\nRCPT\r\n"


class TestLmtp:
    """RFC 2033: the text is answered once for each recipient that was accepted."""

    BEGIN = (("s", b"220 x\r\n"), ("c", b"LHLO relay\r\n"), ("s", b"250 x\r\n"))

    def test_replies_are_counted(self):
        talk = Lmtp(at("NOOP", reply=BUSY))
        mail = b"MAIL FROM:<a>\r\nRCPT TO:<b>\r\nRCPT TO:<c>\r\nRCPT TO:<d>\r\nBDAT 3 LAST\r\nabcNOOP\r\n"
        replies = b"250 Ok\r\n250 Ok\r\n550 no\r\n250 Ok\r\n250 first\r\n"
        _, client = play(talk, [*self.BEGIN, ("c", mail), ("s", replies), ("s", b"250 second\r\n")])
        assert client[-1].endswith(b"250 first\r\n250 second\r\n451 4.7.1 Try again later\r\n")

    def test_ours_comes_as_often(self):
        talk = Lmtp(at(".", reply=BUSY))
        mail = [
            ("c", b"MAIL FROM:<a>\r\nRCPT TO:<b>\r\nRCPT TO:<c>\r\nDATA\r\n"),
            ("s", b"250 Ok\r\n250 Ok\r\n250 Ok\r\n354 go\r\n"),
        ]
        _, client = play(talk, [*self.BEGIN, *mail, ("c", b"x\r\n.\r\n")])
        assert client[-2:] == [Leave(), b"451 4.7.1 Try again later\r\n" * 2]


class TestFtp:
    """RFC 959 section 5.4: 426 comes after a 150, and the data connection is closed."""

    PASSIVE = (
        ("s", b"220 x\r\n"),
        ("c", b"PASV\r\n"),
        ("s", b"227 Entering (10,0,0,1,200,65).\r\n"),
        ("c", b"RETR big\r\n"),
        ("s", b"150 Here it comes\r\n"),
    )

    def test_the_data_connection_is_cut_and_the_final_reply_is_ours(self):
        talk = Ftp(at("RETR", reply="426 gone", after=1000))
        server, client = play(talk, self.PASSIVE)
        assert server == b"PASV\r\nRETR big\r\n"
        assert client[-1].endswith(b"150 Here it comes\r\n")
        assert play(DataConnection(talk), [("s", b"x" * 900), ("s", b"y" * 900)])[1] == [
            b"x" * 900 + b"y" * 100,
            Reset(),
        ]
        assert talk.server_said(b"426 Connection reset\r\n") == [ToClient(b"426 gone\r\n")]

    def test_an_upload_is_cut_the_same_way(self):
        talk = Ftp(at("STOR", reply="426 gone"))
        play(talk, [(who, line.replace(b"RETR", b"STOR")) for who, line in self.PASSIVE])
        assert play(DataConnection(talk), [("c", b"x" * 900)]) == (b"", [Reset()])

    def test_its_port_is_announced(self):
        talk = Ftp(at("-"))
        told = [
            item
            for line in (b"227 Ok (10,0,0,1,200,65)\r\n", b"229 Ok (|||51000|)\r\n")
            for item in talk.server_said(line)
        ]
        assert [item for item in told if isinstance(item, Data)] == [Data(51265), Data(51000)]

    def test_what_refuses_the_command_comes_in_its_place(self):
        server, client = play(Ftp(at("RETR", reply="550 no such file")), self.PASSIVE[:4])
        assert server == b"PASV\r\n"
        assert client[-1].endswith(b"550 no such file\r\n")

    def test_in_active_mode_no_data_connection_is_opened(self):
        talk = Ftp(at("RETR", reply="426 gone"))
        server, client = play(
            talk, [("s", b"220 x\r\n"), ("c", b"PORT 1,2,3,4,5,6\r\n"), ("s", b"200 Ok\r\n"), ("c", b"RETR big\r\n")]
        )
        assert b"RETR" not in server
        assert client[-1].endswith(b"200 Ok\r\n426 gone\r\n")

    def test_the_data_rest(self):
        talk = Ftp(at("RETR", stall=3.0, after=4))
        play(talk, self.PASSIVE)
        assert play(DataConnection(talk), [("s", b"12345678")])[1] == [b"1234", Wait(3.0), b"5678"]


class TestHttp:
    """RFC 9112."""

    GET = ("c", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"

    def test_our_reply_is_whole_and_the_server_never_saw_the_request(self):
        server, client = play(Http(at("GET", reply="503 Service Unavailable")), [self.GET])
        assert server == b""
        head, _, body = client[0].partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"Content-Length: %d" % len(body) in head
        assert client[1] == End()

    def test_the_second_of_two(self):
        server, client = play(Http(at("GET", 2, reply="503 x")), [self.GET, self.GET, ("s", self.PAGE)])
        assert server == self.GET[1]
        assert client[0].startswith(self.PAGE + b"HTTP/1.1 503 x\r\n")

    def test_the_body_rests(self):
        assert play(Http(at("GET", stall=3.0, after=4)), [self.GET, ("s", self.PAGE)])[1] == [
            self.PAGE[:-6],
            Wait(3.0),
            self.PAGE[-6:],
        ]

    def test_the_body_is_cut(self):
        assert play(Http(at("GET", truncate=4)), [self.GET, ("s", self.PAGE)])[1] == [self.PAGE[:-6], End()]

    def test_a_reply_without_a_body_counts_from_its_head(self):
        head = b"HTTP/1.1 304 Not Modified\r\n\r\n"
        assert play(Http(at("GET", truncate=8)), [self.GET, ("s", head)])[1] == [head[:8], End()]

    @pytest.mark.parametrize(
        "reply",
        [
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab",
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
        ],
    )
    def test_the_end_of_a_reply_is_found(self, reply):
        """Else the reply to the second request would be taken for the first one's."""
        _, client = play(Http(at("GET", 2, truncate=1)), [self.GET, self.GET, ("s", reply + self.PAGE)])
        assert client == [reply + self.PAGE[:-9], End()]

    @pytest.mark.parametrize(
        ("who", "octets"), [("c", b"\x16\x03\x01\r\n\r\n"), ("s", b"SSH-2.0-x\r\n\r\n"), ("c", b"x" * 70_000)]
    )
    def test_what_is_no_http_is_passed_on_unread(self, who, octets):
        talk = Http(at("GET", reply="503 x"))
        server, client = play(talk, [(who, octets)])
        assert (server, client) == ((octets, []) if who == "c" else (b"", [octets]))
        assert talk.opaque

    @pytest.mark.parametrize(
        "reply",
        [
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabcde\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabcdefgh",
            b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nabcdefgh",
        ],
    )
    def test_a_length_that_is_none_is_passed_on_unread(self, reply):
        talk = Http(at("GET", 2, reply="503 x"))
        assert play(talk, [self.GET, ("s", reply), self.GET]) == (self.GET[1] * 2, [reply])
        assert talk.opaque

    def test_what_follows_an_upgrade_is_no_http(self):
        """RFC 9110 section 15.2.2: both ends speak another protocol from there on, what was sent already included."""
        talk = Http(at("GET", 2, reply="503 x"))
        lines = [self.GET, ("c", b"GET "), ("s", b"HTTP/1.1 101 Switching Protocols\r\n\r\nhello")]
        server, client = play(talk, [*lines, ("c", b"/ HTTP/1.1\r\n\r\n")])
        assert server == self.GET[1] + b"GET / HTTP/1.1\r\n\r\n"
        assert client == [lines[-1][1]]

    def test_a_request_with_a_body(self):
        post = b"POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\nGET / HTTP/1.1\r\n\r\n\r\n"
        server, _ = play(Http(at("GET", 1, reply="503 x")), [("c", post), self.GET])
        assert server == post


class TestImap:
    """RFC 3501."""

    def test_bye_ends_the_connection(self):
        server, client = play(
            Imap(at("SELECT", reply="* BYE gone")), [("s", b"* OK x\r\n"), ("c", b"a1 SELECT INBOX\r\n")]
        )
        assert server == b""
        assert client == [b"* OK x\r\n* BYE gone\r\n", End()]

    def test_a_tagged_reply_in_its_order(self):
        lines = [
            ("s", b"* OK x\r\n"),
            ("c", b"a1 NOOP\r\na2 UID FETCH 1 BODY[]\r\na3 NOOP\r\n"),
            ("s", b"a1 OK done\r\na3 OK done\r\n"),
        ]
        server, client = play(Imap(at("FETCH", reply="NO [INUSE] later")), lines)
        assert server == b"a1 NOOP\r\na3 NOOP\r\n"
        assert client == [b"* OK x\r\na1 OK done\r\na2 NO [INUSE] later\r\na3 OK done\r\n"]

    def test_literals_are_no_lines(self):
        lines = [
            ("s", b"* OK x\r\n"),
            ("c", b"a1 APPEND INBOX {14+}\r\na9 SELECT x\r\n\r\n"),
            ("c", b"a2 FETCH 1 BODY[]\r\n"),
            ("s", b"a1 OK done\r\n* 1 FETCH (BODY[] {7}\r\na2 OK\r\n)\r\na2 OK done\r\n"),
        ]
        server, client = play(Imap(at("SELECT", reply="* BYE gone")), lines)
        assert server == b"".join(line for who, line in lines if who == "c")
        assert client == [b"".join(line for who, line in lines if who == "s")]

    def test_a_literal_of_a_command_that_is_answered_by_us(self):
        lines = [("s", b"* OK x\r\n"), ("c", b"a1 APPEND INBOX {5+}\r\nhello\r\na2 NOOP\r\n"), ("s", b"a2 OK\r\n")]
        server, client = play(Imap(at("APPEND", reply="NO later")), lines)
        assert server == b"a2 NOOP\r\n"
        assert client == [b"* OK x\r\na1 NO later\r\na2 OK\r\n"]

    def test_a_client_that_asks_before_its_literal_gets_our_reply(self):
        lines = [("s", b"* OK x\r\n"), ("c", b"a1 LOGIN {3}\r\n"), ("c", b"a2 NOOP\r\n"), ("s", b"a2 OK\r\n")]
        server, client = play(Imap(at("LOGIN", reply="NO later")), lines)
        assert server == b"a2 NOOP\r\n"
        assert client == [b"* OK x\r\na1 NO later\r\na2 OK\r\n"]


class TestPop3:
    """RFC 1939."""

    GREETED: ClassVar = [("s", b"+OK ready\r\n")]
    MAIL = b"+OK 9 octets\r\nhello\r\n..\r\n.\r\n"

    def test_a_reply_of_ours_in_its_order(self):
        lines = [*self.GREETED, ("c", b"STAT\r\nRETR 1\r\nQUIT\r\n"), ("s", b"+OK 1 9\r\n+OK bye\r\n")]
        server, client = play(Pop3(at("RETR", reply="-ERR [SYS/TEMP] later")), lines)
        assert server == b"STAT\r\nQUIT\r\n"
        assert client == [b"+OK ready\r\n+OK 1 9\r\n-ERR [SYS/TEMP] later\r\n+OK bye\r\n"]

    def test_a_text_belongs_to_its_reply(self):
        """Else `+OK` within a mail would be taken for the reply to the next command."""
        mail = b"+OK 9 octets\r\n+OK\r\n..\r\n.\r\n"
        lines = [*self.GREETED, ("c", b"RETR 1\r\nDELE 1\r\n"), ("s", mail + b"+OK gone\r\n")]
        assert play(Pop3(at("DELE", truncate=4)), lines)[1] == [b"+OK ready\r\n" + mail + b"+OK ", End()]

    def test_it_rests_or_ends_within_the_text(self):
        lines = [*self.GREETED, ("c", b"RETR 1\r\n"), ("s", self.MAIL)]
        rested = play(Pop3(at("RETR", stall=2.0, after=16)), lines)[1]
        assert rested == [b"+OK ready\r\n" + self.MAIL[:16], Wait(2.0), self.MAIL[16:]]
        assert play(Pop3(at("RETR", truncate=16)), lines)[1] == [b"+OK ready\r\n" + self.MAIL[:16], End()]

    @pytest.mark.parametrize(
        ("command", "reply"),
        [
            (b"LIST\r\n", b"+OK\r\n1 9\r\n.\r\n"), (b"LIST 1\r\n", b"+OK 1 9\r\n"), (b"RETR 9\r\n", b"-ERR no such message\r\n"),
            (b"CAPA\r\n", b"+OK\r\nTOP\r\nSTLS\r\n.\r\n"), (b"UIDL\r\n", b"+OK\r\n1 x\r\n.\r\n"), (b"TOP 1 0\r\n", b"+OK\r\n.\r\n"),
        ],
    )  # fmt: skip
    def test_which_have_a_text(self, command, reply):
        lines = [*self.GREETED, ("c", command + b"NOOP\r\n"), ("s", reply + b"+OK\r\n")]
        assert play(Pop3(at("NOOP", truncate=2)), lines)[1] == [b"+OK ready\r\n" + reply + b"+O", End()]

    def test_an_answer_to_a_challenge_is_no_command(self):
        lines = [*self.GREETED, ("c", b"AUTH PLAIN\r\n"), ("s", b"+ \r\n"), ("c", b"RETR\r\n"), ("s", b"+OK\r\n")]
        lines += [("c", b"NOOP\r\n"), ("s", b"+OK 2\r\n")]
        server, client = play(Pop3(at("RETR", reply="-ERR no")), lines)
        assert server == b"AUTH PLAIN\r\nRETR\r\nNOOP\r\n"
        assert client == [b"+OK ready\r\n+ \r\n+OK\r\n+OK 2\r\n"]

    def test_after_stls_nothing_is_read(self):
        lines = [*self.GREETED, ("c", b"STLS\r\nRETR 1\r\n"), ("s", b"+OK begin\r\n"), ("s", b"\x16\x03")]
        talk = Pop3(at("RETR", reply="-ERR no"))
        assert play(talk, lines)[0] == b"STLS\r\nRETR 1\r\n"
        assert talk.opaque


class TestNntp:
    """RFC 3977."""

    GREETED: ClassVar = [("s", b"200 news ready\r\n")]
    ARTICLE = b"220 1 <x@lab.test> article\r\nSubject: x\r\n\r\n430 no\r\n.\r\n"

    def test_a_reply_of_ours_in_its_order(self):
        lines = [*self.GREETED, ("c", b"GROUP lab.test\r\nARTICLE 1\r\nDATE\r\n")]
        lines += [("s", b"211 2 1 2 lab.test\r\n111 20260101000000\r\n")]
        server, client = play(Nntp(at("ARTICLE", reply="430 No such article")), lines)
        assert server == b"GROUP lab.test\r\nDATE\r\n"
        assert client[0].endswith(b"lab.test\r\n430 No such article\r\n111 20260101000000\r\n")

    def test_a_text_belongs_to_its_reply(self):
        lines = [*self.GREETED, ("c", b"ARTICLE 1\r\nQUIT\r\n"), ("s", self.ARTICLE + b"205 bye\r\n")]
        assert play(Nntp(at("QUIT", truncate=3)), lines)[1] == [b"200 news ready\r\n" + self.ARTICLE + b"205", End()]

    @pytest.mark.parametrize(("asked", "text"), [(b"GROUP lab.test", b""), (b"LISTGROUP lab.test", b"1\r\n2\r\n.\r\n")])
    def test_211_has_a_text_only_where_a_list_was_asked_for(self, asked, text):
        reply = b"211 2 1 2 lab.test\r\n" + text
        lines = [*self.GREETED, ("c", asked + b"\r\nDATE\r\n"), ("s", reply + b"111 2026\r\n")]
        assert play(Nntp(at("DATE", truncate=3)), lines)[1] == [b"200 news ready\r\n" + reply + b"111", End()]

    def test_at_an_articles_end_the_server_is_left_before_the_dot(self):
        lines = [*self.GREETED, ("c", b"POST\r\n"), ("s", b"340 go\r\n"), ("c", TEXT + b"QUIT\r\n")]
        server, client = play(Nntp(at(".", reply="441 Posting failed")), lines)
        assert server == b"POST\r\n" + TEXT[:-3]
        assert client == [b"200 news ready\r\n340 go\r\n", Leave(), b"441 Posting failed\r\n205 goodbye\r\n", End()]

    def test_a_refused_article_is_not_sent(self):
        lines = [*self.GREETED, ("c", b"POST\r\n"), ("s", b"440 no\r\n"), ("c", b"QUIT\r\n"), ("s", b"205 bye\r\n")]
        assert play(Nntp(at("QUIT", reply="400 later")), lines)[0] == b"POST\r\n"

    def test_400_ends_the_connection(self):
        lines = [*self.GREETED, ("c", b"GROUP lab.test\r\nDATE\r\n")]
        server, client = play(Nntp(at("GROUP", reply="400 later")), lines)
        assert (server, client) == (b"", [b"200 news ready\r\n400 later\r\n", End()])

    @pytest.mark.parametrize(
        ("asked", "answer"),
        [(b"STARTTLS\r\n", b"382 go\r\n"), (b"COMPRESS DEFLATE\r\n", b"206 go\r\n"), (b"TAKETHIS <x>\r\n", b"")],
    )
    def test_from_there_on_nothing_is_read(self, asked, answer):
        talk = Nntp(at("DATE", reply="400 later"))
        server, client = play(talk, [*self.GREETED, ("c", asked + b"DATE\r\n"), ("s", answer + b"\0\r\n")])
        assert (server, client) == (asked + b"DATE\r\n", [b"200 news ready\r\n" + answer + b"\0\r\n"])
        assert talk.opaque


def scripts():
    """Conversations with a fault in each."""
    mail = [*SMTP, ("s", b"250 Ok\r\n250 Ok\r\n354 go\r\n"), ("c", TEXT + b"QUIT\r\n"), ("s", b"250 Ok\r\n221 x\r\n")]
    whole = [*SMTP, ("s", b"250 Ok\r\n250 Ok\r\n250 Ok\r\n354 go\r\n"), ("c", TEXT + b"QUIT\r\n")]
    web = [TestHttp.GET, ("s", TestHttp.PAGE), TestHttp.GET, ("s", TestHttp.PAGE)]
    imap = [
        ("s", b"* OK x\r\n"),
        ("c", b"a1 APPEND x {3+}\r\nabc\r\na2 LIST x y\r\n"),
        ("s", b"* x {4}\r\na1 O\r\na1 OK\r\na2 OK\r\n"),
    ]
    return [
        (lambda: Smtp(at("RCPT", 2, reply=BUSY)), mail),
        (lambda: Smtp(at("QUIT", truncate=3)), [*whole, ("s", b"250 Ok\r\n221 goodbye\r\n")]),
        (lambda: Smtp(at(".", reply=BUSY)), whole),
        (lambda: Smtp(at("EHLO", stall=1.0, after=12)), mail),
        (lambda: Ftp(at("RETR", reply="426 gone")), [*TestFtp.PASSIVE, ("s", b"226-done\r\n 226 x\r\n226 done\r\n")]),
        (lambda: Http(at("GET", 2, reply="503 x")), web),
        (lambda: Http(at("GET", 2, stall=2.0, after=3)), web),
        (lambda: Http(at("GET", 2, truncate=5)), web),
        (lambda: Imap(at("APPEND", reply="NO later")), [imap[0], imap[1], ("s", b"* x {4}\r\na1 O\r\na2 OK\r\n")]),
        (lambda: Imap(at("LIST", truncate=9)), imap),
        (lambda: Imap(at("LIST", reply="* BYE x")), imap),
        (
            lambda: Pop3(at("RETR", stall=1.0, after=20)),
            [*TestPop3.GREETED, ("c", b"RETR 1\r\nNOOP\r\n"), ("s", TestPop3.MAIL)],
        ),
        (
            lambda: Pop3(at("NOOP", reply="-ERR no")),
            [*TestPop3.GREETED, ("c", b"RETR 1\r\nNOOP\r\n"), ("s", TestPop3.MAIL)],
        ),
        (
            lambda: Nntp(at("DATE", reply="400 no")),
            [*TestNntp.GREETED, ("c", b"HEAD 1\r\nDATE\r\n"), ("s", TestNntp.ARTICLE)],
        ),
        (
            lambda: Nntp(at(".", reply="441 no")),
            [*TestNntp.GREETED, ("c", b"POST\r\n"), ("s", b"340 go\r\n"), ("c", TEXT)],
        ),
        (lambda: Conversation(at("", stall=1.0, after=3)), [("s", b"123456"), ("c", b"abc")]),
        (lambda: Conversation(at("", truncate=4)), [("s", b"123456"), ("c", b"abc")]),
    ]


class TestAnyCut:
    """TCP keeps octets and their order, nothing else."""

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.floats(0, 1, exclude_max=True), max_size=6))
    def test_what_comes_of_it_does_not_depend_on_the_cuts(self, cuts):
        for make, lines in scripts():
            whole = play(make(), lines)
            assert play(make(), split(lines, cuts)) == whole, lines

    def test_octet_by_octet(self):
        for make, lines in scripts():
            single = [(who, bytes([octet])) for who, octets in lines for octet in octets]
            assert play(make(), single) == play(make(), lines), lines

    @settings(max_examples=150, deadline=None)
    @given(
        st.lists(st.tuples(st.sampled_from("cs"), st.binary(max_size=60))),
        st.sampled_from([Smtp, Lmtp, Ftp, Http, Imap, Pop3, Nntp, Conversation]),
    )
    def test_whatever_comes_without_a_fault_it_is_passed_on_as_it_is(self, lines, protocol):
        talk = protocol(lambda _verb: None)
        server, client = play(talk, lines)
        assert server == b"".join(octets for who, octets in lines if who == "c")
        assert b"".join(client) == b"".join(octets for who, octets in lines if who == "s")


class TestDecisions:
    """Whoever knows the seed can tell which replies are hit."""

    KEY = "smtp|client|smtp-relay"

    def flow(self, rules, client="client", port=25):
        return Flow(rules, client, "smtp-relay", port)

    @pytest.mark.parametrize("seed", range(20))
    def test_exactly_the_predicted_replies(self, seed):
        facts = {
            "ident": "x",
            "from": "client",
            "ports": {"25": "smtp"},
            "at": "RCPT",
            "reply": BUSY,
            "probability": 0.3,
            "seed": seed,
        }
        rule = Rule.of_facts(facts)
        hit = [self.flow([rule]).act("RCPT") is not None for _ in range(200)]  # a connection each
        assert hit == predict(0.3, seed, self.KEY, 200)
        assert 30 <= sum(hit) <= 90  # 60 ± 4.6 sigma

    def test_what_others_do_shifts_nothing(self):
        rule = Rule("x", ports={25: "smtp"}, at="RCPT", reply=BUSY, probability=0.5, seed=3)
        hit = []
        for _ in range(50):
            self.flow([rule], "desktop").act("RCPT")
            self.flow([rule]).act("MAIL")
            hit.append(self.flow([rule]).act("RCPT") is not None)
        assert hit == predict(0.5, 3, self.KEY, 50)

    def test_the_first_and_the_third(self):
        rule = Rule("x", at="RCPT", nth=((1, 1), (3, 3)), reply=BUSY)
        assert [bool(self.flow([rule]).act("RCPT")) for _ in range(4)] == [True, False, True, False]

    def test_another_client_or_port_is_not_meant(self):
        rule = Rule("x", source="client", ports={25: "smtp"}, reply=BUSY)
        assert not self.flow([rule], "desktop").rules
        assert not self.flow([rule], port=80).rules

    def test_a_late_greeting_and_a_reply_at_a_verb_are_apart(self):
        flow = self.flow([Rule("x", greeting_ns=10**9, reply=BUSY)])
        assert flow.act("GREETING") == Act(wait=1.0, counts=flow.rules[0].counts)
        assert flow.act("MAIL").reply == BUSY.encode()

    def test_a_rule_that_is_the_same_goes_on(self):
        before = [Rule("x", reply=BUSY), Rule("y", reply=BUSY)]
        after = carried_over(before, [Rule("x", reply=BUSY), Rule("y", reply="550 no")])
        assert [rule in before and any(rule is one for one in before) for rule in after] == [True, False]


class TestDiverting:
    """Which connections are given to the proxy."""

    HOSTS: ClassVar = {"client": ["10.0.0.2", "fd00::2"]}

    def test_those_of_one_client_to_one_port(self):
        text = program([{"from": "client", "ports": {"25": "smtp"}}], self.HOSTS, 4000)
        assert "ip saddr { 10.0.0.2 } tcp dport { 25 } tproxy ip to 127.0.0.1:4000 accept" in text
        assert "ip6 saddr { fd00::2 } tcp dport { 25 } tproxy ip6 to [::1]:4000 accept" in text
        assert text.index('iifname "lo" accept') < text.index("tproxy")

    def test_everybodys_to_all_ports(self):
        assert "meta nfproto ipv4 meta l4proto tcp tproxy ip to" in program(
            [{"from": "", "ports": {}}], self.HOSTS, 4000
        )

    def test_data_connections_of_ftp(self):
        assert "tcp dport { 21, 1024-65535 }" in program([{"from": "client", "ports": {"21": "ftp"}}], self.HOSTS, 4000)

    def test_a_client_that_is_not_there_has_no_connections(self):
        assert "tproxy" not in program([{"from": "desktop", "ports": {"25": "smtp"}}], self.HOSTS, 4000)
