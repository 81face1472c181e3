"""`bin/labctl` and `bin/test` on a fresh checkout: a Python is found, `.venv` is made once, and what is missing is told or brought.

The Python is a script that makes a venv at once; the last class makes a real one.
"""

import contextlib
import errno
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = [
    "sh",
    "cat",
    "cmp",
    "cp",
    "dirname",
    "env",
    "grep",
    "id",
    "mkdir",
    "mv",
    "readlink",
    "rm",
    "sed",
    "sleep",
    "tail",
]
DEBIAN = Path("/etc/debian_version").exists()

# In the place of python3: answers as the real one does to what bin/venv.sh asks of it. {about}: what it says of itself.
PYTHON = """#!/bin/sh
echo "python $*" >>{top}/log
case $* in
"-V") echo "Python 3.9.2" ;;
*"import os, sys"*) {about} ;;
*fcntl*) exec {real} "$@" ;;
*"-m venv"*)
    for folder; do :; done
    mkdir -p "$folder/bin"
    cp {top}/venv-python "$folder/bin/python"
    {venv}
    ;;
esac
"""
WHOLE = 'echo "whole {top}/bin/python3"'
BARE = 'echo "bare {top}/bin/python3"'
OLD = "exit 1"
# In the place of .venv/bin/python.
VENV_PYTHON = """#!/bin/sh
case $* in
*"-m pip"*)
    echo pip >>{top}/log
    {pip}
    ;;
*"-m labctl"*) for word; do printf '<%s>' "$word"; done; echo ;;
esac
"""
PIP = "echo 'Collecting docker==7.1.0 (from -r requirements.lock)'"


def program(path, text):
    path.write_text(text)
    path.chmod(0o755)


