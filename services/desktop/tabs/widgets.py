"""Widgets: each lesson live, the code that made it, ready to copy, to change and to run; and a log of the events that the loop brings."""

import gc
import subprocess
import sys
import time
import tkinter as tk
from tkinter import ttk

from services.desktop import lessons
from services.desktop.parts import Pane
from services.desktop.style import Look
from services.desktop.tabs.base import Tab

TAG = "LessonEvents"
WATCHED = (
    "ButtonPress",
    "ButtonRelease",
    "KeyPress",
    "Enter",
    "Leave",
    "FocusIn",
    "FocusOut",
    "Configure",
    "Map",
    "MouseWheel",
)
LOGGED = 500  # lines


class WidgetsTab(Tab):
    """The list to the left; live widgets, code and events to the right."""

    def build(self) -> None:
        """Make the widgets."""
        self.live: tk.Widget | None = None
        self.own: subprocess.Popen[str] | None = None
        look = self.desk.look
        names = tk.Listbox(self, exportselection=False, width=11, activestyle="none", name="lessons")
        for lesson in lessons.LESSONS:
            names.insert("end", f" {lesson.title}")
        names.pack(side="left", fill="y", padx=(0, self.px(8)))
        names.bind("<<ListboxSelect>>", lambda _event: self._choose())
        self.names = names
        right = ttk.Panedwindow(self, orient="horizontal")
        right.pack(side="left", fill="both", expand=True)
        self.stage = ttk.Frame(right, padding=look.px(4))
        side = ttk.Frame(right, padding=(look.px(6), 0, 0, 0))
        right.add(self.stage, weight=1)
        right.add(side, weight=1)
        bar = ttk.Frame(side)
        bar.pack(fill="x", pady=(0, look.px(4)))
        ttk.Button(bar, text="Run", style="Accent.TButton", command=self.run, name="run").pack(side="left")
        for text, command, name in (
            ("Copy", self.copy, "copy"),
            ("Own window", self.apart, "apart"),
            ("Reset", self.reset, "reset"),
        ):
            button = ttk.Button(bar, text=text, command=command, name=name)
            button.pack(side="left", padx=(look.px(4), 0))
            if name == "apart":
                self.apart_button = button
        below = ttk.Panedwindow(side, orient="vertical")
        below.pack(fill="both", expand=True)
        self.code = Editor(below, look)
        self.events = Pane(below, look, height=3, wrap="none")
        self.panes += [self.code, self.events]
        below.add(self.code, weight=3)
        below.add(self.events, weight=1)
        for name in WATCHED:
            self.bind_class(TAG, f"<{name}>", self._log)
        names.selection_set(0)
        self._choose()
        self.bind("<Destroy>", lambda event: self._end() if event.widget is self else None)

    def dress(self, look: Look) -> None:
        """Take another look; the lesson's widgets are made anew, for classic ones ask the option database only then."""
        super().dress(look)
        c = look.palette
        self.names.configure(background=c["card"], foreground=c["text"], highlightbackground=c["line"])
        self.run()

    @property
    def lesson(self) -> lessons.Lesson:
        """The lesson that is shown."""
        return lessons.LESSONS[int((self.names.curselection() or (0,))[0])]

    def choose(self, name: str) -> None:
        """Show a lesson."""
        number = next(number for number, lesson in enumerate(lessons.LESSONS) if lesson.name == name)
        self.names.selection_clear(0, "end")
        self.names.selection_set(number)
        self._choose()

    def _choose(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Show the lesson's own code again, and run it."""
        self.code.show(self.lesson.code)
        self.run()

    def run(self) -> None:
        """Run the code as it stands in the editor."""
        if self.live is not None:
            self.live.destroy()
            self.live = None
        self.events.show("")
        gc.collect()  # what the last run left; see the worker for why here
        for child in self.stage.winfo_children():  # what code made that failed half way
            child.destroy()
        self.live = lessons.run(self.code.text.get("1.0", "end-1c"), self.stage, self.tell)
        if self.live is not None:
            self.live.pack(fill="both", expand=True, anchor="nw")
            self._watch(self.live)
            self.tell("running: what happens to these widgets is logged here")

    def copy(self) -> None:
        """Put the code on the clipboard."""
        self.clipboard_clear()
        self.clipboard_append(self.code.text.get("1.0", "end-1c"))
        self.tell("the code is on the clipboard")

    def apart(self) -> None:
        """Run the code as a program of its own, with a window and an event loop of its own; or end it."""
        if self.own and self.own.poll() is None:
            self._end()
            return
        path = self.desk.downloads / "lesson.py"
        path.write_text(self.code.text.get("1.0", "end-1c"), encoding="utf-8")
        self.own = subprocess.Popen(
            [sys.executable, str(path)], text=True, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        self.tell(f"started: python3 {path}")
        self.apart_button.configure(text="Close it")
        self._wait()

    def _wait(self) -> None:
        if self.own is None:
            return
        code = self.own.poll()
        if code is None:
            self.after(200, self._wait)
            return
        _, errors = self.own.communicate()
        for line in errors.splitlines():
            self.tell(line)
        self.tell(f"the program has ended, exit code {code}")
        self.own = None
        self.apart_button.configure(text="Own window")

    def _end(self) -> None:
        if self.own:
            self.own.terminate()

    # -- the event log ----------------------------------------------------------------------------------------------------

    def _watch(self, widget: tk.Misc) -> None:
        widget.bindtags((*widget.bindtags(), TAG))
        for child in widget.winfo_children():
            self._watch(child)

    def _log(self, event: "tk.Event[tk.Misc]") -> None:
        more = {
            "KeyPress": f" {event.keysym}",
            "ButtonPress": f" {event.num} at {event.x},{event.y}",
            "ButtonRelease": f" {event.num} at {event.x},{event.y}",
            "Configure": f" {event.width}x{event.height}",
        }
        kind = event.type.name if isinstance(event.type, tk.EventType) else str(event.type)
        kind = {"Key": "KeyPress", "Button": "ButtonPress"}.get(kind, kind)
        name = str(event.widget).removeprefix(str(self.stage)) or "."
        self.tell(f"<{kind}>{more.get(kind, '')}  {name}")

    def tell(self, line: str) -> None:
        """Write a line into the event log."""
        if not self.events.winfo_exists():
            return
        text = self.events.text
        now = time.time()
        text.insert("end", f"{time.strftime('%H:%M:%S', time.localtime(now))}.{int(now * 1000) % 1000:03d} {line}\n")
        over = int(text.index("end-1c").split(".")[0]) - LOGGED
        if over > 0:
            text.delete("1.0", f"{over + 1}.0")
        text.see("end")
        text.xview_moveto(0)


class Editor(Pane):
    """A text that may be written in: the code."""

    def __init__(self, master: tk.Misc, look: Look) -> None:
        super().__init__(master, look, height=5, wrap="none")
        self.text.unbind("<Key>")
        for event in ("<<Paste>>", "<<Cut>>"):
            self.text.unbind(event)
        self.text.configure(undo=True)
        self.text.bind("<Tab>", self._indent)
        self.text.bind("<Control-a>", self._all)

    def _indent(self, _event: object) -> str:
        self.text.insert("insert", "    ")
        return "break"

    def _all(self, _event: object) -> str:
        self.text.tag_add("sel", "1.0", "end")
        return "break"

    def show(self, text: str) -> None:
        """Replace the code; that cannot be undone."""
        super().show(text)
        self.text.edit_reset()
        self.text.see("1.0")
