"""An engine by ssh: what is typed for the user, one login for all connections, and an end with us. A script plays `ssh`."""

import os
import socket
import subprocess
import sys
import time

import pytest

from labctl.engine.endpoint import Endpoint
from labctl.engine.sdk import DockerEngine
from labctl.engine.ssh import Tunnel, ssh_words
from labctl.errors import EngineError

# Writes down how it was called; does by hand what the other machine's shell would, where `docker system dial-stdio` is an echo.
SSH = """#!/bin/sh
echo "$$ $*" >> "$0.log"
for last; do :; done
case $last in
'docker system dial-stdio') exec cat ;;
*) exec sh -c "$last" ;;
esac
"""


@pytest.fixture
def ssh(tmp_path, monkeypatch):
    script = tmp_path / "ssh"

    def install(text=SSH):
        script.write_text(text)
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        return lambda: (tmp_path / "ssh.log").read_text().splitlines()

    return install


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ssh://box", "-- box"),
        ("ssh://ana@box", "-l ana -- box"),
        ("ssh://ana@box:2222", "-l ana -p 2222 -- box"),
        ("ssh://[fd00::1]:22", "-p 22 -- fd00::1"),
    ],
)
def test_the_command(url, words):
    assert " ".join(ssh_words(url)) == f"ssh -o ConnectTimeout=30 -T {words}"


@pytest.mark.parametrize("url", ["ssh://", "ssh://ana:secret@box", "ssh://box/var/run/docker.sock"])
def test_what_is_no_such_address(url):
    with pytest.raises(ValueError, match="is no address such as"):
        ssh_words(url)


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_connections_side_by_side_over_one_login_that_ends_with_us(ssh):
    log = ssh()
    tunnel = Tunnel("ssh://ana@box")
    conns = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    for number, conn in enumerate(conns):
        conn.settimeout(30)
        conn.connect(tunnel.path)
        conn.sendall(f"octets {number}".encode())
    for number, conn in enumerate(conns):
        assert conn.recv(100) == f"octets {number}".encode()
    conns[0].shutdown(socket.SHUT_WR)
    assert conns[0].recv(100) == b""  # the far end saw our end, and closed
    for conn in conns:
        conn.close()
    assert [("ControlMaster=yes" in line, "-l ana -- box" in line) for line in log()] == [(True, True)] + 3 * [
        (False, True)
    ]
    login = int(log()[0].split()[0])
    tunnel.close()
    deadline = time.monotonic() + 30
    while not gone(login):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_labctl_that_is_killed_leaves_no_login(ssh):
    log = ssh()
    code = "import sys; from labctl.engine.ssh import Tunnel; Tunnel('ssh://box'); print('in', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"in\n"
        process.kill()
    deadline = time.monotonic() + 30
    while not gone(int(log()[0].split()[0])):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_login_that_fails_is_told_in_sshs_own_words(ssh):
    ssh("#!/bin/sh\necho 'ana@box: Permission denied (publickey).' >&2\nexit 255\n")
    with pytest.raises(EngineError) as failed:
        DockerEngine(Endpoint("ssh://ana@box", "DOCKER_HOST"))
    assert "Permission denied (publickey)" in failed.value.what
    assert "docker -H ssh://ana@box version" in failed.value.hint
    assert failed.value.code == 3
