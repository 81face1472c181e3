"""`lab news VERB HOST …`: groups, list, read, post, newnews, on nntplib.

Python's `nntplib` left the standard library in 3.13 (PEP 594). It lives on as a package, unchanged: `standard-nntplib` on the package
index, `python3-standard-nntplib` in Debian, imported by its old name, as here. Its `NNTP` speaks RFC 3977; what crosses the wire is
shown by `--commands`.
"""

import argparse
import datetime
import email.message
import email.policy
import re
import socket
import sys
from typing import Any

from services.client.dial import dial, family_of
from services.client.errors import ClientError, report, show, show_line
from services.client.options import add_verb
from services.client.packaged import packaged
from services.client.topics import protocol

PORT = protocol("NNTP").port
PACKAGE = "python3-standard-nntplib"
SINCE = re.compile(r"(\d+)([smhd])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
NOT_A_READER = "this server offers articles to other servers, it does not serve readers"


def main(argv: list[str]) -> int:
    """Run one verb and return its exit code."""
    options = _parser().parse_args(argv)
    place = f"{options.host}:{options.port}"
    try:
        nntplib = packaged("nntplib", PACKAGE)
    except ClientError as error:
        return report(error, place)
    try:
        with _connect(nntplib, options) as server:
            VERBS[options.verb](server, options)
    except nntplib.NNTPError as error:
        return report(ClientError(f"the server said: {error}"), place)
    except (OSError, EOFError, ClientError) as error:
        return report(ClientError("the server closed the connection") if isinstance(error, EOFError) else error, place)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("lab news", description="A news reader over NNTP.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add(verbs, "groups", "list the groups, each with how many articles it has and what it is about")
    _add(verbs, "list", "list the articles of a group: number, Message-ID, sender, subject", "group")
    read = _add(verbs, "read", "show an article: by its number in a group, or by its Message-ID", "article")
    read.add_argument("--group", metavar="GROUP", help="the group that the number counts in")
    part = read.add_mutually_exclusive_group()
    part.add_argument("--head", action="store_true", help="its header alone")
    part.add_argument("--body", action="store_true", help="its body alone")
    post = _add(verbs, "post", "post to a group, or to several at once; prints the Message-ID", "group")
    post.add_argument("--subject", required=True, metavar="TEXT")
    post.add_argument(
        "--from", dest="sender", default="student@lab.test", metavar="ADDRESS", help="default %(default)s"
    )
    post.add_argument("--text", metavar="TEXT", help="the body; without it, stdin")
    post.add_argument("--answers", metavar="MESSAGE-ID", help="the article that this one follows up (References)")
    newnews = _add(verbs, "newnews", "list the Message-IDs that came since a time (NEWNEWS)", "group")
    newnews.add_argument(
        "--since", default="1d", metavar="TIME", help="`30s`, `10m`, `2h`, `1d` before now by the server's clock, or "
        "`2026-11-23T12:00:00` in UTC; default %(default)s",
    )  # fmt: skip
    return parser


def _add(verbs: Any, name: str, text: str, *words: str) -> argparse.ArgumentParser:
    """Add a verb; what it is about comes after HOST, and the port is a flag."""
    verb = add_verb(verbs, name, text, None)
    for action in [action for action in verb._actions if action.dest == "port"]:
        verb._remove_action(action)
    verb.add_argument("--port", type=int, default=PORT, metavar="PORT", help="default %(default)s")
    verb.add_argument("--commands", action="store_true", help="show on stderr what client (C) and server (S) say")
    for word in words:
        verb.add_argument(word, metavar=word.upper())
    return verb


def _connect(nntplib: Any, options: argparse.Namespace) -> Any:
    """Return a connection in reader mode (RFC 3977 section 5.3)."""

    class Reader(nntplib.NNTP):  # type: ignore[misc]
        """nntplib's own, over our `dial`, and telling what is said."""

        def _create_socket(self, timeout: float) -> socket.socket:
            return dial(options.host, options.port, family_of(options), timeout)

        def _putline(self, line: bytes) -> None:
            _tell("C", line)
            super()._putline(line)

        def _getline(self, strip_crlf: bool = True) -> Any:
            line = super()._getline(strip_crlf)
            _tell("S", line)
            return line

    def _tell(who: str, line: bytes) -> None:
        if options.commands:
            sys.stderr.write(f"{who}: {line.decode('utf-8', 'backslashreplace').rstrip()}\n")

    server = Reader(options.host, options.port, readermode=True, timeout=options.timeout)
    if "READER" not in server.getcapabilities():
        with server:  # takes its leave
            raise ClientError(NOT_A_READER)
    return server


def _groups(server: Any, _options: argparse.Namespace) -> None:
    about = server.descriptions("*")[1]
    for group in server.list()[1]:
        count = max(0, int(group.last) - int(group.first) + 1)
        show(f"{group.group:<20} {count:>4}  {about.get(group.group, '')}".rstrip().encode() + b"\n")


def _list(server: Any, options: argparse.Namespace) -> None:
    _, count, first, last, _ = server.group(options.group)
    if not int(count):
        return
    decode = packaged("nntplib", PACKAGE).decode_header  # RFC 2047: `=?utf-8?q?Hell=C3=B6?=`
    for number, over in server.over((first, last))[1]:
        words = [str(number), over["message-id"], decode(over["from"]), decode(over["subject"])]
        show("\t".join(words).encode("utf-8", "surrogateescape") + b"\n")


def _read(server: Any, options: argparse.Namespace) -> None:
    if options.group:
        server.group(options.group)
    elif not options.article.startswith("<"):
        raise ClientError(f"`{options.article}` counts in a group", "say `--group GROUP`, or give the Message-ID")
    ask = server.head if options.head else server.body if options.body else server.article
    for line in ask(options.article)[1].lines:
        show(line + b"\n")


def _post(server: Any, options: argparse.Namespace) -> None:
    article = email.message.EmailMessage(policy=email.policy.default.clone(cte_type="8bit", max_line_length=None))
    article["From"] = options.sender
    article["Newsgroups"] = options.group
    article["Subject"] = options.subject
    if options.answers:
        article["References"] = options.answers
    article.set_content(options.text if options.text is not None else sys.stdin.read(), cte="8bit")
    reply = server.post(article.as_bytes())
    given = re.search(r"<[^<>\s]+>", reply)
    show_line((given[0] if given else reply).encode())


def _newnews(server: Any, options: argparse.Namespace) -> None:
    for message_id in server.newnews(options.group, since(options.since, server.date()[1]))[1]:
        show_line(message_id.encode())


def since(text: str, now: datetime.datetime) -> datetime.datetime:
    """Return the time that `10m` (before `now`) or an ISO time means.

    Raises:
        ClientError: it is neither.
    """
    if match := SINCE.fullmatch(text):
        return now - datetime.timedelta(**{UNITS[match[2]]: int(match[1])})
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise ClientError(f"`{text}` is no time: `10m`, `2h`, or `2026-11-23T12:00:00`") from error


VERBS = {"groups": _groups, "list": _list, "read": _read, "post": _post, "newnews": _newnews}
