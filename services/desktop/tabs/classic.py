"""The old protocols: FTP, News, Telnet, Gopher, each a tab of its own within this one."""

import tkinter as tk
from pathlib import PurePosixPath
from tkinter import ttk

from services.desktop.model import FormError, Topic, in_octets, read_text
from services.desktop.parts import Console, Pane, Table, field
from services.desktop.tabs.base import Tab, place
from services.desktop.work import classic


class FtpTab(Tab):
    """Folders and files of an FTP server (RFC 959); the log shows what it says."""

    topics = ("ftp",)

    def build(self) -> None:
        """Make the widgets."""
        self.path = "/"
        self.host, self.port = self.text(self.desk.model.host("ftp-server")), self.text("21")
        self.user, self.password = self.text("anonymous"), self.text("guest@desktop")
        row = self.row()
        field(row, "Server", self.host, width=12, values=self.desk.model.hosts)
        field(row, "Port", self.port, width=5)
        field(row, "User", self.user, width=10).bind("<FocusOut>", lambda _event: self.look_up())
        field(row, "Password", self.password, width=10, show="*").bind("<Return>", lambda _event: self.open())
        ttk.Button(row, text="List", style="Accent.TButton", command=self.open, name="list").pack(side="left")
        self.where = self.text("/")
        row = self.row()
        ttk.Button(row, text="Up", command=self.up, name="up").pack(side="left")
        ttk.Button(row, text="Download", command=self.download, name="download").pack(side="left", padx=self.px(6))
        ttk.Label(row, textvariable=self.where, style="Quiet.TLabel").pack(side="left")
        self.table = Table(
            self, self.desk.look, (("Name", 280, True), ("Kind", 80, False), ("Size", 90, False)), height=2
        )
        self.table.pack(fill="both", expand=True)
        self.table.tree.bind("<Double-1>", lambda _event: self.enter())
        self.table.tree.bind("<Return>", lambda _event: self.enter())
        self.activity("ftp").pack(fill="x")
        self.log = Console(self, self.desk.look, height=2)
        self.pane(self.log).pack(fill="both", expand=True)

    def look_up(self) -> None:
        """Fill in the password that the lab has handed out for the user."""
        handed = classic.handed_out("ftp", self.user.get().strip())
        if handed:
            self.password.set(handed)

    def _account(self) -> tuple[classic.Account, str]:
        host, port, where = place(self.host, self.port)
        return classic.Account(host, port, read_text(self.user.get(), "the user"), self.password.get()), where

    def open(self, path: str = "/") -> None:
        """List a folder."""

        def go() -> None:
            account, where = self._account()
            self.start("ftp", f"Listing {path}", classic.ftp_list(account, path), where)

        self.attempt("ftp", go)

    def up(self) -> None:
        """List the folder above."""
        self.open(str(PurePosixPath(self.where.get()).parent))

    def _item(self) -> classic.Item:
        items: tuple[classic.Item, ...] = self.desk.model.topics["ftp"].facts.get("items", ())
        found = next((item for item in items if item.place == self.table.chosen), None)
        if found is None:
            raise FormError("which one? Choose a name in the list; List fills it")
        return found

    def enter(self) -> None:
        """Open the chosen folder, or fetch the chosen file."""

        def go() -> None:
            item = self._item()
            self.open(item.place) if item.kind == "folder" else self.download()

        self.attempt("ftp", go)

    def download(self) -> None:
        """Fetch the chosen file."""

        def go() -> None:
            item = self._item()
            if item.kind == "folder":
                raise FormError(f"`{item.title}` is a folder: open it by a double click")
            account, where = self._account()
            if not self.may_write(self.desk.downloads / classic.local_name(item.place)):
                return
            work = classic.ftp_get(account, item.place, self.desk.downloads)
            self.start("ftp", f"Download of {item.title}", work, where)

        self.attempt("ftp", go)

    def draw(self, _name: str, topic: Topic, /) -> None:
        """Show the folder."""
        rows = [(item.place, (item.title, item.kind, _size(item.size))) for item in topic.facts.get("items", ())]
        self.table.show(rows)
        self.where.set(topic.facts.get("path", "/"))
        self.log.draw(topic.log)


