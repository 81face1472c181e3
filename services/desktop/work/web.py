"""Pages and pictures over HTTP: a page's source with its headers, downloads, the picture shown."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from services.client.errors import ClientError
from services.client.web_client import Page, WebClient
from services.desktop.model import in_octets
from services.desktop.worker import Job, Work, in_thread

SHOWN = 1 << 20  # octets of a page that are shown
PICTURES = {"image/png", "image/gif"}  # what Tk 8.6 reads by itself


def source(url: str) -> Work:
    """Return the job that fetches a page and shows its source."""

    def fetch(job: Job) -> str:
        body = bytearray()

        def take(data: bytes) -> None:
            body.extend(data[: max(0, SHOWN - len(body))])

        page = WebClient().get(url, take, progress=job.progress)
        job.learn("page", page)
        job.learn("source", _text(bytes(body), page))
        return f"{page.status} {page.reason}, {page.kind or 'no type'}, {in_octets(len(body))} shown"

    return lambda job: in_thread(fetch, job)


def download(url: str, folder: Path) -> Work:
    """Return the job that saves an address into a folder, and shows it where it is a picture."""

    def fetch(job: Job) -> str:
        path = folder / file_name(url)
        got = WebClient().download(url, path, resume=True, progress=job.progress)
        if got.kind in PICTURES:
            job.learn("picture", path.read_bytes())
        began = f", resumed at {in_octets(got.offset)}" if got.offset else ""
        job.learn("saved", f"{path}\n{got.size} octets{began}, {got.kind}\nSHA-256 {got.digest}")
        return f"{path}: {in_octets(got.size)}{began}, {got.kind}"

    return lambda job: in_thread(fetch, job)


def file_name(url: str) -> str:
    """Return the name under which an address is saved: its last part, `index.html` for a folder.

    Raises:
        ClientError: that part would lead out of the folder.
    """
    name = unquote(urlsplit(url).path).rpartition("/")[2] or "index.html"
    if name in (".", "..") or "/" in name or "\0" in name:
        raise ClientError(f"`{name}` is no name for a file")
    return name


def _text(body: bytes, page: Page) -> str:
    if page.kind.startswith("image/"):
        return f"({in_octets(len(body))} of {page.kind}: Download shows it as a picture)"
    return body.decode("utf-8", "replace").replace("\r\n", "\n")
