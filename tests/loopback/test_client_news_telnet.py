"""`lab news` and `lab telnet` against servers that say what the test wants: what goes wrong is told in words."""

import contextlib
import datetime
import json
import re
import socket
import subprocess
import sys
import threading
from argparse import Namespace
from pathlib import Path

import pytest

from services.client import telnet
from services.client.errors import ClientError
from services.client.news import since
from services.client.packaged import packaged
from services.client.telnet_script import DONE, QUIET

ROOT = Path(__file__).parents[2]
NOON = datetime.datetime(2026, 11, 23, 12, 0, 0)


class Peer:
    """A server for one connection: `words` to begin with, then `answer` of each line."""

    def __init__(self, words, answer=lambda _: b""):
        self.heard = []
        self._words, self._answer = words, answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = str(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        conn, _ = self._listener.accept()
        conn.settimeout(10)
        with contextlib.suppress(OSError), conn, conn.makefile("rb") as lines:  # the client may be gone already
            conn.sendall(self._words)
            for line in lines:
                self.heard.append(line)
                answer = self._answer(line)
                if answer is None:
                    return
                conn.sendall(answer)

    def close(self):
        self._listener.close()
        self._thread.join(10)


@pytest.fixture
def peer():
    made = []

    def make(*args):
        made.append(Peer(*args))
        return made[-1]

    yield make
    for one in made:
        one.close()


def lab(*argv, stdin="", code=0):
    done = subprocess.run(
        [sys.executable, "-m", "services.client", *argv],
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


class TestSince:
    @pytest.mark.parametrize(
        ("text", "ago"), [("30s", {"seconds": 30}), ("10m", {"minutes": 10}), ("2h", {"hours": 2}), ("3d", {"days": 3})]
    )
    def test_a_duration_counts_back_from_the_servers_clock(self, text, ago):
        assert since(text, NOON) == NOON - datetime.timedelta(**ago)

    def test_a_time_is_taken_as_it_is(self):
        assert since("2026-01-02T03:04:05", NOON).isoformat() == "2026-01-02T03:04:05"

    @pytest.mark.parametrize("text", ["", "10", "m", "10 m", "-5m", "yesterday"])
    def test_anything_else_is_refused_with_an_example(self, text):
        with pytest.raises(ClientError, match="is no time: `10m`"):
            since(text, NOON)


class TestPackaged:
    def test_a_module_that_nobody_has_is_told_with_its_package(self):
        with pytest.raises(ClientError, match="`no_such_module` is not here") as told:
            packaged("no_such_module", "python3-standard-nothing")
        assert "python3-standard-nothing" in told.value.hint

    def test_the_path_is_as_before(self):
        before = list(sys.path)
        packaged("json", "-")
        assert sys.path == before


def nntp(line):
    word = line.split()[0].upper()
    return {
        b"CAPABILITIES": b"101 list\r\nVERSION 2\r\nREADER\r\nPOST\r\n.\r\n",
        b"QUIT": None,
        b"GROUP": b"211 0 1 0 lab.empty\r\n",
        b"POST": b"440 posting is not allowed\r\n",
        b"ARTICLE": b"220 1 <a@b>\r\nSubject: x\r\n\r\n..\r\n...\r\n.\r\n",
    }.get(word, b"500 what?\r\n")


class TestNews:
    def test_an_empty_group_is_no_error(self, peer):
        assert lab("news", "list", "127.0.0.1", "lab.empty", "--port", peer(b"200 hello\r\n", nntp).port).stdout == ""

    def test_doubled_dots_come_out_single(self, peer):
        done = lab("news", "read", "127.0.0.1", "<a@b>", "--port", peer(b"200 hello\r\n", nntp).port)
        assert done.stdout == "Subject: x\n\n.\n..\n"

    def test_a_refusal_is_told_in_the_servers_words(self, peer):
        server = peer(b"200 hello\r\n", nntp)
        done = lab("news", "post", "127.0.0.1", "lab.x", "--subject", "s", "--text", "t", "--port", server.port, code=1)
        assert "the server said: 440 posting is not allowed" in done.stderr
        assert f"at 127.0.0.1:{server.port}" in done.stderr

    def test_a_server_that_will_not_serve_readers_is_told(self, peer):
        def transit(line):
            if line.startswith(b"QUIT"):
                return None
            return b"101 list\r\nVERSION 2\r\nIHAVE\r\n.\r\n" if line.startswith(b"CAPA") else b"502 not here\r\n"

        done = lab("news", "groups", "127.0.0.1", "--port", peer(b"200 hello\r\n", transit).port, code=1)
        assert "does not serve readers" in done.stderr

    def test_a_server_that_has_no_room_is_told(self, peer):
        done = lab("news", "groups", "127.0.0.1", "--port", peer(b"400 load at 23, try later\r\n", nntp).port, code=1)
        assert "400 load at 23" in done.stderr

    def test_a_server_that_closes_is_told(self, peer):
        done = lab("news", "groups", "127.0.0.1", "--port", peer(b"200 hello\r\n", lambda _: None).port, code=1)
        assert "the server closed the connection" in done.stderr

    def test_a_number_needs_its_group(self, peer):
        done = lab("news", "read", "127.0.0.1", "7", "--port", peer(b"200 hello\r\n", nntp).port, code=1)
        assert "--group" in done.stderr

    def test_commands_are_shown_on_stderr_alone(self, peer):
        done = lab("news", "list", "127.0.0.1", "lab.empty", "--commands", "--port", peer(b"200 hello\r\n", nntp).port)
        assert "C: GROUP lab.empty\nS: 211 0 1 0 lab.empty\n" in done.stderr
        assert done.stdout == ""


def unix(line):
    """As much of a login and a shell as a script sees."""
    if line.startswith(b"student"):
        return b"Password: "
    if line.startswith(b"right"):
        return b"\r\nwelcome\r\n$ "
    if line.startswith(b"wrong"):
        return b"\r\nLogin incorrect\r\nlogin: "
    if line.startswith(b"exit"):
        return None
    if b"stty -echo" in line:
        return line + b"lab-done-0\r\n"
    if line.startswith(b"printf"):
        return b"lab-done-3\r\n"
    return b"you said " + line.upper()


LOGIN = ("--login", "student", "--password")


class TestTelnetScript:
    def test_a_command_ends_with_its_own_exit_code_and_its_own_output(self, peer):
        done = lab("telnet", "127.0.0.1", peer(b"host login: ", unix).port, *LOGIN, "right", "--run", "hello", code=3)
        assert done.stdout == "you said HELLO\n"

    def test_lines_end_in_cr_lf(self, peer):
        """RFC 854: the end of a line is CR LF."""
        server = peer(b"host login: ", unix)
        lab("telnet", "127.0.0.1", server.port, *LOGIN, "right", "--run", "hello", code=3)
        assert all(line.endswith(b"\r\n") for line in server.heard)

    def test_a_wrong_password_is_told(self, peer):
        done = lab("telnet", "127.0.0.1", peer(b"host login: ", unix).port, *LOGIN, "wrong", "--run", "hello", code=1)
        assert "refused the login" in done.stderr

    def test_a_server_that_asks_for_nothing_is_told(self, peer):
        port = peer(b"welcome, stranger\r\n", unix).port
        done = lab("telnet", "127.0.0.1", port, *LOGIN, "right", "--run", "x", "--timeout", "0.5", code=1)
        assert "`login:` did not come in 0.5 s" in done.stderr
        assert "welcome, stranger" in done.stderr

    def test_a_server_that_closes_is_told(self, peer):
        done = lab(
            "telnet", "127.0.0.1", peer(b"host login: ", lambda _: None).port, *LOGIN, "right", "--run", "x", code=1
        )
        assert "the server closed before `Password:` came" in done.stderr

    def test_expect_and_send_go_in_the_order_given(self, peer):
        server = peer(b"ready\r\n", lambda line: b"got " + line)
        done = lab(
            "telnet",
            "127.0.0.1",
            server.port,
            "--expect",
            "ready",
            "--send",
            "one",
            "--expect",
            "got one",
            "--send",
            "two",
        )
        assert server.heard[:1] == [b"one\r\n"]
        assert "got one" in done.stdout

    def test_stdin_goes_out_and_what_comes_is_shown(self, peer):
        done = lab(
            "telnet",
            "127.0.0.1",
            peer(b"", lambda line: None if b"bye" in line else line.upper()).port,
            stdin="hello\nbye\n",
        )
        assert done.stdout == "HELLO\n"

    def test_an_octet_255_goes_out_doubled_and_comes_in_single(self, peer):
        """RFC 854: IAC IAC is data."""
        server = peer(b"a\xff\xffb\r\n", lambda _: None)
        done = subprocess.run(
            [sys.executable, "-m", "services.client", "telnet", "127.0.0.1", server.port], cwd=ROOT, input=b"\xff\n",
            capture_output=True, timeout=60, check=True,
        )  # fmt: skip
        assert done.stdout == b"a\xffb\n"
        assert server.heard == [b"\xff\xff\r\n"]

    def test_octets_and_options_are_shown_on_stderr_alone(self, peer):
        server = peer(b"\xff\xfd\x18hi\r\n")
        done = lab("telnet", "127.0.0.1", server.port, "--octets", "--expect", "hi\r\n")
        assert "S: IAC DO TERMINAL-TYPE\n" in done.stderr
        assert "C: IAC WILL TERMINAL-TYPE\n" in done.stderr
        assert 'S: "hi\\r\\n"\n' in done.stderr
        assert done.stdout == "hi\n\n"
        server = peer(b"\xff\xfd\x18hi\r\n")
        done = lab("telnet", "127.0.0.1", server.port, "--options", "--expect", "hi")
        assert "S: IAC DO TERMINAL-TYPE\n" in done.stderr
        assert '"hi' not in done.stderr


class TestPassword:
    def test_the_labs_own_is_found_where_it_was_handed_out(self, tmp_path, monkeypatch):
        handed = tmp_path / "telnet.json"
        handed.write_text(json.dumps({"student": "secret"}))
        monkeypatch.setattr(telnet, "HANDOUT", handed)
        assert telnet.password_of(Namespace(login="student", password=None)) == "secret"
        assert telnet.password_of(Namespace(login="student", password="given")) == "given"

    @pytest.mark.parametrize("content", [None, "", "[]", '{"other": "x"}'])
    def test_without_one_the_flag_is_named(self, tmp_path, monkeypatch, content):
        handed = tmp_path / "telnet.json"
        if content is not None:
            handed.write_text(content)
        monkeypatch.setattr(telnet, "HANDOUT", handed)
        monkeypatch.setattr(telnet.os, "isatty", lambda _: False)
        with pytest.raises(ClientError, match="`student` needs a password"):
            telnet.password_of(Namespace(login="student", password=None))


def test_a_pattern_of_the_scripts_shell_is_not_its_own_echo():
    """What asks the shell for the end of a command must not look like that end when it is echoed."""
    assert not DONE.search(QUIET.encode())
    assert re.search(DONE, b"lab-done-0\r\n")
