"""What `DISPLAY` means, and how an X server is asked: a server played by the test answers with the octets of X11's own."""

import socket
import threading

import pytest

from labctl.commands.gui import Wish, check_end, choose_way, classic_commands, docker_words, socket_obstacle
from labctl.engine.endpoint import Endpoint
from labctl.engine.fake import FakeEngine
from labctl.errors import LabError
from labctl.gui.display import DisplayError, Session, parse_display
from labctl.model import Found, FoundHost
from tests.gui.xserver import GRANTED


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

    def test_nor_can_one_of_this_machine_by_an_engine_on_another_which_is_said_first(self):
        with pytest.raises(LabError, match="on another machine") as failed:
            choose_way(Wish(via="socket"), "", why_no_socket="the engine at ssh://box is on another machine")
        for way in ("relay", "ssh", "web"):
            assert f"`--via {way}`" in failed.value.hint


class TestWhereTheEngineIs:
    @pytest.mark.parametrize(
        ("url", "system", "why"),
        [
            ("unix:///var/run/docker.sock", "Debian GNU/Linux 13", ""),
            (
                "unix:///home/ana/.docker/desktop/docker.sock",
                "Docker Desktop",
                "Docker Desktop runs the engine in a virtual machine",
            ),
            ("tcp://10.0.0.7:2376", "", "the engine at tcp://10.0.0.7:2376 is on another machine"),
            ("ssh://ana@box", "", "the engine at ssh://ana@box is on another machine"),
        ],
    )
    def test_whether_a_socket_of_this_machine_can_be_mounted(self, url, system, why):
        def facts():
            assert system, "an engine elsewhere is not asked"
            return {"OperatingSystem": system}

        assert socket_obstacle(Endpoint(url, "DOCKER_HOST"), facts) == why

    def test_the_docker_command_is_told_which_engine(self, tmp_path):
        assert docker_words(Endpoint("unix:///var/run/docker.sock", "default")) == ["docker"]
        assert docker_words(Endpoint("ssh://ana@box", "context `box`")) == ["docker", "-H", "ssh://ana@box"]
        words = " ".join(docker_words(Endpoint("tcp://box:2376", "context `box`", tmp_path)))
        pems = f"--tlscacert {tmp_path}/ca.pem --tlscert {tmp_path}/cert.pem --tlskey {tmp_path}/key.pem"
        assert words == f"docker -H tcp://box:2376 --tlsverify {pems}"


class TestTheEnd:
    DESKTOP = FoundHost("1a", "lab-1", "desktop")

    @pytest.mark.parametrize(
        ("hosts", "said"),
        [
            ((), "`desktop` of lab `lab-1` does not run any more"),
            ((FoundHost("1a", "lab-1", "desktop", state="exited"),), "does not run any more"),
            ((FoundHost("2b", "lab-1", "desktop"),), "does not run any more"),
            ((DESKTOP,), "ended with exit code 255"),
        ],
    )
    def test_a_window_that_nobody_closed_is_told_of(self, hosts, said):
        with pytest.raises(LabError, match=said) as raised:
            check_end(FakeEngine(Found(hosts)), self.DESKTOP, 255, patience=0)
        assert raised.value.code == 1

    def test_one_that_was_closed_is_not(self):
        check_end(FakeEngine(), self.DESKTOP, 0)


class TestClassicCommands:
    PREFIX = ("docker", "exec", "-i", "1a")

    def test_they_make_the_same_window_from_the_same_image(self):
        told = classic_commands(self.PREFIX, Wish(theme="dark", tab="mail", scale=2), ["client"], "net", "mine/desktop")
        assert told.count("services.desktop --theme dark --tab mail --scale 2 --untrusted --hosts client") == 2
        assert "mine/desktop" in told

    def test_a_trusted_window_gets_no_untrusted_cookie(self):
        told = classic_commands(self.PREFIX, Wish(trusted=True), ["client"], "net")
        assert "untrusted" not in told
        assert "ForwardX11Trusted=yes" in told
        assert 'xauth -q nlist "$DISPLAY" | sed' in told
