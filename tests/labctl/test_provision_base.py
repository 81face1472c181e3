"""The base image: there, pulled or made, in this order; mmdebstrap is a script that says what the real one says."""

import os
import tempfile
from pathlib import Path

import pytest

from labctl.errors import EngineError, LabError
from labctl.progress import Silent
from labctl.provision import base_image
from labctl.provision.base_image import BASE_REF, bootstrap_command, describe_base, ensure_base_image
from labctl.provision.sources import Source

MIRROR = Source("http://deb.example/debian", "bookworm", ("main",), "/usr/share/keyrings/debian-archive-keyring.gpg")
# what mmdebstrap 1.3.5 says, in its order
STAGES = """\
echo "I: chroot architecture amd64 is equal to the host's architecture" >&2
echo "I: running apt-get update..." >&2
echo "I: downloading packages with apt..." >&2
echo "I: extracting archives..." >&2
echo "I: installing essential packages..." >&2
echo "I: installing remaining packages inside the chroot..." >&2
echo "I: cleaning package lists and apt cache..." >&2
"""
WRITE = 'for word; do case $word in /*.tar) echo "a file system" >"$word" ;; esac; done\n'


class Images:
    """An engine's images; its registry has what `pulls` says."""

    def __init__(self, here=(), pulls=()):
        self.here = set(here)
        self.pulls = pulls
        self.asked = []
        self.imported = None

    def has_image(self, ref):
        return ref in self.here

    def pull(self, ref, progress):
        self.asked.append(ref)
        if ref not in self.pulls:
            raise LabError(f"image `{ref}` could not be pulled: no such host")
        self.here.add(ref)

    def import_image(self, tar, ref, changes=()):
        self.imported = (tar.read_text(), ref, list(changes))
        self.here.add(ref)


class Heard(Silent):
    def __init__(self):
        self.shares = []
        self.ended = []

    def update(self, task, text, fraction=None):
        if fraction is not None:
            self.shares.append(fraction)

    def done(self, task, text):
        self.ended.append(text)


