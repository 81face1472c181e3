"""Runs `inside/` by pytest in the desktop's container, on an X server there: pytest is pure Python, and is carried in by tar."""

import io
import re
import subprocess
import tarfile
from importlib.util import find_spec
from pathlib import Path

INSIDE = Path(__file__).parent / "inside"
PACKAGES = ("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments", "py")


def carried():
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in PACKAGES:
            origin = Path(find_spec(name).origin)
            whole = origin.name == "__init__.py"
            tar.add(
                origin.parent if whole else origin,
                arcname=name if whole else origin.name,
                filter=lambda info: None if "__pycache__" in info.name else info,
            )
        tar.add(INSIDE / "check_widgets.py", arcname="check_widgets.py")
    return packed.getvalue()


def test_the_widgets_in_process(lab, capfd):
    container = lab.hosts["desktop"]
    unpack = "rm -rf /home/lab/site && mkdir /home/lab/site && tar -x -C /home/lab/site"
    subprocess.run(["docker", "exec", "-i", container, "sh", "-c", unpack], input=carried(), check=True)
    done = subprocess.run(
        ["docker", "exec", "-e", "PYTHONPATH=/home/lab/site:/app", "-w", "/home/lab/site", container,
         "python3", "-m", "services.desktop.screen", "--no-wait", "--folder", "/run/labctl/inside", "--number", "190", "--",
         "python3", "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "check_widgets.py"],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 30
    with capfd.disabled():
        print(re.search(r"flood: .*", done.stdout)[0])
