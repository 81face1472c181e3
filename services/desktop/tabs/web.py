"""Web: the source of a page with its headers, downloads, and the picture shown."""

import tkinter as tk
from tkinter import ttk
from urllib.parse import urljoin

from services.client.errors import ClientError
from services.client.web_client import Page
from services.desktop.model import FormError, Topic, read_text
from services.desktop.parts import Pane, field
from services.desktop.tabs.base import Tab
from services.desktop.work import web


class WebTab(Tab):
    """An address line as browsers have it, and what comes back, unrendered."""

    topics = ("web",)

    def build(self) -> None:
        """Make the widgets."""
        self.image: tk.PhotoImage | None = None
        self._drawn: dict[str, object] = {}
        self.address = self.text(f"http://{self.desk.model.host('web-server')}/")
        row = self.row()
        entry = field(row, "Address", self.address, width=30)
        entry.pack(fill="x", expand=True)
        entry.bind("<Return>", lambda _event: self.source())
        ttk.Button(row, text="Source", style="Accent.TButton", command=self.source, name="source").pack(side="left")
        ttk.Button(row, text="Download", command=self.download, name="download").pack(side="left", padx=(self.px(6), 0))
        self.book = ttk.Notebook(self)
        self.book.pack(fill="both", expand=True)
        look = self.desk.look
        self.page = Pane(self.book, look, wrap="none")
        self.headers = Pane(self.book, look)
        self.picture = ttk.Label(
            self.book, anchor="center", style="Card.TLabel", text="Download a picture, such as /picture.png"
        )
        for pane, title in ((self.page, "Source"), (self.headers, "Reply"), (self.picture, "Picture")):
            self.book.add(pane, text=title)
            if isinstance(pane, Pane):
                self.pane(pane)
        self.activity("web").pack(fill="x")

    def _url(self) -> str:
        url = read_text(self.address.get(), "an address").strip()
        if "://" not in url:
            url = f"http://{url}"
            self.address.set(url)
        return url

    def source(self) -> None:
        """Fetch the page and show its source."""

        def go() -> None:
            url = self._url()
            self.start("web", f"Source of {url}", web.source(url), url)

        self.attempt("web", go)

    def download(self, path: str = "") -> None:
        """Save what is at the address, or at another path of its server; a picture is shown."""
        if path:
            self.address.set(urljoin(self.address.get(), path))

        def go() -> None:
            url = self._url()
            try:
                name = web.file_name(url)
            except ClientError as error:
                raise FormError(str(error)) from error
            if not self.may_write(self.desk.downloads / name):
                return
            self.start("web", f"Download of {url}", web.download(url, self.desk.downloads), url)

        self.attempt("web", go)

    def draw(self, _name: str, topic: Topic, /) -> None:
        """Show what is new."""
        for fact, show in (
            ("source", self._source),
            ("page", self._page),
            ("saved", self._saved),
            ("picture", self._picture),
        ):
            value = topic.facts.get(fact)
            if value is not None and self._drawn.get(fact) is not value:
                self._drawn[fact] = value
                show(value)

    def _source(self, text: str) -> None:
        self.page.show(text)
        self.book.select(self.page)

    def _page(self, page: Page) -> None:
        head = "\n".join(f"{key}: {value}" for key, value in page.headers)
        self.headers.show(f"{page.url}\n\n{page.status} {page.reason}\n{head}")

    def _saved(self, text: str) -> None:
        self.headers.show(f"saved as {text}")
        self.book.select(self.headers)

    def _picture(self, octets: bytes) -> None:
        try:
            self.image = tk.PhotoImage(master=self, data=octets)
        except tk.TclError as error:
            self.picture.configure(image="", text=f"Tk cannot read this picture: {error}")
        else:
            zoom = max(1, round(self.desk.look.scale))
            if zoom > 1:
                self.image = self.image.zoom(zoom)
            self.picture.configure(image=self.image, text="")
        self.book.select(self.picture)
