"""The way of a frame out of the host: `device` → filter → a veth pair → the engine → `device` again, marked which
the filter lets pass.

Undone, nothing of it is left: the filter and its qdisc go, and the veth pair with all that is in it.

The veth pair's near end has no offloads, so the kernel cuts superpackets into what the wire would carry and completes their checksums
before the engine sees them: loss is per packet, and a flipped bit is found. A frame in the pair is no longer charged to the socket that
sent it; were it held in the host's own queue, TCP would stop at two packets (1 Mbit/s through 50 ms).
"""

import fcntl
import json
import re
import socket
import struct
import subprocess
from collections.abc import Sequence

NEAR, FAR = "lab-shaper0", "lab-shaper1"
PRIO = "7162"  # of our filter: not one that anybody else would choose
JUMBO = 9000
SIOCGIFMTU = 0x8921
OFFLOADS = ("tso", "gso", "tx", "sg", "tx-udp-segmentation", "gro")
ANY_LENGTH = 0xFFFFFFFF  # what a classifier returns for a match


class PlumbingError(Exception):
    """A command of the system failed; its words."""


def sh(*argv: str, text: str = "", ok: bool = False) -> str:
    """Run a command and return its stdout.

    Args:
        text: its stdin.
        ok: whether a failure is none.

    Raises:
        PlumbingError: it failed.
    """
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if done.returncode and not ok:
        raise PlumbingError(f"`{' '.join(argv)}`: {' '.join(done.stderr.split()) or done.returncode}")
    return done.stdout


def find_device(addresses: Sequence[str]) -> str | None:
    """Return the device that has one of these addresses; None where none has: the namespace is not, or no longer, that host's."""
    for link in json.loads(sh("ip", "-j", "address", "show") or "[]"):
        if any(info.get("local") in addresses for info in link.get("addr_info", ())):
            return str(link["ifname"])
    return None


def passes_by(mark: int) -> list[tuple[int, int, int, int]]:
    """Return a program of the classic BPF that matches IPv4 and IPv6, less what bears the mark and less neighbour discovery.

    Address resolution goes by: were it lost, the loss of one frame would look like a host that is not there.
    """
    load_mark, load_half, load_byte, equals, at_least, give = 0x20, 0x28, 0x30, 0x15, 0x35, 0x06
    return [
        (load_mark, 0, 0, 0xFFFFF000 + 20),
        (equals, 11, 0, mark),  # → nothing
        (load_half, 0, 0, 12),
        (equals, 8, 0, 0x0800),  # IPv4 → match
        (equals, 0, 8, 0x86DD),  # not IPv6 → nothing
        (load_byte, 0, 0, 20),
        (equals, 0, 5, 58),  # not ICMPv6 → match
        (load_byte, 0, 0, 54),
        (at_least, 0, 3, 133),  # below router solicitation → match
        (at_least, 2, 0, 138),  # above redirect → match
        (give, 0, 0, 0),
        (give, 0, 0, 0),
        (give, 0, 0, ANY_LENGTH),
        (give, 0, 0, 0),
    ]


def bytecode(program: Sequence[tuple[int, int, int, int]]) -> str:
    """Return a program as tc reads it."""
    return f"{len(program)}," + ",".join(" ".join(map(str, line)) for line in program)


def lay(device: str) -> None:
    """Make the veth pair; nothing flows through it yet.

    Raises:
        PlumbingError: the kernel has no veth, or it is not allowed.
    """
    links = f"link add {NEAR} type veth peer name {FAR}\n" + "".join(
        f"link set {end} arp off addrgenmode none txqueuelen 10000 mtu {max(JUMBO, mtu(device))}\nlink set {end} up\n"
        for end in (NEAR, FAR)
    )
    sh("ip", "-batch", "-", text=links)
    sh("ethtool", "-K", NEAR, *(word for name in OFFLOADS for word in (name, "off")), ok=True)


def mtu(device: str) -> int:
    """Return a device's MTU, in octets."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as conn:  # /sys shows the namespace that mounted it
        told = fcntl.ioctl(conn, SIOCGIFMTU, struct.pack("16s16x", device.encode()))
    return int(struct.unpack_from("=16xi", told)[0])


def divert(device: str, mark: int) -> None:
    """Send what leaves the host into the veth pair, from now on.

    Raises:
        PlumbingError: the kernel has no clsact, cls_bpf or mirred.
    """
    sh("tc", "-batch", "-", text=diversion(device, passes_by(mark), clsact=has_clsact(device)))


def diversion(device: str, program: Sequence[tuple[int, int, int, int]], *, clsact: bool) -> str:
    """Return what tc is told to send into the veth pair what leaves by `device` and matches a program.

    Args:
        clsact: whether `device` has that qdisc.
    """
    qdisc = "" if clsact else f"qdisc add dev {device} clsact\n"
    match = f"bpf bytecode '{bytecode(program)}'"
    action = f"action mirred egress redirect dev {NEAR}"
    return f"{qdisc}filter add dev {device} egress protocol all prio {PRIO} {match} {action}\n"


def restore(device: str) -> None:
    """Let what leaves the host leave it directly again; a qdisc that others filter with stays."""
    if not has_clsact(device):
        return
    ours = f"filter del dev {device} egress prio {PRIO}\n"
    others = sh(
        "tc", "-force", "-batch", "-", ok=True,
        text=f"{ours}filter show dev {device} egress\nfilter show dev {device} ingress\n",
    )  # fmt: skip
    if not others.strip():
        sh("tc", "qdisc", "del", "dev", device, "clsact", ok=True)


def take_up() -> None:
    """Remove the veth pair and what is in it."""
    sh("ip", "link", "del", NEAR, ok=True)


def is_laid(device: str) -> bool:
    """Tell whether anything of it is there: the filter, or the pair."""
    return f"pref {PRIO} " in sh("tc", "filter", "show", "dev", device, "egress", ok=True) or bool(
        re.search(rf"\b{NEAR}\b", sh("ip", "-br", "link"))
    )


def has_clsact(device: str) -> bool:
    """Tell whether the qdisc that filters hang on is there."""
    return "qdisc clsact" in sh("tc", "qdisc", "show", "dev", device)
