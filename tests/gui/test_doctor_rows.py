"""`labctl doctor` has a row for each condition of each way to the screen, and where one is not met, how to mend it."""

import os
import webbrowser

import pytest

from labctl.commands import doctor_gui, gui
from labctl.commands.doctor_gui import display_rows, socket_rows, tool_rows
from labctl.engine.endpoint import Endpoint

HERE, FAR = Endpoint("unix:///run/docker.sock", "default"), Endpoint("ssh://box", "DOCKER_HOST")


def table(rows):
    found = {row.topic: row for row in rows}
    assert all(row.status == "ok" or row.hint for row in found.values())  # what is amiss is told with the way out
    return found


class TestDisplay:
    """`relay`, `ssh` and `socket`: an X server that answers and lets us in; untrusted clients where it knows them."""

    def test_one_that_answers(self, place, serve):
        serve()
        rows = table(display_rows(f"{place}:0"))
        assert rows["display"].status == rows["X security"].status == "ok"

    def test_without_security(self, place, serve):
        serve(security=False)
        row = table(display_rows(f"{place}:0"))["X security"]
        assert (row.status, "--via web" in row.hint) == ("note", True)

    @pytest.mark.parametrize(
        ("text", "words"), [("", "DISPLAY is not set"), (":4711", "no X server answers"), ("x", "no display")]
    )
    def test_none(self, text, words):
        row = table(display_rows(text))["display"]
        assert row.status == "note"
        assert words in row.text
        assert "--via web" in row.hint and "X server" in row.hint

    def test_one_that_does_not_let_us_in(self, place, serve):
        serve(cookie=bytes(16))
        assert "go away!" in table(display_rows(f"{place}:0"))["display"].text

    @pytest.mark.parametrize(("user", "told"), [(doctor_gui.DESKTOP_USER, False), (1234, True)])
    def test_one_that_asks_for_its_user(self, place, serve, monkeypatch, user, told):
        serve()
        monkeypatch.setattr(os, "getuid", lambda: user)
        rows = table(display_rows(f"{place}:0"))
        assert ("X user" in rows) == told
        assert not told or "relay" in rows["X user"].hint


class TestSocket:
    """`socket`: an engine on this machine, and a display whose socket stands in the folder that is mounted."""

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path, monkeypatch):
        for module in (doctor_gui, gui):
            monkeypatch.setattr(module, "SOCKETS", str(tmp_path))
        return tmp_path

    def row(self, display, endpoint=HERE, **facts):
        return table(socket_rows(endpoint, facts, display))["X socket"]

    def test_one_that_can_be_mounted(self, folder):
        (folder / "X0").touch()
        assert self.row(f"{folder}/X0:0").status == "ok"

    def test_no_display_is_another_row_s_matter(self):
        assert self.row("").status == "ok"

    @pytest.mark.parametrize(
        ("display", "words"),
        [("box:0", "reached by TCP"), ("/nowhere/X0:0", "not in"), ("{folder}/X7:7", "its name is abstract alone")],
    )
    def test_a_display_that_has_none_there(self, folder, display, words):
        row = self.row(display.format(folder=folder))
        assert (row.status, words in row.text) == ("note", True)

    def test_no_folder(self, monkeypatch):
        monkeypatch.setattr(doctor_gui, "SOCKETS", "/nowhere")
        assert "there is no /nowhere" in self.row("").text

    def test_an_engine_elsewhere(self):
        assert "on another machine" in self.row("", FAR).text
        assert "virtual machine" in self.row("", OperatingSystem="Docker Desktop").text


class TestPrograms:
    """The docker CLI for all ways; ssh, ssh-keygen and xauth for `ssh`; a browser for `web`."""

    @pytest.fixture
    def path(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", str(tmp_path))
        for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
            monkeypatch.delenv(name, raising=False)

        def add(*names):
            for name in names:
                (tmp_path / name).write_text("#!/bin/sh\n")
                (tmp_path / name).chmod(0o755)

        return add

    def test_none_of_them(self, path):
        rows = table(tool_rows())
        assert {row.status for row in rows.values()} == {"note"}
        assert "docker-cli" in rows["docker CLI"].hint
        assert "ssh, ssh-keygen, xauth not found" in rows["ssh"].text
        assert "openssh-client" in rows["ssh"].hint

    @pytest.mark.parametrize("missing", ["ssh", "ssh-keygen", "xauth"])
    def test_one_is_missing(self, path, missing):
        path(*{"docker", "ssh", "ssh-keygen", "xauth"} - {missing})
        rows = table(tool_rows())
        assert rows["docker CLI"].status == "ok"
        assert f"no `--via ssh`: {missing} not found" in rows["ssh"].text

    def test_all_of_them(self, path, monkeypatch):
        path("docker", "ssh", "ssh-keygen", "xauth")
        monkeypatch.setenv("DISPLAY", ":0")
        monkeypatch.setattr(webbrowser, "get", lambda: webbrowser.GenericBrowser("x"))
        assert {row.status for row in table(tool_rows()).values()} == {"ok"}
