"""`lab file VERB HOST …`: the file server's client."""

import argparse
import json
import sys
import time
from pathlib import Path

from services.client.dial import family_of
from services.client.errors import ClientError, report, show
from services.client.file_client import FileClient, Moved
from services.client.meter import Meter, amount
from services.client.options import add_connection, port_number, rate
from services.file.grammar import PORT


def main(argv: list[str]) -> int:
    """Run one verb and return its exit code."""
    options = _parser().parse_args(argv)
    client = FileClient(
        options.host,
        options.port,
        family=family_of(options),
        timeout=options.timeout,
        rate=getattr(options, "rate", None),
    )
    try:
        with client:
            code = VERBS[options.verb](client, options)
    except (OSError, ClientError) as error:
        local = getattr(error, "filename", None)
        return report(error, str(local or f"{options.host}:{options.port}"))
    if getattr(options, "stats", False):
        sys.stderr.write(f"{client.traffic}\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "lab file", description="Files over the lab's own protocol; names with blanks are quoted as usual."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        verb = verbs.add_parser(name, help=text, description=text)
        verb.add_argument("host", metavar="HOST")
        verb.add_argument("--port", type=port_number, default=PORT, help="default %(default)s")
        add_connection(verb)
        return verb

    add("ls", "list the files").add_argument("--json", action="store_true", dest="as_json")
    for name, text in (
        ("stat", "size and time of files"),
        ("hash", "SHA-256 of files, as `sha256sum -c` reads it"),
        ("rm", "remove files"),
    ):
        add(name, text).add_argument("names", nargs="+", metavar="NAME")
    get = add("get", "get a file, and check its digest")
    get.add_argument("name", metavar="NAME")
    get.add_argument("-o", "--output", metavar="FILE", help="write it there; `-` for stdout")
    put = add("put", "store a file, and have its digest checked")
    put.add_argument("file", type=Path, metavar="FILE")
    put.add_argument("name", nargs="?", default="", metavar="NAME", help="default: the file's own")
    for verb in (get, put):
        verb.add_argument("--resume", action="store_true", help="go on where a broken transfer ended")
        verb.add_argument("--rate", type=rate, metavar="OCTETS", help="at most so many a second: `500k`, `2m`")
    copy = add("mirror", "fetch what FOLDER lacks or has otherwise")
    copy.add_argument("folder", type=Path, metavar="FOLDER")
    copy.add_argument(
        "-j", "--connections", type=int, default=4, choices=range(1, 65), metavar="N", help="default %(default)s"
    )
    copy.add_argument("--json", action="store_true", dest="as_json")
    for verb in (get, put, copy):
        verb.add_argument("--stats", action="store_true", help="tell what the connections cost")
    return parser


def _list(client: FileClient, options: argparse.Namespace) -> int:
    entries = client.list()
    if options.as_json:
        sys.stdout.write(json.dumps({"version": 1, "files": [vars(entry) for entry in entries]}) + "\n")
    for entry in () if options.as_json else entries:
        _tell(entry.size, entry.modified, entry.name)
    return 0


def _stat(client: FileClient, options: argparse.Namespace) -> int:
    for name in options.names:
        entry = client.stat(name)
        _tell(entry.size, entry.modified, entry.name)
    return 0


def _tell(size: int, modified: int, name: str) -> None:
    sys.stdout.write(f"{size:>12}  {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(modified))}  {name}\n")


def _hash(client: FileClient, options: argparse.Namespace) -> int:
    for name in options.names:
        sys.stdout.write(f"{client.hash(name)}  {name}\n")
    return 0


def _remove(client: FileClient, options: argparse.Namespace) -> int:
    for name in options.names:
        client.delete(name)
    return 0


def _get(client: FileClient, options: argparse.Namespace) -> int:
    began = time.monotonic()
    with Meter(options.name) as meter:
        if options.output == "-":
            client.get(options.name, show, progress=meter)
            return 0
        path = Path(options.output or options.name)
        if path.is_dir():
            path /= options.name
        moved = client.download(options.name, path, resume=options.resume, progress=meter)
    _told("got", options.name, moved, began)
    return 0


def _put(client: FileClient, options: argparse.Namespace) -> int:
    began = time.monotonic()
    name = options.name or options.file.name
    with Meter(name) as meter:
        moved = client.upload(options.file, name, resume=options.resume, progress=meter)
    _told("put", name, moved, began)
    return 0


def _told(verb: str, name: str, moved: Moved, began: float) -> None:
    seconds = time.monotonic() - began
    resumed = f", resumed at {moved.offset}" if moved.offset else ""
    sys.stdout.write(f"{verb} {name}: {moved.size} octets{resumed}, {seconds:.2f} s\nsha256 {moved.digest}\n")


def _mirror(client: FileClient, options: argparse.Namespace) -> int:
    from services.client.file_mirror import mirror

    began = time.monotonic()

    more: list[FileClient] = []
    free = [client]  # the first connection is the one that listed

    def connect() -> FileClient:
        if free:
            return free.pop()
        more.append(FileClient(options.host, options.port, family=family_of(options), timeout=options.timeout))
        return more[-1]

    with Meter(str(options.folder)) as meter:
        result = mirror(client.list(), connect, options.folder, options.connections, meter)
    for other in more:
        client.traffic.add(other.traffic)
    if options.as_json:
        sys.stdout.write(json.dumps({"version": 1, **vars(result)}) + "\n")
    else:
        seconds = time.monotonic() - began
        sys.stdout.write(
            f"{len(result.fetched)} fetched ({amount(result.octets)}, {seconds:.2f} s), {len(result.kept)} were there already\n"
        )
        for name, why in result.failed.items():
            sys.stderr.write(f"error: `{name}` was not fetched: {why}\n")
    return 1 if result.failed else 0


VERBS = {"ls": _list, "stat": _stat, "hash": _hash, "rm": _remove, "get": _get, "put": _put, "mirror": _mirror}
