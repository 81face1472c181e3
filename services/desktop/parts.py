"""What the tabs are made of: a log, a line that shows work and cancels it, fields with labels, tables."""

import tkinter as tk
from collections.abc import Callable, Iterable, Sequence
from tkinter import ttk

from services.desktop.model import LOG_LINES, Line, Log, Topic
from services.desktop.style import Look

MARKS = {"sent": "→ ", "received": "← ", "note": "  ", "error": "✗ "}


class Pane(ttk.Frame):
    """A scrolled, read-only text that can be selected and copied."""

    def __init__(self, master: tk.Misc, look: Look, *, height: int = 6, wrap: str = "word") -> None:
        super().__init__(master)
        self.text = tk.Text(self, height=height, width=20, wrap=wrap, undo=False)  # type: ignore[arg-type]
        self.bar = ttk.Scrollbar(self, command=self.text.yview)
        self.text.configure(yscrollcommand=self.bar.set, cursor="xterm")
        self.text.grid(row=0, column=0, sticky="nsew")
        self.bar.grid(row=0, column=1, sticky="ns")
        if wrap == "none":
            across = ttk.Scrollbar(self, orient="horizontal", command=self.text.xview)
            self.text.configure(xscrollcommand=across.set)
            across.grid(row=1, column=0, sticky="ew")
        self.rowconfigure(0, weight=1)
        self.columnconfigure(0, weight=1)
        self.text.bind("<Key>", self._no_typing)
        leave_by_tab(self.text)
        self.text.bind("<<Paste>>", lambda _event: "break")
        self.text.bind("<<Cut>>", lambda _event: "break")
        self.dress(look)

    def dress(self, look: Look) -> None:
        """Take the colours of a look."""
        c = look.palette
        self.text.configure(
            background=c["card"], foreground=c["text"], highlightbackground=c["line"], insertbackground=c["text"]
        )
        for kind, colour in (("sent", "sent"), ("received", "text"), ("note", "quiet"), ("error", "error")):
            self.text.tag_configure(kind, foreground=c[colour], lmargin2=look.px(18))

    def show(self, text: str) -> None:
        """Replace the text."""
        self.text.delete("1.0", "end")
        self.text.insert("1.0", text)

    @staticmethod
    def _no_typing(event: "tk.Event[tk.Misc]") -> str | None:
        moves = event.keysym in ("Left", "Right", "Up", "Down", "Prior", "Next", "Home", "End", "Tab", "ISO_Left_Tab")
        if event.state & 0x4 and event.keysym.lower() == "a":  # type: ignore[operator] # Control
            event.widget.tag_add("sel", "1.0", "end")  # type: ignore[attr-defined]
            return "break"
        copies = event.state & 0x4 and event.keysym.lower() in ("c", "insert")  # type: ignore[operator]
        return None if moves or copies else "break"


def leave_by_tab(text: tk.Text) -> None:
    """Let Tab and Shift+Tab leave a text, as they leave all other fields; Tk's own binding writes a tab."""

    def leave(other: "tk.Misc | None") -> str:
        if other is not None:
            other.focus_set()
        return "break"

    text.bind("<Tab>", lambda _event: leave(text.tk_focusNext()))
    text.bind("<Shift-Tab>", lambda _event: leave(text.tk_focusPrev()))
    text.bind("<ISO_Left_Tab>", lambda _event: leave(text.tk_focusPrev()))


class Console(Pane):
    """Draws a log: only what came since, in one insert a kind, however much that is."""

    def __init__(self, master: tk.Misc, look: Look, *, height: int = 6) -> None:
        super().__init__(master, look, height=height)
        self._seen = 0
        self._at_end = True
        self.text.configure(yscrollcommand=self._moved)
        self.text.bind("<Configure>", lambda _event: self.text.see("end") if self._at_end else None)

    def _moved(self, first: float, last: float) -> None:
        """Hear what part is in view: of a text that becomes lower, its bind comes before this, and so knows how it was."""
        self.bar.set(first, last)
        self._at_end = float(last) >= 0.999

    def draw(self, log: Log) -> None:
        """Bring the text up to date; it follows the end unless the user has scrolled up."""
        lines = log.since(self._seen)
        if not lines:
            return
        at_end = self.text.yview()[1] >= 0.999
        if self._seen + len(lines) < log.total:  # more than the log keeps came at once
            self.text.delete("1.0", "end")
        self._seen = log.total
        words: list[str] = []
        for text, kind in _joined(lines):
            words += [text, kind]
        self.text.insert("end", *words)
        over = int(self.text.index("end-1c").split(".")[0]) - 1 - LOG_LINES
        if over > 0:
            self.text.delete("1.0", f"{over + 1}.0")
        if at_end:
            self.text.see("end")


