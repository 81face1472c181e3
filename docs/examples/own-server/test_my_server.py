"""Tests of the server beside this file, in a lab: `pytest` is all that has to be typed."""

import socket
from pathlib import Path

import pytest

SERVER = Path(__file__).with_name("my_server.py")

pytestmark = pytest.mark.lab("tcp-demo", swap={"tcp-server": SERVER})


def test_a_client_is_greeted_by_name(lab):
    ran = lab.host("client").run("lab tcp greet tcp-server 12345")
    assert ran.stdout == "Thank you for connecting\n"


def test_many_clients_are_served_at_once(lab):
    clients = [socket.create_connection(lab.address("tcp-server", 12345), 5) for _ in range(20)]
    for client in reversed(clients):
        with client:
            assert client.recv(100) == b"Thank you for connecting"


def test_it_comes_back_after_a_crash(lab):
    lab.faults.crash("tcp-server")
    lab.faults.restart("tcp-server")
    assert lab.host("client").run("lab wait tcp-server:12345 && lab tcp greet tcp-server").ok
