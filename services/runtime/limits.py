"""What a server allows: each limit a flag and an environment variable, each with a refusal that says so."""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Limits:
    """What one server allows all its clients together, or each.

    Args:
        connections: open at once, over all ports.
        idle: seconds without an octet from the peer after which a connection is closed.
        line: octets of a line, its end included.
        buffered: octets waiting for clients that do not read, all together.
    """

    connections: int = 16384
    idle: float = 300.0
    line: int = 1024
    buffered: int = 32 << 20


STYLES = ("text", "json")
HELP = {
    "connections": "connections open at once",
    "idle": "seconds of silence after which a connection is closed",
    "line": "octets of a line",
    "buffered": "octets that wait for clients who do not read, all together",
}


def variable(name: str) -> str:
    """Return the environment variable of a limit: `LAB_MAX_LINE`, `LAB_IDLE`."""
    return "LAB_IDLE" if name == "idle" else f"LAB_MAX_{name.upper()}"


def add_arguments(
    parser: argparse.ArgumentParser, environ: Mapping[str, str] = os.environ, defaults: Limits | None = None
) -> None:
    """Add the flags of the limits to a server's command line; `defaults` are its own, where they are not everybody's."""
    usual = defaults or Limits()
    for field in fields(Limits):
        flag = "--idle" if field.name == "idle" else f"--max-{field.name}"
        default = environ.get(variable(field.name), getattr(usual, field.name))
        parser.add_argument(
            flag, dest=field.name, type=positive(type(field.default)), default=default, metavar="N",
            help=f"{HELP[field.name]} (default {default}; {variable(field.name)})",
        )  # fmt: skip


def add_log_format(parser: argparse.ArgumentParser, environ: Mapping[str, str] = os.environ) -> None:
    """Add the flag for the style of the log's lines."""
    default = environ.get("LAB_LOG_FORMAT", "text")
    if default not in STYLES:
        parser.error(f"LAB_LOG_FORMAT: `{default}` is not one of {', '.join(STYLES)}")
    parser.add_argument(
        "--log-format", choices=STYLES, default=default, help=f"style of the log (default {default}; LAB_LOG_FORMAT)"
    )


def positive(kind: type) -> "type[int] | type[float]":
    """Return a reader of numbers above 0, for argparse."""

    def read(text: str) -> float:
        try:
            value = float(text) if kind is float else int(text)
        except ValueError:
            value = 0
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"`{text}` is not a number above 0")
        return value

    return read  # type: ignore[return-value]


def read_limits(options: argparse.Namespace) -> Limits:
    """Return the limits of a parsed command line."""
    return Limits(**{field.name: getattr(options, field.name) for field in fields(Limits)})


def parse_ports(options: Sequence[str], known: Mapping[str, int]) -> dict[str, int]:
    """Read `NAME=PORT` words over the standard ports of a service; port 0 lets the system choose.

    Raises:
        ValueError: an unknown name, or no port.
    """
    ports = dict(known)
    for option in options:
        name, _, number = option.partition("=")
        if name not in known:
            raise ValueError(f"`{name}` is not one of {', '.join(known)}")
        if not number.isdecimal() or int(number) > 65535:
            raise ValueError(f"`{number}` is not a port")
        ports[name] = int(number)
    return ports
