"""Compose v2: which one is taken, and how it is obtained; apt is a script that says what the real one says, but for the last class."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from labctl.errors import EngineError
from labctl.progress import Silent
from labctl.provision import compose_tool
from labctl.provision.compose_tool import (
    ComposeTool,
    ensure_compose,
    find_compose,
    obtain_compose,
    own_folder,
    wanted_packages,
)
from labctl.provision.private_apt import NO_NETWORK, hint_for, private_apt
from labctl.provision.sources import Source
from labctl.provision.system import os_release

ROOT = Path(__file__).parents[2]
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEBIAN = [Source("http://deb.example/debian", "bookworm", ("main",), KEYRING)]
UBUNTU = [Source("http://a.example/ubuntu", suite, ("main", "universe")) for suite in ("noble", "noble-updates")]


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def compose(path, version):
    return program(path, f"#!/bin/sh\necho {version}\n")


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine without any Compose, which apt-get may change."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    for name in ("LABCTL_HOME", "XDG_DATA_HOME", "DOCKER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin")
    monkeypatch.setattr(compose_tool, "CLI_FOLDERS", (str(tmp_path / "usr-local"), str(tmp_path / "usr")))
    for name in ("home", "tmp", "bin"):
        (tmp_path / name).mkdir()
    program(
        tmp_path / "bin" / "docker-compose",
        "#!/usr/bin/python3\nraise SystemExit('docker-compose version 1 is not to be asked')\n",
    )
    return tmp_path


class TestFind:
    def test_nothing(self, machine):
        assert find_compose() is None

    def test_the_first_place_wins(self, machine, monkeypatch):
        monkeypatch.setenv("DOCKER_CONFIG", str(machine / "config"))
        places = [
            own_folder(),
            machine / "config/cli-plugins",
            machine / "usr-local/cli-plugins",
            machine / "usr/cli-plugins",
            machine / "bin",
        ]
        for number, place in reversed(list(enumerate(places))):
            path = compose(place / "docker-compose", f"v2.{number}.0")
            found = find_compose()
            assert found.command == (str(path),)
            assert found.version == f"2.{number}.0"

    def test_without_a_setting_the_users_plugins_are_in_the_home(self, machine):
        path = compose(machine / "home/.docker/cli-plugins/docker-compose", "2.30.1")
        assert find_compose() == ComposeTool((str(path),), "2.30.1", "the docker CLI's plugin")

    @pytest.mark.parametrize(
        "text",
        [
            "#!/bin/sh\necho 1.29.2\n",
            "#!/usr/bin/python3\nprint('2.0')\n",
            "#!/bin/sh\nexit 1\n",
            "#!/nowhere\n",
            "\x7fELF",
            "#!/bin/sh\necho what\n",
        ],
        ids=["version 1", "a Python script", "fails", "no interpreter", "not for this machine", "no number"],
    )
    def test_what_is_no_compose_v2_is_passed_over(self, machine, text):
        program(own_folder() / "docker-compose", text)
        assert find_compose() is None

    def test_what_may_not_be_run_is_passed_over(self, machine):
        compose(own_folder() / "docker-compose", "2.0.0").chmod(0o644)
        (machine / "usr/cli-plugins/docker-compose").mkdir(parents=True)
        assert find_compose() is None

    def test_says_which_package_its_own_came_from(self, machine):
        compose(own_folder() / "docker-compose", "2.26.1")
        assert find_compose().origin == "labctl's own"
        (own_folder() / "origin.json").write_text(
            '{"package": "docker-compose", "version": "2.26.1-4", "suite": "trixie"}'
        )
        assert find_compose().origin == "from package docker-compose 2.26.1-4 of trixie"

    @pytest.mark.parametrize(
        ("environ", "folder"),
        [
            ({"LABCTL_HOME": "/a", "XDG_DATA_HOME": "/b"}, "/a/cli-plugins"),
            ({"XDG_DATA_HOME": "/b"}, "/b/labctl/cli-plugins"),
            ({"HOME": "/c"}, "/c/.local/share/labctl/cli-plugins"),
        ],
    )
    def test_own_folder(self, machine, monkeypatch, environ, folder):
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        assert str(own_folder()) == folder


class TestWhereItComesFrom:
    @pytest.mark.parametrize("number", ["11", "12"])
    def test_old_debian_takes_it_from_trixie(self, number):
        sources, packages = wanted_packages(
            {"ID": "debian", "VERSION_ID": number, "VERSION_CODENAME": "bookworm"}, DEBIAN
        )
        assert sources == [Source("http://deb.example/debian", "trixie", ("main",), KEYRING)]
        assert packages == ("docker-compose", "docker-buildx")

    @pytest.mark.parametrize("release", [{"VERSION_ID": "13"}, {"VERSION_ID": "14"}, {}])
    def test_newer_debian_from_its_own_suite(self, release):
        own = [Source("http://deb.example/debian", "forky", ("main",), KEYRING)]
        assert wanted_packages({"ID": "debian", "VERSION_CODENAME": "forky"} | release, own)[0] == own

    @pytest.mark.parametrize(
        "release",
        [
            {"ID": "ubuntu", "ID_LIKE": "debian", "VERSION_CODENAME": "noble"},
            {"ID": "linuxmint", "ID_LIKE": "ubuntu debian", "VERSION_CODENAME": "xia", "UBUNTU_CODENAME": "noble"},
        ],
    )
    def test_ubuntu_from_universe(self, release):
        sources, packages = wanted_packages(release, UBUNTU)
        assert [source.suite for source in sources] == ["noble", "noble-updates"]
        assert {source.components for source in sources} == {("universe",)}
        assert packages == ("docker-compose-v2", "docker-buildx")

    def test_another_of_debians_children_from_its_own_archive(self):
        kali = [Source("http://a.example/kali", "kali-rolling", ("main", "contrib"))]
        release = {"ID": "kali", "ID_LIKE": "debian", "VERSION_CODENAME": "kali-rolling"}
        assert wanted_packages(release, kali) == (
            [Source("http://a.example/kali", "kali-rolling")],
            ("docker-compose", "docker-buildx"),
        )

    @pytest.mark.parametrize(
        ("release", "sources", "hint"),
        [
            ({"ID": "fedora"}, [], "this system's package"),
            ({}, [], "this system's package"),
            (
                {"ID": "ubuntu", "VERSION_CODENAME": "noble"},
                [Source("http://a", "noble")],
                "add-apt-repository universe",
            ),
            ({"ID": "debian", "VERSION_ID": "12", "VERSION_CODENAME": "bookworm"}, [], "LABCTL_DEBIAN_MIRROR"),
        ],
    )
    def test_nowhere(self, release, sources, hint):
        with pytest.raises(EngineError) as caught:
            wanted_packages(release, sources)
        assert hint in caught.value.hint
        assert caught.value.code == 3


APT = """#!/bin/sh
echo "$@" >>{log}
for word; do
    case $word in
    update) {update} ;;
    download) {download} ;;
    esac
