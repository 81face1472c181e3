"""The pytest plugin, as somebody's own tests use it; and tests of this lab written with it."""

import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from labctl.engine.sdk import DockerEngine

ROOT = Path(__file__).parents[2]


@pytest.fixture
def engine():
    engine = DockerEngine()
    yield engine
    engine.close()


@pytest.fixture
def play(tmp_path, images):
    """Run tests of somebody's own with the plugin; return the run, and the labs that its tests wrote down."""

    def run(text, *argv, code=0):
        (tmp_path / "test_own.py").write_text("from pathlib import Path\nimport pytest\n" + text)
        names = tmp_path / "labs"
        names.touch()
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "labctl.pytest_plugin", "-p", "no:cacheprovider", "-W", "error",
             "--rootdir", str(tmp_path), "-c", "/dev/null", str(tmp_path / "test_own.py"), f"--lab-artifacts={tmp_path / 'kept'}", *argv],
            cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout, names.read_text().split()

    return run


WRITE = "    with open(Path(__file__).with_name('labs'), 'a') as file: file.write(lab.name + '\\n')\n"


@pytest.mark.lab("tcp-demo", scope="module")
class TestGreeting:
    """The greeting, by the plugin."""

    def test_the_client_is_greeted(self, lab):
        ran = lab.host("client").run("lab tcp greet tcp-server 12345")
        assert ran.stdout == "Thank you for connecting\n"
        lab.host("client").put(b"left", "/tmp/left")

    def test_what_the_last_test_left_is_gone(self, lab):
        assert not lab.host("client").run("test -e /tmp/left").ok

    def test_from_this_process(self, lab):
        with socket.create_connection(lab.address("tcp-server", 12345), 5) as conn:
            assert conn.recv(100) == b"Thank you for connecting"

    def test_two_hosts_say_where_they_are(self, lab):
        assert lab.host("tcp-server").found.addresses[0] in lab.host("client").run("lab ip tcp-server").stdout


@pytest.mark.parametrize(("scope", "labs"), [("function", 3), ("class", 2), ("module", 1), ("session", 1)])
def test_a_scope_s_tests_share_a_lab(play, engine, scope, labs):
    out, names = play(
        f"pytestmark = pytest.mark.lab('tcp-demo', scope='{scope}')\n"
        f"class TestOne:\n  def test_a(self, lab):\n{WRITE}  def test_b(self, lab):\n{WRITE}"
        f"class TestTwo:\n  def test_c(self, lab):\n{WRITE}"
    )
    assert "3 passed" in out
    assert len(set(names)) == labs
    assert not any(engine.look(name) for name in names)


def test_the_example_project_passes(images, tmp_path):
    example = tmp_path / "own-server"
    shutil.copytree(ROOT / "docs" / "examples" / "own-server", example)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "labctl.pytest_plugin", "-p", "no:cacheprovider", "-W", "error", "-c", "/dev/null",
         "--rootdir", str(example), str(example)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "3 passed" in done.stdout, done.stdout


def test_a_test_may_ask_for_a_fresh_lab_or_for_one_as_the_last_test_left_it(play):
    out, names = play(
        "pytestmark = pytest.mark.lab('tcp-demo')\n"
        f"def test_a(lab):\n{WRITE}    lab.host('client').put(b'x', '/tmp/x')\n"
        f"@pytest.mark.lab('tcp-demo', fresh=True)\ndef test_b(lab):\n{WRITE}"
        f"@pytest.mark.lab('tcp-demo', reset=False)\ndef test_c(lab):\n{WRITE}    assert lab.host('client').get('/tmp/x') == b'x'\n"
    )
    assert names[0] == names[2] != names[1], out


def test_a_failed_test_tells_where_the_logs_are(play, tmp_path):
    out, _ = play(
        "@pytest.mark.lab('tcp-demo')\ndef test_a(lab):\n    assert lab.host('client').run('echo seen; exit 3').ok\n",
        f"--junitxml={tmp_path / 'junit.xml'}",
        code=1,
    )
    kept = tmp_path / "kept" / "test_own.py-test_a"
    assert str(kept) in out
    assert "log of tcp-server" in out
    assert "ready" in (kept / "tcp-server.log").read_text()
    assert "stdout='seen\\n'" in out
    tree = ElementTree.parse(tmp_path / "junit.xml")
    assert {item.get("name"): item.get("value") for item in tree.iter("property")} == {"lab_artifacts": str(kept)}


