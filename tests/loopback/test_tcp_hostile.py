"""Clients that mean no good to the host `tcp-server`, on both event loops, and those who share it with them."""

import contextlib
import socket
import time
from select import select as wait

import pytest

PATIENCE = 10


@pytest.fixture(params=["uvloop", "asyncio"])
def loop(request):
    return request.param


def connect(server, name):
    return socket.create_connection(("127.0.0.1", server.ports[name]), PATIENCE)


def read_all(conn):
    """Read until the peer's FIN; a reset raises."""
    return b"".join(iter(lambda: conn.recv(65536), b""))


def ask(server, name, message):
    """Send, half-close, and read until the server closes."""
    with connect(server, name) as conn:
        conn.sendall(message)
        conn.shutdown(socket.SHUT_WR)
        return read_all(conn)


class Person:
    """Somebody in the chat."""

    def __init__(self, server, name):
        self.conn = connect(server, "chat")
        self.lines = self.conn.makefile("r", encoding="utf-8", newline="\r\n")
        self.conn.sendall(f"/name {name}\n".encode())
        self.hears(f"is now {name}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lines.close()
        self.conn.close()

    def hears(self, text):
        """Return the next line with a text in it."""
        for line in self.lines:
            if text in line:
                return line.removesuffix("\r\n")
        raise AssertionError(f"the server closed before {text!r} was heard")


class TestAfterOurFin:
    def test_a_peer_that_keeps_sending_is_cut_off(self, start, loop):
        """It would hold a connection for as long as it likes."""
        server = start("tcp", loop=loop)
        with connect(server, "greeting") as conn:
            began = time.monotonic()
            with pytest.raises(OSError, match=r"[Rr]eset|[Bb]roken"):
                while time.monotonic() - began < PATIENCE:
                    conn.sendall(b"x" * 1000)
        server.event("closed", reason="the peer did not close")

    def test_a_refusal_reaches_one_that_talked_first(self, start, loop):
        server = start("tcp", "--max-connections=1", loop=loop)
        with connect(server, "echo") as first, connect(server, "chat") as second:
            second.sendall(b"/name eve\r\n" * 1000)
            assert read_all(second) == b"* 1 connections are open, no more are allowed; goodbye\r\n"
            first.sendall(b"still served")
            assert first.recv(100) == b"still served"


class TestMemory:
    def test_small_amounts_count_too(self, start, loop):
        """Many peers that each leave a little unread must not add up beyond the limit."""
        server = start("tcp", "--max-buffered=1", loop=loop)
        with connect(server, "chargen") as deaf:
            server.event("closed", reason="1 octets wait for clients who do not read, no more are kept")
            assert ask(server, "echo", b"hello") == b"hello"
            deaf.recv(1)

    def test_the_one_that_has_been_stuck_the_longest_goes_first(self, start, loop):
        server = start("tcp", "--max-buffered=40000", loop=loop)
        deaf = []
        while not any("octets wait" in event.get("reason", "") for event in server.log):
            deaf.append(connect(server, "chargen"))
            assert len(deaf) < 100
            deaf[-1].recv(1)
            server.event("connected", peer=f"127.0.0.1:{deaf[-1].getsockname()[1]}")
        gone = server.event("closed")["peer"]
        assert gone != f"127.0.0.1:{deaf[-1].getsockname()[1]}"
        for conn in deaf:
            conn.close()

    def test_one_that_was_only_slow_gets_everything(self, start, loop):
        server = start("tcp", loop=loop)
        message = bytes(range(256)) * 8000
        with connect(server, "echo") as slow:
            slow.setblocking(False)
            sent, back = 0, b""
            while sent < len(message):
                try:
                    sent += slow.send(message[sent:])
                except BlockingIOError:
                    slow.settimeout(PATIENCE)
                    back += slow.recv(1000)
                    slow.setblocking(False)
            slow.settimeout(PATIENCE)
            slow.shutdown(socket.SHUT_WR)
            assert back + read_all(slow) == message


class TestChat:
    def test_a_flood_of_lines_arrives_whole_and_in_order(self, start, loop):
        server = start("tcp", loop=loop)
        with Person(server, "ana") as ana, Person(server, "ben") as ben:
            lines = [f"line {number}" for number in range(3000)]
            ana.conn.sendall("".join(f"{line}\n" for line in lines).encode())
            assert [ben.hears("ana: ") for _ in lines] == [f"ana: {line}" for line in lines]

    def test_what_was_sent_before_fin_is_said(self, start, loop):
        """As `printf ... | nc -N` does it."""
        server = start("tcp", loop=loop)
        with Person(server, "ben") as ben:
            said = ask(server, "chat", b"/name nc\n" + b"hello\n" * 1000 + b"/who\n").decode()
            assert said.splitlines()[-1] == "* here: ben, nc"
            for _ in range(1000):
                assert ben.hears("nc: ") == "nc: hello"

    def test_a_name_is_free_with_the_fin_of_its_owner(self, start, loop):
        server = start("tcp", loop=loop)
        with Person(server, "zoe") as first:
            first.conn.sendall(b"/quit\n")
            first.hears("goodbye")
            with Person(server, "zoe"):  # the first has not closed its end
                pass

    def test_hundreds_of_silent_listeners_hear_everything(self, start, loop):
        server = start("tcp", loop=loop)
        with Person(server, "ana") as ana:
            crowd = [connect(server, "chat") for _ in range(200)]
            for conn in crowd:
                conn.recv(100)
            ana.conn.sendall(b"one\ntwo\n")
            for conn in crowd:
                with conn, conn.makefile("rb") as lines:
                    said = [line for line in iter(lines.readline, b"ana: two\r\n") if line.startswith(b"ana")]
                    assert said == [b"ana: one\r\n"]

    def test_a_client_put_out_is_told_why_when_it_reads_at_last(self, start, loop):
        server = start("tcp", loop=loop)
        with Person(server, "deaf") as deaf, Person(server, "ana") as ana:
            ana.conn.setblocking(False)
            wire, told, sent = b"x" * 1000 + b"\n", b"", 0
            while b"deaf left" not in told:
                wait([ana.conn], [ana.conn], [], PATIENCE)
                with contextlib.suppress(BlockingIOError):
                    sent += ana.conn.send(wire[sent % len(wire) :] + wire * 60)
                with contextlib.suppress(BlockingIOError):
                    told = told[-100:] + ana.conn.recv(65536)
            deaf.conn.settimeout(PATIENCE)
            reason = b"* you do not read: more than 65536 octets wait for you; goodbye\r\n"
            assert read_all(deaf.conn).endswith(reason)


class TestStopping:
    def test_a_peer_that_does_not_close_is_not_waited_for(self, start, loop):
        server = start("tcp", loop=loop)
        with connect(server, "chat") as chat, connect(server, "echo") as echo:
            chat.recv(100)
            echo.sendall(b"x")
            echo.recv(1)
            began = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - began < 1
            assert read_all(chat).endswith(b"* the server stops; goodbye\r\n")
            assert read_all(echo) == b""

    def test_the_operators_socket_is_gone_and_may_be_missing_from_the_start(self, start, tmp_path):
        server = start("tcp")
        assert (tmp_path / "operator.sock").stat().st_mode & 0o777 == 0o600
        server.stop()
        assert not (tmp_path / "operator.sock").exists()
        (tmp_path / "file").write_text("")
        without = start("tcp", f"--operator={tmp_path}/file/chat.sock")
        without.event("no operator")
        assert ask(without, "chat", b"").startswith(b"* you are guest1")
