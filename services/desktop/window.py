"""The window: a notebook of tabs, each made when it is first looked at; keys, theme, and the one place that draws."""

import time
import tkinter as tk
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from tkinter import ttk
from typing import TYPE_CHECKING, NamedTuple

from services.desktop import style
from services.desktop.model import Event, Model
from services.desktop.scrolled import Scrolled
from services.desktop.tabs.base import Desk, Tab
from services.desktop.worker import Worker

if TYPE_CHECKING:
    from types import TracebackType

DRAW_MS = 15
# Of the time between two draws, drawing itself may take this share, so that a slow X connection leaves room for clicks.
REST = 3
DRAWN_MS = 300
MOD5 = 0x80  # the state bit of AltGr


class Page(NamedTuple):
    """A tab: its word on the command line, its title, its module and class."""

    name: str
    title: str
    module: str
    view: str


PAGES = (
    Page("tcp", "TCP", "tcp", "TcpTab"),
    Page("udp", "UDP", "udp", "UdpTab"),
    Page("files", "Files", "files", "FilesTab"),
    Page("mail", "Mail", "mail", "MailTab"),
    Page("web", "Web", "web", "WebTab"),
    Page("classic", "Classic", "classic", "ClassicTab"),
    Page("hosts", "Hosts", "hosts", "HostsTab"),
    Page("widgets", "Widgets", "widgets", "WidgetsTab"),
)
HELP = """\
Ctrl+Tab, Ctrl+Shift+Tab: next and previous tab
Alt+1 … Alt+8: that tab
Tab, Shift+Tab: next and previous field or button
Return in a field: what the button beside it does
Space or Return on a button: press it
Shift+Tab in the code of Widgets: leave it (Tab indents)
Escape: cancel what this tab is doing
Ctrl+T: light or dark
Ctrl+Q: close the window"""


class Settings(NamedTuple):
    """How the window is to be."""

    theme: str
    scale: float
    tab: str
    downloads: Path
    untrusted: bool = False
    way: str = ""