class Machine:
    """A checkout in a folder with a blank, and a PATH with nothing but what bin/ may count on."""

    def __init__(self, top):
        self.top = top
        self.root = top / "my checkout"
        self.bin = top / "bin"
        self.bin.mkdir()
        for name in TOOLS:
            (self.bin / name).symlink_to(shutil.which(name))
        shutil.copytree(ROOT / "bin", self.root / "bin")
        for name in ("requirements.lock", "requirements-dev.lock"):
            (self.root / name).write_text("docker==7.1.0 \\\n    --hash=sha256:00\nyaml==1\n")
        self.python()

    def python(self, about=WHOLE, venv=":", pip=PIP, name="python3"):
        facts = {"top": self.top, "real": sys.executable}
        program(self.bin / name, PYTHON.format(about=about.format(**facts), venv=venv, **facts))
        program(self.top / "venv-python", VENV_PYTHON.format(pip=pip, **facts))

    def apt(self, text):
        program(self.bin / "apt-get", f'#!/bin/sh\necho "apt-get $*" >>{self.top}/log\n{text}\n')
        program(self.bin / "apt-cache", "#!/bin/sh\nexit 1\n")
        program(self.bin / "sudo", '#!/bin/sh\nexec "$@"\n')

    def log(self):
        path = self.top / "log"
        return path.read_text().splitlines() if path.exists() else []

    def count(self, words):
        return sum(words in line for line in self.log())

    def start(self, *argv, program="bin/labctl", through=(), **env):
        return subprocess.Popen(
            [*through, self.root / program, *argv], env={"PATH": str(self.bin), **env}, cwd=self.top, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def __call__(self, *argv, code=0, **how):
        process = self.start(*argv, **how)
        out, said = process.communicate(timeout=30)
        assert process.returncode == code, said
        return out, said


def reach(gate, process):
    """Wait until a process reads from a named pipe, and return its other end."""
    while True:
        try:
            return os.open(gate, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            assert error.errno == errno.ENXIO  # nobody reads yet
        with contextlib.suppress(subprocess.TimeoutExpired):
            pytest.fail(f"ended with {process.wait(timeout=0.01)} before it came there")


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


class TestFirstRun:
    def test_makes_the_venv_says_so_and_passes_the_words_on(self, machine):
        out, said = machine("exec", "client", "--", "a b", "")
        assert out == "<-P><-m><labctl><exec><client><--><a b><>\n"
        assert said == "making .venv with 2 packages of requirements.lock, once\n.venv is ready\n"
        assert (machine.root / ".venv/made-from").read_text() == f"requirements.lock\n{machine.root}\n"

    def test_the_second_makes_nothing_and_needs_no_program_but_cmp(self, machine):
        machine("ls")
        before = machine.log()
        for path in machine.bin.iterdir():
            if path.name not in ("cmp", "sh"):
                path.unlink()
        assert machine("ls") == ("<-P><-m><labctl><ls>\n", "")
        assert machine.log() == before

    def test_pip_gets_hashes_and_the_users_settings(self, machine):
        machine.python(pip=f'echo "$* $PIP_CERT $https_proxy" >>{machine.top}/log')
        machine("ls", PIP_CERT="/corp.pem", https_proxy="http://corp:1")
        call = next(line for line in machine.log() if "-m pip" in line)
        assert "--require-hashes" in call
        assert f"-r {machine.root}/requirements.lock" in call
        assert call.endswith(" /corp.pem http://corp:1")

    def test_two_at_once_make_one(self, machine):
        """The first waits in pip until the second has said that it waits."""
        machine.python(pip=f"read -r _ <{machine.top}/gate")
        os.mkfifo(machine.top / "gate")
        first = machine.start("ls")
        gate = reach(machine.top / "gate", first)
        second = machine.start("ls")
        assert second.stderr.readline() == "waiting: .venv is being made by another command\n"
        os.write(gate, b"\n")
        os.close(gate)
        assert first.communicate(timeout=30)[0] == second.communicate(timeout=30)[0] == "<-P><-m><labctl><ls>\n"
        assert machine.count("-m venv") == machine.log().count("pip") == 1

    @pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
    def test_a_broken_off_one_is_made_again(self, machine, how):
        machine.python(pip=f"read -r _ <{machine.top}/gate")
        os.mkfifo(machine.top / "gate")
        process = subprocess.Popen(
            [machine.root / "bin/labctl", "ls"],
            env={"PATH": str(machine.bin)},
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        gate = reach(machine.top / "gate", process)
        os.killpg(process.pid, how)
        code = process.wait(timeout=30)
        os.close(gate)
        assert code in ({signal.SIGINT: (130, -2), signal.SIGTERM: (143, -15), signal.SIGKILL: (-9,)}[how])
        machine.python()
        assert machine("ls")[0] == "<-P><-m><labctl><ls>\n"
        assert machine.count("-m venv") == 2


class TestMadeAnew:
    """When what .venv was made from is no longer so."""

    def again(self, machine):
        before = machine.count("-m venv")
        machine("ls")
        return machine.count("-m venv") - before

    def test_the_lock_changed_though_it_is_of_an_older_date(self, machine):
        machine("ls")
        lock = machine.root / "requirements.lock"
        lock.write_text(lock.read_text().replace("7.1.0", "7.2.0"))
        os.utime(lock, (0, 0))
        assert self.again(machine) == 1
        assert self.again(machine) == 0

    def test_a_newer_date_alone_is_no_change(self, machine):
        machine("ls")
        os.utime(machine.root / "requirements.lock")
        assert self.again(machine) == 0

    def test_its_python_is_gone(self, machine):
        machine("ls")
        python = machine.root / ".venv/bin/python"
        python.unlink()
        python.symlink_to("/usr/bin/python3.0")
        assert self.again(machine) == 1

    def test_the_checkout_was_moved(self, machine):
        machine("ls")
        machine.root = machine.root.rename(machine.top / "moved")
        assert self.again(machine) == 1
        assert self.again(machine) == 0

    def test_the_same_checkout_by_another_path_is_the_same(self, machine):
        machine("ls")
        (machine.top / "link").symlink_to(machine.root)
        machine.root = machine.top / "link"
        assert self.again(machine) == 0

    def test_the_tests_venv_serves_labctl_but_not_the_reverse(self, machine):
        machine("-k", "x", program="bin/test")
        assert self.again(machine) == 0
        (machine.root / "requirements-dev.lock").write_text("changed==1\n")
        assert self.again(machine) == 1
        machine("-k", "x", program="bin/test")
        assert machine.count("-m venv") == 3


class TestCalled:
    def test_through_links_and_from_anywhere(self, machine, tmp_path):
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "one").symlink_to("../my checkout/bin/labctl")
        (tmp_path / "two").symlink_to(tmp_path / "a" / "one")
        machine("ls")
        env = {"PATH": f"{tmp_path}:{machine.bin}", "CDPATH": str(ROOT)}
        for argv, cwd in [
            (["two", "ls"], "/"),
            (["./two", "ls"], tmp_path),
            (["a/one", "ls"], tmp_path),
            (["bin/labctl", "ls"], machine.root),
            (["./labctl", "ls"], machine.root / "bin"),
            (["sh", "labctl", "ls"], machine.root / "bin"),
        ]:
            line = subprocess.check_output(argv, env=env, cwd=cwd, text=True)
            assert line == "<-P><-m><labctl><ls>\n", argv
        assert machine.count("-m venv") == 1


class TestPipFails:
    @pytest.mark.parametrize(
        ("said", "hint"),
        [
            ("ERROR: No matching distribution found for docker==7.1.0", "PIP_INDEX_URL"),
            ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "changes what it passes on"),
            ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]'))", "PIP_CERT"),
            ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "make room"),
            ("ERROR: something new", "pip.conf"),
        ],
    )
    def test_says_what_to_do_and_starts_over_next_time(self, machine, said, hint):
        (machine.top / "said").write_text(f"{said}\n")
        machine.python(pip=f"cat {machine.top}/said >&2; exit 1")
        _, told = machine("ls", code=3)
        assert "error: the packages of requirements.lock could not be installed" in told
        assert f"  | {said}\n" in told
        assert hint in told.partition("\n\nhint: ")[2]
        machine.python()
        machine("ls")

    def test_warnings_are_shown_as_they_come(self, machine):
        machine.python(pip="echo 'WARNING: Retrying (Retry(total=4))'")
        assert "WARNING: Retrying" in machine("ls")[1]

    def test_no_venv_can_be_made(self, machine):
        machine.python(venv="exit 1")
        assert "could not be made" in machine("ls", code=3)[1]

    def test_a_checkout_that_is_not_ones_own(self, machine):
        machine.root.chmod(0o555)
        # root may write anywhere, but for this capability
        plain = [] if os.geteuid() else [shutil.which("setpriv"), "--bounding-set=-dac_override"]
        assert "cannot be written by you" in machine("ls", code=3, through=plain)[1]


