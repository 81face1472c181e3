"""The plugin and what stands behind it, as far as they need no engine."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from labctl import pytest_plugin
from labctl.errors import LabError
from labctl.testing import artifacts, reaper
from labctl.testing.taps import read_wire

ROOT = Path(__file__).parents[2]
WRONG = {
    "'tcp-demo', swap='tcp-server=x.py'": 'swap=\'tcp-server=x.py\' has another form than swap={"tcp-server": "my_server.py"}',
    "'tcp-demo', env={'tcp-server': 'A=1'}": "of 'tcp-server', 'A=1' has another form than {\"tcp-server\":",
    "'tcp-demo', timeout='30s'": "timeout='30s' has another form than timeout=30",
    "'tcp-demo', scoop='module'": "got an unexpected keyword argument 'scoop'",
}


def test_a_marker_of_another_form_is_said_without_a_traceback(tmp_path):
    tests = "".join(f"@pytest.mark.lab({said})\ndef test_{number}(lab): pass\n" for number, said in enumerate(WRONG))
    (tmp_path / "test_own.py").write_text("import pytest\n" + tests)
    argv = [sys.executable, "-m", "pytest", "-p", "labctl.pytest_plugin", "-p", "no:cacheprovider", "-c", "/dev/null"]
    argv += ["--rootdir", str(tmp_path), str(tmp_path / "test_own.py")]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert f"{len(WRONG)} errors" in done.stdout
    for words in WRONG.values():
        assert words in done.stdout
    assert "During handling" not in done.stdout and "pytest_plugin.py:" not in done.stdout


def test_what_a_failed_test_leaves_lies_where_pytest_was_started(tmp_path, monkeypatch):
    """Also where the test has gone elsewhere."""
    config = SimpleNamespace(
        invocation_params=SimpleNamespace(dir=tmp_path / "project"), getoption=lambda _: "lab-artifacts"
    )
    item = SimpleNamespace(config=config, nodeid="test_own.py::test_a[x y]", user_properties=[])
    report = SimpleNamespace(sections=[], user_properties=[])
    asked = []
    monkeypatch.setattr(artifacts, "write_artifacts", lambda *said: asked.append(said[1]) or [])
    monkeypatch.chdir(tmp_path)
    pytest_plugin._attach(item, report, SimpleNamespace(name="x"))
    assert asked == [tmp_path / "project" / "lab-artifacts" / "test_own.py-test_a-x-y"]
    assert item.user_properties == report.user_properties == [("lab_artifacts", str(asked[0]))]


def test_a_lab_without_a_tap_tells_how_a_test_gets_one():
    engine = SimpleNamespace(look=lambda _: SimpleNamespace(tap=None))
    with pytest.raises(LabError, match="has no tap") as raised:
        read_wire(engine, "x")
    assert "tap=True" in raised.value.hint and "with_tap()" in raised.value.hint


def test_the_reaper_minds_nothing_of_what_lies_where_the_tests_run(tmp_path, monkeypatch):
    (tmp_path / "signal.py").write_text("raise RuntimeError")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    reaper.watch_over("nobody")
    process = reaper._reapers["nobody"]
    reaper.dismiss("nobody")
    assert process.returncode == 0


def test_where_there_is_no_package_its_labs_are_the_session_s(monkeypatch):
    session = type("Session", (), {"addfinalizer": lambda *_: None})()
    config = SimpleNamespace(stash={pytest_plugin.LABS: pytest_plugin.Labs()})
    monkeypatch.setattr(pytest_plugin, "_bring_up", lambda *_, shared: SimpleNamespace(used=False, shared=shared))
    asked = pytest_plugin.Asked("tcp-demo", scope="package")
    labs = [
        pytest_plugin._obtain(
            SimpleNamespace(config=config, session=session, node=SimpleNamespace(getparent=lambda _: None)), asked
        )
        for _ in range(2)
    ]
    assert labs[0].shared
    assert labs[0] is labs[1]
