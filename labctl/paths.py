"""Where the lab's own files are, in a checkout and in an installed wheel, and where labctl may keep what it can make again."""

import os
from pathlib import Path

_HERE = Path(__file__).resolve().parent


def lab_root() -> Path:
    """Return the folder with `compose.yaml` and `services/`: the build context of the lab's images."""
    packaged = _HERE / "_lab"
    return packaged if packaged.is_dir() else _HERE.parent


def scenario_folder() -> Path:
    """Return the folder of the scenarios that labctl brings."""
    return _HERE / "scenarios"


def cache_folder() -> Path:
    """Return the folder for what can be made again at any time; made by whoever writes there."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "labctl"


def tshark_folder() -> Path:
    """Return the folder that tshark's image is built from."""
    return _HERE / "tshark"


def page_file() -> Path:
    """Return the page that a trace is put into, for a browser."""
    return _HERE / "wire" / "page.html"
