"""The file protocol's two ends, without a socket: each against octets, and against the other."""

import hashlib
import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.file import grammar
from services.file.grammar import (
    CODES,
    MAX_ERRORS,
    MAX_LINE,
    MAX_SKIP,
    Delete,
    Entry,
    Get,
    Hash,
    List,
    Put,
    RefusalError,
    Stat,
)  # fmt: skip
from services.file.protocol import (
    BodyBroken,
    BodyEnded,
    BodyReceived,
    ClientConnection,
    Refused,
    Replied,
    ServerConnection,
)  # fmt: skip
from services.wire.errors import LocalProtocolError, RemoteProtocolError

HELLO = hashlib.sha256(b"hello").hexdigest()


def server_with(octets):
    core = ServerConnection()
    core.receive_data(octets)
    return core, list(core.events())


def told(core):
    return core.data_to_send().decode()


class TestNames:
    """Percent-encoded UTF-8 (RFC 3986 section 2.1), and only ever one file of the one folder."""

    @given(st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/"), min_size=1, max_size=60))
    def test_a_name_survives_the_wire(self, name):
        if name in (".", ".."):
            return
        octets = grammar.encode_name(name)
        assert not set(octets) & set(b" \r\n\0/")
        assert grammar.decode_name(octets) == name

    @pytest.mark.parametrize(
        "octets", [b"..", b".", b"../x", b"/etc/passwd", b"%2e%2e", b"%2E%2E%2Fx", b"a%2Fb", b"a/b", b"a%00b", b"%0A", b"a%0d%0a", b"%7F",
                   b"a" * 256, b"%C3%BC" * 128],
    )  # fmt: skip
    def test_a_name_that_could_mean_another_place_is_refused(self, octets):
        with pytest.raises(RefusalError, match="403"):
            grammar.decode_name(octets)

    @pytest.mark.parametrize(
        "octets", [b"%", b"%2", b"%zz", b"%C3", b"%FF", b"%C0%AE%C0%AE", "ü".encode(), b"%ED%A0%80", b"a\tb"]
    )
    def test_what_is_no_percent_encoded_utf8_is_refused(self, octets):
        with pytest.raises(RefusalError, match="400"):
            grammar.decode_name(octets)

    def test_the_longest_name_is_counted_in_octets_not_in_characters(self):
        assert grammar.decode_name(b"%C3%BC" * 127) == "ü" * 127
        assert len(grammar.decode_name(b"a" * 255)) == 255


REQUESTS = [
    (b"LIST", List()),
    (b"list", List()),
    (b"STAT a%20b", Stat("a b")),
    (b"GET x", Get("x")),
    (b"GET x 5", Get("x", 5)),
    (b"GET x 5 7", Get("x", 5, 7)),
    (b"GET x 0 0", Get("x", 0, 0)),
    (b"HASH x", Hash("x")),
    (b"DELETE x", Delete("x")),
    (b"PUT x 5 " + HELLO.encode(), Put("x", 5, HELLO)),
    (b"PUT x 5 " + HELLO.upper().encode(), Put("x", 5, HELLO)),
    (b"PUT x 5 " + HELLO.encode() + b" 2", Put("x", 5, HELLO, 2, fresh=False)),
    (b"PUT x 5 " + HELLO.encode() + b" ?", Put("x", 5, HELLO, None, fresh=False)),
]


class TestRequests:
    @pytest.mark.parametrize(("line", "request_"), REQUESTS)
    def test_each_is_read(self, line, request_):
        assert grammar.parse_request(line) == request_

    @pytest.mark.parametrize("request_", {repr(request): request for _, request in REQUESTS}.values(), ids=repr)
    def test_what_is_written_is_what_is_read(self, request_):
        assert grammar.parse_request(grammar.format_request(request_).removesuffix(b"\r\n")) == request_

    @pytest.mark.parametrize(
        ("line", "code"),
        [(b"", 400), (b"FOO", 400), (b"LIST x", 400), (b"GET", 400), (b"GET  x", 400), (b"GET x -1", 400), (b"GET x 1e3", 400),
         (b"GET x 1 2 3", 400), (b"GET x 99999999999999999999", 400), (b"STAT", 400), (b"STAT a b", 400), (b"STAT ..", 403),
         (b"PUT x 5", 400), (b"PUT x 5 abc", 400), (b"PUT x -5 " + HELLO.encode(), 400), (b"PUT x %d " % 2**70 + HELLO.encode(), 400),
         (b"PUT x 5 " + HELLO.encode() + b" 6", 416), (b"PUT .. 5 " + HELLO.encode(), 403), (b"GET x \xd9\xa3", 400)],
    )  # fmt: skip
    def test_a_wrong_one_is_refused_with_its_code(self, line, code):
        with pytest.raises(RefusalError) as refused:
            grammar.parse_request(line)
        assert refused.value.code == code

    def test_every_code_is_explained(self):
        assert all(CODES[code] in grammar.error_line(code).decode() for code in CODES)

    def test_the_readme_tells_every_request_and_every_code(self):
        readme = (Path(__file__).parents[2] / "services" / "file" / "README.md").read_text()
        assert dict(re.findall(r"^\| (\d{3}) \| (.+) \|$", readme, re.M)) == {
            str(code): text for code, text in CODES.items()
        }
        for request in grammar.REQUESTS:
            assert f"| `{request.usage.removesuffix(' | ?]')}" in readme

    def test_an_error_stays_one_line_whatever_it_quotes(self):
        line = grammar.error_line(500, "a\r\nOK 5\x00" + "ü" * 2000)
        assert line.count(b"\r\n") == 1
        assert line.endswith(b"\r\n")
        assert len(line) <= MAX_LINE


class TestServersEnd:
    def test_a_request_is_answered(self):
        core, events = server_with(b"STAT x\r\n")
        assert events == [Stat("x")]
        core.reply(5, 1700000000)
        assert told(core) == "OK 5 1700000000\r\n"

    def test_requests_are_answered_in_their_order(self):
        core, events = server_with(b"STAT a\nSTAT b\r\n")
        assert events == [Stat("a")]
        core.reply(1, 1)
        assert list(core.events()) == [Stat("b")]
        core.refuse(404)
        assert told(core) == "OK 1 1\r\nERR 404 there is no such file\r\n"

    def test_a_request_may_be_answered_while_events_are_read(self):
        core = ServerConnection()
        core.receive_data(b"HASH a\r\n" * 3)
        for event in core.events():
            assert event == Hash("a")
            core.reply(HELLO)
        assert told(core) == f"OK {HELLO}\r\n" * 3

    @pytest.mark.parametrize("cut", range(1, 92))
    def test_events_do_not_depend_on_where_tcp_cuts_the_stream(self, cut):
        wire = b"PUT x 5 " + HELLO.encode() + b"\r\nhelloSTAT x\r\n"
        core, body, events = ServerConnection(), b"", []
        for part in (wire[:cut], wire[cut:]):
            core.receive_data(part)
            for event in core.events():
                if isinstance(event, BodyReceived):
                    body += event.data
                    continue
                events.append(event)
                if isinstance(event, BodyEnded):
                    core.reply(HELLO)
        assert (events, body) == ([Put("x", 5, HELLO), BodyEnded(), Stat("x")], b"hello")

    def test_a_body_goes_out_beside_the_core(self):
        core, _ = server_with(b"GET x\r\nSTAT x\r\n")
        core.reply_with_body(10, 20)
        assert told(core) == "OK 10 20\r\n"
        assert not core.reads
        assert list(core.events()) == []
        core.body_sent(7)
        core.body_sent(3)
        assert list(core.events()) == [Stat("x")]

    def test_a_small_body_goes_out_with_its_reply(self):
        core, _ = server_with(b"GET x 0 5\r\n")
        core.reply_with_octets(b"hello", 20)
        assert core.waiting == 5
        assert told(core) == "OK 5 20\r\nhello"
        assert core.waiting == 0

    def test_an_empty_body_ends_at_once(self):
        core, events = server_with(b"PUT x 0 " + HELLO.encode() + b"\r\nLIST\r\n")
        assert events == [Put("x", 0, HELLO), BodyEnded()]
        core.reply(HELLO)
        assert list(core.events()) == [List()]
        core.reply_with_body(0)
        assert list(core.events()) == []

    def test_asking_how_much_is_held_brings_no_body(self):
        core, events = server_with(b"PUT x 5 " + HELLO.encode() + b" ?\r\nLIST\r\n")
        assert events == [Put("x", 5, HELLO, None, fresh=False)]
        core.reply(3)
        assert list(core.events()) == [List()]

    def test_the_body_of_a_refused_put_is_not_read_as_requests(self):
        core, events = server_with(b"PUT .. 14 " + HELLO.encode() + b"\r\nDELETE secret\nLIST\r\n")
        assert told(core).startswith("ERR 403 ")
        assert events == [List()]

    def test_a_put_can_be_refused_in_the_midst_of_its_body(self):
        core, events = server_with(b"PUT x 9 " + HELLO.encode() + b"\r\nhell")
        assert events == [Put("x", 9, HELLO), BodyReceived(b"hell")]
        core.refuse(507)
        core.receive_data(b"LIST\nLIST\n")
        assert list(core.events()) == [List()]
        assert told(core).startswith("ERR 507 ")

    def test_a_refused_put_that_is_too_long_to_skip_ends_the_connection(self):
        core, _ = server_with(b"PUT x %d %s\r\n" % (MAX_SKIP + 1, HELLO.encode()))
        with pytest.raises(RemoteProtocolError) as error:
            core.refuse(413)
        assert error.value.reply.startswith(b"ERR 413 ")
        assert core.closing

    @pytest.mark.parametrize(
        "line", [b"PUT x -5 " + HELLO.encode(), b"PUT x %d %s" % (2**70, HELLO.encode()), b"PUT", b"PUT x 5 abc x"]
    )
    def test_a_put_whose_end_cannot_be_told_ends_the_connection(self, line):
        core = ServerConnection()
        core.receive_data(line + b"\r\nLIST\r\n")
        with pytest.raises(RemoteProtocolError) as error:
            list(core.events())
        assert error.value.reply.startswith(b"ERR 400 ")

    @pytest.mark.parametrize("line", [b"x" * MAX_LINE, b"GET " + b"x" * 4096 + b"\r\n", b"\0" * 5000])
    def test_a_line_that_is_too_long_ends_the_connection_and_holds_no_memory(self, line):
        core = ServerConnection()
        core.receive_data(line)
        with pytest.raises(RemoteProtocolError) as error:
            list(core.events())
        assert error.value.reply == grammar.error_line(414)
        assert not len(core._inbox)

    def test_the_longest_line_is_taken(self):
        _core, events = server_with(b"GET " + b"%41" * 255 + b"\r\n")
        assert events == [Get("A" * 255)]

    def test_too_many_wrong_lines_in_a_row_end_the_connection(self):
        core = ServerConnection()
        core.receive_data(b"what\r\n" * (MAX_ERRORS - 1))
        assert list(core.events()) == []
        assert told(core).count("ERR 400") == MAX_ERRORS - 1
        core.receive_data(b"what\r\n")
        with pytest.raises(RemoteProtocolError, match="in a row"):
            list(core.events())

    def test_a_right_request_between_them_starts_the_count_anew(self):
        core = ServerConnection()
        for _ in range(3):
            core.receive_data(b"what\r\n" * (MAX_ERRORS - 1) + b"STAT x\r\n")
            for _ in core.events():
                core.reply(1, 1)

    def test_quit_is_answered_and_what_follows_it_is_not(self):
        core, events = server_with(b"QUIT\r\nLIST\r\n")
        assert (told(core), events, core.closing) == ("OK goodbye\r\n", [], True)

    def test_fin_behind_a_request_waits_for_the_answer(self):
        core, _events = server_with(b"STAT x\r\n")
        core.receive_eof()
        assert (list(core.events()), core.closing) == ([], False)
        core.reply(1, 1)
        assert (list(core.events()), core.closing) == ([], True)

    def test_a_line_that_fin_cuts_off_was_never_said(self):
        core, _ = server_with(b"DELETE x")
        core.receive_eof()
        assert (list(core.events()), core.closing) == ([], True)

    def test_fin_in_a_body_is_told_with_what_is_missing(self):
        core, _ = server_with(b"PUT x 5 " + HELLO.encode() + b"\r\nhe")
        core.receive_eof()
        assert list(core.events()) == [BodyBroken(3)]
        assert core.closing

    @pytest.mark.parametrize("verb", [lambda core: core.reply(), lambda core: core.refuse(404), lambda core: core.body_sent(1),
                                      lambda core: core.reply_with_body(5)])  # fmt: skip
    def test_an_answer_to_nothing_is_our_own_error(self, verb):
        with pytest.raises(LocalProtocolError):
            verb(ServerConnection())

    def test_more_octets_than_promised_are_our_own_error(self):
        core, _ = server_with(b"GET x\r\n")
        core.reply_with_body(5)
        with pytest.raises(LocalProtocolError):
            core.body_sent(6)


class TestBodyTakenFromTheSocket:
    """Who owns the socket may take a PUT's body from it, past the core, which then only counts."""

    def test_after_its_last_octet_the_put_is_to_be_answered(self):
        core, events = server_with(b"PUT x 5 " + HELLO.encode() + b"\r\nhe")
        assert events == [Put("x", 5, HELLO), BodyReceived(b"he")]
        assert core.missing == 3
        core.body_received(1)
        assert core.missing == 2
        core.body_received(2)
        assert core.missing == 0
        assert not core.reads
        core.reply(HELLO)
        core.receive_data(b"STAT x\r\n")
        assert list(core.events()) == [Stat("x")]

    def test_a_refusal_in_its_midst_skips_only_the_rest(self):
        core, _ = server_with(b"PUT x 5 " + HELLO.encode() + b"\r\n")
        core.body_received(3)
        core.refuse(507)
        core.receive_data(b"loSTAT x\r\n")
        assert list(core.events()) == [Stat("x")]

    def test_a_client_that_leaves_breaks_off_what_is_missing(self):
        core, _ = server_with(b"PUT x 5 " + HELLO.encode() + b"\r\n")
        core.body_received(4)
        core.receive_eof()
        assert list(core.events()) == [BodyBroken(1)]

    @pytest.mark.parametrize("octets", [b"", b"GET x\r\n", b"PUT x 5 " + HELLO.encode() + b"\r\n"])
    def test_more_octets_than_are_missing_are_our_own_error(self, octets):
        core, _ = server_with(octets)
        with pytest.raises(LocalProtocolError):
            core.body_received(core.missing + 1)

    def test_octets_that_wait_in_the_core_come_first(self):
        core = ServerConnection()
        core.receive_data(b"PUT x 5 " + HELLO.encode() + b"\r\nhe")
        assert next(core.events()) == Put("x", 5, HELLO)
        with pytest.raises(LocalProtocolError):
            core.body_received(3)


class TestClientsEnd:
    def ask(self, request, reply):
        core = ClientConnection()
        core.request(request)
        core.data_to_send()
        core.receive_data(reply)
        return list(core.events())

    def test_a_body_comes_in_pieces(self):
        events = self.ask(Get("x"), b"OK 5 9\r\nhel")
        assert events == [Replied(Get("x"), ("5", "9")), BodyReceived(b"hel")]

    def test_a_refusal(self):
        assert self.ask(Get("x"), b"ERR 404 no\r\n") == [Refused(Get("x"), 404, "no")]

    @pytest.mark.parametrize(
        ("request_", "reply"),
        [(Get("x"), b"OK\r\n"), (Get("x"), b"OK -1 5\r\n"), (Hash("x"), b"OK abc\r\n"), (Stat("x"), b"HTTP/1.1 200 OK\r\n"),
         (Delete("x"), b"OK 5\r\n"), (List(), b"OK 99999999999999999999\r\n"), (List(), b"x" * MAX_LINE), (Stat("x"), b"ERR x\r\n")],
    )  # fmt: skip
    def test_what_is_no_reply_is_the_servers_error(self, request_, reply):
        with pytest.raises(RemoteProtocolError):
            self.ask(request_, reply)

    def test_a_reply_to_nothing_is_the_servers_error(self):
        core = ClientConnection()
        core.receive_data(b"OK\r\n")
        with pytest.raises(RemoteProtocolError, match="to nothing"):
            list(core.events())

    def test_what_a_server_says_before_it_closes_is_told(self):
        core = ClientConnection()
        core.receive_data(grammar.error_line(408))
        with pytest.raises(RemoteProtocolError, match="silent for too long"):
            list(core.events())

    @pytest.mark.parametrize(
        ("reply", "words"), [(b"", "before it answered"), (b"OK 5 5\r\nhe", "3 octets of the body are missing")]
    )
    def test_fin_too_early_is_the_servers_error(self, reply, words):
        core = ClientConnection()
        core.request(Get("x"))
        core.receive_data(reply)
        core.receive_eof()
        with pytest.raises(RemoteProtocolError, match=words):
            list(core.events())

    def test_nothing_can_be_asked_within_a_body(self):
        core = ClientConnection()
        core.request(Put("x", 5, HELLO))
        with pytest.raises(LocalProtocolError):
            core.request(List())
        core.body_sent(5)
        with pytest.raises(LocalProtocolError):
            core.body_sent(1)
        core.request(List())

    @pytest.mark.parametrize("body", [b"a 1\r\n", b"a x 1\r\n", b".. 1 1\r\n", b"a 1 1", b"\r\n", b"a%2Fb 1 1\r\n"])
    def test_a_listing_that_is_wrong_is_the_servers_error(self, body):
        with pytest.raises(RemoteProtocolError):
            grammar.parse_listing(body)

    def test_a_listing(self):
        entries = [Entry("a b", 1, 2), Entry("ü", 3, 4)]
        assert grammar.parse_listing(b"".join(map(grammar.format_entry, entries))) == entries
        assert grammar.parse_listing(b"") == []


class TestBothEnds:
    """Joined in memory, the stream cut at random places; the server answers from a dictionary."""

    @pytest.mark.parametrize("seed", range(30))
    def test_every_request_gets_its_answer(self, seed):
        rng = random.Random(seed)
        files = {f"file {n}": rng.randbytes(rng.randrange(200)) for n in range(5)}
        client, server = ClientConnection(), ServerConnection()
        asked, answers, up = [], [], bytearray()
        for _ in range(20):
            name = f"file {rng.randrange(7)}"
            request = rng.choice([Get(name), Stat(name), Hash(name), List(), Delete(name), Put(name, 3, HELLO)])
            client.request(request)
            asked.append(request)
            up += client.data_to_send()
            if isinstance(request, Put):
                up += b"abc"
                client.body_sent(3)
        while up:
            cut = rng.randrange(1, 40)
            server.receive_data(bytes(up[:cut]))
            del up[:cut]
            for event in server.events():
                self.serve(server, event, files)
            down = server.data_to_send()
            while down:
                piece, down = down[:7], down[7:]
                client.receive_data(piece)
                answers += client.events()
        heads = [answer for answer in answers if isinstance(answer, Replied | Refused)]
        assert [head.request for head in heads] == asked
        assert not client.awaited

    def serve(self, server, event, files):
        name = getattr(event, "name", None)
        if isinstance(event, BodyEnded):
            server.reply(HELLO)
        elif isinstance(event, Put | BodyReceived):
            return
        elif isinstance(event, List):
            server.reply_with_octets(b"".join(grammar.format_entry(Entry(n, len(o), 0)) for n, o in files.items()))
        elif name not in files:
            server.refuse(404)
        elif isinstance(event, Get):
            server.reply_with_octets(files[name], len(files[name]))
        elif isinstance(event, Stat):
            server.reply(len(files[name]), 0)
        elif isinstance(event, Hash):
            server.reply(HELLO)
        else:
            del files[name]
            server.reply()


class TestHostile:
    """Random and mutated octets: no end of a connection raises anything but the protocol's own errors, or keeps what it was sent."""

    SEEDS = [grammar.format_request(request) for _, request in REQUESTS] + [b"PUT x 5 " + HELLO.encode() + b"\r\nhello", b"OK 5 5\r\nhello",
             b"OK\r\n", b"ERR 404 no\r\n", b"OK " + HELLO.encode() + b"\r\n"]  # fmt: skip

    def octets(self, rng):
        parts = [
            rng.choice(self.SEEDS) if rng.random() < 0.8 else rng.randbytes(rng.randrange(60))
            for _ in range(rng.randrange(1, 5))
        ]
        octets = bytearray(b"".join(parts))
        for _ in range(rng.randrange(6)):
            at = rng.randrange(len(octets) + 1)
            match rng.randrange(3):
                case 0 if octets:
                    octets[at % len(octets)] = rng.randrange(256)
                case 1:
                    octets[at:at] = rng.choice([b"\r", b"\n", b" ", b"%", b"\0", b"-", b"9" * 20, b"?"])
                case _:
                    del octets[at : at + rng.randrange(8)]
        return bytes(octets)

    @pytest.mark.parametrize("seed", range(10))
    def test_both_ends_survive_10000_inputs_each_seed(self, seed):
        rng = random.Random(seed)
        for _ in range(10_000):
            octets = self.octets(rng)
            (self.into_server if rng.random() < 0.7 else self.into_client)(octets, rng)

    def into_server(self, octets, rng):
        core, cut = ServerConnection(), rng.randrange(len(octets) + 1)
        try:
            for part in (octets[:cut], octets[cut:]):
                core.receive_data(part)
                for event in core.events():
                    if isinstance(event, BodyReceived | BodyBroken) or (
                        isinstance(event, Put) and event.offset is not None
                    ):
                        continue
                    core.reply(1) if rng.random() < 0.5 else core.refuse(404)
            core.receive_eof()
            list(core.events())
        except RemoteProtocolError as error:
            assert error.reply.startswith(b"ERR ")
        assert len(core._inbox) <= len(octets)
        assert all(line.startswith((b"OK", b"ERR ")) for line in core.data_to_send().split(b"\r\n")[:-1])

    def into_client(self, octets, rng):
        core = ClientConnection()
        for request in rng.sample([List(), Get("x"), Stat("x"), Hash("x"), Delete("x")], 3):
            core.request(request)
        core.receive_data(octets)
        try:
            list(core.events())
            core.receive_eof()
            list(core.events())
        except RemoteProtocolError:
            pass
