"""The host `udp-server` and plain sockets."""

import socket
import subprocess
import sys
import time

import pytest

from services.wire import small


def exchange(port, data=b"", host="127.0.0.1"):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as conn:
        conn.settimeout(5)
        conn.connect((host, port))
        conn.send(data)
        return conn.recv(65535)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_every_service_answers_as_its_rfc_says_under_both_loops(start, loop):
    server = start("udp", loop=loop)
    port = server.ports
    assert exchange(port["greeting"]) == small.GREETING
    assert exchange(port["echo"], b"x" * 9000) == b"x" * 9000
    assert exchange(port["echo"]) == b""
    assert exchange(port["daytime"]).endswith(b"-UTC\r\n")
    assert abs(small.read_time(exchange(port["time"]), time.time()) - time.time()) < 5
    assert 0 < len(exchange(port["chargen"])) <= 512
    assert server.stop() == 0


def test_ipv6(shared_udp):
    assert exchange(shared_udp.ports["echo"], b"six", "::1") == b"six"


def test_discard_says_nothing_and_lives_on(shared_udp):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as conn:
        conn.settimeout(0.2)
        conn.connect(("127.0.0.1", shared_udp.ports["discard"]))
        conn.send(b"x")
        with pytest.raises(TimeoutError):
            conn.recv(10)
    assert exchange(shared_udp.ports["echo"], b"alive") == b"alive"


def test_datagrams_of_many_peers_are_not_mixed(shared_udp):
    address = ("127.0.0.1", shared_udp.ports["echo"])
    peers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(50)]
    try:
        for number, peer in enumerate(peers):
            peer.settimeout(5)
            peer.sendto(f"{number}".encode(), address)
        assert [int(peer.recv(100)) for peer in peers] == list(range(50))
    finally:
        for peer in peers:
            peer.close()


def test_a_burst_of_ten_thousand_leaves_it_answering(shared_udp):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
        for _ in range(10_000):
            flood.sendto(b"x" * 100, ("127.0.0.1", shared_udp.ports["discard"]))
    assert exchange(shared_udp.ports["echo"], b"alive") == b"alive"


def test_the_healthchecks_client_agrees(shared_udp):
    from services.runtime.check import check_datagram

    assert check_datagram(shared_udp.ports["greeting"], small.GREETING) == 0
    assert check_datagram(shared_udp.ports["echo"], small.GREETING) == 1


def test_an_unknown_service_is_a_usage_error():
    told = subprocess.run(
        [sys.executable, "-m", "services.udp", "--port", "dns=53"], capture_output=True, text=True, check=False
    )
    assert told.returncode == 2
    assert "`dns` is not one of" in told.stderr
