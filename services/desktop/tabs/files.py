"""Files: what the server has, to the left what can be done with it; transfers show how far they are, and can be gone on with."""

import time
import tkinter as tk
from pathlib import Path
from tkinter import filedialog, ttk

from services.desktop.model import FormError, Topic, in_octets
from services.desktop.parts import Console, Table, field
from services.desktop.tabs.base import Tab, place
from services.desktop.work import files
from services.file.grammar import PORT


class FilesTab(Tab):
    """Browse, download, upload, delete."""

    topics = ("files",)

    def build(self) -> None:
        """Make the widgets."""
        self.host = self.text(self.desk.model.host("file-server"))
        self.port = self.text(str(PORT))
        self.resume = tk.BooleanVar(self, value=True)
        row = self.row()
        field(row, "Server", self.host, width=14, values=self.desk.model.hosts)
        field(row, "Port", self.port, width=6).bind("<Return>", lambda _event: self.browse())
        ttk.Button(row, text="Browse", style="Accent.TButton", command=self.browse, name="browse").pack(side="left")
        ttk.Checkbutton(row, text="Resume what was broken off", variable=self.resume).pack(
            side="left", padx=self.px(10)
        )
        columns = (("Name", 240, True), ("Size", 90, False), ("Changed (UTC)", 150, False))
        self.table = Table(self, self.desk.look, columns, height=3)
        self.table.pack(fill="both", expand=True)
        self.table.tree.bind("<Double-1>", lambda _event: self.download())
        self.table.tree.bind("<Return>", lambda _event: self.download())
        row = ttk.Frame(self)
        row.pack(fill="x", pady=self.px(6))
        for text, command, name in (
            ("Download", self.download, "download"), ("Upload…", self.choose, "upload"), ("Delete", self.delete, "delete"),
        ):  # fmt: skip
            ttk.Button(row, text=text, command=command, name=name).pack(side="left", padx=(0, self.px(6)))
        ttk.Label(row, text=f"downloads go to {self.desk.downloads}", style="Quiet.TLabel").pack(
            side="left", padx=self.px(6)
        )
        self.activity("files").pack(fill="x")
        self.log = Console(self, self.desk.look, height=3)
        self.pane(self.log).pack(fill="x")

    def browse(self) -> None:
        """List the server's files."""

        def go() -> None:
            host, port, where = place(self.host, self.port)
            self.start("files", f"Files of {where}", files.listing(host, port), where)

        self.attempt("files", go)

    def download(self, name: str = "") -> None:
        """Fetch a file, by default the chosen one."""
        if name:
            self.table.choose(name)

        def go() -> None:
            host, port, where = place(self.host, self.port)
            name = self._chosen()
            path = self.desk.downloads / name.replace("/", "_")
            if not self.may_write(path):
                return
            work = files.download(host, port, name, path, resume=self.resume.get())
            self.start("files", f"Download of {name}", work, where)

        self.attempt("files", go)

    def choose(self) -> None:
        """Ask which file to store there."""
        chosen = filedialog.askopenfilename(parent=self, title="Upload which file?", initialdir=self.desk.downloads)
        if chosen:
            self.upload(Path(chosen))

    def upload(self, path: Path) -> None:
        """Store a file on the server."""

        def go() -> None:
            host, port, where = place(self.host, self.port)
            work = files.upload(host, port, path, path.name, resume=self.resume.get())
            self.start("files", f"Upload of {path.name}", work, where)

        self.attempt("files", go)

    def delete(self) -> None:
        """Remove the chosen file, once that is confirmed."""

        def go() -> None:
            host, port, where = place(self.host, self.port)
            name = self._chosen()
            if self.desk.confirm("Delete", f"Delete `{name}` on {host}?"):
                self.start("files", f"Deleting {name}", files.delete(host, port, name), where)

        self.attempt("files", go)

    def _chosen(self) -> str:
        if not self.table.chosen:
            raise FormError("which file? Choose one in the list first; Browse fills it")
        return self.table.chosen

    def draw(self, _name: str, topic: Topic, /) -> None:
        """Show the listing."""
        entries = topic.facts.get("listing", ())
        self.table.show([
            (entry.name, (entry.name, in_octets(entry.size), time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(entry.modified))))
            for entry in entries
        ])  # fmt: skip
        self.log.draw(topic.log)
