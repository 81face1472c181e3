"""Flags and environment variables of the relay, as data, into its `Config`.

Public: `parse_config`.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.runtime.limits import add_arguments, add_log_format, positive, read_limits
from services.smtp_relay.backoff import Backoff
from services.smtp_relay.server import Config


@dataclass(frozen=True)
class Option:
    """A number that may be set: flag, environment variable, default and its kind, what it is."""

    flag: str
    variable: str
    default: float
    kind: Callable[[str], Any]
    help: str


def _not_negative(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"`{text}` is not a number of 0 or more")
    return value


COUNT, SECONDS = positive(int), positive(float)
B, C = Backoff(), Config()
OPTIONS = (
    Option("--max-size", "LAB_MAX_SIZE", C.max_size, COUNT, "octets of a message"),
    Option("--max-recipients", "LAB_MAX_RECIPIENTS", C.max_recipients, COUNT, "recipients of a message"),
    Option("--max-hops", "LAB_MAX_HOPS", C.max_hops, COUNT, "Received fields of a message, before it counts as a loop"),
    Option("--greet-delay", "LAB_GREET_DELAY", C.greet_delay, _not_negative, "seconds before the greeting"),
    Option("--per-host", "LAB_PER_HOST", C.connections, COUNT, "connections to one host at the same time"),
    Option("--retry-first", "LAB_RETRY_FIRST", B.first, SECONDS, "seconds before the second try"),
    Option("--retry-factor", "LAB_RETRY_FACTOR", B.factor, SECONDS, "by which each wait is longer"),
    Option("--retry-longest", "LAB_RETRY_LONGEST", B.longest, SECONDS, "seconds of the longest wait"),
    Option("--retry-jitter", "LAB_RETRY_JITTER", B.jitter, _not_negative, "share of a wait by which it varies"),
    Option("--tries", "LAB_TRIES", B.tries, COUNT, "tries before a message is given up"),
)


def parse_config(argv: Sequence[str], environ: Mapping[str, str]) -> tuple[Config, str]:
    """Return the configuration and the style of the log; exits with 2 on a wrong command line."""
    parser = argparse.ArgumentParser(
        "services.smtp_relay", description="Takes mail by SMTP, keeps it safe, hands it on by SMTP or LMTP."
    )
    parser.add_argument("--port", default="25", metavar="[smtp=]PORT", help="another port than 25; 0: any that is free")
    parser.add_argument("--host", action="append", metavar="ADDRESS", help="listen on this address alone (repeatable)")
    parser.add_argument("--name", default=environ.get("LAB_NAME", C.name), help="how it names itself (LAB_NAME)")
    parser.add_argument("--queue", default=environ.get("LAB_QUEUE", str(C.folder)), metavar="PATH",
                        help="folder of the queue (LAB_QUEUE)")  # fmt: skip
    parser.add_argument("--routes", default=environ.get("LAB_ROUTES"), metavar="PATH",
                        help="the route table (LAB_ROUTES); else `routes.yaml` in the queue's folder")  # fmt: skip
    parser.add_argument(
        "--tls-cert", default=environ.get("LAB_TLS_CERT"), metavar="PATH", help="certificate (LAB_TLS_CERT)"
    )
    parser.add_argument("--tls-key", default=environ.get("LAB_TLS_KEY"), metavar="PATH", help="its key (LAB_TLS_KEY)")
    parser.add_argument(
        "--seed", type=int, default=environ.get("LAB_SEED"), metavar="N", help="of the jitter (LAB_SEED)"
    )
    for option in OPTIONS:
        default = environ.get(option.variable, f"{option.default:g}")
        default = str(option.default) if option.variable not in environ else default
        parser.add_argument(option.flag, type=option.kind, default=default, metavar="N",
                            help=f"{option.help} (default {default}; {option.variable})")  # fmt: skip
    add_arguments(parser, environ)
    add_log_format(parser, environ)
    parsed = parser.parse_args(argv)
    port = parsed.port.removeprefix("smtp=")
    if not port.isdecimal() or int(port) > 65535:
        parser.error(f"--port: `{parsed.port}` is not a port")
    if parsed.retry_jitter > 1 or parsed.retry_factor < 1:
        parser.error("--retry-jitter is between 0 and 1, --retry-factor at least 1")
    if bool(parsed.tls_cert) != bool(parsed.tls_key):
        parser.error("--tls-cert and --tls-key go together")
    backoff = Backoff(parsed.retry_first, parsed.retry_factor, parsed.retry_longest, parsed.retry_jitter, parsed.tries)
    return Config(
        name=parsed.name, port=int(port), folder=Path(parsed.queue), routes=Path(parsed.routes) if parsed.routes else None,
        tls=(Path(parsed.tls_cert), Path(parsed.tls_key)) if parsed.tls_cert else None, backoff=backoff,
        connections=parsed.per_host, max_size=parsed.max_size, max_recipients=parsed.max_recipients, max_hops=parsed.max_hops,
        seed=parsed.seed, greet_delay=parsed.greet_delay, limits=read_limits(parsed),
        **({"hosts": tuple(parsed.host)} if parsed.host else {}),
    ), parsed.log_format  # fmt: skip