def _joined(lines: Iterable[Line]) -> list[tuple[str, str]]:
    """Return lines of one kind in a row as one text."""
    runs: list[tuple[list[str], str]] = []
    for line in lines:
        if not runs or runs[-1][1] != line.kind:
            runs.append(([], line.kind))
        runs[-1][0].append(f"{MARKS.get(line.kind, '')}{line.text}\n")
    return [("".join(texts), kind) for texts, kind in runs]


def wrap_at_width(label: ttk.Label, look: Look) -> None:
    """Let a label's text go on in the next line where the label ends: clam keeps a little room on both sides of a text."""
    label.bind("<Configure>", lambda event: label.configure(wraplength=max(1, event.width - look.px(6))))


class Activity(ttk.Frame):
    """One line: what is going on and how far it is, with a button that cancels it."""

    def __init__(self, master: tk.Misc, look: Look, cancel: Callable[[], None] | None) -> None:
        """Args: cancel: None for a conversation, which has neither an end nor a share."""
        super().__init__(master)
        self._cancel = cancel
        self.said = tk.StringVar(self)
        self.label = ttk.Label(self, textvariable=self.said, style="Quiet.TLabel", anchor="w")
        self.bar = ttk.Progressbar(self, length=look.px(140), mode="determinate")
        self.button = ttk.Button(self, text="Cancel", command=cancel or "")
        self.label.grid(row=0, column=0, sticky="ew")
        self.columnconfigure(0, weight=1)
        self.rowconfigure(0, minsize=look.px(36))
        self._running = False
        wrap_at_width(self.label, look)

    def draw(self, topic: Topic) -> None:
        """Show how a topic stands."""
        self.said.set(topic.status + (f" – {topic.hint}" if topic.failed and topic.hint else ""))
        self.label.configure(style="Error.TLabel" if topic.failed else "Quiet.TLabel")
        if topic.busy and self._cancel:
            self.bar.grid(row=0, column=1, padx=6)
            self.button.grid(row=0, column=2)
            share = topic.share
            if share is None:
                if not self._running:
                    self.bar.configure(mode="indeterminate")
                    self.bar.start(40)
                self._running = True
            else:
                self._stop()
                self.bar.configure(mode="determinate", value=share * 100)
        else:
            self._stop()
            self.bar.grid_remove()
            self.button.grid_remove()

    def _stop(self) -> None:
        if self._running:
            self.bar.stop()
            self._running = False


class Table(ttk.Frame):
    """A Treeview with a scrollbar; rows are replaced as a whole, the selection stays where its row does."""

    def __init__(
        self, master: tk.Misc, look: Look, columns: Sequence[tuple[str, int, bool]], *, height: int = 6
    ) -> None:
        """Args: columns: (heading, width at 96 dpi, whether it takes what room is left)."""
        super().__init__(master)
        names = [heading for heading, _, _ in columns]
        self.tree = ttk.Treeview(self, columns=names, show="headings", height=height, selectmode="browse")
        for heading, width, stretch in columns:
            self.tree.heading(heading, text=heading, anchor="w")
            self.tree.column(heading, width=look.px(width), minwidth=look.px(40), stretch=stretch, anchor="w")
        bar = ttk.Scrollbar(self, command=self.tree.yview)
        self.tree.configure(yscrollcommand=bar.set)
        self.tree.grid(row=0, column=0, sticky="nsew")
        bar.grid(row=0, column=1, sticky="ns")
        self.rowconfigure(0, weight=1)
        self.columnconfigure(0, weight=1)
        self._rows: object = None

    def show(self, rows: Sequence[tuple[str, Sequence[str]]]) -> None:
        """Show rows of (identity, cells)."""
        if rows == self._rows:
            return
        self._rows = list(rows)
        chosen = self.tree.selection()
        self.tree.delete(*self.tree.get_children())
        for ident, cells in rows:
            self.tree.insert("", "end", iid=ident, values=list(cells))
        kept = [ident for ident in chosen if self.tree.exists(ident)]
        self.tree.selection_set(kept)

    def choose(self, ident: str) -> None:
        """Select a row, where it is there."""
        if self.tree.exists(ident):
            self.tree.selection_set(ident)
            self.tree.see(ident)

    @property
    def chosen(self) -> str:
        """Identity of the selected row; empty where there is none."""
        return next(iter(self.tree.selection()), "")


def field(
    master: tk.Misc, label: str, variable: tk.StringVar, *, width: int = 12, values: Sequence[str] = (), show: str = ""
) -> ttk.Entry:
    """Return an entry, or a combobox where there are values to choose from, with its label beside it; both are packed to the left."""
    scale = master.winfo_fpixels("1i") / 96
    ttk.Label(master, text=label).pack(side="left", padx=(0, round(6 * scale)))
    entry: ttk.Entry
    name = label.lower().replace(" ", "_")
    if values:
        entry = ttk.Combobox(master, textvariable=variable, width=width, values=list(values), name=name)
    else:
        entry = ttk.Entry(master, textvariable=variable, width=width, show=show, name=name)
    entry.pack(side="left", padx=(0, round(10 * scale)))
    return entry
