"""The pure protocol code of `services/`, for labctl itself: from the checkout, or from what the wheel carries (`labctl/_lab`).

`services` is too plain a name to be left on a user's import path: a project whose tests use labctl may have a package of that name.
"""

import importlib
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from labctl.paths import lab_root

OURS = "services"


@cache
def dialogue() -> ModuleType:
    """Return `services.dialogue`; see there."""
    return _load("services.dialogue")


def _load(name: str) -> ModuleType:
    """Import a module of the lab's `services`, and leave the importer as it was where that is somebody else's package, or nobody's."""
    root = lab_root()
    if _is_ours(sys.modules.get(OURS), root):
        return importlib.import_module(name)
    others = _taken()
    sys.path.insert(0, str(root))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(root))
        ours = _taken()
        in_checkout = (root / "labctl").is_dir()
        sys.modules.update(others or (ours if in_checkout else {}))


def _taken() -> dict[str, ModuleType]:
    """Take all modules under that name out of the importer, and return them."""
    names = [name for name in sys.modules if name == OURS or name.startswith(f"{OURS}.")]
    return {name: sys.modules.pop(name) for name in names}


def _is_ours(module: ModuleType | None, root: Path) -> bool:
    places = getattr(module, "__path__", ())
    return any(Path(place) == root / OURS for place in places)
