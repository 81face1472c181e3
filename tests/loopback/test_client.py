"""`lab` against our servers and against none."""

import errno
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from services.client.errors import LocalError, explain

ROOT = Path(__file__).parents[2]


def lab(*argv, stdin=""):
    return subprocess.run(
        [sys.executable, "-m", "services.client", *map(str, argv)],
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.fixture
def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]  # closed again on the way out


class TestTcp:
    @pytest.mark.parametrize(
        ("verb", "service", "words", "pattern"),
        [
            ("greet", "greeting", [], r"Thank you for connecting\n"),
            ("echo", "echo", ["a", "b"], r"a b\n"),
            ("discard", "discard", ["x"], r""),
            ("daytime", "daytime", [], r"\w+, \w+ \d\d, \d{4} [\d:]{8}-UTC\r?\n"),
            ("time", "time", [], r"\d{4}-\d\d-\d\dT[\d:]{8}Z \(\d+ s since 1900\)\n"),
            ("chargen", "chargen", ["--octets", "74"], r" !.*\r?\n"),
        ],
    )
    def test_each_verb(self, shared_tcp, verb, service, words, pattern):
        done = lab("tcp", verb, "127.0.0.1", shared_tcp.ports[service], *words)
        assert done.returncode == 0, done.stderr
        assert re.fullmatch(pattern, done.stdout, re.DOTALL), done.stdout

    def test_a_refusal_is_told_in_words_with_the_place(self, closed_port):
        done = lab("tcp", "greet", "127.0.0.1", closed_port)
        assert (done.returncode, done.stdout) == (1, "")
        assert "refused" in done.stderr
        assert f"127.0.0.1:{closed_port}" in done.stderr

    def test_a_server_that_says_nothing_times_out(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            done = lab("tcp", "greet", "127.0.0.1", silent.getsockname()[1], "--timeout", "0.3")
        assert done.returncode == 1
        assert "nothing came in time" in done.stderr

    @pytest.mark.parametrize("argv", [["tcp", "greet", "h", "70000"], ["tcp", "sing", "h"], ["nonsense"], []])
    def test_a_wrong_command_line_exits_with_2(self, argv):
        assert lab(*argv).returncode == 2

    def test_chat_says_and_hears(self, shared_tcp):
        port = shared_tcp.ports["chat"]
        done = lab("tcp", "chat", "127.0.0.1", port, "--name", "eve", "--say", "/who")
        assert done.returncode == 0
        assert "here: eve" in done.stdout
        late = lab("tcp", "chat", "127.0.0.1", port, "--until", "never said", "--timeout", "0.3")
        assert late.returncode == 1
        assert "nobody said 'never said'" in late.stderr


class TestWords:
    @pytest.mark.parametrize(
        ("error", "place", "said"),
        [
            (OSError(errno.ENOSPC, "No space left"), "file-server:9000", "there is no room left for it on this host"),
            (FileNotFoundError(errno.ENOENT, "No such file", "a.part"), "file-server:9000", "`a.part`: No such file"),
            (FileNotFoundError(errno.ENOENT, "No such file", "mine"), "mine", "No such file"),
        ],
    )
    def test_what_failed_on_this_host_is_told_as_its_own(self, error, place, said):
        told = explain(error, place)
        assert isinstance(told, LocalError)
        assert str(told) == said

    @pytest.mark.parametrize("place", ["nowhere", "nowhere:80", "http://nowhere/", "http://nowhere:80/a:b/c"])
    def test_the_name_that_does_not_resolve_is_told(self, place):
        told = explain(socket.gaierror(socket.EAI_NONAME, "Name or service not known"), place)
        assert str(told) == "the name `nowhere` does not resolve: Name or service not known"

    def test_where_each_address_of_a_name_refuses_that_is_told_once(self):
        both = "[Errno 111] Connect call failed ('10.0.0.1', 7), [Errno 111] Connect call failed ('fd6c::1', 7, 0, 0)"
        told = explain(OSError(f"Multiple exceptions: {both}"), "tcp-server:7")
        assert str(told) == "the connection was refused: the host is there, nobody listens on that port"

    @pytest.mark.parametrize("name", ["tcp-server..lab", "a" * 64])
    @pytest.mark.parametrize(
        "words", [("tcp", "greet"), ("udp", "greet"), ("file", "ls"), ("ftp", "ls"), ("news", "groups"), ("rpc", "list"), ("ip",)]
    )  # fmt: skip
    def test_what_cannot_be_a_name_is_told(self, words, name):
        told = lab(*words, name)
        assert told.returncode == 1
        assert told.stderr.startswith("error: that is no host's name")


class TestUdp:
    def test_echo_and_greet(self, shared_udp):
        assert lab("udp", "echo", "127.0.0.1", shared_udp.ports["echo"], "hi").stdout == "hi\n"
        assert lab("udp", "greet", "127.0.0.1", shared_udp.ports["greeting"]).stdout == "Thank you for connecting\n"

    def test_no_answer_is_told_as_what_it_is(self, shared_udp):
        done = lab("udp", "echo", "127.0.0.1", shared_udp.ports["discard"], "hi", "--timeout", "0.3", "--retries", "1")
        assert done.returncode == 1
        assert "asked 2 times: the question or the answer was lost" in done.stderr

    def test_a_refusal_by_icmp_is_told(self, closed_port):
        assert "refused" in lab("udp", "greet", "127.0.0.1", closed_port).stderr


class TestWait:
    def test_all_that_answer_are_told_and_it_exits_with_0(self, shared_tcp, shared_udp):
        targets = [f"127.0.0.1:{shared_tcp.ports['greeting']}", f"[::1]:{shared_tcp.ports['echo']}/tcp",
                   f"127.0.0.1:{shared_udp.ports['echo']}/udp", f"127.0.0.1:{shared_udp.ports['discard']}/udp"]  # fmt: skip
        done = lab("wait", "--timeout", "5", *targets)
        assert done.returncode == 0, done.stdout
        assert sorted(line.split()[0] for line in done.stdout.splitlines()) == ["ready"] * 4

    def test_a_server_that_comes_late_is_waited_for(self, closed_port):
        late = []
        timer = threading.Timer(0.3, lambda: late.append(socket.create_server(("127.0.0.1", closed_port))))
        timer.start()
        done = lab("wait", "--timeout", "10", f"127.0.0.1:{closed_port}")
        timer.join()
        late[0].close()
        assert done.returncode == 0
        assert done.stdout.startswith(f"ready 127.0.0.1:{closed_port}/tcp ")

    @pytest.mark.parametrize("transport", ["tcp", "udp"])
    def test_what_never_answers_is_told_with_its_reason(self, closed_port, transport):
        done = lab("wait", "--timeout", "0.5", f"127.0.0.1:{closed_port}/{transport}")
        assert done.returncode == 1
        assert done.stdout == f"waiting 127.0.0.1:{closed_port}/{transport} refused\n"

    @pytest.mark.parametrize("target", ["host", "host:0", "host:99999", "host:7/sctp", ":7"])
    def test_a_target_that_is_none_is_a_usage_error(self, target):
        assert lab("wait", target).returncode == 2
