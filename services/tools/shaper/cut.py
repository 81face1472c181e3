"""Partitions: what comes from a host is dropped where it arrives, before anything of the receiving host sees it.

A drop on the sender's side would not do: the kernel tells the sender of it (EPERM to UDP), and TCP counts no loss. So a partition of two is
a cut at each. Who has an address is still answered, by ARP, which is no IP, and by neighbour discovery: a sender that finds nobody there
would be told (EHOSTUNREACH). Of a host that is about to be killed as by a power failure also what it sends is dropped, before any wire:
nobody is left there to be told of it. The rules stand in a table of our own, which goes as a whole; they are the kernel's, so a helper's
death changes nothing.
"""

from collections.abc import Iterable

from services.tools.shaper.plumbing import sh

TABLE = "inet labctl"
NEIGHBOURS = ("nd-neighbor-solicit", "nd-neighbor-advert")  # RFC 4861: IPv6's ARP
CRASHED = "(crashed)"  # in place of a host: nothing passes in or out, for as long as this host is down


def program(sources: Iterable[str], *, crashed: bool = False) -> str:
    """Return nft's text that drops what comes from these addresses, or all that comes and goes, and nothing else."""
    pass_by = [f"icmpv6 type {kind} accept" for kind in NEIGHBOURS]
    come = [f"{'ip6' if ':' in source else 'ip'} saddr {source} drop" for source in sorted(set(sources))]
    chains = _chain("cut", "prerouting", ['iifname != "lo" drop'] if crashed else [*pass_by, *come])
    if crashed:
        chains += _chain("mute", "output", ['oifname != "lo" drop'])
    return f"table {TABLE}\ndelete table {TABLE}\ntable {TABLE} {{\n{chains}}}\n"  # whatever was there goes


def _chain(name: str, hook: str, rules: Iterable[str]) -> str:
    lines = "".join(f"    {rule}\n" for rule in rules)
    return f"  chain {name} {{\n    type filter hook {hook} priority raw; policy accept;\n{lines}  }}\n"


def cut(sources: Iterable[str], *, crashed: bool = False) -> None:
    """Put it in force, in one transaction.

    Raises:
        PlumbingError: the kernel has no nftables.
    """
    sh("nft", "-f", "-", text=program(sources, crashed=crashed))


def mend() -> None:
    """Let everything in again; the table goes."""
    sh("nft", "-f", "-", text=f"table {TABLE}\ndelete table {TABLE}\n")


def is_cut() -> bool:
    """Tell whether the table is there."""
    return TABLE in sh("nft", "list", "tables")
