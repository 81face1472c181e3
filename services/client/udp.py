"""`lab udp VERB HOST [PORT]`: the small services over UDP.

The socket is connected, so the kernel tells us when the host refuses (ICMP port unreachable). UDP may lose the question or the answer:
it is asked again, and an answer that never comes is said to be just that.
"""

import argparse
import socket
import sys
import time

from services.client.dial import family_of
from services.client.errors import ClientError, report, show, show_line
from services.client.options import add_verb
from services.udp.protocol import PORTS, Question
from services.wire import small


def main(argv: list[str]) -> int:
    """Run one verb and return its exit code."""
    parser = argparse.ArgumentParser("lab udp", description="Small clients over UDP.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    texts = {
        "greet": "send a datagram and read the greeting",
        "echo": "send TEXT (or stdin) and compare what comes back (RFC 862)",
        "discard": "send TEXT (or stdin) to be thrown away (RFC 863)",
        "daytime": "ask for date and time as text (RFC 867)",
        "time": "ask for the time as 32 bits (RFC 868)",
        "chargen": "ask for a datagram of characters (RFC 864)",
    }
    for name, text in texts.items():
        verb = add_verb(verbs, name, text, PORTS["greeting" if name == "greet" else name])
        verb.add_argument(
            "--retries", type=int, default=2, metavar="N", help="how often to ask again; default %(default)s"
        )
        if name in ("echo", "discard"):
            verb.add_argument("text", nargs="*", metavar="TEXT")
    options = parser.parse_args(argv)
    try:
        return _run(options)
    except (OSError, ClientError) as error:
        return report(error, f"{options.host}:{options.port}/udp")


def _run(options: argparse.Namespace) -> int:
    message = b""
    if options.verb in ("echo", "discard"):
        message = " ".join(options.text).encode() if options.text else sys.stdin.buffer.read()
    family, kind, protocol, _, address = socket.getaddrinfo(
        options.host, options.port, family_of(options), socket.SOCK_DGRAM
    )[0]
    with socket.socket(family, kind, protocol) as conn:
        conn.connect(address)
        if options.verb == "discard":
            conn.send(message)
            return 0
        data = ask(conn, Question(message, tries=options.retries + 1, interval=options.timeout / (options.retries + 1)))
    if options.verb == "echo":
        show_line(data) if options.text else show(data)
        if data != message:
            raise ClientError(f"{len(message)} octets were sent and {len(data)} came back, and they differ")
    elif options.verb == "time":
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


def ask(conn: socket.socket, question: Question) -> bytes:
    """Ask on a connected socket until there is an answer.

    Raises:
        ClientError: none came; UDP does not tell whether the question or the answer was lost.
        OSError: the host refuses.
    """
    while question.data is None:
        for datagram in question.datagrams_to_send(time.monotonic()):
            conn.send(datagram)
        if question.gave_up(time.monotonic()):
            tries = "once" if question.tries == 1 else f"{question.tries} times"
            raise ClientError(
                f"no answer, asked {tries}: the question or the answer was lost, or nobody is there",
                "UDP tells nobody; `--retries` asks more often",
            )
        conn.settimeout(max(0.001, question.next_deadline() - time.monotonic()))
        try:
            question.receive_datagram(conn.recv(65535))
        except TimeoutError:
            continue
    return question.data
