"""The route table: for which domains mail is taken, and where it goes. Read from YAML, and read again on SIGHUP.

    postmaster: alice@lab.test          # who gets mail for <Postmaster>
    routes:
      lab.test: {host: mail-server, port: 24, protocol: lmtp}
      full.test: {host: mail-server, port: 24, protocol: lmtp, fault: "552 5.2.2 the mailbox is full"}

A `fault` is a fixed reply, 4xx or 5xx, that stands for the delivery: nothing is sent, and the message is tried again or given up.

Public: `Route`, `Routes`, `parse_routes`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from services.smtp_relay.envelope import Reply
from services.smtp_relay.grammar import is_host, parse_path

PROTOCOLS = {
    "smtp": 25,
    "lmtp": 24,
}  # and their ports: RFC 5321; RFC 2033 leaves it open, 24 is "any private mail system"
_KEYS = {"host", "port", "protocol", "fault"}


@dataclass(frozen=True, slots=True)
class Route:
    """Where mail goes."""

    host: str
    port: int
    protocol: str
    fault: Reply | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port} ({self.protocol})"


@dataclass(frozen=True, slots=True)
class Routes:
    """The whole table."""

    by_domain: Mapping[str, Route] = field(default_factory=dict)
    postmaster: str = ""


def parse_routes(text: str) -> Routes:
    """Read a route table; all that is wrong with it is told at once.

    Raises:
        ValueError: it is none.
    """
    try:
        table = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"no YAML: {' '.join(str(error).split())}") from error
    if (
        not isinstance(table, dict)
        or not isinstance(table.get("routes"), dict)
        or table.keys() - {"routes", "postmaster"}
    ):
        raise ValueError(
            "expected `routes:`, a mapping from domains to where their mail goes, and at most `postmaster:` beside it"
        )
    wrong: list[str] = []
    routes = {str(domain).lower(): _route(str(domain), entry, wrong) for domain, entry in table["routes"].items()}
    postmaster = str(table.get("postmaster") or "")
    if postmaster and not _is_address(postmaster):
        wrong.append(f"postmaster: `{postmaster}` is not an address")
    if wrong:
        raise ValueError("; ".join(wrong))
    return Routes({domain: route for domain, route in routes.items() if route}, postmaster)


def _is_address(text: str) -> bool:
    try:
        return bool(parse_path(f"<{text}>").domain)
    except ValueError:
        return False


def _route(domain: str, entry: Any, wrong: list[str]) -> Route | None:
    where = f"routes.{domain}"
    before = len(wrong)
    if not is_host(domain):
        wrong.append(f"{where}: not a domain")
    if not isinstance(entry, dict):
        wrong.append(f"{where}: expected {{host: NAME, port: N, protocol: smtp|lmtp}}")
        return None
    wrong += [f"{where}.{key}: not one of {', '.join(sorted(_KEYS))}" for key in entry.keys() - _KEYS]
    host, protocol = entry.get("host"), entry.get("protocol", "smtp")
    if protocol not in PROTOCOLS:
        wrong.append(f"{where}.protocol: `{protocol}` is not one of {', '.join(PROTOCOLS)}")
    if not (isinstance(host, str) and host):
        wrong.append(f"{where}.host: a host's name is missing")
    port = entry.get("port", PROTOCOLS.get(protocol, 25))
    if not (isinstance(port, int) and 0 < port < 65536):
        wrong.append(f"{where}.port: `{port}` is not a port")
    fault = _fault(where, entry.get("fault"), wrong)
    return Route(str(host), port, protocol, fault) if len(wrong) == before else None


def _fault(where: str, text: Any, wrong: list[str]) -> Reply | None:
    if text is None:
        return None
    code, _, rest = str(text).partition(" ")
    enhanced, _, words = rest.partition(" ")
    if not (code.isdecimal() and len(code) == 3 and code[0] in "45"):
        wrong.append(f"{where}.fault: `{text}` is not a reply such as `451 4.3.0 try again later`")
        return None
    if enhanced.count(".") == 2 and enhanced.replace(".", "").isdecimal():
        return Reply(int(code), enhanced, words)
    return Reply(int(code), "", rest)
