"""Modules that left the standard library and live on as packages: found without the rest of site-packages, which `lab` does without."""

import importlib
import sys
import warnings
from types import ModuleType

from services.client.errors import ClientError

DIST = "/usr/lib/python3/dist-packages"


def packaged(name: str, package: str) -> ModuleType:
    """Import a module that Debian's `package` brings; in Python before 3.13 the standard library still has it.

    Raises:
        ClientError: neither has it.
    """
    sys.path.append(DIST)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", DeprecationWarning
            )  # 3.11 and 3.12 say that it will be gone: that is our text
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ClientError(f"Python's `{name}` is not here", f"Debian's package is `{package}`") from error
    finally:
        sys.path.remove(DIST)
