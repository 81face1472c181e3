"""Write pcapng (draft-ietf-opsawg-pcapng): nanosecond times, host names as name resolution records, drops as statistics."""

import ipaddress
import struct
from collections.abc import Iterable, Mapping

from labctl.wire.capture import Capture, Frame, Interface
from labctl.wire.pcapng import (
    APPLICATION,
    COMMENT,
    ENHANCED,
    FILTER,
    INTERFACE,
    NAME,
    NAMES,
    RESOLUTION,
    SECTION,
    STATISTICS,
    SYSTEM_DROPS,
)

NANOSECONDS = b"\x09"  # 10⁻⁹ s, of the option if_tsresol


def write_pcapng(capture: Capture) -> bytes:
    """Return a capture as a pcapng file that Wireshark reads, hosts by name."""
    options = {APPLICATION: capture.application.encode(), COMMENT: "\n".join(capture.comments).encode()}
    parts = [_block(SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + _options(options))]
    places: dict[int, int] = {}
    known = {interface.link: interface for interface in reversed(capture.interfaces)}
    for link in dict.fromkeys([*known, *(frame.link for frame in capture.frames)]):
        places[link] = len(places)
        parts.append(_interface(known.get(link, Interface(link)), link))
    if capture.names:
        parts.append(_block(NAMES, _names(capture.names)))
    parts += _frames(capture.frames, places)
    if capture.dropped is not None and places:
        when = capture.frames[-1].time_ns if capture.frames else 0
        drops = _options({SYSTEM_DROPS: struct.pack("<Q", capture.dropped)})
        parts.append(_block(STATISTICS, struct.pack("<III", 0, when >> 32, when & 0xFFFFFFFF) + drops))
    return b"".join(parts)


def _frames(frames: Iterable[Frame], places: Mapping[int, int]) -> Iterable[bytes]:
    head = struct.Struct("<IIIIIII").pack
    tail = struct.Struct("<I").pack
    for time_ns, octets, length, link, comment in frames:
        kept = len(octets)
        body = octets + bytes(-kept % 4)
        if comment:
            body += _options({COMMENT: comment.encode()})
        total = 32 + len(body)
        yield (
            head(ENHANCED, total, places[link], time_ns >> 32, time_ns & 0xFFFFFFFF, kept, length) + body + tail(total)
        )


def _interface(interface: Interface, link: int) -> bytes:
    options = {
        NAME: interface.name.encode(),
        RESOLUTION: NANOSECONDS,
        FILTER: b"\0" + interface.filter.encode() if interface.filter else b"",
    }
    return _block(INTERFACE, struct.pack("<HHI", link, 0, interface.snap) + _options(options))


def _names(names: Mapping[str, str]) -> bytes:
    records = []
    for address, name in names.items():
        packed = ipaddress.ip_address(address).packed
        value = packed + name.encode() + b"\0"
        records.append(struct.pack("<HH", 1 if len(packed) == 4 else 2, len(value)) + value + bytes(-len(value) % 4))
    return b"".join(records) + bytes(4)


def _options(options: Mapping[int, bytes]) -> bytes:
    """Return those options that say something, with the one that ends them."""
    told = [
        struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)
        for code, value in options.items()
        if value
    ]
    return b"".join(told) + bytes(4) if told else b""


def _block(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    total = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + total + body + total
