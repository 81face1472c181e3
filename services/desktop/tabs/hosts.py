"""Hosts: the lab's names, the addresses that they stand for, and which answer."""

import socket
from tkinter import ttk

from services.client.ip import interfaces
from services.desktop.model import Topic
from services.desktop.parts import Table, wrap_at_width
from services.desktop.tabs.base import Tab
from services.desktop.work.hosts import Host, survey

SIGNS = {"reachable": "● reachable", "unreachable": "✗ unreachable", "unknown name": "? unknown name"}


class HostsTab(Tab):
    """One row a host."""

    topics = ("hosts",)

    def build(self) -> None:
        """Make the widgets."""
        row = self.row()
        own = interfaces()
        addresses = ", ".join(address for name, found in own.items() if name != "lo" for address in found)
        ttk.Label(row, text=f"This window runs on {socket.gethostname()}", style="Title.TLabel").pack(side="left")
        ttk.Button(row, text="Look again", style="Accent.TButton", command=self.look, name="look").pack(side="right")
        ttk.Label(self, text=addresses, style="Quiet.TLabel").pack(anchor="w", pady=(0, self.px(6)))
        columns = (("Name", 110, False), ("Addresses", 245, False), ("State", 125, False), ("What answers", 200, True))
        self.table = Table(self, self.desk.look, columns, height=4)
        self.table.pack(fill="both", expand=True)
        self.table.tree.tag_configure("bad", foreground=self.desk.look.palette["error"])
        self.detail = self.text()
        detail = ttk.Label(self, textvariable=self.detail, anchor="w")
        detail.pack(fill="x", pady=(self.px(6), 0))
        wrap_at_width(detail, self.desk.look)
        self.table.tree.bind("<<TreeviewSelect>>", lambda _event: self.tell())
        self.activity("hosts").pack(fill="x")
        self.after_idle(self.look)

    def look(self) -> None:
        """Look at all hosts."""
        self.start("hosts", "Looking", survey(self.desk.model.hosts))

    def tell(self) -> None:
        """Show all that is known of the chosen host: its row may be too narrow for it."""
        found: tuple[Host, ...] = self.desk.model.topics["hosts"].facts.get("hosts", ())
        for host in found:
            if host.name == self.table.chosen:
                self.detail.set(f"{host.name}  {'  '.join(host.addresses)}\n{host.text}")

    def draw(self, _name: str, topic: Topic, /) -> None:
        """Show what was found."""
        found: tuple[Host, ...] = topic.facts.get("hosts", ())
        self.table.show([
            (host.name, (host.name, "  ".join(host.addresses), SIGNS[host.state], host.text)) for host in found
        ])  # fmt: skip
        for host in found:
            self.table.tree.item(host.name, tags=() if host.state == "reachable" else ("bad",))
