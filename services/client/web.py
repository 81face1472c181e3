"""`lab web source|get|links URL`: pages and images over HTTP, with the standard library's `http.client` (Python 2: `httplib`).

`urllib.request.urlopen(url).read()` does it in a line; `http.client` shows the request and the reply that are behind it.
"""

import argparse
import gzip
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urldefrag, urljoin

from services.client.errors import ClientError, report, show
from services.client.meter import Meter
from services.client.options import TIMEOUT, rate, seconds
from services.client.web_client import Page, WebClient


def main(argv: list[str]) -> int:
    """Run one verb and return its exit code; 1 where the server's status is 400 or above."""
    options = _parser().parse_args(argv)
    client = WebClient(timeout=options.timeout, rate=getattr(options, "rate", None))
    url = options.url if "://" in options.url else f"http://{options.url}"
    try:
        code = {"source": _source, "get": _get, "links": _links}[options.verb](client, url, options)
    except (OSError, ClientError) as error:
        local = getattr(error, "filename", None)
        return report(error, str(local or client.place))
    if options.stats:
        sys.stderr.write(f"{client.traffic}\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("lab web", description="Pages and images over HTTP.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    source = verbs.add_parser("source", help="print the source of a page")
    source.add_argument("-i", "--headers", action="store_true", help="print the reply's status and headers first")
    source.add_argument("--compressed", action="store_true", help="let the server send gzip, and undo it here")
    get = verbs.add_parser("get", help="download a page or an image; its type and its size are checked")
    get.add_argument(
        "-o", "--output", metavar="FILE", help="write it there; `-` for stdout; default: the address's last part"
    )
    get.add_argument("--resume", action="store_true", help="go on where a broken download of the same version ended")
    get.add_argument("--rate", type=rate, metavar="OCTETS", help="at most so many a second: `500k`, `2m`")
    links = verbs.add_parser("links", help="print the addresses that a page names")
    for verb in (source, get, links):
        verb.add_argument("url", metavar="URL", help="`http://web-server/second.html`; `web-server/` will do")
        verb.add_argument("--timeout", type=seconds, default=TIMEOUT, metavar="SECONDS", help="default %(default)g")
        verb.add_argument("--stats", action="store_true", help="tell what the connections cost")
    return parser


def _source(client: WebClient, url: str, options: argparse.Namespace) -> int:
    page, body = _read(client, url, {"Accept-Encoding": "gzip"} if options.compressed else {})
    if options.headers:
        sys.stdout.write(f"{page.status} {page.reason}\n" + "".join(f"{k}: {v}\n" for k, v in page.headers) + "\n")
        sys.stdout.flush()
    show(body)
    return _judge(page)


def _read(client: WebClient, url: str, headers: dict[str, str] | None = None) -> tuple[Page, bytes]:
    parts: list[bytes] = []
    page = client.get(url, parts.append, headers or {})
    body = b"".join(parts)
    if page.header("Content-Encoding") == "gzip":
        try:
            body = gzip.decompress(body)
        except (OSError, EOFError) as error:
            raise ClientError(f"the reply is no gzip: {error}") from error
    return page, body


def _judge(page: Page) -> int:
    if page.status < 400:
        return 0
    return report(ClientError(f"the server says {page.status} {page.reason}"), page.url)


def _get(client: WebClient, url: str, options: argparse.Namespace) -> int:
    began = time.monotonic()
    name = url.partition("://")[2].partition("?")[0].rpartition("/")[2] or "index.html"
    with Meter(name) as meter:
        if options.output == "-":
            page = client.get(url, show, {}, meter)
            return _judge(page)
        path = Path(options.output or name)
        path = path / name if path.is_dir() else path
        moved = client.download(url, path, resume=options.resume, progress=meter)
    resumed = f", resumed at {moved.offset}" if moved.offset else ""
    seconds_taken = time.monotonic() - began
    sys.stdout.write(
        f"got {path.name}: {moved.size} octets, {moved.kind}{resumed}, {seconds_taken:.2f} s\nsha256 {moved.digest}\n"
    )
    return 0


class _Links(HTMLParser):
    """Collects what a page names in `href` and `src`."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self.base = base
        self.found: dict[str, None] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if tag == "base" and name == "href" and value:
                self.base = urljoin(self.base, value)
            elif name in ("href", "src") and value:
                self.found.setdefault(urldefrag(urljoin(self.base, value.strip())).url)


def _links(client: WebClient, url: str, options: argparse.Namespace) -> int:  # noqa: ARG001 - as the other verbs
    page, body = _read(client, url)
    if _judge(page):
        return 1
    if page.kind not in ("text/html", "application/xhtml+xml"):
        raise ClientError(f"that is no page but {page.kind}", "`lab web get` downloads it")
    links = _Links(page.url)
    links.feed(body.decode("utf-8", "replace"))
    sys.stdout.write("".join(f"{link}\n" for link in links.found))
    return 0