def _size(text: str) -> str:
    return in_octets(int(text)) if text.isdecimal() else text


class NewsTab(Tab):
    """Groups and articles of a news server (RFC 3977)."""

    topics = ("news",)

    def build(self) -> None:
        """Make the widgets."""
        self._read = self._group = self._number = ""
        self.host, self.port = self.text(self.desk.model.host("news-server")), self.text("119")
        row = self.row()
        field(row, "Server", self.host, width=12, values=self.desk.model.hosts)
        field(row, "Port", self.port, width=5)
        ttk.Button(row, text="Groups", style="Accent.TButton", command=self.groups, name="groups").pack(side="left")
        self.subject, self.sender = self.text(), self.text("student@lab.test")
        panes = ttk.Panedwindow(self, orient="horizontal")
        panes.pack(fill="both", expand=True)
        look = self.desk.look
        self.group_table = Table(panes, look, (("Group", 150, True), ("Articles", 70, False)), height=2)
        right = ttk.Frame(panes)
        self.article_table = Table(right, look, (("Subject", 220, True), ("From", 150, True)), height=2)
        self.article_table.pack(fill="both", expand=True)
        self.article = Pane(right, look, height=2)
        self.pane(self.article).pack(fill="both", expand=True, pady=(self.px(6), 0))
        panes.add(self.group_table, weight=1)
        panes.add(right, weight=3)
        self.group_table.tree.bind("<<TreeviewSelect>>", lambda _event: self.articles())
        self.article_table.tree.bind("<<TreeviewSelect>>", lambda _event: self.read())
        row = ttk.Frame(self)
        row.pack(fill="x", pady=(self.px(6), 0))
        field(row, "Post as", self.sender, width=14)
        field(row, "Subject", self.subject, width=16)
        self.body = self.text()
        entry = field(row, "Text", self.body, width=14)
        entry.pack(fill="x", expand=True)
        entry.bind("<Return>", lambda _event: self.post())
        ttk.Button(row, text="Post", command=self.post, name="post").pack(side="left")
        self.activity("news").pack(fill="x")

    def _go(self, what: str, make: object, *words: str) -> None:
        def go() -> None:
            host, port, where = place(self.host, self.port)
            self.start("news", what, make(host, port, *words), where)  # type: ignore[operator]

        self.attempt("news", go)

    def groups(self) -> None:
        """List the groups."""
        self._group = ""
        self._go("Groups", classic.news_groups)

    def articles(self) -> None:
        """List the chosen group's articles."""
        if self.group_table.chosen not in ("", self._group):
            self._group, self._number = self.group_table.chosen, ""
            self._go(self.group_table.chosen, classic.news_articles, self.group_table.chosen)

    def read(self) -> None:
        """Fetch the chosen article."""
        group = self.desk.model.topics["news"].facts.get("group", "")
        number = self.article_table.chosen
        if number not in ("", self._number):
            self._number = number
            self._go(f"Article {number}", classic.news_article, group, number)

    def post(self) -> None:
        """Post to the chosen group."""

        def go() -> None:
            host, port, where = place(self.host, self.port)
            group = self.group_table.chosen
            if not group:
                raise FormError("to which group? Choose one in the list; Groups fills it")
            subject, body = read_text(self.subject.get(), "the subject"), read_text(self.body.get(), "the text")
            work = classic.news_post(host, port, group, self.sender.get(), subject, body + "\n")
            self.start("news", f"Posting to {group}", work, where)

        self.attempt("news", go)

    def draw(self, _name: str, topic: Topic, /) -> None:
        """Show groups, articles, the article."""
        self.group_table.show([(item.place, (item.title, item.size)) for item in topic.facts.get("groups", ())])
        self.article_table.show([(item.place, (item.title, item.size)) for item in topic.facts.get("articles", ())])
        text = topic.facts.get("article", "")
        if text is not self._read:
            self._read = text
            self.article.show(text)


