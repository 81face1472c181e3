"""UDP: a datagram out, a datagram back, or silence."""

import time
from tkinter import ttk

from services.desktop.model import Topic
from services.desktop.parts import Console, field
from services.desktop.tabs.base import Tab, place
from services.desktop.work import small
from services.udp.protocol import PORTS
from services.wire.small import read_time

ABOUT = {
    "greeting": "any datagram is answered with a greeting",
    "echo": "the same octets come back (RFC 862)",
    "daytime": "date and time as text (RFC 867)",
    "time": "seconds since 1900 in 32 bits (RFC 868)",
    "chargen": "a datagram of characters (RFC 864)",
    "discard": "nothing comes back, ever (RFC 863)",
}


class UdpTab(Tab):
    """One question, asked three times at most."""

    topics = ("udp",)

    def build(self) -> None:
        """Make the widgets."""
        self.host = self.text(self.desk.model.host("udp-server"))
        self.service = self.text("greeting")
        self.port = self.text(str(PORTS["greeting"]))
        self.message = self.text("hello")
        self.about = self.text(ABOUT["greeting"])
        row = self.row()
        field(row, "Server", self.host, width=14, values=self.desk.model.hosts)
        chooser = field(row, "Service", self.service, width=9, values=tuple(ABOUT))
        chooser.configure(state="readonly")
        chooser.bind("<<ComboboxSelected>>", lambda _event: self.choose())
        field(row, "Port", self.port, width=6)
        row = self.row()
        entry = field(row, "Datagram", self.message, width=30)
        entry.bind("<Return>", lambda _event: self.ask())
        entry.pack(fill="x", expand=True)
        ttk.Button(row, text="Send", style="Accent.TButton", command=self.ask, name="send").pack(side="left")
        ttk.Label(self, textvariable=self.about, style="Quiet.TLabel").pack(anchor="w", pady=(0, self.px(6)))
        self.log = Console(self, self.desk.look, height=3)
        self.pane(self.log).pack(fill="both", expand=True)
        self.activity("udp").pack(fill="x")

    def choose(self) -> None:
        """Take the service's port."""
        self.port.set(str(PORTS[self.service.get()]))
        self.about.set(ABOUT[self.service.get()])

    def ask(self) -> None:
        """Send the datagram, and wait for what comes back."""

        def go() -> None:
            host, port, where = place(self.host, self.port)
            show = _time if self.service.get() == "time" else None
            self.start("udp", f"Waiting for {where}/udp", small.ask(host, port, self.message.get(), show), where)

        self.attempt("udp", go)

    def draw(self, _name: str, topic: Topic, /) -> None:
        """Show what crossed."""
        self.log.draw(topic.log)


def _time(octets: bytes) -> str:
    try:
        unix = read_time(octets, time.time())
    except ValueError as error:
        return f"that is no time of RFC 868: {error}"
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix)) + f" ({int.from_bytes(octets, 'big')} s since 1900)"
