"""`lab ip [NAME]`: this host's name and addresses; the addresses of a name in the order a program tries them, and their names.

host       client (client)
eth0       10.213.7.2/24 fd6c:6162:6374:7::2/64
name       tcp-server
address    10.213.7.3            (lab-tcp-demo-tcp-server-1.lab-tcp-demo_lab)
"""

import argparse
import fcntl
import ipaddress
import json
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from services.client.errors import report

SIOCGIFADDR, SIOCGIFNETMASK = 0x8915, 0x891B  # netdevice(7)


def main(argv: list[str]) -> int:
    """Print the facts and return 0; 1 where the name does not resolve."""
    parser = argparse.ArgumentParser("lab ip", description="This host's name and addresses, and those of NAME.")
    parser.add_argument("name", nargs="?", metavar="NAME")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args(argv)
    facts: dict[str, Any] = {"host": socket.gethostname(), "fqdn": socket.getfqdn(), "interfaces": interfaces()}
    if options.name:
        try:
            facts |= {"name": options.name, "addresses": look_up(options.name)}
        except OSError as error:
            return report(error, options.name)
    sys.stdout.write(json.dumps({"version": 1, **facts}) + "\n" if options.as_json else as_text(facts))
    return 0


def as_text(facts: dict[str, Any]) -> str:
    """Return the facts as lines of a word and its values."""
    lines = [("host", f"{facts['host']} ({facts['fqdn']})")]
    lines += [(name, " ".join(addresses)) for name, addresses in facts["interfaces"].items()]
    if "name" in facts:
        lines.append(("name", facts["name"]))
        lines += [
            ("address", f"{a['address']:<22}" + (f"({a['reverse']})" if a["reverse"] else ""))
            for a in facts["addresses"]
        ]
    return "".join(f"{word:<11}{text.rstrip()}\n" for word, text in lines)


def look_up(name: str) -> list[dict[str, str]]:
    """Return the addresses of a name in getaddrinfo's order (RFC 6724), each with the name that it resolves back to.

    Raises:
        socket.gaierror: the name does not resolve.
    """
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return [{"address": str(address[0]), "reverse": _reverse(address)} for *_, address in found]


def _reverse(address: Any) -> str:
    with suppress(OSError):
        return socket.getnameinfo(address, socket.NI_NAMEREQD)[0]
    return ""


def interfaces() -> dict[str, list[str]]:
    """Return interface → its addresses with prefix length, IPv4 first; loopback comes last."""
    found: dict[str, list[str]] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            with suppress(OSError):  # an interface without IPv4
                address, mask = (
                    fcntl.ioctl(asking, number, request)[20:24] for number in (SIOCGIFADDR, SIOCGIFNETMASK)
                )
                found.setdefault(name, []).append(
                    f"{socket.inet_ntoa(address)}/{int.from_bytes(mask, 'big').bit_count()}"
                )
    table = Path("/proc/net/if_inet6")
    for line in table.read_text().splitlines() if table.exists() else ():
        address6, _, prefix, *_, name = line.split()
        found.setdefault(name, []).append(f"{ipaddress.IPv6Address(int(address6, 16))}/{int(prefix, 16)}")
    return dict(sorted(found.items(), key=lambda item: (item[0] == "lo", item[0])))
