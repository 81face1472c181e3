"""`lab gopher VERB …`: menus, texts, files and searches over Gopher (RFC 1436), on the lab's own `services.gopher.protocol`.

The standard library once had gopherlib; it is gone since Python 2.6, and urllib opens no gopher:// URL since then. What to use now: a
socket and a dozen lines, since the whole protocol is one line out and one document back.
"""

import argparse
import hashlib
import os
import socket
import sys
import time
from contextlib import nullcontext
from pathlib import Path

from services.client.dial import CHUNK, converse, dial, family_of
from services.client.errors import ClientError, report, show
from services.client.options import TIMEOUT, port_number, seconds
from services.client.topics import protocol
from services.gopher.protocol import MENUS, TEXTS, TYPES, Binary, Item, Menu, Text, Url, error_of, read_url
from services.wire.errors import LocalProtocolError, RemoteProtocolError

PORT = protocol("Gopher").port


def main(argv: list[str]) -> int:
    """Run one verb and return its exit code."""
    options = read_options(argv)
    try:
        url = url_of(options)
    except LocalProtocolError as error:
        sys.stderr.write(
            f"error: {error}\n\nhint: gopher://HOST[:PORT]/TYPE SELECTOR, such as gopher://gopher-server/0/texts/burrow.txt\n"
        )
        return 2
    try:
        with dial(url.host, url.port, family_of(options), options.timeout) as conn:
            if url.type in MENUS:
                return show_menu(conn, url, options)
            return show_text(conn, url, options) if url.type in TEXTS else save(conn, url, options)
    except (OSError, ClientError, RemoteProtocolError) as error:
        return report(error, f"{url.host}:{url.port}")


def read_options(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    common = argparse.ArgumentParser(add_help=False)
    families = common.add_mutually_exclusive_group()
    families.add_argument("-4", dest="ipv4", action="store_true", help="IPv4 alone")
    families.add_argument("-6", dest="ipv6", action="store_true", help="IPv6 alone")
    common.add_argument("--port", type=port_number, default=PORT, metavar="PORT", help="default %(default)s")
    common.add_argument("--timeout", type=seconds, default=TIMEOUT, metavar="SECONDS", help="default %(default)g")
    common.add_argument("--raw", action="store_true", help="print a menu or text as it came over the wire")
    parser = argparse.ArgumentParser(
        "lab gopher", description="Menus, texts, files and searches over Gopher (RFC 1436)."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, text, words in (
        ("ls", "show a menu: an item a line, with its URL", ("SELECTOR?",)),
        ("cat", "print a text", ("SELECTOR",)),
        ("get", "fetch a file as it is; into LOCAL, its own name, or `-` for stdout", ("SELECTOR", "LOCAL?")),
        ("search", "ask a search item for WORDS, and show the menu that it answers with", ("SELECTOR", "WORDS+")),
        ("open", "do what a gopher:// URL says, by its type", ("LOCAL?",)),
    ):
        verb = verbs.add_parser(name, help=text, description=text, parents=[common])
        verb.add_argument("host", metavar="URL" if name == "open" else "HOST")
        for word in words:
            count = word[-1] if word[-1] in "?+" else None
            verb.add_argument(word.strip("?+").lower(), metavar=word.strip("?+"), nargs=count)
    return parser.parse_args(argv)


def url_of(options: argparse.Namespace) -> Url:
    """Return what is asked for, as a URL.

    Raises:
        LocalProtocolError: it is none.
    """
    if options.verb == "open":
        return read_url(options.host)
    kind = {"ls": "1", "cat": "0", "get": "9", "search": "7"}[options.verb]
    words = " ".join(options.words) if options.verb == "search" else None
    return Url(options.host, options.port, kind, options.selector or "", words)


def show_menu(conn: socket.socket, url: Url, options: argparse.Namespace) -> int:
    """Print an item a line; exit code 1 where the server says that something is wrong (type 3)."""
    if options.raw:
        return show_raw(conn, url, options)
    menu = Menu(url.selector, url.words)
    converse(conn, menu, options.timeout)
    for item in menu.items:
        if item.type == "i":
            print(f"{'':9}{plain(item.title)}".rstrip())
        else:
            print(f"{TYPES.get(item.type, item.type):9}{plain(item.title):40}  {place_of(item)}".rstrip())
    return 1 if any(item.type == "3" for item in menu.items) else 0


def place_of(item: Item) -> str:
    """Return where an item is, as a URL."""
    if item.type == "3":
        return ""
    if item.selector.startswith("URL:"):
        return plain(item.selector.removeprefix("URL:"))
    return str(Url(item.host, item.port, item.type, item.selector, None))


def plain(text: str) -> str:
    """Return a server's words without what could move a terminal's cursor."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def show_text(conn: socket.socket, url: Url, options: argparse.Namespace) -> int:
    """Print a text with this system's line ends."""
    if options.raw:
        return show_raw(conn, url, options)
    text = Text(url.selector, url.words)
    converse(conn, text, options.timeout)
    said = text.text().encode()
    show(said)
    return 1 if error_of(said) else 0


def show_raw(conn: socket.socket, url: Url, options: argparse.Namespace) -> int:
    """Print what comes, octet for octet."""
    raw = Binary(url.selector, url.words)
    converse(conn, raw, options.timeout)
    show(raw.take())
    return 0


def save(conn: socket.socket, url: Url, options: argparse.Namespace) -> int:
    """Write a file away as it comes, and tell what came; Gopher has no length, so that it is whole is only known by its end."""
    name = options.local or os.path.basename(url.selector) or "gopher.bin"  # noqa: PTH119 - a selector is no path of ours
    began = time.monotonic()
    file, digest = Binary(url.selector, url.words), hashlib.sha256()
    conn.sendall(file.data_to_send())
    first = b""
    with nullcontext(sys.stdout.buffer) if name == "-" else Path(name).open("wb") as out:
        while data := conn.recv(CHUNK):
            file.receive_data(data)
            first = first or data
            out.write(data)
            digest.update(data)
    if file.octets == len(first) and (error := error_of(first)):
        if name != "-":
            Path(name).unlink()
        raise ClientError(f"the server says: {plain(error)}")
    line = f"{name}: {file.octets} octets, {time.monotonic() - began:.3f} s, sha256 {digest.hexdigest()}"
    print(line, file=sys.stderr if name == "-" else sys.stdout)
    return 0
