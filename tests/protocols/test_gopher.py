"""Gopher without a socket: items, URLs, requests, and the three kinds of answers."""

import pytest

from services.gopher.protocol import (
    MAX_ITEMS,
    MAX_LINE,
    Binary,
    Item,
    Menu,
    Text,
    Url,
    error_of,
    read_item,
    read_url,
    request_line,
)
from services.gopher.search import answer, plain
from services.wire.errors import LocalProtocolError, RemoteProtocolError

MENU = b"iWelcome\t\tnull.host\t1\r\n0About\t/a.txt\tgopher-server\t70\r\n1Sub\t/sub\tother\t7070\r\n.\r\n"
ITEMS = [
    Item("i", "Welcome", "", "null.host", 1),
    Item("0", "About", "/a.txt", "gopher-server", 70),
    Item("1", "Sub", "/sub", "other", 7070),
]


def fed(core, *pieces):
    core.data_to_send()
    for piece in pieces:
        core.receive_data(piece)
    core.receive_eof()
    return core


class TestRequest:
    """RFC 1436 section 2: a selector and CRLF; a search has TAB and words between."""

    @pytest.mark.parametrize(
        ("selector", "words", "wire"),
        [
            ("", None, b"\r\n"),
            ("/a b", None, b"/a b\r\n"),
            ("/s", "x y", b"/s\tx y\r\n"),
            ("/s", "", b"/s\t\r\n"),
            ("/ü", None, b"/\xc3\xbc\r\n"),
        ],
    )
    def test_what_is_sent(self, selector, words, wire):
        assert request_line(selector, words) == wire
        request = Menu(selector, words)
        assert request.data_to_send() == wire
        assert request.data_to_send() == b""

    @pytest.mark.parametrize("char", "\t\r\n\0")
    def test_what_would_end_the_line_is_refused(self, char):
        with pytest.raises(LocalProtocolError):
            request_line(f"/a{char}b")
        with pytest.raises(LocalProtocolError):
            Menu("/s", f"x{char}y")


class TestItem:
    """RFC 1436 section 3.8 and its grammar in the appendix."""

    def test_a_line_and_back(self):
        item = Item("0", "Über", "/ü", "gopher-server", 70)
        assert item.line() == "0Über\t/ü\tgopher-server\t70\r\n".encode()
        assert read_item(item.line()[:-2]) == item

    @pytest.mark.parametrize("field", range(4))
    def test_a_field_that_would_end_itself_is_refused(self, field):
        parts = ["0", "t", "/s", "h"]
        parts[field] += "\t"
        with pytest.raises(LocalProtocolError):
            Item(*parts, 70).line()

    def test_gopher_plus_fields_are_passed_over(self):
        assert read_item(b"0A\t/a\th\t70\t+") == Item("0", "A", "/a", "h", 70)

    @pytest.mark.parametrize("line", [b"ionly words", b"i", b"3oops\t\terror.host", b"ix\t\t\tNaN"])
    def test_lines_that_are_only_read_need_no_place(self, line):
        assert read_item(line).port == 0

    @pytest.mark.parametrize(
        "line",
        [b"", b"0A", b"0A\t/a\th", b"0A\t/a\t\t70", b"0A\t/a\th\t-1", b"0A\t/a\th\t65536", b"0A\t/a\th\t7\xd9\xa0"],
    )
    def test_an_item_without_a_place_is_the_servers_fault(self, line):
        with pytest.raises(RemoteProtocolError):
            read_item(line)


class TestMenu:
    @pytest.mark.parametrize("cut", range(len(MENU) + 1))
    def test_items_do_not_depend_on_where_tcp_cuts_the_stream(self, cut):
        menu = fed(Menu(""), MENU[:cut], MENU[cut:])
        assert (menu.items, menu.ended, menu.closing, menu.octets) == (ITEMS, True, True, len(MENU))

    def test_bare_lf_no_dot_and_a_last_line_without_end_are_taken(self):
        menu = fed(Menu(""), MENU.replace(b"\r\n", b"\n").removesuffix(b"\n.\n"))
        assert (menu.items, menu.ended) == (ITEMS, False)

    def test_what_follows_the_dot_is_nothing(self):
        assert fed(Menu(""), MENU + b"junk without tabs\r\n").items == ITEMS

    def test_gophernicus_tells_an_error_in_a_lone_line(self):
        assert fed(Menu("/x"), b"Error: File or directory not found!\r\n").items == [
            Item("3", "Error: File or directory not found!", "", "", 0)
        ]

    def test_a_line_without_end_is_cut_off(self):
        menu = Menu("")
        with pytest.raises(RemoteProtocolError, match="longer than"):
            menu.receive_data(b"i" + b"x" * (MAX_LINE + 1))

    def test_a_menu_without_end_is_cut_off(self):
        menu = Menu("")
        menu.receive_data(b"ix\t\t\t\r\n" * MAX_ITEMS)
        with pytest.raises(RemoteProtocolError, match="items"):
            menu.receive_data(b"ix\t\t\t\r\n")

    def test_no_item_at_the_end_is_the_servers_fault(self):
        menu = Menu("")
        menu.receive_data(b"0A")
        with pytest.raises(RemoteProtocolError):
            menu.receive_eof()


