"""The plugin is imported by every pytest run of an environment: it must cost nothing there, and need nothing."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "labctl" / "pytest_plugin.py"


def test_at_the_top_it_imports_pytest_and_the_standard_library_alone():
    for node in ast.parse(PLUGIN.read_text()).body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            assert name.partition(".")[0] in {*sys.stdlib_module_names, "pytest"}, name


def test_importing_it_brings_in_nothing_heavy():
    code = "import sys, labctl.pytest_plugin; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"docker", "pydantic", "yaml", "requests", "testcontainers", "rich", "click"} & set(done.stdout.split())


def test_the_entry_point_bears_the_module_s_name():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"labctl.pytest_plugin": "labctl.pytest_plugin"}
