"""TCP: the greeting, the echo, and the chat, which stays open and speaks both ways."""

from tkinter import ttk
from typing import TYPE_CHECKING

from services.desktop.model import Topic, read_text
from services.desktop.parts import Console, field
from services.desktop.tabs.base import Tab, place

if TYPE_CHECKING:
    from services.desktop.work.small import Chat

# services.tcp.protocol has them too, and takes as long to import as all else here
PORTS = {"greeting": 12345, "chat": 12346, "echo": 7}


class TcpTab(Tab):
    """Greeting and echo above, the chat below."""

    topics = ("tcp", "chat")

    def build(self) -> None:
        """Make the widgets."""
        self.talk: Chat | None = None
        self.host = self.text(self.desk.model.host("tcp-server"))
        self.port = self.text(str(PORTS["greeting"]))
        self.echo_port = self.text(str(PORTS["echo"]))
        self.message = self.text("hello, wire")
        row = self.row()
        field(row, "Server", self.host, width=14, values=self.desk.model.hosts)
        field(row, "Port", self.port, width=6).bind("<Return>", lambda _event: self.greet())
        self.greet_button = ttk.Button(row, text="Greet", style="Accent.TButton", command=self.greet, name="greet")
        self.greet_button.pack(side="left")
        row = self.row()
        entry = field(row, "Echo", self.message, width=24)
        entry.bind("<Return>", lambda _event: self.echo())
        entry.pack(fill="x", expand=True)
        field(row, "Port", self.echo_port, width=6)
        ttk.Button(row, text="Send and compare", command=self.echo, name="compare").pack(side="left")
        self.log = Console(self, self.desk.look, height=2)
        self.pane(self.log).pack(fill="both", expand=True)
        self.activity("tcp").pack(fill="x")
        ttk.Separator(self).pack(fill="x", pady=(0, self.px(8)))
        self._build_chat()

    def _build_chat(self) -> None:
        self.chat_port = self.text(str(PORTS["chat"]))
        self.name = self.text("ana")
        self.line = self.text()
        row = self.row()
        ttk.Label(row, text="Chat", style="Title.TLabel").pack(side="left", padx=(0, self.px(10)))
        field(row, "Name", self.name, width=10).bind("<Return>", lambda _event: self.join())
        field(row, "Port", self.chat_port, width=6)
        self.join_button = ttk.Button(row, text="Join", command=self.join, name="join")
        self.join_button.pack(side="left")
        self.room = Console(self, self.desk.look, height=2)
        self.pane(self.room).pack(fill="both", expand=True)
        row = ttk.Frame(self)
        row.pack(fill="x", pady=(self.px(6), 0))
        self.entry = ttk.Entry(row, textvariable=self.line, name="line")
        self.entry.pack(side="left", fill="x", expand=True, padx=(0, self.px(6)))
        self.entry.bind("<Return>", lambda _event: self.say())
        self.say_button = ttk.Button(row, text="Say", command=self.say, name="say")
        self.say_button.pack(side="left")
        self.activity("chat", conversation=True).pack(fill="x")

    def greet(self) -> None:
        """Connect, and read what the server says."""

        def go() -> None:
            from services.desktop.work import small

            host, port, where = place(self.host, self.port)
            self.start("tcp", f"Greeting from {where}", small.greet(host, port), where)

        self.attempt("tcp", go)

    def echo(self) -> None:
        """Send the text, and compare what comes back."""

        def go() -> None:
            from services.desktop.work import small

            host, port, where = place(self.host, self.echo_port)
            text = read_text(self.message.get(), "a text to send")
            self.start("tcp", f"Echo by {where}", small.echo(host, port, text), where)

        self.attempt("tcp", go)

    def join(self) -> None:
        """Enter the chat; or leave it."""
        if self.desk.model.topics["chat"].busy:
            if self.talk and self.talk.leave():
                self.desk.worker.call(self.talk.say, "/quit")
            else:  # it was never joined, or does not let go
                self.desk.worker.cancel("chat")
            return

        def go() -> None:
            from services.desktop.work import small

            host, port, where = place(self.host, self.chat_port)
            self.talk = small.Chat(host, port, self.name.get().strip())
            self.start("chat", f"In the chat of {where}", self.talk.work, where)
            self.entry.focus_set()

        self.attempt("chat", go)

    def say(self, text: str = "") -> None:
        """Say the line; or a text that is none of it."""
        text = text or self.line.get()
        if self.talk and text.strip() and self.desk.model.topics["chat"].busy:
            self.desk.worker.call(self.talk.say, text)
            self.line.set("")

    def draw(self, name: str, topic: Topic, /) -> None:
        """Show what was said."""
        if name == "tcp":
            self.log.draw(topic.log)
            return
        self.room.draw(topic.log)
        self.join_button.configure(text="Leave" if topic.busy else "Join")
        state = ["!disabled"] if topic.busy else ["disabled"]
        self.say_button.state(state)
        self.entry.state(state)
