"""An X server played by the test."""

import pytest

from tests.gui.xserver import FakeServer


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
