"""Mail: compose and send on the left, the inbox on the right. A password is typed behind asterisks, or the lab has handed it out."""

import tkinter as tk
from tkinter import ttk

from services.desktop.model import FormError, Topic, read_text
from services.desktop.parts import Console, Pane, Table, field, leave_by_tab
from services.desktop.style import Look
from services.desktop.tabs.base import Tab, place
from services.desktop.work import mail

PORTS = {"POP3": "110", "IMAP": "143"}


class ComposeTab(Tab):
    """Write a mail and hand it to the relay."""

    topics = ("send",)

    def build(self) -> None:
        """Make the widgets."""
        self.host = self.text(self.desk.model.host("smtp-relay"))
        self.port = self.text("25")
        self.sender = self.text("alice@lab.test")
        self.to = self.text("bob@lab.test")
        self.subject = self.text("Greetings")
        row = self.row()
        field(row, "Server", self.host, width=14, values=self.desk.model.hosts)
        field(row, "Port", self.port, width=6)
        grid = ttk.Frame(self)
        grid.pack(fill="x")
        grid.columnconfigure(1, weight=1)
        for number, (label, variable) in enumerate((("From", self.sender), ("To", self.to), ("Subject", self.subject))):
            ttk.Label(grid, text=label).grid(row=number, column=0, sticky="w", padx=(0, self.px(8)))
            entry = ttk.Entry(grid, textvariable=variable, name=label.lower())
            entry.grid(row=number, column=1, sticky="ew", pady=(0, self.px(5)))
        self.body = tk.Text(self, height=3, width=20, wrap="word", name="body", undo=True)
        self.body.pack(fill="both", expand=True)
        leave_by_tab(self.body)
        self.body.bind("<Control-Return>", lambda _event: self.hand_over())
        row = ttk.Frame(self)
        row.pack(fill="x", pady=self.px(6))
        ttk.Button(row, text="Send", style="Accent.TButton", command=self.hand_over, name="send").pack(side="left")
        ttk.Label(row, text="Ctrl+Return sends too", style="Quiet.TLabel").pack(side="left", padx=self.px(8))
        self.activity("send").pack(fill="x")
        self.log = Console(self, self.desk.look, height=3)
        self.pane(self.log).pack(fill="x")

    def hand_over(self) -> str:
        """Hand the mail to the relay."""

        def go() -> None:
            host, port, where = place(self.host, self.port)
            sender, to = read_text(self.sender.get(), "From"), read_text(self.to.get(), "To")
            try:
                message = mail.write(sender, to, self.subject.get(), self.body.get("1.0", "end-1c") + "\n")
            except Exception as error:
                raise FormError(str(error)) from error
            self.start("send", f"Sending to {where}", mail.send(host, port, message), where)

        self.attempt("send", go)
        return "break"

    def dress(self, look: Look) -> None:
        """Take another look."""
        super().dress(look)
        c = look.palette
        self.body.configure(
            background=c["card"], foreground=c["text"], insertbackground=c["text"], highlightbackground=c["line"]
        )

    def draw(self, _name: str, topic: Topic, /) -> None:
        """Show what was said."""
        self.log.draw(topic.log)


class InboxTab(Tab):
    """Read a mailbox by POP3 or IMAP."""

    topics = ("inbox",)

    def build(self) -> None:
        """Make the widgets."""
        self._read = self._asked = ""
        self.host = self.text(self.desk.model.host("mail-server"))
        self.way = self.text("POP3")
        self.port = self.text(PORTS["POP3"])
        self.user = self.text("bob@lab.test")
        self.password = self.text()
        row = self.row()
        field(row, "Server", self.host, width=12, values=self.desk.model.hosts)
        way = field(row, "By", self.way, width=5, values=tuple(PORTS))
        way.configure(state="readonly")
        way.bind("<<ComboboxSelected>>", lambda _event: self.port.set(PORTS[self.way.get()]))
        field(row, "Port", self.port, width=5)
        row = self.row()
        user = field(row, "User", self.user, width=14)
        user.bind("<FocusOut>", lambda _event: self.look_up())
        entry = field(row, "Password", self.password, width=9, show="*")
        entry.bind("<Return>", lambda _event: self.fetch())
        ttk.Button(row, text="Fetch", style="Accent.TButton", command=self.fetch, name="fetch").pack(side="left")
        columns = (("From", 110, True), ("Subject", 150, True))
        self.table = Table(self, self.desk.look, columns, height=2)
        self.table.pack(fill="both", expand=True)
        self.table.tree.bind("<<TreeviewSelect>>", lambda _event: self.read())
        self.message = Pane(self, self.desk.look, height=2)
        self.pane(self.message).pack(fill="both", expand=True, pady=(self.px(6), 0))
        self.activity("inbox").pack(fill="x")
        self.look_up()

    def look_up(self) -> None:
        """Fill the password in where the lab has handed it out."""
        if not self.password.get():
            self.password.set(mail.password_of(self.user.get()))

    def _box(self) -> tuple[mail.Mailbox, str]:
        host, port, where = place(self.host, self.port)
        user, password = read_text(self.user.get(), "the user"), read_text(self.password.get(), "the password")
        return mail.Mailbox(host, port, self.way.get(), user.strip(), password), where

    def fetch(self) -> None:
        """List the mailbox."""

        def go() -> None:
            self.look_up()
            self._asked = ""
            box, where = self._box()
            self.start("inbox", f"Mailbox of {box.user}", mail.inbox(box), where)

        self.attempt("inbox", go)

    def choose_last(self) -> None:
        """Choose the newest message: it is fetched."""
        rows = self.table.tree.get_children()
        if rows:
            self.table.choose(rows[-1])

    def read(self) -> None:
        """Fetch the chosen message."""
        number = self.table.chosen
        if number and number != self._asked:
            self._asked = number

            def go() -> None:
                box, where = self._box()
                self.start("inbox", f"Message {number}", mail.fetch(box, int(number)), where)

            self.attempt("inbox", go)

    def draw(self, _name: str, topic: Topic, /) -> None:
        """Show the listing and the message."""
        self.table.show(
            [(str(entry.number), (entry.sender, entry.subject)) for entry in topic.facts.get("entries", ())]
        )
        text = topic.facts.get("message", "")
        if text is not self._read:
            self._read = text
            self.message.show(text)


class MailTab(Tab):
    """Both, side by side."""

    def build(self) -> None:
        """Make the widgets."""
        self.configure(padding=0)
        panes = ttk.Panedwindow(self, orient="horizontal")
        panes.pack(fill="both", expand=True)
        self.compose = ComposeTab(panes, self.desk)
        self.inbox = InboxTab(panes, self.desk)
        self.parts = [self.compose, self.inbox]
        for part in self.parts:
            panes.add(part, weight=1)
