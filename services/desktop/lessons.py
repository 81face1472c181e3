"""The lessons of the Widgets tab: programs in `examples/`, run inside the window from the very text that is shown."""

import io
import tkinter as tk
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parent / "examples"


class Lesson(NamedTuple):
    """A program: its file's stem, and its title in the list."""

    name: str
    title: str

    @property
    def code(self) -> str:
        """The program's text."""
        return (FOLDER / f"{self.name}.py").read_text(encoding="utf-8")


LESSONS = (
    Lesson("button", "Button"),
    Lesson("label", "Label"),
    Lesson("entry", "Entry"),
    Lesson("frame", "Frame"),
    Lesson("dialogs", "Dialogs"),
    Lesson("pack", "pack"),
    Lesson("grid", "grid"),
    Lesson("place", "place"),
    Lesson("events", "Event loop"),
)


class _Printed(io.TextIOBase):
    """What a lesson prints goes to the event log."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._line = ""

    def write(self, text: str) -> int:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._tell(f"printed: {line}")
        return len(text)


def run(code: str, parent: tk.Misc, tell: Callable[[str], None]) -> tk.Widget | None:
    """Run a lesson's text and return the widget that its `build` made, or None where it failed; `tell` has heard why.

    The code is the learner's own, in the learner's own container: nothing is kept from it.
    """
    names: dict[str, Any] = {"__name__": "lesson", "print": printer(tell)}
    try:
        with redirect_stdout(_Printed(tell)):
            exec(compile(code, "lesson.py", "exec"), names)  # noqa: S102 - that is what the Run button is for
            widget = names["build"](parent)
    except KeyError:
        tell("error: the code has no function `build(parent)`")
    except BaseException as error:
        where = "".join(traceback.format_exception_only(error)).strip()
        at = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "lesson.py"]
        tell(f"error: {where}" + (f" (line {at[-1]})" if at else ""))
    else:
        if isinstance(widget, tk.Widget):
            return widget
        tell("error: `build` has to return the widget that it made")
    return None


def printer(tell: Callable[[str], None]) -> Callable[..., None]:
    """Return a `print` that writes into the event log: callbacks run long after `run` has ended."""

    def say(*words: object, sep: str = " ", **_: object) -> None:
        tell(f"printed: {sep.join(map(str, words))}")

    return say
