"""`lab mail send|pop|imap`: write a mail, and fetch it from the mailbox, with smtplib, poplib, imaplib and email."""

import argparse
import resource

from services.client.errors import ClientError, report
from services.client.options import port_number, seconds

PASSWORDS = """\
Passwords are looked for in this order: --ask (a prompt), --password (every user of the host sees it in `ps`), the variable
LAB_MAIL_PASSWORD, what the lab's servers hand out (/handouts/mail.json), a prompt where there is a terminal.
"""
TIMEOUT = 30.0  # seconds for each answer; a relay may sync its disk before it says 250
MEMORY = 448 << 20  # octets


def main(argv: list[str]) -> int:
    """Run one verb and return its exit code."""
    parser = argparse.ArgumentParser(
        "lab mail",
        description="Send mail, and fetch it.",
        epilog=PASSWORDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    topics = parser.add_subparsers(dest="topic", required=True, metavar="send|pop|imap")
    _add_send(topics.add_parser("send", help="send a mail by SMTP (smtplib)", description="Send a mail by SMTP."))
    for name, port, module in (("pop", 110, "poplib"), ("imap", 143, "imaplib")):
        protocol = {"pop": "POP3", "imap": "IMAP4"}[name]
        text = f"a mailbox by {protocol} ({module})"
        _add_mailbox(topics.add_parser(name, help=f"read {text}", description=f"Read {text}."), port)
    options = parser.parse_args(argv)
    if options.topic == "send":
        from services.client.mail_send import run
    elif options.topic == "pop":
        from services.client.mail_pop import run
    else:
        from services.client.mail_imap import run
    # The library's clients collect an answer for as long as the server talks; the host's own limit would end us without a word.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    try:
        return run(options)
    except MemoryError:
        pass  # told below, when what filled the memory is given back
    what = f"that takes more than {MEMORY >> 20} MiB of memory"
    return report(ClientError(what, "`fetch` takes less than `show`"), f"{options.server}:{options.port}")


def _add_send(send: argparse.ArgumentParser) -> None:
    send.add_argument("--from", dest="sender", required=True, metavar="ADDRESS", help="such as `alice@lab.test`")
    send.add_argument("--to", action="append", required=True, metavar="ADDRESS", help="to whom (repeatable)")
    send.add_argument("--cc", action="append", default=[], metavar="ADDRESS", help="a copy to (repeatable)")
    send.add_argument("--subject", default="", metavar="TEXT")
    send.add_argument("--body", metavar="TEXT", help="what is written; stdin where it is left out, or `-`")
    send.add_argument("--attach", action="append", default=[], metavar="FILE", help="send a file with it (repeatable)")
    send.add_argument("--copy", metavar="FILE", help="keep the message, as it was sent, in FILE")
    _add_server(send, "smtp-relay", 25)


def _add_mailbox(topic: argparse.ArgumentParser, port: int) -> None:
    verbs = topic.add_subparsers(dest="verb", required=True, metavar="list|show|fetch|delete")
    number = "message number in this session" if port == 110 else "the message's UID"
    for verb, text in (
        ("list", "list the messages: number, size, date, sender, subject"),
        ("show", "print a message for reading: its main headers, its text, the names of what is attached"),
        ("fetch", "print a message octet for octet"),
        ("delete", "delete messages"),
    ):
        parser = verbs.add_parser(verb, help=text, description=text.capitalize() + ".")
        if verb == "delete":
            parser.add_argument("numbers", nargs="+", type=_number, metavar="N", help=number)
        elif verb != "list":
            parser.add_argument("number", type=_number, metavar="N", help=number)
        if verb == "fetch":
            parser.add_argument("--body", action="store_true", help="without the headers")
        if verb != "delete":
            parser.add_argument("--wait", type=seconds, default=0.0, metavar="SECONDS", help="until it is there")
        parser.add_argument("--user", required=True, metavar="ADDRESS", help="whose mailbox, such as bob@lab.test")
        parser.add_argument("--password", metavar="TEXT", help="better: LAB_MAIL_PASSWORD")
        parser.add_argument("--ask", action="store_true", help="ask for the password")
        if port == 143:
            parser.add_argument("--mailbox", default="INBOX", metavar="NAME", help="default %(default)s")
        _add_server(parser, "mail-server", port)


def _add_server(parser: argparse.ArgumentParser, server: str, port: int) -> None:
    parser.add_argument("--server", default=server, metavar="HOST", help="default %(default)s")
    parser.add_argument("--port", default=port, type=port_number, metavar="PORT", help="default %(default)s")
    parser.add_argument(
        "--starttls", action="store_true", help="encrypt before anything is said; refuse where it cannot"
    )
    parser.add_argument("--ca", metavar="FILE", help="trust this CA; default: the system's, in the lab the lab's own")
    parser.add_argument("--timeout", type=seconds, default=TIMEOUT, metavar="SECONDS", help="default %(default)g")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text) < 1 << 32:
        raise argparse.ArgumentTypeError(f"`{text}` is not a message's number")
    return int(text)
