"""A page that is scrolled where its window is smaller than what it holds; what gets the focus comes into view."""

import tkinter as tk
from tkinter import ttk

from services.desktop.style import Look


class Scrolled(ttk.Frame):
    """Holds one widget, `inside.winfo_children()[0]`; as large as the page, but never smaller than that widget asks to be.

    The scrollbars are there only where they are needed, and are made then.
    """

    def __init__(self, master: tk.Misc, look: Look, name: str) -> None:
        super().__init__(master, name=name)
        self.canvas = tk.Canvas(self, background=look.palette["back"], highlightthickness=0, borderwidth=0)
        self.inside = ttk.Frame(self.canvas)
        self.window = self.canvas.create_window(0, 0, anchor="nw", window=self.inside)
        self.canvas.grid(row=0, column=0, sticky="nsew")
        self.rowconfigure(0, weight=1)
        self.columnconfigure(0, weight=1)
        self.bars: dict[str, ttk.Scrollbar] = {}
        self._fitting = False
        self.bind("<Configure>", lambda _event: self.fit())
        self.inside.bind("<Configure>", lambda _event: self.fit())

    def dress(self, look: Look) -> None:
        """Take the colours of a look."""
        self.canvas.configure(background=look.palette["back"])

    def fit(self) -> None:
        """Give the widget the room that it asks for, and scrollbars where the page has less."""
        if self._fitting:
            return
        self._fitting = True
        needs = self.inside.winfo_reqwidth(), self.inside.winfo_reqheight()
        has = self.winfo_width(), self.winfo_height()
        width, height = (max(need, room) for need, room in zip(needs, has, strict=True))
        self._bar("x", needs[0] > has[0])
        self._bar("y", needs[1] > has[1])
        self.canvas.itemconfigure(self.window, width=width, height=height)
        self.canvas.configure(scrollregion=(0, 0, width, height))
        self._fitting = False

    def _bar(self, axis: str, wanted: bool) -> None:
        if wanted and axis not in self.bars:
            view, orient = (self.canvas.xview, "horizontal") if axis == "x" else (self.canvas.yview, "vertical")
            bar = ttk.Scrollbar(self, orient=orient, command=view)  # type: ignore[arg-type]
            self.canvas.configure({f"{axis}scrollcommand": bar.set})
            self.bars[axis] = bar
        if wanted:
            place = {"row": 1, "column": 0, "sticky": "ew"} if axis == "x" else {"row": 0, "column": 1, "sticky": "ns"}
            self.bars[axis].grid(**place)  # type: ignore[arg-type]
        elif axis in self.bars:
            self.bars[axis].grid_remove()

    def show(self, widget: tk.Misc | str) -> None:
        """Scroll until a widget is in view; those of Tk's own dialogs have no object, and are in no tab."""
        if not self.bars or isinstance(widget, str):
            return
        for axis, place, size, room, whole, view in (
            ("x", widget.winfo_rootx() - self.inside.winfo_rootx(), widget.winfo_width(), self.canvas.winfo_width(),
             self.inside.winfo_width(), self.canvas.xview),
            ("y", widget.winfo_rooty() - self.inside.winfo_rooty(), widget.winfo_height(), self.canvas.winfo_height(),
             self.inside.winfo_height(), self.canvas.yview),
        ):  # fmt: skip
            first, last = (share * whole for share in view())
            if axis in self.bars and (place < first or place + size > last):
                start = place if place < first or size > room else place + size - room
                getattr(self.canvas, f"{axis}view_moveto")(start / max(1, whole))