class TestPythonIsMissing:
    """The same care for each: asked on a terminal, done with --yes, told otherwise with exit code 3."""

    CASES = (("none", "there is no Python here"), ("bare", "has no venv module"), ("old", "is too old"))

    @pytest.fixture(params=CASES, ids=[case for case, _ in CASES])
    def lacking(self, request, machine):
        case, what = request.param
        if case == "none":
            (machine.bin / "python3").unlink()
        else:
            machine.python(about=BARE if case == "bare" else OLD)
        program(
            machine.top / "whole",
            PYTHON.format(about=WHOLE.format(top=machine.top), venv=":", top=machine.top, real=sys.executable),
        )
        machine.apt(f"case $* in *install*) cp {machine.top}/whole {machine.bin}/python3 ;; esac")
        return machine, what

    def test_told(self, lacking):
        machine, what = lacking
        _, said = machine("ls", code=3)
        assert what in said
        if DEBIAN:
            assert "apt-get install -y python3-venv` installs it; so does this command with --yes" in said
        assert machine.count("apt-get") == 0
        assert not (machine.root / ".venv").exists()

    @pytest.mark.skipif(not DEBIAN, reason="apt is Debian's")
    @pytest.mark.parametrize(
        ("argv", "env"), [(["ls", "--yes"], {}), (["ls"], {"LABCTL_YES": "1"})], ids=["--yes", "LABCTL_YES"]
    )
    def test_done_unasked(self, lacking, argv, env):
        machine, _ = lacking
        out, said = machine(*argv, **env)
        assert out.startswith("<-P><-m><labctl><ls>")
        assert "installing python3-venv" in said
        assert machine.count("install python3-venv") == 1

    def test_a_yes_that_is_for_a_host_is_none(self, lacking):
        machine, _ = lacking
        machine("exec", "client", "--", "apt-get", "--yes", code=3)

    @pytest.mark.skipif(not DEBIAN, reason="apt is Debian's")
    @pytest.mark.parametrize(
        ("answer", "code"), [("y\n", 0), ("n\n", 3), ("\n", 3), ("\x04", 3)], ids=["yes", "no", "nothing", "end"]
    )
    def test_asked_on_a_terminal(self, lacking, answer, code):
        machine, what = lacking
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [machine.root / "bin/labctl", "ls"],
            env={"PATH": str(machine.bin)},
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=theirs,
        )
        os.close(theirs)
        shown = b""
        while b"[y/N] " not in shown:
            shown += os.read(ours, 4096)
        assert what in shown.decode()
        os.write(ours, answer.encode())
        try:
            while os.read(ours, 4096):
                pass
        except OSError:
            pass  # a terminal's way to say that the other end is closed
        os.close(ours)
        assert process.wait(timeout=30) == code
        process.stdout.close()

    @pytest.mark.skipif(not DEBIAN, reason="apt is Debian's")
    def test_an_installation_that_fails(self, lacking):
        machine, _ = lacking
        machine.apt("exit 100")
        assert "`python3-venv`" not in machine("ls", "--yes", code=3)[1]
        assert "could not be installed" in machine("ls", "--yes", code=3)[1]

    @pytest.mark.skipif(not DEBIAN, reason="apt is Debian's")
    def test_an_old_python_where_the_system_has_a_newer_one(self, machine):
        machine.python(about=OLD)
        machine.apt(":")
        program(machine.bin / "apt-cache", '#!/bin/sh\n[ "$2" = python3.11-venv ]\n')
        assert "apt-get install -y python3.11 python3.11-venv`" in machine("ls", code=3)[1]

    def test_a_newer_one_beside_an_old_one_is_used(self, machine):
        machine.python(about=OLD)
        machine.python(name="python3.12")
        machine("ls")

    def test_one_with_venv_is_taken_before_one_without(self, machine):
        machine.python(about=BARE)
        machine.python(name="python3.12")
        machine("ls")


