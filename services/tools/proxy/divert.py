"""The way of a connection to the proxy, and of the server's packets back to it.

    client ──▶ device ─ tproxy ──▶ proxy ── in the client's name, over `lo` ──▶ server
    client ◀── device ◀─────────── proxy ◀── mark, rule, a route to `lo` ────── server

New connections are given to the proxy as they are, so that it knows for which port they were, and the client sees the server's address.
Those that were open before go by. A proxy that is gone takes nothing: the kernel then gives the packets to the server, as without us.
What the server sends to a client on a connection that the proxy has opened would leave by the device; a mark brings it back.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from services.tools.shaper.plumbing import PlumbingError, sh

TABLE = "inet proxy_labctl"  # not to be taken for the table of partitions
MARK = 0x1AC
ROUTES = "7162"  # the number of our table of routes, and of the rule that leads there
LEAST_DATA_PORT = 1024  # FTP's passive data connections go to any port from here on


def program(rules: Iterable[Mapping[str, Any]], hosts: Mapping[str, Sequence[str]], port: int) -> str:
    """Return nft's text that gives the connections of these rules to the proxy at `port`."""
    lines: dict[str, None] = {}
    for rule in rules:
        ports = ", ".join(sorted(rule.get("ports") or ()))
        if "ftp" in (rule.get("ports") or {}).values():
            ports += f", {LEAST_DATA_PORT}-65535"
        which = f"tcp dport {{ {ports} }}" if ports else "meta l4proto tcp"
        for family, protocol, loopback in (("ip", "ipv4", "127.0.0.1"), ("ip6", "ipv6", "[::1]")):
            addresses = [text for text in hosts.get(rule.get("from", ""), ()) if (":" in text) == (family == "ip6")]
            if rule.get("from") and not addresses:
                continue
            who = f"{family} saddr {{ {', '.join(addresses)} }}" if addresses else f"meta nfproto {protocol}"
            lines[f"    {who} {which} tproxy {family} to {loopback}:{port} accept"] = None
    return _table("\n".join(lines))


def _table(lines: str) -> str:
    into = ""
    if lines:
        into = (
            "  chain in {\n    type filter hook prerouting priority mangle; policy accept;\n"
            f'    iifname "lo" accept\n{lines}\n  }}\n'
        )
    back = (
        "  chain back {\n    type route hook output priority mangle; policy accept;\n"
        f"    meta mark {MARK} ct mark set {MARK}\n    ct mark {MARK} ct direction reply meta mark set {MARK}\n  }}\n"
    )
    return f"table {TABLE}\ndelete table {TABLE}\ntable {TABLE} {{\n{into}{back}}}\n"


def divert(rules: Iterable[Mapping[str, Any]], hosts: Mapping[str, Sequence[str]], port: int) -> None:
    """Give connections to the proxy from now on, in one transaction.

    Raises:
        PlumbingError: the kernel has no nft_tproxy, no connection tracking, or no rules for routes.
    """
    routed = _is_routed()
    for family in ("-4", "-6"):
        if not routed[family]:
            try:
                sh("ip", family, "rule", "add", "fwmark", str(MARK), "lookup", ROUTES)
                sh("ip", family, "route", "add", "local", "default", "dev", "lo", "table", ROUTES)
            except PlumbingError:
                if family == "-4":
                    raise
    try:
        sh("nft", "-f", "-", text=program(rules, hosts, port))
    except PlumbingError as error:
        raise PlumbingError(
            f"replies cannot be changed here, for this kernel diverts no connections: {error}"
        ) from error


def let_in() -> None:
    """Divert no more; what is open goes on through the proxy."""
    sh("nft", "-f", "-", text=_table(""))


def restore() -> None:
    """Take everything back, whoever left it."""
    if is_laid():
        sh("nft", "-f", "-", text=f"table {TABLE}\ndelete table {TABLE}\n", ok=True)
    for family, there in _is_routed().items():
        if there:
            sh("ip", family, "rule", "del", "fwmark", str(MARK), "lookup", ROUTES, ok=True)
            sh("ip", family, "route", "flush", "table", ROUTES, ok=True)


def is_laid() -> bool:
    """Tell whether the table is there."""
    return TABLE in sh("nft", "list", "tables", ok=True)


def _is_routed() -> dict[str, bool]:
    return {family: f"lookup {ROUTES}" in sh("ip", family, "rule", "show", ok=True) for family in ("-4", "-6")}