done
"""
# what apt tells on its descriptor, where the caller asked for it
BUSY = """fd=/dev/fd/$(echo "$*" | sed 's/.*Status-Fd=\\([0-9]*\\).*/\\1/')
    for share in 0.0 50.0 100.0; do echo "dlstatus:1:$share:Retrieving" >$fd; done"""


@pytest.fixture
def apt(machine, monkeypatch):
    """Set what apt-get does; its log holds its arguments."""
    monkeypatch.setattr(
        compose_tool, "os_release", lambda: {"ID": "debian", "VERSION_ID": "13", "VERSION_CODENAME": "trixie"}
    )
    monkeypatch.setattr(
        compose_tool,
        "wanted_packages",
        lambda _: ([Source("http://deb.example/debian", "trixie")], ("docker-compose", "docker-buildx")),
    )

    def make(update=":", download=":"):
        program(machine / "bin" / "apt-get", APT.format(log=machine / "apt.log", update=update, download=download))
        return machine / "apt.log"

    return make


@pytest.fixture(scope="session")
def debs(tmp_path_factory):
    """Packages as Debian's are laid out."""
    folder = tmp_path_factory.mktemp("debs")
    for name, version in (("docker-compose", "2.26.1-4"), ("docker-buildx", "0.13.1+ds1-3")):
        tree = folder / name
        compose(tree / "usr/libexec/docker/cli-plugins" / name, version.partition("-")[0])
        program(tree / "usr/share/doc" / name / "copyright", "")
        (tree / "DEBIAN").mkdir()
        control = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: a <a@example>\nDescription: a\n"
        (tree / "DEBIAN/control").write_text(control)
        argv = ["dpkg-deb", "--root-owner-group", "-b", tree, folder / f"{name}_{version.replace(':', '%3a')}_all.deb"]
        subprocess.run(argv, check=True, capture_output=True)
    return folder


