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
    """Return what is known of every widget, parents before children."""
    found: list[dict[str, Any]] = []
    waiting = [root]
    while waiting:
        widget = waiting.pop()
        found.append(describe(widget))
        waiting += reversed(widget.winfo_children())
    return found


def describe(widget: tk.Misc) -> dict[str, Any]:
    """Return one widget's facts."""
    facts: dict[str, Any] = {
        "path": str(widget), "class": widget.winfo_class(), "mapped": bool(widget.winfo_viewable()),
        "x": widget.winfo_rootx(), "y": widget.winfo_rooty(), "width": widget.winfo_width(), "height": widget.winfo_height(),
    }  # fmt: skip
    for option in ("text", "show", "textvariable"):
        with suppress(tk.TclError):
            facts[option] = str(widget.cget(option))
    if facts.pop("textvariable", ""):
        with suppress(tk.TclError):
            facts["text"] = str(widget.getvar(str(widget.cget("textvariable"))))
    if isinstance(widget, tk.Entry):
        facts["value"] = "*" * len(widget.get()) if facts.get("show") else widget.get()
        if facts.get("show"):
            facts.pop("text", None)
    elif isinstance(widget, tk.Text):
        facts["value"] = widget.get("1.0", "end-1c")
    elif facts["class"] == "Treeview":
        rows = widget.tk.splitlist(widget.tk.call(str(widget), "children", ""))
        facts["rows"] = [
            [str(cell) for cell in widget.tk.splitlist(widget.tk.call(str(widget), "item", row, "-values"))]
            for row in rows
        ]
    elif facts["class"] == "TNotebook":
        facts["tabs"] = [
            str(widget.tk.call(str(widget), "tab", tab, "-text"))
            for tab in widget.tk.splitlist(widget.tk.call(str(widget), "tabs"))
        ]
    return facts
