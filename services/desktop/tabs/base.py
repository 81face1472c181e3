"""What every tab has: the desk that it stands on, a place to say what a field lacks, topics that it draws."""

import tkinter as tk
from collections.abc import Callable
from pathlib import Path
from tkinter import ttk
from typing import TYPE_CHECKING

from services.desktop.model import FormError, Model, Topic, in_octets, read_host, read_port
from services.desktop.parts import Activity, Pane
from services.desktop.style import Look

if TYPE_CHECKING:
    from services.desktop.worker import Work, Worker


class Desk:
    """What the tabs share.

    Args:
        downloads: folder for what is fetched.
        confirm: asks the user a question, by its title and text; True is yes.
    """

    def __init__(
        self, model: Model, worker: "Worker", look: Look, downloads: Path, confirm: Callable[[str, str], bool]
    ) -> None:
        self.model = model
        self.worker = worker
        self.look = look
        self.downloads = downloads
        self.confirm = confirm


class Tab(ttk.Frame):
    """A tab, or a part of one; made when it is first looked at."""

    topics: tuple[str, ...] = ()

    def __init__(self, master: tk.Misc, desk: Desk) -> None:
        super().__init__(master, padding=desk.look.px(10))
        self.desk = desk
        self.parts: list[Tab] = []
        self.panes: list[Pane] = []
        self.activities: dict[str, Activity] = {}
        self.build()
        for name in self.topics:
            self.draw(name, desk.model.topics[name])

    def build(self) -> None:
        """Make the widgets."""

    def draw(self, name: str, topic: Topic, /) -> None:
        """Show how a topic stands."""

    def refresh(self, name: str, topic: Topic) -> None:
        """Draw a topic, here and in the parts, wherever it is shown."""
        if name in self.topics:
            if name in self.activities:
                self.activities[name].draw(topic)
            self.draw(name, topic)
        for part in self.parts:
            part.refresh(name, topic)

    def dress(self, look: Look) -> None:
        """Take another look."""
        for pane in self.panes:
            pane.dress(look)
        for part in self.parts:
            part.dress(look)

    # -- for the tabs' own use --------------------------------------------------------------------------------------------

    def text(self, value: str = "") -> tk.StringVar:
        """Return a variable for a field."""
        return tk.StringVar(self, value)

    def px(self, distance: float) -> int:
        """Return a distance in this screen's pixels."""
        return self.desk.look.px(distance)

    def row(self) -> ttk.Frame:
        """Return a new row of fields and buttons, across the tab."""
        frame = ttk.Frame(self)
        frame.pack(fill="x", pady=(0, self.px(6)))
        return frame

    def activity(self, name: str, *, conversation: bool = False) -> Activity:
        """Return the line that shows a topic's work and cancels it; a conversation is left by a button of its own."""
        line = Activity(self, self.desk.look, None if conversation else lambda: self.desk.worker.cancel(name))
        self.activities[name] = line
        line.draw(self.desk.model.topics[name])
        return line

    def pane(self, pane: Pane) -> Pane:
        """Remember a text that follows the look."""
        self.panes.append(pane)
        return pane

    def attempt(self, topic: str, action: Callable[[], None]) -> None:
        """Do what a button asks; what a field lacks is said where the topic's work is shown."""
        try:
            action()
        except FormError as error:
            shown = Topic(outcome=str(error), failed=True)
            if topic in self.activities:
                self.activities[topic].draw(shown)

    def may_write(self, path: Path) -> bool:
        """Tell whether a file may be written: it is not there, or the user agrees to its replacement."""
        if not path.exists():
            return True
        size = in_octets(path.stat().st_size)
        return self.desk.confirm("Replace", f"`{path.name}` is in {path.parent} already ({size}). Replace it?")

    def start(self, topic: str, what: str, work: "Work", place: str = "") -> None:
        """Start a job."""
        self.desk.worker.start(topic, what, work, place)


def place(host: tk.StringVar, port: tk.StringVar) -> tuple[str, int, str]:
    """Return host, port, and both as one word, from two fields.

    Raises:
        FormError: one of them is none.
    """
    name, number = read_host(host.get()), read_port(port.get())
    return name, number, f"{name}:{number}"