def test_the_wire_can_be_asked_and_is_kept_where_a_test_fails(play, tmp_path):
    out, _ = play(
        "pytestmark = pytest.mark.lab('tcp-demo', tap=True)\n"
        "def test_a(lab):\n"
        "    lab.host('client').run('lab tcp greet tcp-server', check=True)\n"
        "    lab.wire.tcp('client', 'tcp-server:12345').opens().closes_first('tcp-server')\n"
        "def test_b(lab):\n"
        "    lab.host('client').run('lab tcp greet tcp-server', check=True)\n"
        "    lab.wire.tcp('client', 'tcp-server:12345').closes_first('client')\n",
        code=1,
    )
    assert "1 failed, 1 passed" in out
    kept = tmp_path / "kept" / "test_own.py-test_b"
    assert (kept / "capture.pcapng").read_bytes()[:4] == b"\x0a\x0d\x0d\x0a"  # a section header block
    ladder = (kept / "ladder.txt").read_text()
    assert ladder.count("────SYN────") == 1  # test_b's own connection; that of test_a is in the capture
    assert re.split("(?m)^-+ ladder -+$", out)[1].count("────SYN────") == 1
    assert "log of tap" not in out


def test_a_fixture_that_fails_before_or_after_the_test_has_its_logs_too(play, tmp_path):
    out, _ = play(
        "pytestmark = pytest.mark.lab('tcp-demo')\n"
        "@pytest.fixture\ndef before(lab):\n    raise RuntimeError\n"
        "@pytest.fixture\ndef after(lab):\n    yield\n    raise RuntimeError\n"
        "def test_a(before): pass\n"
        "def test_b(after): pass\n"
        "def test_c(after): assert 0\n",
        f"--junitxml={tmp_path / 'junit.xml'}",
        code=1,
    )
    assert "1 failed, 1 passed, 3 errors" in out
    names = {f"test_own.py-test_{name}" for name in "abc"}
    assert {path.name for path in (tmp_path / "kept").iterdir()} == names
    cases = {case.get("name"): case for case in ElementTree.parse(tmp_path / "junit.xml").iter("testcase")}
    for name, case in cases.items():
        assert [item.get("value") for item in case.iter("property")] == [
            str(tmp_path / "kept" / f"test_own.py-{name}")
        ], name


def test_a_lab_that_does_not_come_up_is_said_once(play, tmp_path):
    (tmp_path / "bad.py").write_text("raise SystemExit('no idea')\n")
    out, _ = play(
        f"@pytest.mark.lab('tcp-demo', swap={{'tcp-server': {str(tmp_path / 'bad.py')!r}}})\ndef test_a(lab): pass\n",
        code=1,
    )
    assert out.partition("short test summary info")[0].count("no idea") == 1  # in CI pytest's summary repeats it


def test_two_workers_of_xdist_have_a_lab_each_and_keep_their_reports(play, engine):
    out, names = play(
        "pytestmark = pytest.mark.lab('tcp-demo', scope='session')\n"
        f"@pytest.mark.parametrize('n', range(4))\ndef test_a(lab, n):\n{WRITE}"
        "    assert lab.host('client').run('lab tcp greet tcp-server').ok and n\n",
        "-n", "2", code=1,
    )  # fmt: skip
    assert "3 passed" in out and "1 failed" in out
    assert "log of tcp-server" in out
    assert {name.split("-")[2] for name in names} == {"gw0", "gw1"}
    assert len(set(names)) == 2
    assert not any(engine.look(name) for name in names)


def test_a_failed_test_s_lab_may_be_kept(play, engine):
    text = f"@pytest.mark.lab('tcp-demo', fresh=True)\n@pytest.mark.parametrize('n', [0, 1])\ndef test_a(lab, n):\n{WRITE}    assert n\n"
    out, names = play(text, "--lab-keep=failed", code=1)
    try:
        assert [bool(engine.look(name)) for name in names] == [True, False]
        assert f"`labctl down {names[0]}` takes it down" in out
    finally:
        subprocess.run([sys.executable, "-m", "labctl", "down", names[0], "-q"], cwd=ROOT, check=True)


WRONG = {
    "": "needs a marker",
    "@pytest.mark.lab('tcp-dmo')": "did you mean `tcp-demo`",
    "@pytest.mark.lab('tcp-demo', scope='modul')": "a known scope",
    "@pytest.mark.lab('tcp-demo', scoop='x')": "unexpected keyword argument 'scoop'",
}


def test_what_is_written_wrong_is_said_without_a_traceback(play):
    out, _ = play("".join(f"{marker}\ndef test_{n}(lab): pass\n" for n, marker in enumerate(WRONG)), code=1)
    assert f"{len(WRONG)} errors" in out
    for words in WRONG.values():
        assert words in out
    assert "Traceback" not in out and "pytest_plugin.py:" not in out


def test_a_host_that_was_taken_off_the_wire_is_back_on_it_for_the_next_test(play):
    out, _ = play(
        "pytestmark = pytest.mark.lab('tcp-demo')\n"
        f"def test_a(lab):\n{WRITE}"
        "    lab.engine.api.disconnect_container_from_network(lab.host('client').found.id, lab.network.id)\n"
        f"def test_b(lab):\n{WRITE}    assert lab.host('client').run('lab tcp greet tcp-server').ok\n"
    )
    assert "2 passed" in out
