"""The window under a test's hands: pressed where its probe says that a button is, seen through its VNC server."""

import itertools
import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from rfb import PipeStream, Screen

PATIENCE = 20.0
# Runs in the container: for each line of stdin, one line of what the window shows.
ASK = """
import socket, sys
for line in sys.stdin:
    conn = socket.socket(socket.AF_UNIX)
    try:
        conn.connect(sys.argv[1])
        print(b"".join(iter(lambda: conn.recv(65536), b"")).decode(), flush=True)
    except OSError:
        print("[]", flush=True)
"""
_numbers = itertools.count(200)


class Desk:
    """A window on a screen of its own in a container.

    Args:
        container: name or id.
        options: more of the window's command line.
    """

    def __init__(self, container, *options, size="1100x750", docker=("docker",)):
        self.exec = [*docker, "exec", "-i", container]
        number = next(_numbers)
        self.folder = f"/run/labctl/test-{number}"
        words = [
            "--size",
            size,
            "--number",
            str(number),
            "--folder",
            self.folder,
            "--",
            "--probe",
            f"{self.folder}/probe",
            *options,
        ]
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [*self.exec, "python3", "-m", "services.desktop.screen", *words],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.asking = subprocess.Popen(
            [*self.exec, "python3", "-c", ASK, f"{self.folder}/probe"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.screen, self.scale = None, 1.0
        try:
            self.wait(lambda: self.tree() or None)
            self.screen = Screen(
                PipeStream([*self.exec, "python3", "-m", "services.desktop.pipe", f"{self.folder}/vnc.sock"])
            )
        except BaseException:
            self.close()
            raise

    def close(self):
        if self.screen:
            self.screen.close()
        self.asking.stdin.close()
        self.asking.stdout.close()
        self.asking.wait(10)
        self.process.stdin.close()
        self.process.stderr.close()
        self.process.wait(15)
        subprocess.run([*self.exec, "rm", "-rf", self.folder], check=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- what is shown ----------------------------------------------------------------------------------------------------

    def tree(self):
        self.asking.stdin.write("\n")
        self.asking.stdin.flush()
        return json.loads(self.asking.stdout.readline() or "[]")

    def all(self, name="", **facts):
        """Return the widgets that are on the screen, whose path ends in `name` and that have these facts."""
        return [
            widget
            for widget in self.tree()
            if widget["mapped"] and widget["path"].endswith(f".{name}" if name else "")
            and all(widget.get(key) == value for key, value in facts.items())
        ]  # fmt: skip

    def one(self, name="", **facts):
        """Wait for exactly one such widget."""
        return self.wait(lambda: found[0] if len(found := self.all(name, **facts)) == 1 else None, f"{name} {facts}")

    def wait(self, condition, what="the window", patience=PATIENCE):
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if found := condition():
                return found
            if self.process.poll() is not None:
                raise AssertionError(f"the window is gone: {self.process.stderr.read().decode()}")
            time.sleep(0.03)
        shown = "\n".join(
            f"{w['path']} {w.get('text') or w.get('value') or w.get('rows') or ''}" for w in self.tree() if w["mapped"]
        )
        raise AssertionError(f"waited {patience} s for {what}; shown are\n{shown}")

    def sees(self, text, patience=PATIENCE):
        """Wait until a text is somewhere in the window."""
        return self.wait(lambda: text in self.words() or None, f"`{text}`", patience)

    def words(self):
        """Return all that is to be read on the screen."""
        parts = []
        for widget in self.tree():
            if widget["mapped"]:
                parts += [widget.get("text", ""), widget.get("value", "")]
                parts += [cell for row in widget.get("rows", ()) for cell in row]
        return "\n".join(map(str, parts))

    def shown(self):
        """Return the paths of all widgets that are on the screen."""
        return "\n".join(widget["path"] for widget in self.tree() if widget["mapped"])

    # -- hands ------------------------------------------------------------------------------------------------------------

    def press(self, name="", **facts):
        widget = self.one(name, **facts)
        self.screen.click(widget["x"] + widget["width"] // 2, widget["y"] + widget["height"] // 2)

    def fill(self, name, text, **facts):
        """Write into a field, in place of what is there."""
        widget = self.one(name, **facts)
        self.screen.click(widget["x"] + widget["width"] // 3, widget["y"] + widget["height"] // 2)
        self.screen.key("Control", "a")
        self.screen.type(text)
        masked = "*" * len(text)
        self.wait(
            lambda: any(w.get("value") in (text, masked) for w in self.all(name)) or None, f"{name} to hold {text!r}"
        )

    def tab(self, number):
        self.screen.key("Alt", str(number))

    def choose_row(self, table_cell):
        """Wait for the row of a table whose first cell that is, and click it."""

        def place():
            for widget in self.tree():
                cells = [row[0] for row in widget.get("rows", ())]
                if widget["mapped"] and table_cell in cells and (box := widget["boxes"][cells.index(table_cell)]):
                    x, y, width, height = box
                    return widget["x"] + x + min(width, 60) // 2, widget["y"] + y + height // 2
            return None

        self.screen.click(*self.wait(place, f"row {table_cell}"))

    def picture(self):
        time.sleep(0.25)  # what was folded last is drawn within 15 ms; the pointer's shadow and the cursor settle
        return self.screen.png()
