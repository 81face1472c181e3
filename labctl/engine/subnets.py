"""The lab's own address plan: the engine's default pools end near thirty networks, and labs come and go by the dozen.

A lab takes the Nth /24 of an IPv4 range and the Nth /64 of an IPv6 one. Pure: what is taken comes as an argument.
"""

import ipaddress
import os
import zlib
from collections.abc import Iterable, Iterator

from labctl.errors import UsageError

RANGE4 = "10.213.0.0/16"  # `LABCTL_SUBNETS` names another, where this one is in use
RANGE6 = "fd6c:6162:6374::/48"  # RFC 4193; the octets spell `lab` `ct`

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def own_range() -> ipaddress.IPv4Network:
    """Return the range that labs take their IPv4 subnets from.

    Raises:
        UsageError: `LABCTL_SUBNETS` is not an IPv4 range of at least a /24.
    """
    text = os.environ.get("LABCTL_SUBNETS", RANGE4)
    try:
        network = ipaddress.IPv4Network(text)
        if network.prefixlen > 24:
            raise ValueError(f"{network} has no room for a /24")
    except ValueError as error:
        raise UsageError(
            f"`{text}` is not an IPv4 range for labs: {error}",
            where="the variable LABCTL_SUBNETS",
            hint="such as 10.99.0.0/16",
        ) from error
    return network


def candidates(lab: str, taken: Iterable[IPNetwork], range4: ipaddress.IPv4Network) -> Iterator[tuple[str, str]]:
    """Yield free pairs of subnets (IPv4, IPv6), best first.

    The first place depends on the lab's name alone: a lab gets its old addresses again, and two labs that start at once rarely meet.
    """
    taken4 = [net for net in taken if isinstance(net, ipaddress.IPv4Network)]
    size = 1 << (24 - range4.prefixlen)
    first = zlib.crc32(lab.encode()) % size
    base6 = int(ipaddress.IPv6Network(RANGE6).network_address)
    for offset in range(size):
        index = (first + offset) % size
        subnet = ipaddress.IPv4Network((int(range4.network_address) + (index << 8), 24))
        if not any(subnet.overlaps(net) for net in taken4):
            yield str(subnet), str(ipaddress.IPv6Network((base6 + (index << 64), 64)))


def routed_here(table: str) -> list[IPNetwork]:
    """Read Linux' `/proc/net/route`: the networks that this machine reaches, default route left out.

    A lab on such a subnet would hide the real one (an office's VPN, say).
    """
    found: list[IPNetwork] = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 7 and fields[7] != "00000000":
            address = int.from_bytes(bytes.fromhex(fields[1]), "little")
            length = int.from_bytes(bytes.fromhex(fields[7]), "little").bit_count()
            found.append(ipaddress.IPv4Network((address, length), strict=False))
    return found
