"""A Unix socket that tells what the window shows, as JSON: for tests that press what they see instead of guessing coordinates.

One connection, one answer: every widget with its class, text, value (passwords masked), state and place on the screen.
"""

import json
import os
import socket
import tkinter as tk
from contextlib import suppress
from pathlib import Path
from typing import Any


class Probe:
    """Listens at `path`, which the container's own user alone may open."""

    def __init__(self, root: tk.Tk, path: Path) -> None:
        self._root = root
        root.bind("<Destroy>", lambda event: path.unlink(missing_ok=True) if event.widget is root else None, add="+")
        path.unlink(missing_ok=True)
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        os.chmod(path, 0o600)  # noqa: PTH101
        self._server.listen(4)
        self._server.setblocking(False)
        root.tk.createfilehandler(self._server, tk.READABLE, self._answer)

    def _answer(self, *_: object) -> None:
        with suppress(OSError):
            conn, _ = self._server.accept()
            with conn:
                conn.settimeout(2)
                conn.sendall(json.dumps(tree(self._root)).encode())


def tree(root: tk.Misc) -> list[dict[str, Any]]:
    """Return what is known of every widget, parents before children; asked of Tcl, for Python does not know Tk's own dialogs."""
    found: list[dict[str, Any]] = []
    waiting = ["."]
    while waiting:
        path = waiting.pop()
        with suppress(tk.TclError):  # it may go while it is looked at
            found.append(describe(root, path))
            waiting += reversed(_words(root, "winfo", "children", path))
    return found


def _words(root: tk.Misc, *command: str) -> list[str]:
    return [str(word) for word in root.tk.splitlist(root.tk.call(*command))]


def _option(root: tk.Misc, path: str, name: str) -> str:
    with suppress(tk.TclError):
        return str(root.tk.call(path, "cget", f"-{name}"))
    return ""


def describe(root: tk.Misc, path: str) -> dict[str, Any]:
    """Return one widget's facts.

    Raises:
        tk.TclError: there is no such widget.
    """

    def ask(what: str) -> Any:
        return root.tk.call("winfo", what, path)

    kind = str(ask("class"))
    facts: dict[str, Any] = {
        "path": path, "class": kind, "mapped": bool(int(ask("viewable"))),
        "x": int(ask("rootx")), "y": int(ask("rooty")), "width": int(ask("width")), "height": int(ask("height")),
    }  # fmt: skip
    if kind in ("TEntry", "Entry", "TCombobox", "TSpinbox", "Spinbox"):
        value = str(root.tk.call(path, "get"))
        facts["value"] = "*" * len(value) if _option(root, path, "show") else value
    elif kind == "Text":
        facts["value"] = str(root.tk.call(path, "get", "1.0", "end-1c"))
    elif kind == "Treeview":
        rows = _words(root, path, "children", "")
        facts["rows"] = [_words(root, path, "item", row, "-values") for row in rows]
        facts["boxes"] = [[int(number) for number in _words(root, path, "bbox", row)] or None for row in rows]
    elif variable := _option(root, path, "textvariable"):
        facts["text"] = str(root.getvar(variable))
    else:
        facts["text"] = _option(root, path, "text")
    return facts