class Heard(Silent):
    def __init__(self):
        self.shares = []
        self.ended = []

    def update(self, task, text, fraction=None):
        self.shares.append(fraction)

    def done(self, task, text):
        self.ended.append(text)


class TestObtain:
    def test_unpacks_both_programs_and_says_whence(self, machine, apt, debs):
        log = apt(BUSY, f"{BUSY}; cp {debs}/*.deb .")
        heard = Heard()
        tool = obtain_compose(heard)
        assert tool == find_compose() == ensure_compose(heard)
        assert tool.command == (str(own_folder() / "docker-compose"),)
        assert names(own_folder()) == ["docker-buildx", "docker-compose", "origin.json"]
        assert json.loads((own_folder() / "origin.json").read_text()) == {
            "package": "docker-compose",
            "version": "2.26.1-4",
            "suite": "trixie",
        }
        assert heard.shares == pytest.approx([0, 0, 0.25, 0.5, 0.5, 0.725, 0.95, 0.95])
        assert heard.ended == ["2.26.1, from package docker-compose 2.26.1-4 of trixie"]
        assert len(log.read_text().splitlines()) == 2
        assert names(machine / "tmp") == []

    def test_several_at_once(self, machine, apt, debs):
        apt(download=f"cp {debs}/*.deb .")
        code = (
            "from labctl.progress import Silent\n"
            "from labctl.provision import compose_tool as c, sources\n"
            "c.wanted_packages = lambda _: ([sources.Source('http://a', 'trixie')], c.PLUGINS)\n"
            "print(c.obtain_compose(Silent()).version)"
        )
        env = os.environ | {"PYTHONPATH": str(ROOT)}
        runs = [
            subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True) for _ in range(4)
        ]
        assert [run.communicate()[0] for run in runs] == ["2.26.1\n"] * 4
        assert names(own_folder()) == ["docker-buildx", "docker-compose", "origin.json"]

    SAID = (
        (
            "update",
            "E: The repository 'http://deb.example/debian trixie InRelease' is not signed.",
            "nothing of it is used",
        ),
        (
            "update",
            "W: GPG error: InRelease: The following signatures were invalid: BADSIG 0E98404D386FA1D9",
            "nothing of it is used",
        ),
        (
            "update",
            "W: GPG error: the public key is not available: NO_PUBKEY 6ED0E7B82643E131",
            "debian-archive-keyring",
        ),
        (
            "update",
            "W: Failed to fetch http://deb.example/InRelease  Temporary failure resolving 'deb.example'",
            "http_proxy",
        ),
        (
            "update",
            "E: The repository 'http://deb.example trixie Release' does not have a Release file.",
            "LABCTL_DEBIAN_MIRROR",
        ),
        (
            "update",
            "E: Release file for http://deb.example/InRelease is not valid yet (invalid for another 3h)",
            "clock",
        ),
        ("download", "E: Unable to locate package docker-compose", "the archive lacks it"),
        ("download", "E: Failed to fetch http://deb.example/x.deb  Hash Sum mismatch", "changes files"),
        (
            "download",
            "E: Failed to fetch http://deb.example/x.deb  Error writing to file - write (28: No space left on device)",
            "TMPDIR",
        ),
    )

    @pytest.mark.parametrize(("verb", "said", "hint"), SAID, ids=[said.rpartition("  ")[2] for _, said, _ in SAID])
    def test_what_apt_refuses_is_told_and_nothing_is_kept(self, machine, apt, verb, said, hint):
        (machine / "said").write_text(f"some other line\n{said}\n")
        apt(**{verb: f"cat {machine}/said >&2; exit 100"})
        with pytest.raises(EngineError) as caught:
            obtain_compose(Silent())
        assert said in caught.value.what
        assert "some other line" not in caught.value.what
        assert hint in caught.value.hint
        assert caught.value.code == 3
        assert not own_folder().exists()
        assert names(machine / "tmp") == []

    def test_no_hint_fits(self):
        assert hint_for("E: what nobody has seen yet") == NO_NETWORK

    def test_no_place_to_unpack(self, machine, apt, debs):
        apt(download=f"cp {debs}/*.deb .")
        own_folder().parent.mkdir(parents=True)
        own_folder().touch()
        with pytest.raises(EngineError, match="could not be unpacked") as caught:
            obtain_compose(Silent())
        assert "LABCTL_HOME" in caught.value.hint

    def test_a_damaged_package(self, machine, apt, debs):
        apt(download=f"head -c 200 {debs}/docker-compose_2.26.1-4_all.deb >docker-compose_2.26.1-4_all.deb")
        with pytest.raises(EngineError, match="could not be unpacked"):
            obtain_compose(Silent())
        assert names(own_folder()) == []

    def test_a_package_of_version_1(self, machine, apt):
        apt()
        with pytest.raises(EngineError, match="is no version 2"):
            obtain_compose(Silent())

    def test_a_system_without_apt(self, machine, apt, monkeypatch):
        monkeypatch.setenv("PATH", str(machine / "bin"))
        with pytest.raises(EngineError, match="no apt-get"):
            obtain_compose(Silent())

    def test_nothing_of_the_systems_settings_can_switch_a_check_off(self, machine, apt):
        """`-c` is read last; APT_CONFIG would be read first."""
        log = apt(update="cat $2 sources.list ../sources.list >>$0.conf 2>/dev/null")
        with pytest.raises(EngineError):
            obtain_compose(Silent())
        assert log.read_text().startswith("-c /")
        said = (machine / "bin/apt-get.conf").read_text()
        for name in (
            "APT::Get::AllowUnauthenticated",
            "Acquire::AllowInsecureRepositories",
            "Acquire::AllowWeakRepositories",
        ):
            assert f'{name} "false";' in said
        assert "#clear APT::Update::Post-Invoke;" in said
        assert "http://deb.example/debian trixie main" in said


