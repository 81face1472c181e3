"""`WebClient`: HTTP/1.1 as a library, over `http.client`, for scripts and for the window client.

What it adds: redirects (RFC 9110 section 15.4), downloads that resume by range and only on the same version (sections 13.1.5, 14.2), and
checks of size and type.
"""

import hashlib
import http.client
import json
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urljoin, urlsplit

from services.client.errors import ClientError
from services.client.meter import Pace
from services.client.traffic import Traffic

CHUNK = 64 << 10
REDIRECTS = {301, 302, 303, 307, 308}
MOST_REDIRECTS = 5
AS_IT_STANDS = (
    "%/?:@!$&'()*+,;=~[]|"  # of a path and a query; all else but letters and digits is sent as its octets in UTF-8
)
# How files of these types begin: a page that says "404" is no picture, whatever its name.
SIGNATURES = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/gif": b"GIF8",
    "image/jpeg": b"\xff\xd8\xff",
    "application/pdf": b"%PDF-",
}

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Page:
    """A reply: its address after redirects, status, and headers in their order."""

    url: str
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]

    def header(self, name: str) -> str:
        """Return a header's value; empty where it is not there."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    @property
    def kind(self) -> str:
        """The media type, without its parameters."""
        return self.header("Content-Type").partition(";")[0].strip().lower()


@dataclass(frozen=True)
class Downloaded:
    """What a download came to: octets of the file, from which it began, its media type and SHA-256."""

    size: int
    offset: int
    kind: str
    digest: str


class WebClient:
    """Fetches pages, a connection each.

    Args:
        timeout: seconds without an octet after which a request fails.
        rate: octets a second that bodies are held to.
    """

    def __init__(self, *, timeout: float = 10.0, rate: int | None = None) -> None:
        self.traffic = Traffic()
        self.place = ""  # where the last request went
        self._timeout = timeout
        self._rate = rate

    def get(
        self,
        url: str,
        sink: Callable[[bytes], object],
        headers: dict[str, str] | None = None,
        progress: Progress = lambda *_: None,
        on_reply: Callable[[Page], int] = lambda _page: 0,
    ) -> Page:
        """Fetch an address and hand the body to `sink`, piece by piece; redirects are followed.

        Args:
            on_reply: told of the reply before its body; returns how many octets of the file were there before.

        Raises:
            ClientError: the address is none of HTTP, too many redirects, or the body is shorter than was told.
            OSError: the network failed.
        """
        for _ in range(MOST_REDIRECTS + 1):
            page, target = self._get_once(url, sink, headers or {}, progress, on_reply)
            if not target:
                return page
            url = target
        raise ClientError(
            f"more than {MOST_REDIRECTS} redirects, the last one to {url}", "they may go round in a circle"
        )

    def _get_once(
        self,
        url: str,
        sink: Callable[[bytes], object],
        headers: dict[str, str],
        progress: Progress,
        on_reply: Callable[[Page], int],
    ) -> tuple[Page, str]:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or 80
        except ValueError as error:
            raise ClientError(f"`{url}` is no address: {error}") from error
        if parts.scheme != "http" or not host:
            raise ClientError(f"`{url}` is no address of HTTP", "`http://HOST/PATH`; the lab's pages are not encrypted")
        self.place = f"{host}:{port}"
        conn = http.client.HTTPConnection(host, port, timeout=self._timeout)
        watched: socket.socket | None = None
        try:
            path = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=AS_IT_STANDS)
            conn.request("GET", path, headers={"User-Agent": "lab-web", "Connection": "close", **headers})
            watched = conn.sock.dup()  # `http.client` closes its own before we can ask what it cost
            self.traffic.turns += 2  # the handshake, the request
            reply = conn.getresponse()
            page = Page(url, reply.status, reply.reason, tuple(reply.getheaders()))
            location = page.header("Location")
            if reply.status in REDIRECTS and location:
                return page, urljoin(url, location)
            self._read(reply, page, sink, progress, on_reply(page))
        except http.client.IncompleteRead as error:
            raise ClientError(
                f"the server closed before all had come: {error}", "`lab web get --resume` goes on"
            ) from error
        except http.client.HTTPException as error:
            raise ClientError(f"that is no reply of HTTP: {error!r}") from error
        finally:
            conn.close()
            if watched:
                with suppress(OSError):
                    self.traffic.add_kernel_counts(watched, octets=True)
                watched.close()
        return page, ""

    def _read(
        self, reply: http.client.HTTPResponse, page: Page, sink: Callable[[bytes], object], progress: Progress, before: int
    ) -> None:  # fmt: skip
        pace, done = Pace(self._rate), 0
        told = page.header("Content-Length")
        total = before + int(told) if told.isdecimal() else None
        while data := reply.read1(min(CHUNK, pace.portion)):  # what has come, though the rest may never
            sink(data)
            done += len(data)
            progress(before + done, total)
            pace.keep(len(data))
        if total is not None and before + done != total:
            raise http.client.IncompleteRead(b"", total - before - done)

    def download(
        self, url: str, path: Path, *, resume: bool = False, progress: Progress = lambda *_: None
    ) -> Downloaded:
        """Fetch an address into `path`: into `path.part` first, which takes its name when it is whole.

        Args:
            resume: go on with a `path.part`, where the server still has the same version of it; else from the beginning.

        Raises:
            ClientError: the status is no success, or size or type are not what the server told.
            OSError: the network or the file failed.
        """
        part, notes = path.with_name(path.name + ".part"), path.with_name(path.name + ".part.json")
        there, version = _left(part, notes, url) if resume else (0, "")
        headers = {"Range": f"bytes={there}-", "If-Range": version} if there else {}
        with part.open("r+b" if there else "wb") as file:
            started: list[int] = []

            def begin(page: Page) -> int:
                if page.status == 416 and there:  # all of it was there, or it is shorter now
                    raise _RangeLostError("416")
                if page.status >= 400:
                    raise ClientError(f"the server says {page.status} {page.reason}")
                started.append(there if page.status == 206 else 0)
                file.seek(started[0])
                file.truncate()
                notes.write_text(json.dumps({"url": url, "version": _version(page)}))
                return started[0]

            try:
                page = self.get(url, file.write, headers, progress, begin)
            except _RangeLostError:
                return self.download(url, path, progress=progress)
            except ClientError:
                if not started:  # nothing of it came
                    file.close()
                    part.unlink(missing_ok=True)
                raise
        digest = _check(part, page)
        size = part.stat().st_size
        part.replace(path)
        notes.unlink(missing_ok=True)
        return Downloaded(size, started[0], page.kind, digest)


class _RangeLostError(Exception):
    """The server has nothing from there on."""


def _version(page: Page) -> str:
    """Return what tells one version of a file from another: a strong entity tag, else the time of its last change (RFC 9110, 8.8)."""
    tag = page.header("ETag")
    return tag if tag and not tag.startswith("W/") else page.header("Last-Modified")


def _left(part: Path, notes: Path, url: str) -> tuple[int, str]:
    """Return how many octets a broken download of an address left, and of which version; nothing where that is not known."""
    with suppress(OSError, ValueError):
        told = json.loads(notes.read_text())
        if told.get("url") == url and told.get("version"):
            return part.stat().st_size, told["version"]
    return 0, ""


def _check(part: Path, page: Page) -> str:
    """See that a file is what its type says, and return its SHA-256.

    Raises:
        ClientError: it is not.
    """
    digest = hashlib.sha256()
    with part.open("rb") as file:
        beginning = file.read(16)
        file.seek(0)
        while data := file.read(CHUNK):
            digest.update(data)
    expected = SIGNATURES.get(page.kind)
    if expected and not beginning.startswith(expected):
        raise ClientError(f"the server calls it {page.kind}, and it is none", f"it was kept: {part}")
    return digest.hexdigest()
