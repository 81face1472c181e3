"""The host `tcp-server` and other people's clients: plain sockets."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest

from services.wire import small

GREETING = b"Thank you for connecting"


def connect(port, host="127.0.0.1"):
    return socket.create_connection((host, port), timeout=5)


def read_all(conn):
    return b"".join(iter(lambda: conn.recv(65536), b""))


def read_lines(conn, until):
    """Read until a line contains a text; return all read."""
    seen = b""
    while until.encode() not in seen:
        data = conn.recv(4096)
        assert data, f"closed after {seen}"
        seen += data
    return seen.decode()


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
class TestEveryService:
    """Under both loops: the images have uvloop, a user's own machine perhaps not."""

    def test_speaks_as_its_rfc_says(self, start, loop):
        server = start("tcp", loop=loop)
        assert server.event("ready")["loop"] == loop
        port = server.ports
        with connect(port["greeting"]) as conn:
            assert read_all(conn) == GREETING
        with connect(port["echo"]) as conn:
            conn.sendall(b"hello")
            conn.shutdown(socket.SHUT_WR)
            assert read_all(conn) == b"hello"
        with connect(port["daytime"]) as conn:
            assert time.strptime(read_all(conn).decode(), "%A, %B %d, %Y %H:%M:%S-UTC\r\n").tm_year >= 2024
        with connect(port["time"]) as conn:
            assert abs(small.read_time(read_all(conn), time.time()) - time.time()) < 5
        with connect(port["discard"]) as conn:
            conn.sendall(b"x" * 1_000_000)
            conn.shutdown(socket.SHUT_WR)
            assert read_all(conn) == b""
        with connect(port["chargen"]) as conn:
            seen = b""
            while len(seen) < 20_000:
                seen += conn.recv(4096)
            assert (small.CYCLE * 4).startswith(seen[:20_000])
        assert server.stop() == 0


class TestGreeting:
    def test_a_client_that_talks_first_is_not_reset(self, shared_tcp):
        for _ in range(50):
            with connect(shared_tcp.ports["greeting"]) as conn:
                conn.sendall(b"GET / HTTP/1.0\r\n\r\n")
                assert read_all(conn) == GREETING
                conn.sendall(b"more")  # its FIN is here; ours is not there yet

    def test_ipv6(self, shared_tcp):
        with connect(shared_tcp.ports["greeting"], "::1") as conn:
            assert read_all(conn) == GREETING

    def test_the_healthchecks_client_agrees(self):
        from services.runtime.check import check_stream

        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
        assert check_stream(port, GREETING) == 1


class TestEcho:
    def test_a_megabyte_without_a_line_end_comes_back_whole(self, shared_tcp):
        message = os.urandom(1_000_000)
        with connect(shared_tcp.ports["echo"]) as conn:
            import threading

            sender = threading.Thread(target=lambda: (conn.sendall(message), conn.shutdown(socket.SHUT_WR)))
            sender.start()
            assert read_all(conn) == message
            sender.join()

    def test_a_client_that_never_reads_is_not_read_from_and_the_others_are_served(self, shared_tcp):
        with connect(shared_tcp.ports["echo"]) as greedy, connect(shared_tcp.ports["echo"]) as other:
            greedy.settimeout(0.2)
            with pytest.raises(TimeoutError):  # push-back: our octets no longer fit anywhere
                for _ in range(10_000):
                    greedy.sendall(b"x" * 65536)
            other.sendall(b"ping")
            assert other.recv(16) == b"ping"

    def test_half_close_is_answered_with_the_rest_and_a_fin(self, shared_tcp):
        with connect(shared_tcp.ports["echo"]) as conn:
            conn.sendall(b"a" * 300_000)
            conn.shutdown(socket.SHUT_WR)
            assert len(read_all(conn)) == 300_000


