"""The browser's gateway: whom it refuses, and how frames are cut. Its server speaks over 127.0.0.1; the screen is `cat`."""

import asyncio
import struct

import pytest

from labctl.gui.gateway import Gateway
from labctl.gui.websocket import BINARY, CLOSE, PING, Frame, Reader, WebSocketError, accept_key, encode

TOKEN = "a-token-of-the-test"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def masked(payload, opcode=BINARY, mask=b"\x01\x02\x03\x04", first=0x80):
    body = bytes(octet ^ mask[at % 4] for at, octet in enumerate(payload))
    size = len(payload)
    head = bytes((first | opcode,)) + (
        bytes((0x80 | size,))
        if size < 126
        else b"\xfe" + struct.pack(">H", size)
        if size < 65536
        else b"\xff" + struct.pack(">Q", size)
    )
    return head + mask + body


class TestFrames:
    """RFC 6455."""

    def test_the_key_of_the_rfc(self):
        """Section 1.3."""
        assert accept_key(KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

    @pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 70001])
    def test_lengths(self, size):
        payload = bytes(range(256)) * 274
        assert Reader().receive_data(masked(payload[:size])) == [Frame(BINARY, payload[:size])]

    @pytest.mark.parametrize("cut", range(len(masked(b"hello") * 2) + 1))
    def test_frames_do_not_depend_on_where_tcp_cuts(self, cut):
        wire, reader = masked(b"hello") * 2, Reader()
        assert [f.payload for f in reader.receive_data(wire[:cut]) + reader.receive_data(wire[cut:])] == [b"hello"] * 2

    @pytest.mark.parametrize(
        ("wire", "code"),
        [
            (encode(b"not masked"), 1002),
            (masked(b"x", first=0xC0), 1002),
            (masked(b"x", opcode=5), 1002),
            (masked(b"x" * 126, opcode=PING), 1002),
            (masked(b"x", opcode=CLOSE, first=0), 1002),
            (b"\x82\xff" + struct.pack(">Q", 1 << 40), 1009),
        ],
    )
    def test_what_a_client_may_not_send(self, wire, code):
        with pytest.raises(WebSocketError) as failed:
            Reader().receive_data(wire)
        assert failed.value.code == code


def ask(request, *, then=b"", until=b""):
    """Send octets to a gateway and return what comes back."""

    async def play():
        gateway = Gateway({"/": b"<p>page", "/core/rfb.js": b"js"}, ["cat"], TOKEN)
        await gateway.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(request.replace("PORT", str(gateway.port)).encode())
        got = await reader.readuntil(b"\r\n\r\n")
        if then:
            writer.write(then)
            while until not in got:
                got += await asyncio.wait_for(reader.read(4096), 10)
        else:
            got += await asyncio.wait_for(reader.read(), 10)
        writer.close()
        await gateway.stop()
        return got

    return asyncio.run(play())


def get(path, host="127.0.0.1:PORT", more="", method="GET"):
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n"


UPGRADE = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n"


class TestWhoIsRefused:
    @pytest.mark.parametrize(
        ("request_", "status"),
        [
            (get("/", host="evil.test"), 421),
            (get("/", host="127.0.0.1.evil.test:80"), 421),
            (get(f"/screen?token={TOKEN}", host="evil.test", more=UPGRADE), 421),
            (get("/screen", more=UPGRADE), 403),
            (get("/screen?token=wrong", more=UPGRADE), 403),
            (get(f"/screen?token={TOKEN}x", more=UPGRADE), 403),
            (get(f"/screen?token={TOKEN}", more=UPGRADE + "Origin: http://evil.test\r\n"), 403),
            (get(f"/screen?token={TOKEN}", more=UPGRADE + "Origin: null\r\n"), 403),
            (get("/../../etc/passwd"), 404),
            (get("/%2e%2e/%2e%2e/etc/passwd"), 404),
            (get("/core/../core/rfb.js"), 404),
            (get("/nothing"), 404),
            (get("/", method="POST"), 405),
            ("nonsense\r\n\r\n", 400),
            (get(f"/screen?token={TOKEN}"), 426),
            (get(f"/screen?token={TOKEN}", more=UPGRADE.replace("Connection: Upgrade", "Connection: close")), 426),
            (get(f"/screen?token={TOKEN}", more=UPGRADE.replace(KEY, "c2hvcnQ=")), 400),
            (get(f"/screen?token={TOKEN}", more=UPGRADE.replace(KEY, "no base64!")), 400),
        ],
    )
    def test_status(self, request_, status):
        assert ask(request_).startswith(f"HTTP/1.1 {status} ".encode())

    @pytest.mark.parametrize("version", ["8", "12", "14", "13, 8", ""])
    def test_another_version_is_told_which_one_is_spoken(self, version):
        """RFC 6455 section 4.4."""
        asked = UPGRADE.replace("Sec-WebSocket-Version: 13", f"Sec-WebSocket-Version: {version}")
        got = ask(get(f"/screen?token={TOKEN}", more=asked))
        assert got.startswith(b"HTTP/1.1 426 ")
        assert b"\r\nSec-WebSocket-Version: 13\r\n" in got
        assert b"\r\nUpgrade: websocket\r\n" in got

    @pytest.mark.parametrize(
        ("path", "kind"), [("/", b"text/html; charset=utf-8"), ("/core/rfb.js", b"text/javascript")]
    )
    def test_files(self, path, kind):
        got = ask(get(path, host="localhost:PORT"))
        assert got.startswith(b"HTTP/1.1 200 OK")
        assert b"Content-Type: " + kind + b"\r\n" in got
        assert b"Cache-Control: no-cache" in got


class TestJoining:
    def test_with_the_token_octets_go_through_and_back(self):
        request = get(
            f"/screen?token={TOKEN}",
            more=UPGRADE + "Origin: http://127.0.0.1:PORT\r\nSec-WebSocket-Protocol: binary\r\n",
        )
        got = ask(request, then=masked(b"hello, screen"), until=b"hello, screen")
        assert got.startswith(b"HTTP/1.1 101 ")
        assert b"Sec-WebSocket-Protocol: binary" in got
        assert encode(b"hello, screen") in got

    def test_a_ping_is_answered(self):
        got = ask(
            get(f"/screen?token={TOKEN}", more=UPGRADE), then=masked(b"still there?", PING), until=b"still there?"
        )
        assert encode(b"still there?", 10) in got

    def test_the_address_has_the_token_in_its_fragment_alone(self):
        gateway = Gateway({}, [], TOKEN)
        assert gateway.address == f"http://127.0.0.1:0/#{TOKEN}"