class Window:
    """The whole window.

    Args:
        theme: `light` or `dark`.
        untrusted: the X server knows us by an untrusted cookie: AltGr does not work then, which is said when it is pressed.
    """

    def __init__(self, root: tk.Tk, desk: Desk, theme: str, *, untrusted: bool = False, way: str = "") -> None:
        self.root = root
        self.desk = desk
        self.theme = theme
        self.tabs: dict[str, Tab] = {}
        self._changed: set[str] = set()
        self._due = False
        root.title("labctl – desktop")
        look = desk.look
        root.minsize(320, 240)  # what is smaller than its tab is scrolled
        self._head(way)
        self.book = ttk.Notebook(root)
        self.book.pack(fill="both", expand=True, padx=look.px(8), pady=(0, look.px(8)))
        for page in PAGES:
            self.book.add(Scrolled(self.book, look, page.name), text=page.title)
        self.book.bind("<<NotebookTabChanged>>", lambda _event: self._shown())
        self._keys(untrusted)

    def _head(self, way: str) -> None:
        look = self.desk.look
        head = ttk.Frame(self.root, padding=(look.px(10), look.px(6)))
        head.pack(fill="x")
        self.notice = tk.StringVar(self.root, f"on the lab's network{f'; shown by {way}' if way else ''}")
        ttk.Label(head, text="desktop", style="Title.TLabel").pack(side="left")
        ttk.Label(head, textvariable=self.notice, style="Quiet.TLabel").pack(side="left", padx=look.px(8))
        ttk.Button(head, text="?", width=2, command=self.help, name="help").pack(side="right")
        self.theme_button = ttk.Button(head, command=self.switch, name="theme")
        self.theme_button.pack(side="right", padx=look.px(6))
        self._name_theme()

    def _name_theme(self) -> None:
        self.theme_button.configure(text="Dark" if self.theme == "light" else "Light")

    def _keys(self, untrusted: bool) -> None:
        root = self.root
        root.bind_all("<Control-q>", lambda _event: root.event_generate("<<Close>>"))
        root.bind("<Control-Tab>", lambda _event: self.turn(1))  # ttk's own needs the focus inside the notebook
        root.bind("<Control-ISO_Left_Tab>", lambda _event: self.turn(-1))
        root.bind_all("<Control-t>", lambda _event: self.switch())
        root.bind("<Escape>", lambda _event: self.cancel())
        for number, page in enumerate(PAGES, start=1):
            root.bind_all(f"<Alt-Key-{number}>", lambda _event, name=page.name: self.select(name))  # type: ignore[misc]
        root.bind_all("<FocusIn>", self._focused, add="+")
        root.bind_class("TButton", "<Return>", lambda event: event.widget.invoke())  # type: ignore[attr-defined]
        if untrusted:
            root.bind_all("<Key>", self._alt_gr, add="+")

    def _alt_gr(self, event: "tk.Event[tk.Misc]") -> None:
        if isinstance(event.state, int) and event.state & MOD5:
            self.notice.set("AltGr does not reach an untrusted X client: `labctl gui --trusted`, or `--via web`")

    def _focused(self, event: "tk.Event[tk.Misc]") -> None:
        page = self.page(self.current)
        if str(event.widget).startswith(f"{page.inside}."):
            page.show(event.widget)

    # -- tabs -------------------------------------------------------------------------------------------------------------

    @property
    def current(self) -> str:
        """Name of the tab that is shown."""
        return str(self.book.select()).rpartition(".")[2]

    def select(self, name: str) -> Tab:
        """Show a tab and return it."""
        self.book.select(str(self.book.nametowidget(str(self.book)).nametowidget(name)))
        return self.tab(name)

    def turn(self, step: int) -> str:
        """Show the next tab, or the one before."""
        names = [page.name for page in PAGES]
        self.select(names[(names.index(self.current) + step) % len(names)])
        return "break"

    def page(self, name: str) -> Scrolled:
        """Return what holds a tab."""
        page: Scrolled = self.book.nametowidget(name)
        return page

    def tab(self, name: str) -> Tab:
        """Return a tab; it is made where nobody has looked at it before."""
        if name not in self.tabs:
            page = next(page for page in PAGES if page.name == name)
            module = import_module(f"services.desktop.tabs.{page.module}")
            tab: Tab = getattr(module, page.view)(self.page(name).inside, self.desk)
            tab.pack(fill="both", expand=True)
            self.tabs[name] = tab
        return self.tabs[name]

    def _shown(self) -> None:
        self.tab(self.current)

    @property
    def drawn(self) -> bool:
        """Whether all that was folded is drawn."""
        return not self._changed

    def cancel(self) -> None:
        """Cancel what the tab that is shown is doing."""
        tab = self.tabs.get(self.current)
        for part in [tab, *tab.parts] if tab else ():
            for topic in part.topics:
                if topic not in ("chat", "telnet"):  # these are conversations: they are left, not cancelled
                    self.desk.worker.cancel(topic)

    # -- events -----------------------------------------------------------------------------------------------------------

    def handle(self, event: Event) -> None:
        """Fold an event; draw soon, and once for all that comes meanwhile."""
        topic = self.desk.model.fold(event)
        if topic:
            self._changed.add(topic)
            self._draw_soon(DRAW_MS)

    def _draw_soon(self, after_ms: int) -> None:
        if not self._due:
            self._due = True
            self.root.after(after_ms, self.draw)

    def draw(self) -> None:
        """Draw what has changed, then rest for as long as that is worth."""
        changed, self._changed = self._changed, set()
        began = time.perf_counter()
        for name in changed:
            for tab in self.tabs.values():
                tab.refresh(name, self.desk.model.topics[name])
        self.root.update_idletasks()
        spent = time.perf_counter() - began
        self.root.after(max(DRAW_MS, int(spent * 1000 * REST)), self._rested)

    def _rested(self) -> None:
        self._due = False
        if self._changed:
            self._draw_soon(1)

    # -- look -------------------------------------------------------------------------------------------------------------

    def switch(self) -> None:
        """Change between light and dark."""
        self.theme = "dark" if self.theme == "light" else "light"
        self.desk.look = style.apply(self.root, self.theme, self.desk.look.scale)
        self._name_theme()
        for name, tab in self.tabs.items():
            self.page(name).dress(self.desk.look)
            tab.dress(self.desk.look)

    def help(self) -> None:
        """Show the keys."""
        from tkinter import messagebox

        messagebox.showinfo("Keys", HELP, parent=self.root)


def open_window(root: tk.Tk, model: Model, settings: Settings) -> Window:
    """Dress the root, make the worker and the window on it, and let closing it end both."""
    look = style.apply(root, settings.theme, settings.scale)
    windows: list[Window] = []
    worker = Worker(root, lambda event: windows[0].handle(event))

    def confirm(title: str, question: str) -> bool:
        from tkinter import messagebox

        return messagebox.askokcancel(title, question, parent=root)

    desk = Desk(model, worker, look, settings.downloads, confirm)
    window = Window(root, desk, settings.theme, untrusted=settings.untrusted, way=settings.way)
    windows.append(window)

    def close() -> None:
        worker.close()
        root.destroy()

    root.protocol("WM_DELETE_WINDOW", close)
    root.bind("<<Close>>", lambda _event: close())
    root.report_callback_exception = window_error(root)
    window.select(settings.tab)
    # An input method (dead keys, Compose) asks the X server twice about each widget: only once all of them are drawn.
    root.tk.call("tk", "useinputmethods", False)
    root.after(DRAWN_MS, lambda: root.tk.call("tk", "useinputmethods", True))
    return window


def window_error(root: tk.Tk) -> Callable[[type[BaseException], BaseException, "TracebackType | None"], None]:
    """Return what tells an error in a callback: on stderr with its traceback, and in a box."""

    def tell(kind: type[BaseException], error: BaseException, trace: "TracebackType | None") -> None:
        import traceback
        from tkinter import messagebox

        traceback.print_exception(kind, error, trace)
        messagebox.showerror("Something went wrong in the window", f"{kind.__name__}: {error}", parent=root)

    return tell
