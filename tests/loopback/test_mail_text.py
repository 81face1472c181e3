"""What is shown of a message that anybody may have written."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.client.mail_text import header, read_message, readable, summary

HEAD = b"From: a@x\r\nSubject: s\r\n"
PARTS = b"""\r\n|\r\n |: |=?utf-8?b?|?=|=?x?q?=41?=|Subject|From|Date|To: <|>|"|@|(|\\|\x1b[2J|\xff\xfe|\0|2026|;|=|[|]|<@|a@[|,,|--b|--b--
Content-Type: multipart/mixed; boundary=b|Content-Type: text/plain; charset=nonsense|Content-Type: text/html|Content-Type: message/rfc822
Content-Transfer-Encoding: base64|Content-Disposition: attachment; filename*=utf-8''%ff|Content-Type: a/b; x*0*=z'y'%"""
NASTY = st.sampled_from([part for line in PARTS.split(b"\n") for part in line.split(b"|")] + [b"\r\n", b"\r\n\r\n"])


@settings(max_examples=600, deadline=None)
@given(st.lists(NASTY | st.binary(max_size=8), max_size=25).map(b"".join))
def test_nothing_that_comes_can_make_it_fail_or_move_a_cursor(octets):
    message = read_message(octets)
    for line in (summary(message), header(message, "Subject"), header(message, "To")):
        assert line.isprintable() or line == ""
    shown = readable(message)
    assert shown.endswith("\n")
    assert (
        "\x1b" not in ("\n" + shown).partition("\n\n")[0]
    )  # the text itself is made safe by `show`, on a terminal alone


@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        (b"Content-Type: text/plain; charset=latin-1\r\n\r\nGr\xfc\xdfe\r\n", "Grüße\n"),
        (b"Content-Type: text/plain; charset=nonsense\r\n\r\nplain\r\n", "plain\n"),
        (
            b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nR3LDvMOfZQ==\r\n",
            "Grüße\n",
        ),
        (b"Content-Type: text/html\r\n\r\n<p>hi</p>\r\n", "<p>hi</p>\n"),
        (b"\r\n", "\n"),
    ],
)
def test_the_text_is_decoded_as_it_says_and_shown_raw_where_it_lies(octets, shown):
    assert readable(read_message(HEAD + octets)) == "From: a@x\nSubject: s\n\n" + shown


def test_attachments_are_named_with_their_size_and_without_line_ends():
    octets = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b\r\nContent-Disposition: attachment;"
        b' filename="=?utf-8?q?a=0D=0Ab?="\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\n'
    )
    assert readable(read_message(HEAD + octets)).splitlines()[3:] == ["hi", "", "[attached: a b, 3 octets]"]


def test_a_date_that_is_none():
    assert summary(read_message(b"Date: never\r\n\r\n")).startswith("no date")
    assert summary(read_message(b"Date: Mon, 23 Nov 99999 16:43:05 +9999\r\n\r\n")).startswith("no date")