def program(path, text):
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A Debian whose programs are in `bin`, and root's."""
    for name in ("bin", "tmp"):
        (tmp_path / name).mkdir()
    for name in ("sh", "env", "chmod", "cat"):
        (tmp_path / "bin" / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(base_image, "os_release", lambda: {"ID": "debian"})
    monkeypatch.setattr(base_image, "debian_mirror", lambda: MIRROR)
    program(tmp_path / "bin" / "apt-config", "exit 0\n")
    return tmp_path


def mmdebstrap(machine, text):
    program(machine / "bin" / "mmdebstrap", text)


class TestOrder:
    def test_what_is_there_is_used_and_nobody_is_asked(self, machine):
        images = Images(here=[BASE_REF])
        ensure_base_image(images, Silent())
        assert (images.asked, images.imported) == ([], None)

    def test_pulled_where_a_registry_has_it(self, machine):
        images, heard = Images(pulls=[BASE_REF]), Heard()
        ensure_base_image(images, heard)
        assert images.asked == [BASE_REF]
        assert images.imported is None
        assert heard.ended == [f"{BASE_REF} pulled"]

    def test_else_made_from_the_systems_mirror(self, machine):
        mmdebstrap(machine, f'{STAGES}{WRITE}echo "$*" >{machine}/argv\n')
        images, heard = Images(), Heard()
        ensure_base_image(images, heard)
        assert images.imported == ("a file system\n", BASE_REF, ['CMD ["bash"]', "LABEL labctl.source=mmdebstrap"])
        assert heard.shares == sorted(heard.shares)
        assert len(heard.shares) == 7
        assert heard.ended == [f"{BASE_REF} made with mmdebstrap"]
        argv = (machine / "argv").read_text()
        assert f"deb [signed-by={MIRROR.signed_by}] http://deb.example/debian trixie main" in argv
        assert "--mode=root" in argv
        assert list((machine / "tmp").iterdir()) == []

    def test_doctor_can_tell(self):
        assert describe_base("mmdebstrap") == "made here with mmdebstrap"
        assert describe_base("") == "from a registry"


class TestMmdebstrapIsMissing:
    def test_root_gets_it_installed(self, machine):
        made = machine / "bin" / "mmdebstrap"
        brings = f"printf \"#!/bin/sh\\n%s\" '{WRITE}' >{made}\nchmod +x {made}\n"
        apt = f'echo "$*" >>{machine}/apt.log\n{brings}'
        program(machine / "bin" / "apt-get", apt)
        images = Images()
        ensure_base_image(images, Silent())
        assert BASE_REF in images.here
        assert (machine / "apt.log").read_text().rstrip().endswith("install mmdebstrap")

    def test_others_are_told_the_one_command(self, machine, monkeypatch):
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        with pytest.raises(EngineError, match="needs the package `mmdebstrap`") as caught:
            ensure_base_image(Images(), Silent())
        assert "`sudo apt-get install -y mmdebstrap uidmap`" in caught.value.hint
        assert caught.value.code == 3

    def test_others_use_it_in_a_user_namespace_where_it_is(self, machine, monkeypatch):
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        mmdebstrap(machine, f'{WRITE}echo "$*" >{machine}/argv\n')
        ensure_base_image(Images(), Silent())
        assert "--mode=unshare" in (machine / "argv").read_text()


class TestFailures:
    @pytest.mark.parametrize(
        ("said", "hint"),
        [
            ("E: The repository 'http://deb.example trixie InRelease' is not signed.", "nothing of it is used"),
            ("W: GPG error: NO_PUBKEY 6ED0E7B82643E131", "debian-archive-keyring"),
            ("E: Failed to fetch http://deb.example Temporary failure resolving 'deb.example'", "http_proxy"),
            ("tar: ./usr/bin/perl: Cannot write: No space left on device", "TMPDIR"),
            ("E: unable to use unshare mode", "as root once"),
        ],
        ids=["not signed", "unknown key", "no network", "disk full", "no user namespaces"],
    )
    def test_are_told_with_mmdebstraps_last_words(self, machine, said, hint):
        (machine / "said").write_text(f"{said}\n")
        mmdebstrap(
            machine, f"{STAGES}cat {machine}/said >&2\nprintf 'E: \\033[31mapt-get failed\\033[0m\\n' >&2\nexit 25\n"
        )
        images = Images()
        with pytest.raises(EngineError) as caught:
            ensure_base_image(images, Silent())
        assert said in caught.value.what
        assert "\x1b" not in caught.value.what
        assert hint in caught.value.hint
        assert caught.value.code == 3
        assert images.imported is None
        assert list((machine / "tmp").iterdir()) == []

    def test_a_system_that_cannot_make_one(self, machine, monkeypatch):
        monkeypatch.setattr(base_image, "os_release", lambda: {"ID": "fedora"})
        with pytest.raises(EngineError, match="no such host") as caught:
            ensure_base_image(Images(), Silent())
        assert "docker load" in caught.value.hint

    def test_a_system_without_a_debian_mirror(self, machine, monkeypatch):
        def none():
            raise EngineError("this system's apt sources name no Debian archive", hint="set LABCTL_DEBIAN_MIRROR")

        monkeypatch.setattr(base_image, "debian_mirror", none)
        with pytest.raises(EngineError, match=r"nor made here: .* no Debian archive") as caught:
            ensure_base_image(Images(), Silent())
        assert caught.value.hint == "set LABCTL_DEBIAN_MIRROR"


class TestCommand:
    def test_leaves_out_what_debians_slim_images_leave_out(self):
        argv = bootstrap_command(Path("/t/base.tar"), MIRROR.uri, MIRROR.signed_by)
        for path in ("doc", "man", "locale", "info"):
            assert f"--dpkgopt=path-exclude=/usr/share/{path}/*" in argv
        excluded = max(number for number, word in enumerate(argv) if "path-exclude" in word)
        included = [number for number, word in enumerate(argv) if "path-include" in word]
        assert included, "licences stay"
        assert min(included) > excluded, "dpkg takes the last rule that fits"
        assert not [word for word in argv if "hook" in word]

    def test_the_images_apt_gets_the_mirrors_own_keyring(self):
        argv = bootstrap_command(Path("/t/base.tar"), "https://mirror.corp/debian", "/etc/apt/keyrings/corp.gpg")
        assert '--customize-hook=mkdir -p "$1"/etc/apt/keyrings' in argv
        assert "--customize-hook=upload /etc/apt/keyrings/corp.gpg /etc/apt/keyrings/corp.gpg" in argv

    @pytest.mark.parametrize(
        ("environ", "seen"),
        [({}, "http://proxy.corp:3128/"), ({"http_proxy": "http://mine:1/"}, "http://mine:1/")],
        ids=["apt's", "the environment's first"],
    )
    def test_goes_through_a_proxy(self, machine, monkeypatch, environ, seen):
        monkeypatch.delenv("http_proxy", raising=False)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        program(
            machine / "bin" / "apt-config", "case $3 in *http::*) echo \"proxy='http://proxy.corp:3128/'\" ;; esac\n"
        )
        mmdebstrap(machine, f'{WRITE}echo "$http_proxy" >{machine}/proxy\n')
        ensure_base_image(Images(), Silent())
        assert (machine / "proxy").read_text().strip() == seen