class TestLocks:
    PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;]+)(.*)$")

    def read(self, name):
        text = (ROOT / name).read_text()
        pins, hashes = {}, {}
        for line in text.splitlines():
            if match := self.PIN.match(line):
                package = match[1].lower()
                pins[package] = match[2]
                hashes[package] = 0
            elif "--hash=sha256:" in line:
                hashes[package] += 1
            else:
                assert line.lstrip().startswith("#"), line
        assert "://" not in text, "where packages come from is the user's own affair"
        return pins, hashes

    def wanted(self, requirements):
        return {re.split(r"[<>=!~ ;\[]", requirement)[0].lower() for requirement in requirements}

    @pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
    def test_each_requirement_has_hashes(self, name):
        pins, hashes = self.read(name)
        assert pins
        assert not [package for package, count in hashes.items() if not count]

    def test_hold_what_the_project_asks_for(self):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())
        pins, _ = self.read("requirements.lock")
        dev, _ = self.read("requirements-dev.lock")
        assert self.wanted(project["project"]["dependencies"]) <= set(pins)
        assert self.wanted(project["dependency-groups"]["dev"]) <= set(dev)

    def test_the_tests_lock_holds_all_of_the_other(self):
        assert self.read("requirements.lock")[0].items() <= self.read("requirements-dev.lock")[0].items()

    def test_making_them_anew_needs_uv_and_says_so(self, machine):
        assert "`pipx install uv`" in machine(program="bin/lock", code=3)[1]


class TestContinuousIntegration:
    def test_runs_what_the_readme_says(self):
        assert (ROOT / ".ci/run").read_text().rstrip().endswith("exec bin/test")
        assert "- run: bin/test\n" in (ROOT / ".github/workflows/ci.yml").read_text()

    @pytest.mark.parametrize("name", ["bin/labctl", "bin/test", "bin/lock", ".ci/run"])
    def test_can_be_run(self, name):
        assert os.access(ROOT / name, os.X_OK)


class TestForReal:
    def test_a_fresh_checkout_runs_labctl(self, tmp_path):
        root = tmp_path / "my checkout"
        for name in ("bin", "labctl"):
            shutil.copytree(ROOT / name, root / name)
        shutil.copy(ROOT / "requirements.lock", root)
        (tmp_path / "yaml.py").write_text("raise SystemExit('the module of the folder one stands in was taken')\n")
        (tmp_path / "venv.py").write_text("raise SystemExit('the module of the folder one stands in was taken')\n")
        argv = [root / "bin/labctl", "ls", "--json"]
        first = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (first.returncode, '"version"' in first.stdout) == (0, True), first.stderr
        second = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (second.returncode, second.stderr) == (0, "")
        python = (root / ".venv/bin/python").resolve()
        where = subprocess.check_output(
            [root / ".venv/bin/python", "-P", "-c", "import labctl; print(labctl.__file__)"], text=True, cwd="/"
        )
        assert where.strip() == str(root / "labctl/__init__.py")
        assert re.fullmatch(r"python3\.\d+", python.name)