class TestChat:
    def test_two_talk_and_the_operator_too(self, shared_tcp):
        port = shared_tcp.ports["chat"]
        with connect(port) as ana, connect(port) as bob:
            ana.sendall(b"/name ana\r\n")
            read_lines(ana, "is now ana")
            bob.sendall(b"/name bob\r\n")
            read_lines(bob, "is now bob")
            ana.sendall(b"hello\r\n")
            assert "ana: hello" in read_lines(bob, "hello")
            socket_path = shared_tcp.process.args[shared_tcp.process.args.index("--operator") + 1]
            said = subprocess.run(
                [sys.executable, "-m", "services.tcp.say", "closing", "soon"],
                env=os.environ | {"LAB_CHAT_SOCKET": socket_path}, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert (said.returncode, said.stderr) == (0, "")
            assert "operator: closing soon" in read_lines(ana, "soon")
            bob.sendall(b"/quit\r\n")
            assert read_all(bob).endswith(b"* goodbye\r\n")
            assert "* bob left" in read_lines(ana, "left")

    def test_the_operator_hears_the_room_while_typing(self, shared_tcp):
        socket_path = shared_tcp.process.args[shared_tcp.process.args.index("--operator") + 1]
        with subprocess.Popen(
            [sys.executable, "-u", "-m", "services.tcp.say"],
            env=os.environ | {"LAB_CHAT_SOCKET": socket_path}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ) as operator, connect(shared_tcp.ports["chat"]) as ana:  # fmt: skip
            read_lines(ana, "help")
            operator.stdin.write("hello all\n")
            operator.stdin.flush()
            assert "operator: hello all" in read_lines(ana, "hello all")
            ana.sendall(b"hello boss\n")
            assert any("hello boss" in line for line in operator.stdout)
            operator.stdin.close()
            assert operator.wait(5) == 0

    def test_say_without_a_server_tells_where_it_looked(self, tmp_path):
        said = subprocess.run(
            [sys.executable, "-m", "services.tcp.say", "hi"],
            env=os.environ | {"LAB_CHAT_SOCKET": str(tmp_path / "none")}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert said.returncode == 1
        assert str(tmp_path / "none") in said.stderr

    def test_a_line_too_long_is_refused_in_words_and_only_its_sender_goes(self, shared_tcp):
        with connect(shared_tcp.ports["chat"]) as long, connect(shared_tcp.ports["chat"]) as other:
            read_lines(other, "help")
            long.sendall(b"x" * 1_000_000)
            assert read_all(long).endswith(b"* line longer than 1024 octets; goodbye\r\n")
            assert "left" in read_lines(other, "left")
        shared_tcp.event("closed", reason="line longer than 1024 octets")

    def test_who_does_not_read_is_put_out_and_the_others_talk_on(self, shared_tcp):
        port = shared_tcp.ports["chat"]
        with connect(port) as deaf, connect(port) as ana, connect(port) as bob:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            read_lines(ana, "help"), read_lines(bob, "help")
            line = b"y" * 1000 + b"\n"
            bob.setblocking(False)
            for _ in range(20_000):
                ana.sendall(line)
                try:
                    while bob.recv(1 << 20):
                        pass
                except BlockingIOError:
                    pass
                if any("does not read" in event.get("reason", "") for event in shared_tcp.log):
                    break
            shared_tcp.event(
                "closed", timeout=5, port=f"{port}/chat", reason="65536 octets wait for it, and it does not read"
            )
            bob.settimeout(5)
            ana.sendall(b"still here\n")
            read_lines(bob, "still here")


class TestLimits:
    def test_a_connection_too_many_is_refused_in_words_and_a_place_is_free_again_later(self, start):
        server = start("tcp", "--max-connections", "2")
        port = server.ports["chat"]
        with connect(port) as first, connect(port) as second:
            read_lines(first, "help"), read_lines(second, "help")
            with connect(port) as third:
                assert read_all(third) == b"* 2 connections are open, no more are allowed; goodbye\r\n"
            server.event("refused", reason="2 connections are open, no more are allowed")
        server.event("closed")
        with connect(port) as again:
            assert again.recv(100).startswith(b"* you are")

    def test_silence_ends_a_connection(self, start):
        server = start("tcp", "--idle", "0.3")
        with connect(server.ports["echo"]) as conn:
            assert read_all(conn) == b""
        server.event("closed", reason="silent for 0.3 s")

    def test_a_connection_that_talks_now_and_then_stays(self, start):
        server = start("tcp", "--idle", "0.6")
        with connect(server.ports["echo"]) as conn, connect(server.ports["echo"]) as silent:
            ended = False
            while not ended:  # for as long as the silent one lives, and it must end
                conn.sendall(b"x")
                assert conn.recv(1) == b"x"
                silent.settimeout(0.05)
                try:
                    ended = silent.recv(1) == b""
                except TimeoutError:
                    continue
            conn.sendall(b"y")
            assert conn.recv(1) == b"y"

    def test_what_waits_for_all_together_is_bounded(self, start):
        server = start("tcp", "--max-buffered", "100000")
        conns = []
        for _ in range(4):
            conn = connect(server.ports["echo"])
            conns.append(conn)
            conn.settimeout(0.3)
            try:
                for _ in range(1000):
                    conn.sendall(b"x" * 65536)
            except (TimeoutError, ConnectionError):
                continue
        server.event("closed", reason="100000 octets wait for clients who do not read, no more are kept")
        for conn in conns:
            conn.close()

    @pytest.mark.parametrize(
        "flags", [["--max-line", "0"], ["--idle", "-1"], ["--port", "smtp=25"], ["--port", "echo=x"]]
    )
    def test_a_limit_that_makes_no_sense_is_a_usage_error(self, flags):
        told = subprocess.run(
            [sys.executable, "-m", "services.tcp", *flags], capture_output=True, text=True, check=False
        )
        assert told.returncode == 2
        assert "error:" in told.stderr

    def test_environment_variables_are_the_flags_defaults(self, start, monkeypatch):
        monkeypatch.setenv("LAB_MAX_LINE", "64")
        server = start("tcp")
        with connect(server.ports["chat"]) as conn:
            conn.sendall(b"x" * 100)
            assert read_all(conn).endswith(b"longer than 64 octets; goodbye\r\n")


class TestStopping:
    def test_sigterm_says_goodbye_drains_and_exits_with_0(self, start):
        server = start("tcp")
        with connect(server.ports["chat"]) as chat, connect(server.ports["echo"]) as echo:
            read_lines(chat, "help")
            echo.sendall(b"x" * 10)
            began = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            assert read_all(chat).endswith(b"* the server stops; goodbye\r\n")
            assert read_all(echo) == b"x" * 10
            with pytest.raises(OSError):
                connect(server.ports["echo"])
        assert server.process.wait(5) == 0
        assert time.monotonic() - began < 5
        server.event("stopped")

    def test_a_client_that_never_reads_does_not_hold_it_up(self, start):
        server = start("tcp")
        with connect(server.ports["chargen"]) as conn:
            conn.recv(1)
            assert server.stop() == 0

    def test_it_takes_its_port_again_at_once(self, start, tmp_path):
        server = start("tcp")
        port = server.ports["greeting"]
        with connect(port) as conn:
            read_all(conn)  # the server closes first, so TIME_WAIT is on its side
        assert server.stop() == 0
        again = start("tcp", "--port", f"greeting={port}")
        with connect(port) as conn:
            assert read_all(conn) == GREETING
        assert again.stop() == 0

    def test_a_port_in_use_is_told_with_its_number(self, start):
        server = start("tcp")
        port = server.ports["echo"]
        flags = [word for name in server.ports for word in ("--port", f"{name}=0")]
        told = subprocess.run(
            [sys.executable, "-m", "services.tcp", *flags, "--port", f"echo={port}", "--operator", ""],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert told.returncode == 1
        assert f"port {port}" in told.stdout
        assert "in use" in told.stdout


class TestLog:
    def test_a_flood_is_summed_up(self, start):
        server = start("tcp")
        for _ in range(600):
            with connect(server.ports["greeting"]) as conn:
                read_all(conn)
        more = server.event("more")
        closed = sum(event["event"] == "closed" for event in server.log)
        assert server.stop() == 0
        total = sum(e.get("lines", 0) for e in server.log if e["event"] == "more")
        assert more["lines"] > 0
        assert closed <= 600
        assert sum(event["event"] == "closed" for event in server.log) + total == 600


class TestStartingAnew:
    """SIGUSR1: between two tests the server forgets all, at the same ports, in the same process."""

    @pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
    def test_connections_end_and_every_port_answers_again(self, start, loop):
        with ExitStack() as held:
            taken = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
            numbers = [sock.getsockname()[1] for sock in taken]
        ports = dict(zip(("greeting", "chat", "echo"), numbers, strict=True))
        server = start("tcp", *(flag for name in ports for flag in ("--port", f"{name}={ports[name]}")), loop=loop)
        for times in (1, 2, 3):
            with connect(ports["echo"]) as echo, connect(ports["chat"]) as chat:
                read_lines(chat, "help")
                echo.sendall(b"x")
                assert echo.recv(1) == b"x"
                server.process.send_signal(signal.SIGUSR1)
                assert echo.recv(1) == b""
                read_all(chat)
            server.event("ready", anew=times)
            with connect(ports["greeting"]) as conn:
                assert read_all(conn) == GREETING
        assert os.path.exists(server.process.args[server.process.args.index("--operator") + 1])  # noqa: PTH110 - as it was given
