"""What `DISPLAY` means, and how an X server is asked: a server played by the test answers with the octets of X11's own."""

import socket
import struct
import threading

import pytest

from labctl.commands.gui import Wish, choose_way
from labctl.errors import LabError
from labctl.gui.display import DisplayError, Session, parse_display

SECURITY = 137  # major opcode that the played server gives the extension
GRANTED = bytes(range(50, 66))


class TestAddresses:
    @pytest.mark.parametrize(
        ("text", "number", "path", "host"),
        [
            (":0", 0, "/tmp/.X11-unix/X0", ""),
            ("unix:3", 3, "/tmp/.X11-unix/X3", ""),
            (":12.0", 12, "/tmp/.X11-unix/X12", ""),
            ("127.0.0.1:0", 0, "", "127.0.0.1"),
            ("host.lab:10.1", 10, "", "host.lab"),
            ("[::1]:2", 2, "", "::1"),
            ("/nowhere/X5:0", 0, "/nowhere/X5", ""),
        ],
    )
    def test_forms(self, text, number, path, host):
        display = parse_display(text)
        assert (display.number, display.path, display.host) == (number, path, host)

    def test_macos_names_a_socket_whose_name_ends_in_a_number(self, tmp_path):
        path = tmp_path / "org.xquartz:0"
        path.touch()
        assert parse_display(str(path)).path == str(path)

    @pytest.mark.parametrize("text", ["", "0", "wayland-0"])
    def test_what_names_none(self, text):
        with pytest.raises(DisplayError):
            parse_display(text)


class FakeServer:
    """Answers the set-up, and SECURITY's requests where it is to have that extension."""

    def __init__(self, path, *, cookie=b"", security=True, grants=True):
        self.path, self.cookie, self.security, self.grants = str(path), cookie, security, grants
        self.revoked = threading.Event()
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(self.path)
        self.listening.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def close(self):
        self.thread.join(5)
        self.listening.close()

    def serve(self):
        conn, _ = self.listening.accept()
        with conn:
            head = conn.recv(12, socket.MSG_WAITALL)
            sizes = struct.unpack_from("<HH", head, 6)
            name, data = (conn.recv(size + -size % 4, socket.MSG_WAITALL)[:size] if size else b"" for size in sizes)
            if self.cookie and (name, data) != (b"MIT-MAGIC-COOKIE-1", self.cookie):
                conn.sendall(struct.pack("<BBHHH", 0, 8, 11, 0, 2) + b"go away!")
                return
            conn.sendall(struct.pack("<BBHHH", 1, 0, 11, 0, 2) + bytes(8))
            while request := conn.recv(4, socket.MSG_WAITALL):
                rest = conn.recv(struct.unpack_from("<H", request, 2)[0] * 4 - 4, socket.MSG_WAITALL)
                if request[0] == 98:  # QueryExtension
                    conn.sendall(
                        struct.pack("<BxHIBB22x", 1, 0, 0, self.security and rest[4:12] == b"SECURITY", SECURITY)
                    )
                elif request[:2] == bytes((SECURITY, 0)):
                    conn.sendall(struct.pack("<BxHIHH20x", 1, 0, 0, 1, 0))
                elif request[:2] == bytes((SECURITY, 1)):
                    if self.grants:
                        conn.sendall(struct.pack("<BxHIIH18x", 1, 0, 4, 77, 16) + GRANTED)
                    else:
                        conn.sendall(struct.pack("<BBH28x", 0, 10, 0))
                elif request[:2] == bytes((SECURITY, 2)):
                    assert rest == struct.pack("<I", 77)
                    self.revoked.set()


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("XAUTHORITY", str(tmp_path / "no-such-file"))
    return tmp_path / "X0"


@pytest.fixture
def serve(place):
    servers = []

    def begin(**facts):
        servers.append(FakeServer(place, **facts))
        return servers[-1]

    yield begin
    for server in servers:
        server.close()


class TestAsking:
    def test_an_untrusted_cookie_is_granted_and_taken_back(self, place, serve):
        server = serve()
        session = Session(parse_display(f"{place}:0"), None)
        assert session.untrusted_cookie() == GRANTED
        session.close()
        assert server.revoked.wait(5)

    def test_a_server_without_security_grants_none(self, place, serve):
        serve(security=False)
        session = Session(parse_display(f"{place}:0"), None)
        assert not session.has_security()
        assert session.untrusted_cookie() is None
        session.close()

    def test_one_that_refuses_to_grant(self, place, serve):
        serve(grants=False)
        session = Session(parse_display(f"{place}:0"), None)
        assert session.untrusted_cookie() is None
        session.close()

    def test_the_servers_own_words_for_a_refusal(self, place, serve):
        serve(cookie=bytes(16))
        with pytest.raises(DisplayError, match="go away!"):
            Session(parse_display(f"{place}:0"), b"x" * 16)

    def test_nobody_there(self, place):
        with pytest.raises(DisplayError, match="no X server answers"):
            Session(parse_display(f"{place}:0"), None)

    def test_something_else_there(self, place):
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(place))
        listening.listen()

        def hang_up():
            conn, _ = listening.accept()
            conn.close()

        threading.Thread(target=hang_up, daemon=True).start()
        with pytest.raises(DisplayError, match="is no X server"):
            Session(parse_display(f"{place}:0"), None)
        listening.close()


class TestChoice:
    """`--via auto` asks the display, and falls back to the browser; what was asked for by name fails in words."""

    def test_a_display_that_answers_is_reached_by_the_relay_untrusted(self, place, serve):
        serve()
        screen = choose_way(Wish(), f"{place}:0")
        assert (screen.way, screen.untrusted, screen.cookie) == ("relay", True, GRANTED)
        screen.close()

    def test_without_security_it_is_trusted_and_said(self, place, serve):
        serve(security=False)
        screen = choose_way(Wish(), f"{place}:0")
        assert (screen.way, screen.untrusted) == ("relay", False)
        screen.close()
        assert "could read other windows" in screen.remark

    def test_trusted_where_that_is_wanted(self, place, serve):
        serve()
        screen = choose_way(Wish(trusted=True), f"{place}:0")
        assert (screen.way, screen.untrusted, screen.remark) == ("relay", False, "")

    @pytest.mark.parametrize("text", ["", ":4711"])
    def test_no_display_means_the_browser(self, text):
        screen = choose_way(Wish(), text)
        assert screen.way == "web"
        assert "browser" in screen.remark

    @pytest.mark.parametrize("via", ["relay", "ssh", "socket"])
    def test_a_way_that_needs_one_fails_and_says_what_does_not(self, via):
        with pytest.raises(LabError) as failed:
            choose_way(Wish(via=via), "")
        assert "DISPLAY is not set" in failed.value.what
        assert "--via web" in failed.value.hint

    def test_a_socket_elsewhere_cannot_be_mounted(self, place, serve):
        serve()
        with pytest.raises(LabError, match="cannot be mounted"):
            choose_way(Wish(via="socket"), f"{place}:0")

    def test_nor_can_one_of_this_machine_by_an_engine_on_another(self, place, serve):
        serve()
        with pytest.raises(LabError, match="on another machine"):
            choose_way(Wish(via="socket"), f"{place}:0", why_no_socket="the engine is on another machine")
