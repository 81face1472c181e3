"""Partitions: what comes from a host is dropped where it arrives, before anything of the receiving host sees it.

A drop on the sender's side would not do: the kernel tells the sender of it (EPERM to UDP), and TCP counts no loss. So a partition of two
is a cut at each. The rules stand in a table of our own, which goes as a whole; they are the kernel's, so a helper's death changes nothing.
"""

from collections.abc import Iterable

from services.tools.shaper.plumbing import sh

TABLE = "inet labctl"
ALL = "*"  # every host


def program(sources: Iterable[str], *, everything: bool = False) -> str:
    """Return nft's text that drops what comes from these addresses (or from anywhere but the host itself), and nothing else."""
    rules = ['iifname != "lo" drop'] if everything else []
    for source in sorted(set(sources)):
        rules.append(f"{'ip6' if ':' in source else 'ip'} saddr {source} drop")
    chain = "\n".join(f"    {rule}" for rule in rules)
    return (
        f"table {TABLE}\ndelete table {TABLE}\n"  # whatever was there
        f"table {TABLE} {{\n  chain cut {{\n    type filter hook prerouting priority raw; policy accept;\n{chain}\n  }}\n}}\n"
    )


def cut(sources: Iterable[str], *, everything: bool = False) -> None:
    """Put it in force, in one transaction.

    Raises:
        PlumbingError: the kernel has no nftables.
    """
    sh("nft", "-f", "-", text=program(sources, everything=everything))


def mend() -> None:
    """Let everything in again; the table goes."""
    sh("nft", "-f", "-", text=f"table {TABLE}\ndelete table {TABLE}\n")


def is_cut() -> bool:
    """Tell whether the table is there."""
    return TABLE in sh("nft", "list", "tables")
