"""The lab's certificates: made once, good for a strict client, safe to ask for from several servers at once."""

import os
import socket
import ssl
import stat
import subprocess
import threading
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "services/tls/lab-tls"


@pytest.fixture
def make(tmp_path):
    (tmp_path / "tls").mkdir()
    (tmp_path / "handouts").mkdir()
    env = os.environ | {"LAB_TLS": str(tmp_path / "tls"), "LAB_HANDOUTS": str(tmp_path / "handouts")}

    def run(*argv):
        return subprocess.Popen([TOOL, *argv], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait(*argv, code=0):
        with run(*argv) as started:
            out, err = started.communicate(timeout=30)
        assert started.returncode == code, err
        return out

    wait.begin, wait.tls, wait.handouts = run, tmp_path / "tls", tmp_path / "handouts"
    return wait


def handshake(make, name, asked):
    """Connect a strict client to a server with the certificate of `name`; return the TLS version."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(make.tls / f"{name}.crt", make.tls / f"{name}.key")
    client = ssl.create_default_context(cafile=make.handouts / "ca.crt")
    client.verify_flags |= ssl.VERIFY_X509_STRICT  # the default since Python 3.13
    ours, theirs = socket.socketpair()

    def serve():
        try:
            server.wrap_socket(theirs, server_side=True).close()
        except (OSError, ssl.SSLError):
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(ours, server_hostname=asked) as conn:
            return conn.version()
    finally:
        ours.close()
        thread.join(10)


def test_a_strict_client_trusts_it_by_its_name_alone(make):
    make("smtp-relay")
    assert handshake(make, "smtp-relay", "smtp-relay") == "TLSv1.3"
    assert handshake(make, "smtp-relay", "smtp-relay.lab.test") == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(make, "smtp-relay", "mail-server")


def test_what_is_good_stays_and_the_command_is_run(make):
    assert make("mail-server", "echo", "a b").strip() == "a b"
    before = {path.name: path.read_bytes() for path in make.tls.iterdir()}
    make("mail-server")
    assert {path.name: path.read_bytes() for path in make.tls.iterdir()} == before
    assert set(before) == {".lock", "ca.crt", "ca.key", "mail-server.crt", "mail-server.key"}
    assert [path.name for path in make.handouts.iterdir()] == ["ca.crt"]


def test_several_servers_at_once_get_one_ca(make):
    started = [make.begin(name) for name in ("a", "b", "c", "a")]
    for one in started:
        with one:
            assert one.wait(30) == 0, one.stderr.read()
    for name in ("a", "b", "c"):
        assert handshake(make, name, name) == "TLSv1.3"


def test_keys_are_for_their_owner_alone(make):
    make("mail-server")
    modes = {path.suffix: stat.S_IMODE(path.stat().st_mode) for path in make.tls.glob("*.*")}
    assert (modes[".key"], modes[".crt"]) == (0o600, 0o644)


@pytest.mark.parametrize("broken", ["ca.key", "ca.crt", "mail-server.key", "mail-server.crt"])
def test_what_is_missing_or_cut_off_is_made_anew(make, broken):
    make("mail-server")
    (make.tls / ".making").mkdir()  # and a run was killed in the midst
    (make.tls / broken).write_bytes(b"")
    make("mail-server")
    assert handshake(make, "mail-server", "mail-server") == "TLSv1.3"


@pytest.mark.parametrize("name", ["../x", "a b", "ca", "", "A", "$(id)", "-x;"])
def test_a_name_that_is_none_is_refused(make, name):
    make(name, code=2)
    assert [path.name for path in make.tls.iterdir()] == []
