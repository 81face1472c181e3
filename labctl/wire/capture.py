"""What a capture file holds, as plain values."""

from dataclasses import dataclass, field
from typing import NamedTuple

ETHERNET, RAW_IP, LINUX_SLL, LINUX_SLL2 = 1, 101, 113, 276  # link types, https://www.tcpdump.org/linktypes.html


class Frame(NamedTuple):
    """One captured frame.

    Args:
        time_ns: when it was seen, nanoseconds since 1970.
        octets: what was kept of it.
        length: how long it was on the wire, in octets.
        link: its link type.
        comment: what somebody noted beside it.
    """

    time_ns: int
    octets: bytes
    length: int
    link: int = ETHERNET
    comment: str = ""


@dataclass
class Interface:
    """Where frames were captured.

    Args:
        link: link type of its frames.
        snap: at most so many octets of each frame were kept; 0 means all.
        name: such as `eth0`.
        filter: what was to be captured, in tcpdump's words.
        ticks: units of its timestamps in a second.
        offset: seconds to be added to each timestamp.
    """

    link: int = ETHERNET
    snap: int = 0
    name: str = ""
    filter: str = ""
    ticks: int = 10**6
    offset: int = 0


@dataclass
class Capture:
    """A capture file, read.

    Args:
        frames: in the order of the file.
        names: address → host name, from name resolution records.
        comments: what was noted on the whole.
        dropped: frames that the kernel or the interface lost, as the file itself says; None where it says nothing.
        problem: why reading stopped early; empty where the file is whole.
    """

    frames: list[Frame] = field(default_factory=list)
    interfaces: list[Interface] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    comments: list[str] = field(default_factory=list)
    dropped: int | None = None
    application: str = ""
    problem: str = ""