class TestText:
    """RFC 1436 section 2: dots are doubled, a lone one ends; servers without either are read as they are."""

    @pytest.mark.parametrize(
        ("wire", "text", "ended"),
        [
            (b"one\r\n..two\r\n.\r\n", "one\n.two\n", True),
            (b"one\r\n...\r\n.", "one\n..\n", True),
            (b".\r\n", "", True),
            (b"one\r\n..two\r\n", "one\n..two\n", False),
            (b"one\n.two", "one\n.two", False),
            (b"", "", False),
            (b"a\r\n.\r\nb\r\n", "a\n.\nb\n", False),
            (b"bad \xff\r\n", "bad \ufffd\n", False),
        ],
    )
    def test_as_it_was_meant(self, wire, text, ended):
        for cut in range(len(wire) + 1):
            core = fed(Text("/t"), wire[:cut], wire[cut:])
            assert (core.text(), core.ended) == (text, ended)

    def test_a_text_without_end_is_cut_off(self):
        core = Text("/t", limit=10)
        core.receive_data(b"0123456789")
        with pytest.raises(RemoteProtocolError, match="more than 10"):
            core.receive_data(b"x")


class TestBinary:
    def test_octets_come_as_they_are_and_are_not_kept(self):
        core = Binary("/b")
        core.receive_data(b".\r\n\x00")
        core.receive_data(b"\xff")
        assert (core.take(), core.take(), core.octets) == (b".\r\n\x00\xff", b"", 5)


class TestErrors:
    @pytest.mark.parametrize(
        ("data", "told"),
        [
            (b"3no such thing\t\terror.host\t1\r\n.\r\n", "no such thing"),
            (b"3no such thing\t\terror.host\t1\r\n", "no such thing"),
            (b"Error: Access denied!\r\n", "Error: Access denied!"),
            (b"Error: one\r\nmore\r\n", None),
            (b"3 apples\r\n", None),
            (b"3a\t\th\t1\r\n0b\t\th\t1\r\n.\r\n", None),
            (b"Error: " + b"x" * 600, None),
            (b"", None),
        ],
    )
    def test_what_is_an_error_and_what_a_document(self, data, told):
        assert error_of(data) == told


class TestUrl:
    """RFC 4266 section 2."""

    @pytest.mark.parametrize(
        ("text", "url"),
        [
            ("gopher://h", Url("h", 70, "1", "", None)),
            ("gopher://h/", Url("h", 70, "1", "", None)),
            ("GOPHER://h:7070/0/a%20b", Url("h", 7070, "0", "/a b", None)),
            ("gopher://[fd00::1]/9/b", Url("fd00::1", 70, "9", "/b", None)),
            ("gopher://h/7/s%09two%20words", Url("h", 70, "7", "/s", "two words")),
            ("gopher://h/7/s%09", Url("h", 70, "7", "/s", "")),
            ("gopher://h/7/s%09w%09+", Url("h", 70, "7", "/s", "w")),
            ("gopher://h/0/gr%C3%BC%C3%9Fe", Url("h", 70, "0", "/grüße", None)),
        ],
    )
    def test_read(self, text, url):
        assert read_url(text) == url

    @pytest.mark.parametrize(
        "url",
        [
            Url("h", 70, "1", "", None),
            Url("fd00::1", 7070, "7", "/ä b", "x\u00fc y"),
            Url("h", 70, "9", "/a%2f#?", None),
            Url("h", 70, "+", "/m", None),
        ],
    )
    def test_written_and_read_again(self, url):
        assert read_url(str(url)) == url

    @pytest.mark.parametrize(
        "text",
        [
            "http://h/",
            "gopher:h",
            "gopher://",
            "gopher://h:0x50/",
            "gopher://h:99999/",
            "gopher://u@h/",
            "gopher://h/0/%0D%0AQUIT",
            "gopher://h/0/%00",
            "gopher://h/0/%ff",
        ],
    )
    def test_refused(self, text):
        with pytest.raises(LocalProtocolError):
            read_url(text)


class TestSearch:
    """The search item's program, without gophernicus."""

    @pytest.fixture
    def root(self, tmp_path):
        (tmp_path / "texts").mkdir()
        (tmp_path / "texts" / "one.txt").write_text("First\nGrüße aus dem Bau\n")
        (tmp_path / "texts" / "two-words.txt").write_text("the burrow\nand GRÜSSE\n")
        (tmp_path / "three.bin").write_text("burrow")
        return tmp_path

    @pytest.mark.parametrize(
        ("asked", "names"),
        [
            ("burrow", ["two-words.txt"]),
            ("grüsse", ["one.txt", "two-words.txt"]),
            ("bau grüße", ["one.txt"]),
            ("none", []),
            ("", []),
        ],
    )
    def test_all_words_in_whatever_case(self, root, asked, names):
        menu = fed(Menu(""), b"".join(answer(root, asked, "gopher-server", 70)))
        assert menu.ended
        assert [item.selector.rpartition("/")[2] for item in menu.items if item.type == "0"] == names

    def test_what_was_asked_cannot_forge_an_item(self, root):
        menu = fed(Menu(""), b"".join(answer(root, "x\t/evil\th\t70\r\n0evil\t/e\th\t70", "gopher-server", 70)))
        assert {item.type for item in menu.items} == {"i"}
        assert plain("a\tb\r\n\x1b") == "a b   "
