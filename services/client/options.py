"""The command line's common parts."""

import argparse

TIMEOUT = 10.0  # seconds


def port_number(text: str) -> int:
    """Read a port for argparse."""
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"`{text}` is not a port (1 to 65535)")
    return int(text)


def seconds(text: str) -> float:
    """Read a time above 0 for argparse."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"`{text}` is not a time above 0")
    return value


def rate(text: str) -> int:
    """Read octets a second for argparse: `800`, `500k`, `2m` (1,000 and 1,000,000)."""
    factor = {"k": 1000, "m": 1_000_000}.get(text[-1:].lower(), 1)
    number = text[:-1] if factor > 1 else text
    if not number.isdecimal() or not int(number):
        raise argparse.ArgumentTypeError(f"`{text}` is not a number of octets: `800`, `500k`, `2m`")
    return int(number) * factor


def add_verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str, port: int | None
) -> argparse.ArgumentParser:
    """Add a verb that takes HOST and PORT (`port` where the protocol has one of its own), `-4`, `-6`, `--timeout`."""
    verb = verbs.add_parser(name, help=text, description=text)
    verb.add_argument("host", metavar="HOST")
    if port is None:
        verb.add_argument("port", metavar="PORT", type=port_number)
    else:
        verb.add_argument("port", metavar="PORT", type=port_number, nargs="?", default=port, help=f"default {port}")
    add_connection(verb)
    return verb


def add_connection(verb: argparse.ArgumentParser) -> None:
    """Add `-4`, `-6`, `--timeout`."""
    add_families(verb)
    verb.add_argument("--timeout", type=seconds, default=TIMEOUT, metavar="SECONDS", help="default %(default)g")


def add_families(parser: argparse.ArgumentParser) -> None:
    """Add `-4` and `-6`."""
    families = parser.add_mutually_exclusive_group()
    families.add_argument("-4", dest="ipv4", action="store_true", help="IPv4 alone")
    families.add_argument("-6", dest="ipv6", action="store_true", help="IPv6 alone")
