"""The wheel, as far as it needs no engine; what `installed` makes here, tests/containers/test_wheel.py uses."""

import json
import os
import subprocess

from labctl.scenario.catalog import own_scenarios


def test_an_installed_wheel_knows_the_scenarios_outside_a_checkout(installed, tmp_path):
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    listed = subprocess.run(
        [installed / "labctl", "ls", "--json"], cwd=tmp_path, env=env, capture_output=True, check=True
    )
    scenarios = json.loads(listed.stdout)["scenarios"]
    assert [entry["name"] for entry in scenarios] == [entry.name for entry in own_scenarios()]