class TelnetTab(Tab):
    """A terminal, a line at a time (RFC 854)."""

    topics = ("telnet",)

    def build(self) -> None:
        """Make the widgets."""
        self._shown = ""
        self.terminal: classic.Terminal | None = None
        self.host, self.port = self.text(self.desk.model.host("telnet-server")), self.text("23")
        self.line = self.text()
        self.hidden = tk.BooleanVar(self)
        row = self.row()
        field(row, "Server", self.host, width=12, values=self.desk.model.hosts)
        field(row, "Port", self.port, width=5)
        self.button = ttk.Button(row, text="Connect", style="Accent.TButton", command=self.connect, name="connect")
        self.button.pack(side="left")
        handed = classic.handed_out("telnet", "student")
        if handed:  # put behind asterisks into the line, never shown
            self.password = handed
            ttk.Button(row, text="Lab's password for student", command=self.fill_in, name="fill_in").pack(
                side="left", padx=self.px(6)
            )
        self.screen = Pane(self, self.desk.look, height=2, wrap="char")
        self.pane(self.screen).pack(fill="both", expand=True)
        row = ttk.Frame(self)
        row.pack(fill="x", pady=(self.px(6), 0))
        self.entry = ttk.Entry(row, textvariable=self.line, font="TkFixedFont", name="line")
        self.entry.pack(side="left", fill="x", expand=True)
        self.entry.bind("<Return>", lambda _event: self.say())
        ttk.Checkbutton(row, text="Hide", variable=self.hidden, command=self._hide).pack(side="left", padx=self.px(6))
        ttk.Button(row, text="Send", command=self.say, name="send").pack(side="left")
        self.activity("telnet", conversation=True).pack(fill="x")

    def fill_in(self) -> None:
        """Put the password that the lab has handed out into the line."""
        self.hidden.set(True)
        self._hide()
        self.line.set(self.password)
        self.entry.focus_set()

    def _hide(self) -> None:
        self.entry.configure(show="*" if self.hidden.get() else "")

    def connect(self) -> None:
        """Connect; or hang up."""
        if self.desk.model.topics["telnet"].busy:
            self.desk.worker.cancel("telnet")
            return

        def go() -> None:
            host, port, where = place(self.host, self.port)
            self.terminal = classic.Terminal(host, port)
            self.start("telnet", f"Connected with {where}", self.terminal.work, where)
            self.entry.focus_set()

        self.attempt("telnet", go)

    def say(self) -> None:
        """Send the line."""
        if self.terminal and self.desk.model.topics["telnet"].busy:
            self.desk.worker.call(self.terminal.say, self.line.get())
            self.line.set("")
            self.hidden.set(False)  # what is typed next is no password
            self._hide()

    def draw(self, _name: str, topic: Topic, /) -> None:
        """Show the screen."""
        self.button.configure(text="Hang up" if topic.busy else "Connect")
        text = topic.facts.get("screen", "")
        if text is not self._shown:
            if self._shown and text.startswith(self._shown):
                self.screen.text.insert("end", text[len(self._shown) :])
            else:
                self.screen.show(text)
            self._shown = text
            self.screen.text.see("end")


