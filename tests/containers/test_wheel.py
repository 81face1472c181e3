"""The wheel carries the lab: installed alone, outside a checkout, `labctl run` works."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_an_installed_wheel_runs_tcp_demo_outside_a_checkout(tmp_path, labctl, installed):
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [installed / "labctl", "run", "tcp-demo", "--lab", labctl.name("wheel"), "--report", "seen"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "tcp-demo passed" in done.stdout
    assert "S: Thank you for connecting" in (tmp_path / "seen" / "trace.txt").read_text()  # the readers travel too
    # pytest itself is this run's; the plugin is found by the wheel's entry point
    env["PYTHONPATH"] = str(Path(pytest.__file__).parents[1])
    shutil.copytree(ROOT / "docs" / "examples" / "own-server", tmp_path / "own")
    argv = [installed / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    tested = subprocess.run(argv, cwd=tmp_path / "own", env=env, capture_output=True, text=True, check=False)
    assert "3 passed" in tested.stdout, tested.stdout + tested.stderr
