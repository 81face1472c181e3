"""`lab tcp VERB HOST [PORT]`: the small services over TCP, and the chat."""

import argparse
import socket
import sys
import time

from services.client.dial import converse, dial, family_of
from services.client.errors import ClientError, report, show, show_line
from services.client.options import add_verb
from services.tcp.protocol import PORTS, Collector, EchoCheck
from services.wire import small


def main(argv: list[str]) -> int:
    """Run one verb and return its exit code."""
    parser = argparse.ArgumentParser("lab tcp", description="Small clients over TCP.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    add_verb(verbs, "greet", "connect, and read until the server closes", PORTS["greeting"])
    echo = add_verb(verbs, "echo", "send TEXT (or stdin) and compare what comes back (RFC 862)", PORTS["echo"])
    echo.add_argument("text", nargs="*", metavar="TEXT")
    chat = add_verb(verbs, "chat", "talk with all who are connected", PORTS["chat"])
    chat.add_argument("--name", help="be called this")
    chat.add_argument(
        "--say", action="append", default=[], metavar="LINE", help="say this, instead of what is typed (repeatable)"
    )
    chat.add_argument(
        "--until", metavar="TEXT", help="leave when a line contains TEXT; fail where none does in --timeout"
    )
    add_verb(verbs, "time", "ask for the time as 32 bits (RFC 868)", PORTS["time"])
    add_verb(verbs, "daytime", "ask for date and time as text (RFC 867)", PORTS["daytime"])
    discard = add_verb(verbs, "discard", "send TEXT (or stdin) to be thrown away (RFC 863)", PORTS["discard"])
    discard.add_argument("text", nargs="*", metavar="TEXT")
    chargen = add_verb(verbs, "chargen", "read the character generator (RFC 864)", PORTS["chargen"])
    chargen.add_argument(
        "--octets", type=int, default=740, metavar="N", help="how many to read; default %(default)s, ten lines"
    )
    options = parser.parse_args(argv)
    try:
        with dial(options.host, options.port, family_of(options), options.timeout) as conn:
            if options.verb == "chat":
                from services.client.chat import chat as run_chat

                return run_chat(conn, options)
            return _ask(conn, options)
    except (OSError, ClientError) as error:
        return report(error, f"{options.host}:{options.port}")


def _ask(conn: socket.socket, options: argparse.Namespace) -> int:
    if options.verb in ("echo", "discard"):
        message = " ".join(options.text).encode() if options.text else sys.stdin.buffer.read()
        core = EchoCheck(message)
        converse(conn, core, options.timeout, half_close=True)
        if options.verb == "discard":
            return 0
        show_line(bytes(core.data)) if options.text else show(bytes(core.data))
        if bytes(core.data) != message:
            raise ClientError(f"{len(message)} octets were sent and {len(core.data)} came back, and they differ")
        return 0
    limit = options.octets if options.verb == "chargen" else 1 << 20
    reader = Collector(limit)
    converse(conn, reader, options.timeout)
    data = bytes(reader.data)
    if options.verb == "time":
        try:
            unix = small.read_time(data, time.time())
        except ValueError as error:
            raise ClientError(f"that is no time of RFC 868: {error}") from error
        sys.stdout.write(
            time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix)) + f" ({int.from_bytes(data, 'big')} s since 1900)\n"
        )
    else:
        show_line(data)
    return 0
