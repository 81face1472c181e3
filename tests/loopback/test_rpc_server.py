"""The host `rpc-server` and other people's clients, and `lab rpc`."""

import http.client
import json
import socket
import subprocess
import sys
import time
import xmlrpc.client
from pathlib import Path

import pytest

from tests.loopback.conftest import Server

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server():
    server = Server("services.rpc", (), "--timeout", "0.5", "--threads", "4")
    yield server
    assert server.stop() == 0


@pytest.fixture
def proxy(server):
    with xmlrpc.client.ServerProxy(f"http://127.0.0.1:{server.port}/RPC2", allow_none=True) as proxy:
        yield proxy


def lab(server, *argv):
    return subprocess.run(
        [sys.executable, "-m", "services.client", "rpc", argv[0], "127.0.0.1", "--port", str(server.port), *argv[1:]],
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


class TestMethods:
    def test_each(self, proxy):
        assert proxy.add(2, 3) == 5
        assert proxy.divide(7, 2) == 3.5
        assert proxy.hostname() == socket.gethostname()
        assert proxy.primes(20) == [2, 3, 5, 7, 11, 13, 17, 19]
        assert abs(time.mktime(time.strptime(str(proxy.now()), "%Y%m%dT%H:%M:%S")) - time.mktime(time.gmtime())) < 5

    @pytest.mark.parametrize(
        "value",
        [
            0,
            -5,
            2**31 - 1,
            1.5,
            True,
            "",
            "ü < & >",
            [],
            [1, [2, "x"]],
            {"a": {"b": None}},
            xmlrpc.client.Binary(b"\0\xff"),
        ],
    )
    def test_a_value_keeps_its_type(self, proxy, value):
        assert proxy.echo(value) == value

    @pytest.mark.parametrize(
        ("method", "args", "code"),
        [("divide", (1, 0), 1), ("primes", (10**9,), 2), ("primes", (-1,), 2), ("nothing", (), 1), ("add", (1,), 1)],
    )
    def test_what_goes_wrong_is_a_fault(self, proxy, method, args, code):
        with pytest.raises(xmlrpc.client.Fault) as fault:
            getattr(proxy, method)(*args)
        assert fault.value.faultCode == code

    def test_introspection_tells_what_there_is(self, proxy):
        names = proxy.system.listMethods()
        assert {"add", "divide", "echo", "hostname", "now", "primes", "system.listMethods", "system.methodHelp"} <= set(
            names
        )
        assert proxy.system.methodHelp("add") == "Return the sum of two numbers."
        assert proxy.system.methodSignature("primes") == [["array", "int"]]


class TestHostile:
    def post(self, server, body=b"", path="/RPC2", **headers):
        conn = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        conn.putrequest("POST", path)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            conn.putheader(name.replace("_", "-"), value)
        conn.endheaders(body)
        return conn.getresponse()

    @pytest.mark.parametrize(
        ("headers", "status"),
        [({"Content_Length": "999999999"}, 413), ({"Content_Length": "-1"}, 411), ({"Content_Length": "x"}, 411),
         ({"Content_Encoding": "gzip"}, 415)],
    )  # fmt: skip
    def test_a_request_that_could_cost_too_much_is_refused(self, server, headers, status):
        assert (
            self.post(server, **{"Content-Length": "0", **{k.replace("_", "-"): v for k, v in headers.items()}}).status
            == status
        )

    def test_another_path_is_not_found(self, server):
        assert self.post(server, b"<x/>", path="/cgi-bin/x").status == 404

    CALL = b"<methodCall><methodName>add</methodName><params><param><value><int>x</int></value></param></params></methodCall>"

    @pytest.mark.parametrize("body", [b"", b"<", b"<methodCall/>", b"\0" * 100, CALL])
    def test_a_body_that_is_no_call_is_a_fault(self, server, body):
        reply = self.post(server, body)
        assert reply.status == 200
        with pytest.raises(xmlrpc.client.Fault):
            xmlrpc.client.loads(reply.read())

    def test_entities_that_multiply_are_not_expanded(self, server):
        lines = [
            "<!DOCTYPE m [<!ENTITY a0 'ha'>",
            *(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 10)),
            "]>",
        ]
        call = self.CALL.decode().replace("add", "echo").replace("<int>x</int>", "<string>&a9;</string>")
        reply = self.post(server, ("".join(lines) + call).encode())
        assert len(reply.read()) < 10_000
        assert server.rss < 100 << 20

    def test_the_slow_do_not_hold_up_the_others(self, server, proxy):
        slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(8)]  # twice as many as threads
        for conn in slow:
            conn.sendall(b"POST /RPC2 HTTP/1.1\r\nContent-Length: 100\r\n\r\n<")
        assert proxy.add(1, 1) == 2
        for conn in slow:
            conn.close()

    def test_random_octets(self, server, proxy):
        import random

        rng = random.Random(1)
        for _ in range(300):
            with socket.create_connection(("127.0.0.1", server.port), timeout=5) as conn:
                conn.sendall(
                    rng.choice([b"", b"POST /RPC2 HTTP/1.1\r\n", b"Content-Length: 5\r\n\r\n"])
                    + rng.randbytes(rng.randrange(200))
                )
                conn.shutdown(socket.SHUT_WR)
                while conn.recv(65536):
                    pass
        assert proxy.add(1, 1) == 2


class TestLab:
    def test_list(self, server):
        said = lab(server, "list").stdout
        assert (
            "array primes(int)\n    Return the prime numbers below a number; fault 2 where it is above 10000.\n" in said
        )

    @pytest.mark.parametrize(
        ("argv", "said"),
        [
            (["add", "2", "3.5"], "5.5\n"),
            (["echo", "text"], "text\n"),
            (["echo", '{"a": [1, null]}'], '{"a": [1, null]}\n'),
        ],
    )
    def test_call(self, server, argv, said):
        assert lab(server, "call", *argv).stdout == said

    def test_a_time_is_told_as_text(self, server):
        assert json.loads(lab(server, "call", "now").stdout)[:2] == "20"

    def test_the_xml_is_shown_beside_the_result(self, server):
        done = lab(server, "call", "add", "1", "2", "--xml")
        assert done.stdout == "3\n"
        assert "-- request" in done.stderr
        assert "<methodName>add</methodName>" in done.stderr
        assert "<value><int>3</int></value>" in done.stderr

    @pytest.mark.parametrize(
        ("argv", "words"),
        [
            (["divide", "1", "0"], "fault 1: division by zero"),
            (["none"], "not supported"),
            (["echo", "99999999999"], "32 bits"),
        ],
    )
    def test_what_fails_is_told(self, server, argv, words):
        done = lab(server, "call", *argv)
        assert (done.returncode, done.stdout) == (1, "")
        assert words in done.stderr

    def test_a_server_that_speaks_something_else_is_told(self, shared_tcp):
        done = subprocess.run(
            [sys.executable, "-m", "services.client", "rpc", "list", "127.0.0.1", "--port", str(shared_tcp.ports["greeting"])],
            cwd=ROOT, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert "no reply of XML-RPC" in done.stderr
