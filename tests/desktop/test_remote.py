"""An engine that is not this machine's, as far as labctl knows: by TCP through a small proxy, by ssh with a real sshd in a container."""

import os
import shutil
import socket
import struct
import subprocess
import threading
import uuid
from contextlib import suppress

import pytest
from conftest import labctl
from ways import count_lines, gui, until, windows

from labctl.engine.endpoint import find_endpoint


def pump(source, sink):
    """Carry octets one way, then close that way: `docker exec -i` tells by it that stdin has ended."""
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def join(conn, engine):
    """Carry octets both ways until both have ended."""
    with conn, engine:
        back = threading.Thread(target=pump, args=(engine, conn), daemon=True)
        back.start()
        pump(conn, engine)
        back.join()


@pytest.fixture(scope="module")
def by_tcp():
    """Return the environment in which the engine is known by a TCP address alone."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve():
        with suppress(OSError):  # closed
            while True:
                conn, _ = listening.accept()
                engine = socket.socket(socket.AF_UNIX)
                engine.connect(find_endpoint().socket)
                threading.Thread(target=join, args=(conn, engine), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield {"DOCKER_HOST": f"tcp://127.0.0.1:{listening.getsockname()[1]}"}
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()


@pytest.fixture(scope="module")
def by_ssh(lab, tmp_path_factory):
    """Return the environment in which the engine is known by ssh alone: the other machine is a container with sshd and docker's CLI."""
    folder = tmp_path_factory.mktemp("ssh")
    here, box = find_endpoint().socket, f"test-box-{uuid.uuid4().hex[:6]}"
    for name in ("id", "host"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    (folder / "known_hosts").write_text(f"box {(folder / 'host.pub').read_text()}")
    (folder / "id.pub").rename(folder / "authorized_keys")
    image = subprocess.run(
        ["docker", "inspect", "-f", "{{.Image}}", lab.hosts["desktop"]], capture_output=True, text=True, check=True
    ).stdout.strip()
    subprocess.run(
        ["docker", "run", "-d", "--rm", "--init", "--name", box, "--network", "none", "--user", "0", "--tmpfs", "/run/sshd",
         "-v", f"{os.path.realpath(shutil.which('docker'))}:/usr/bin/docker:ro", "-v", f"{here}:/var/run/docker.sock",
         image, "sh", "-c", "mkdir -m 700 /keys; exec sleep infinity"],
        check=True, capture_output=True,
    )  # fmt: skip
    for name in ("host", "authorized_keys"):
        put = ["docker", "exec", "-i", box, "sh", "-c", f"umask 077; until cat >/keys/{name}; do :; done"]
        subprocess.run(put, input=(folder / name).read_bytes(), check=True)
    sshd = "/usr/sbin/sshd -i -f /dev/null -h /keys/host -o AuthorizedKeysFile=/keys/authorized_keys -o UsePAM=no -o StrictModes=no"
    (folder / "config").write_text(
        f"Host box\n  User root\n  IdentityFile {folder}/id\n  UserKnownHostsFile {folder}/known_hosts\n  BatchMode yes\n"
        f"  ProxyCommand env DOCKER_HOST=unix://{here} docker exec -i {box} {sshd}\n"
    )
    wrapper = folder / "ssh"  # OpenSSH finds its files by the user's number, not by HOME
    wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/config "$@"\n')
    wrapper.chmod(0o755)
    yield {"DOCKER_HOST": "ssh://box", "PATH": f"{folder}:{os.environ['PATH']}"}
    subprocess.run(["docker", "stop", "-t", "1", box], check=True, capture_output=True)


def read_banner(address):
    """Open the screen's WebSocket and return the first octets that the VNC server sends."""
    base, _, token = address.partition("/#")
    host, _, port = base.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), 30) as conn, conn.makefile("rb") as stream:
        conn.sendall(
            f"GET /screen?token={token} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert b" 101 " in stream.readline()
        while stream.readline().strip():
            pass
        kind, size = struct.unpack("BB", stream.read(2))
        assert kind == 0x82
        return stream.read(size)


@pytest.mark.parametrize("engine", ["by_tcp", "by_ssh"])
class TestElsewhere:
    def test_the_relay_brings_the_window_and_takes_it_away(self, lab, display, screen, engine, request):
        env = request.getfixturevalue(engine)
        with gui(lab, "--via", "relay", env=display.env | env) as process:
            assert "relay, untrusted" in count_lines(process, "→ your display")
            until(lambda: screen.colours() > 8, "the window")
        until(lambda: screen.colours() < 4, "the window to go")
        until(lambda: not windows(lab), "the container to be empty again")

    def test_the_browser_reaches_the_screen_through_the_gateway_here(self, lab, engine, request):
        with gui(lab, "--via", "web", "--no-open", env=request.getfixturevalue(engine)) as process:
            assert read_banner(process.stdout.readline().strip()) == b"RFB 003.008\n"
        until(lambda: not windows(lab), "the container to be empty again")

    def test_the_socket_is_refused_and_the_others_are_named(self, lab, display, engine, request):
        env = request.getfixturevalue(engine)
        with gui(lab, "--via", "socket", env=display.env | env) as process:
            said = process.stderr.read()
            assert process.wait(30) == 1
        assert f"the engine at {env['DOCKER_HOST']} is on another machine" in said
        assert "`--via relay`, `--via ssh` and `--via web` need no mount" in said


def test_ssh_carries_ssh(lab, display, screen, by_ssh):
    """`ssh -X` to the container, whose connection is `docker exec`, whose connection is ssh to the engine."""
    with gui(lab, "--via", "ssh", env=display.env | by_ssh):
        until(lambda: screen.colours() > 8, "the window", 60)
    until(lambda: not windows(lab), "the container to be empty again")


def test_the_rest_of_labctl_finds_the_lab_there_too(lab, by_ssh):
    assert lab.name in labctl("ps", lab.name, "--json", **by_ssh)
    assert labctl("exec", "--lab", lab.name, "client", "--", "echo", "there", **by_ssh) == "there\n"
