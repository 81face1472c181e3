"""A connection is used again: a transaction that came to nothing is taken back before the next (RFC 5321 section 4.1.1.5)."""

import pytest

from services.smtp_relay.client import ClientConnection, Phase


def ready(*extensions):
    conn = ClientConnection("relay", lmtp=True)
    conn.receive_data(
        b"220 there\r\n" + b"".join(b"250-%s\r\n" % name for name in (b"there", *extensions)) + b"250 HELP\r\n"
    )
    conn.data_to_send()
    conn.events()
    return conn


@pytest.mark.parametrize("text", [None, b"hi\r\n"], ids=["DATA", "BDAT"])
def test_after_a_refusal_the_next_message_begins_with_rset(text):
    conn = ready(b"PIPELINING", b"CHUNKING")
    conn.send("a@x", ["b@x"], text=text)
    conn.data_to_send()
    conn.receive_data(b"250 ok\r\n550 5.1.1 no\r\n503 no recipients\r\n")
    assert [reply.code for reply in conn.events()[0].replies] == [550]
    conn.send("a@x", ["c@x"], text=text)
    assert conn.data_to_send().startswith(b"RSET\r\nMAIL FROM:<a@x>\r\n")
    conn.receive_data(b"250 reset\r\n250 ok\r\n250 ok\r\n" + (b"354 go\r\n" if text is None else b"250 kept\r\n"))
    if text is None:
        conn.events()
        conn.send_text(b"hi\r\n")
        conn.end_text()
        conn.receive_data(b"250 kept\r\n")
    assert [reply.code for reply in conn.events()[0].replies] == [250]
    conn.data_to_send()
    conn.send("a@x", ["d@x"], text=text)
    assert conn.data_to_send().startswith(b"MAIL FROM:<a@x>\r\n")


def test_without_pipelining_each_waits_for_its_reply():
    conn = ready()
    conn.send("a@x", ["b@x"])
    for reply, then in ((b"250 ok\r\n", b"RCPT"), (b"550 no\r\n", b"RSET"), (b"250 ok\r\n", b"")):
        conn.data_to_send()
        conn.receive_data(reply)
        assert conn.phase is (Phase.AWAITING_REPLIES if then else Phase.READY)
    conn.send("a@x", ["c@x"])
    said = [conn.data_to_send()]
    for _ in range(3):
        conn.receive_data(b"250 ok\r\n")
        said.append(conn.data_to_send())
    assert [line.split()[0] for line in said] == [b"RSET", b"MAIL", b"RCPT", b"DATA"]