class TestForReal:
    """From the mirror of the system that the tests run on: what a fresh machine does."""

    def test_obtains_a_compose_that_works(self, machine):
        lists = Path("/var/lib/apt/lists")
        before = sorted((path.name, path.stat().st_mtime_ns) for path in lists.iterdir())
        tool = obtain_compose(Silent())
        assert tool.command == (str(own_folder() / "docker-compose"),)
        assert tool.version.startswith("2.")
        assert tool.origin.startswith("from package docker-compose")
        assert os.access(own_folder() / "docker-buildx", os.X_OK)
        said = subprocess.run(
            [*tool.command, "-f", ROOT / "compose.yaml", "config", "--quiet"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (said.returncode, said.stdout) == (0, ""), said.stderr
        assert sorted((path.name, path.stat().st_mtime_ns) for path in lists.iterdir()) == before, (
            "the system's apt was touched"
        )
        assert names(machine / "tmp") == []

    def test_refuses_what_the_keyring_does_not_verify_whatever_the_system_allows(self, machine, monkeypatch):
        allows = 'APT::Get::AllowUnauthenticated "true"; Acquire::AllowInsecureRepositories "true";'
        (machine / "lax.conf").write_text(allows + f'APT::Update::Pre-Invoke {{ "touch {machine}/ran"; }};')
        monkeypatch.setenv("APT_CONFIG", str(machine / "lax.conf"))
        (machine / "empty.gpg").touch()
        (source, *_), packages = wanted_packages(os_release())
        with private_apt([replace(source, signed_by=str(machine / "empty.gpg"))]) as apt:
            with pytest.raises(EngineError) as caught:
                apt.update(lambda _: None)
            assert "sign" in caught.value.what or "NO_PUBKEY" in caught.value.what
            with pytest.raises(EngineError):
                apt.download(packages, lambda _: None)
        assert not (machine / "ran").exists()

    def test_a_mirror_that_does_not_answer_is_an_error(self, machine, monkeypatch):
        """apt itself calls it a warning and goes on with no lists at all."""
        monkeypatch.delenv("http_proxy", raising=False)
        (source, *_), _ = wanted_packages(os_release())
        with socket.socket() as taken, private_apt([replace(source, uri=f"http://{address(taken)}/debian")]) as apt:
            with pytest.raises(EngineError, match="could not be fetched") as caught:
                apt.update(lambda _: None)
            assert caught.value.hint == NO_NETWORK


def address(taken):
    """Return an address of this machine where nobody listens."""
    taken.bind(("127.0.0.1", 0))
    return "127.0.0.1:{1}".format(*taken.getsockname())
