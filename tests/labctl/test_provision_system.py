"""What is said where no engine answers, as a table; and its installation by scripts in the place of apt-get, sudo and service."""

import os
import socket

import pytest

from labctl.errors import EngineError
from labctl.progress import Silent
from labctl.provision import system
from labctl.provision.system import (
    NO_ENGINE,
    as_root,
    engine_problem,
    install_package,
    is_debian_like,
    offer_engine,
    os_release,
)

DEBIAN, UBUNTU, FEDORA = {"ID": "debian"}, {"ID": "ubuntu", "ID_LIKE": "debian"}, {"ID": "fedora", "ID_LIKE": "rhel"}
MINT = {"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}
SOCKET = "/var/run/docker.sock"
GONE, REFUSED, DENIED = "no such file or directory", "connection refused", "permission denied"
NO_RUN, NO_PERMISSION, NO_ANSWER = "is installed but does not run", "no permission on", "does not answer"

# (cause, socket, has the program, system) → (what, hint, may be installed)
TABLE = [
    (GONE, SOCKET, False, DEBIAN, NO_ENGINE, "apt-get install -y docker.io", True),
    (REFUSED, SOCKET, False, DEBIAN, NO_ENGINE, "apt-get install -y docker.io", True),
    (GONE, SOCKET, False, UBUNTU, NO_ENGINE, "--yes", True),
    (GONE, SOCKET, False, MINT, NO_ENGINE, "--yes", True),
    (GONE, SOCKET, False, FEDORA, NO_ENGINE, "docs.docker.com", False),
    (GONE, SOCKET, False, {}, NO_ENGINE, "docs.docker.com", False),
    (GONE, SOCKET, True, DEBIAN, NO_RUN, "docker start", False),
    (REFUSED, SOCKET, True, FEDORA, NO_RUN, "docker start", False),
    (DENIED, SOCKET, True, DEBIAN, NO_PERMISSION, "sudo usermod -aG docker $USER", False),
    (DENIED, SOCKET, False, DEBIAN, NO_PERMISSION, "sudo usermod -aG docker $USER", False),
    (REFUSED, None, True, DEBIAN, NO_ANSWER, "DOCKER_HOST", False),
    (GONE, None, False, DEBIAN, NO_ANSWER, "docker context", False),
]


@pytest.mark.parametrize(("cause", "path", "has", "release", "what", "hint", "installable"), TABLE)
def test_what_to_say(cause, path, has, release, what, hint, installable):
    problem = engine_problem(f"error while fetching: {cause}", path, has_engine=has, release=release)
    assert what in problem.what
    assert hint in problem.hint
    assert problem.installable == installable


@pytest.mark.parametrize(("systemd", "command"), [(True, "systemctl start docker"), (False, "service docker start")])
@pytest.mark.parametrize(("uid", "sudo"), [(0, "`"), (1000, "`sudo ")])
def test_how_to_start_it(systemd, command, uid, sudo, tmp_path, monkeypatch):
    monkeypatch.setattr(system, "SYSTEMD", tmp_path if systemd else tmp_path / "none")
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert engine_problem(GONE, SOCKET, has_engine=True, release=DEBIAN).hint == f"{sudo}{command}` starts it"
    assert as_root("x") == ("x" if uid == 0 else "sudo x")


class TestOsRelease:
    def test_reads_what_os_release_5_allows(self, tmp_path):
        (tmp_path / "a").write_text(
            "# why\nID=debian\nNAME=\"Debian GNU/Linux\"\nVERSION_ID='12'\n\nnonsense\nEMPTY=\n"
        )
        assert os_release(tmp_path / "a") == {
            "ID": "debian",
            "NAME": "Debian GNU/Linux",
            "VERSION_ID": "12",
            "EMPTY": "",
        }

    def test_none(self, tmp_path):
        assert os_release(tmp_path / "none") == {}

    @pytest.mark.parametrize(
        ("release", "is_it"), [(DEBIAN, True), (UBUNTU, True), (MINT, True), (FEDORA, False), ({}, False)]
    )
    def test_is_debian_like(self, release, is_it):
        assert is_debian_like(release) == is_it


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A Debian without an engine, whose apt-get brings one; `log` holds what was run."""
    (tmp_path / "bin").mkdir()
    for name in ("sh", "env", "cat"):
        (tmp_path / "bin" / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(system, "os_release", lambda: DEBIAN)
    monkeypatch.setattr(system, "SYSTEMD", tmp_path / "none")
    monkeypatch.setattr(system, "START_SECONDS", 0.2)
    monkeypatch.setattr(system, "ENGINE_SOCKET", str(tmp_path / "s"))
    program(tmp_path, "apt-get")
    program(tmp_path, "service")
    return tmp_path


def program(machine, name, text=""):
    path = machine / "bin" / name
    path.write_text(f'#!/bin/sh\necho "{name} $*" >>{machine}/log\n{text}')
    path.chmod(0o755)


def log(machine):
    lines = (machine / "log").read_text().splitlines() if (machine / "log").exists() else []
    return [line.replace("-q -y --no-install-recommends -o DPkg::Lock::Timeout=120 ", "") for line in lines]


@pytest.fixture
def running(machine):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(machine / "s"))
        listener.listen()
        yield machine


def offer(ask=None, assume_yes=False, what=NO_ENGINE):
    return offer_engine(EngineError(what), ask=ask, assume_yes=assume_yes, progress=Silent())


class TestOffer:
    INSTALLED = "apt-get install docker.io apparmor ca-certificates"

    def test_yes_installs_it_unasked(self, running):
        assert offer(assume_yes=True, ask=lambda _: pytest.fail("asked"))
        assert log(running) == [self.INSTALLED, "service docker start"]

    def test_systemd_starts_it_by_itself(self, running, monkeypatch):
        monkeypatch.setattr(system, "SYSTEMD", running)
        assert offer(assume_yes=True)
        assert log(running) == [self.INSTALLED]

    def test_asks_on_a_terminal(self, running):
        questions = []
        assert offer(ask=lambda question: not questions.append(question))
        assert "`docker.io`" in questions[0]
        assert self.INSTALLED in log(running)

    @pytest.mark.parametrize("ask", [None, lambda _: False], ids=["no terminal", "no"])
    def test_does_nothing_unless_wanted(self, machine, ask):
        assert not offer(ask=ask)
        assert log(machine) == []

    @pytest.mark.parametrize("what", ["the Docker engine is installed but does not run", "anything else"])
    def test_is_no_help_against_other_troubles(self, machine, what):
        assert not offer(assume_yes=True, what=what)
        assert log(machine) == []

    def test_is_for_systems_with_apt(self, machine, monkeypatch):
        monkeypatch.setattr(system, "os_release", lambda: FEDORA)
        assert not offer(assume_yes=True)

    def test_old_package_lists_are_fetched_anew(self, running):
        program(running, "apt-get", f"case $* in *update) : >{running}/new ;; *) [ -e {running}/new ] ;; esac\n")
        assert offer(assume_yes=True)
        assert log(running) == [self.INSTALLED, "apt-get update", self.INSTALLED, "service docker start"]

    def test_a_failed_installation_shows_apts_last_words(self, machine):
        program(machine, "apt-get", "case $* in *update) ;; *) echo 'E: no room'; exit 100 ;; esac\n")
        with pytest.raises(EngineError, match=r"`docker\.io` could not be installed") as caught:
            offer(assume_yes=True)
        assert "| E: no room" in caught.value.what
        assert caught.value.code == 3

    def test_no_network(self, machine):
        program(machine, "apt-get", "echo 'E: resolving'; exit 100\n")
        with pytest.raises(EngineError, match="package lists"):
            offer(assume_yes=True)

    def test_an_engine_that_does_not_come_up(self, machine):
        with pytest.raises(EngineError, match="does not answer after") as caught:
            offer(assume_yes=True)
        assert caught.value.where == str(machine / "s")


class TestInstallPackage:
    def test_by_sudo_which_passes_no_environment_on(self, machine, monkeypatch):
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        program(machine, "sudo", 'exec env -i PATH="$PATH" "$@"\n')
        program(machine, "apt-get", f"echo $DEBIAN_FRONTEND >>{machine}/log\n")
        install_package("mmdebstrap", Silent())
        assert log(machine)[0].startswith("sudo env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 apt-get")
        assert log(machine)[1:] == ["apt-get install mmdebstrap", "noninteractive"]

    def test_neither_root_nor_sudo(self, machine, monkeypatch):
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        with pytest.raises(EngineError, match="only root may install it") as caught:
            install_package("mmdebstrap", Silent())
        assert "apt-get install -y mmdebstrap" in caught.value.hint