class GopherTab(Tab):
    """Menus, texts, pictures and searches (RFC 1436)."""

    topics = ("gopher",)

    def build(self) -> None:
        """Make the widgets."""
        self._drawn: dict[str, object] = {}
        self.image: tk.PhotoImage | None = None
        self.trail: list[tuple[str, int, str, str, str]] = []
        self.host, self.port = self.text(self.desk.model.host("gopher-server")), self.text("70")
        self.words = self.text()
        row = self.row()
        field(row, "Server", self.host, width=12, values=self.desk.model.hosts)
        field(row, "Port", self.port, width=5)
        ttk.Button(row, text="Menu", style="Accent.TButton", command=self.menu, name="menu").pack(side="left")
        ttk.Button(row, text="Back", command=self.back, name="back").pack(side="left", padx=self.px(6))
        field(row, "Search for", self.words, width=12).bind("<Return>", lambda _event: self.enter())
        panes = ttk.Panedwindow(self, orient="vertical")
        panes.pack(fill="both", expand=True)
        self.table = Table(panes, self.desk.look, (("Title", 340, True), ("Kind", 70, False)), height=2)
        self.table.tree.bind("<Double-1>", lambda _event: self.enter())
        self.table.tree.bind("<Return>", lambda _event: self.enter())
        self.shown = Pane(panes, self.desk.look, height=2)
        self.pane(self.shown)
        panes.add(self.table, weight=1)
        panes.add(self.shown, weight=1)
        self.activity("gopher").pack(fill="x")

    def menu(self) -> None:
        """Open the server's first menu."""

        def go() -> None:
            host, port, _ = place(self.host, self.port)
            self.trail.clear()
            self._open(host, port, "", "1", "")

        self.attempt("gopher", go)

    def _open(self, host: str, port: int, selector: str, kind: str, words: str) -> None:
        if kind in ("1", "7"):
            self.trail.append((host, port, selector, kind, words))
        where = f"{host}:{port}"
        self.start("gopher", selector or where, classic.gopher(host, port, selector, kind, words), where)

    def back(self) -> None:
        """Open the menu before this one."""
        if len(self.trail) > 1:
            self.trail.pop()
            self._open(*self.trail.pop())

    def enter(self) -> None:
        """Open the chosen line."""

        def go() -> None:
            items = self.desk.model.topics["gopher"].facts.get("items", ())
            if not self.table.chosen:
                raise FormError("which line? Choose one in the menu; Menu fetches it")
            item: classic.Item = items[int(self.table.chosen)]
            if item.kind in ("i", "3"):
                raise FormError("that line is only to be read")
            if item.kind == "7":
                read_text(self.words.get(), "what to search for, in the field above,")
            words = self.words.get().strip() if item.kind == "7" else ""
            self._open(item.host, item.port or 70, item.place, item.kind, words)

        self.attempt("gopher", go)

    def draw(self, _name: str, topic: Topic, /) -> None:
        """Show the menu, and the text or picture."""
        items = topic.facts.get("items", ())
        self.table.show([
            (str(number), (item.title, classic.GOPHER_KINDS.get(item.kind, item.kind))) for number, item in enumerate(items)
        ])  # fmt: skip
        for fact, show in (("text", self.shown.show), ("picture", self._picture)):
            value = topic.facts.get(fact)
            if value is not None and self._drawn.get(fact) is not value:
                self._drawn[fact] = value
                show(value)

    def _picture(self, octets: bytes) -> None:
        try:
            self.image = tk.PhotoImage(master=self, data=octets)
        except tk.TclError as error:
            self.shown.show(f"Tk cannot read this picture: {error}")
        else:
            self.shown.show("")
            self.shown.text.image_create("1.0", image=self.image)


class ClassicTab(Tab):
    """All four."""

    def build(self) -> None:
        """Make the widgets."""
        self.configure(padding=(0, self.px(6), 0, 0))
        self.book = ttk.Notebook(self, name="book")
        self.book.pack(fill="both", expand=True)
        self.titles = ("FTP", "News", "Telnet", "Gopher")
        kinds: tuple[type[Tab], ...] = (FtpTab, NewsTab, TelnetTab, GopherTab)
        for title, kind in zip(self.titles, kinds, strict=True):
            part = kind(self.book, self.desk)
            self.parts.append(part)
            self.book.add(part, text=title)

    def part(self, title: str) -> Tab:
        """Show the tab of a protocol and return it."""
        part = self.parts[self.titles.index(title)]
        self.book.select(part)
        return part
