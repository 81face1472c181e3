"""Read pcapng (draft-ietf-opsawg-pcapng): a file of blocks, each with its type and its length in front and the length again behind.

    type 4 | total length 4 | body, padded to 4 octets | total length 4

Kinds that are read: section header, interface description, enhanced, simple and (obsolete) packet, name resolution, interface statistics.
Any other kind is passed over, as the draft asks.
"""

import struct
from collections.abc import Callable, Iterator

from labctl.wire.address import text_of
from labctl.wire.capture import Capture, Frame, Interface

SECTION_MAGIC = b"\x0a\x0d\x0d\x0a"
SECTION, INTERFACE, PACKET, SIMPLE, NAMES, STATISTICS, ENHANCED = 0x0A0D0D0A, 1, 2, 3, 4, 5, 6
ORDER_MAGIC = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
NS = 10**9
_new = tuple.__new__  # a named tuple's own constructor takes three times as long
# options: a code and a length, two octets each; codes 0 and 1 mean the same everywhere
END, COMMENT = 0, 1
APPLICATION = 4  # of the section header
NAME, FILTER, RESOLUTION, OFFSET = 2, 11, 9, 14  # of an interface
INTERFACE_DROPS, SYSTEM_DROPS = 5, 7  # of the statistics


class _BrokenError(Exception):
    """Reading cannot go on; what was read so far stands."""


def read(octets: bytes) -> Capture:
    """Return what the file holds, as far as it is whole; see `read_capture`."""
    capture = Capture()
    try:
        _Reader(capture).read(octets)
    except _BrokenError as error:
        capture.problem = str(error)
    return capture


class _Reader:
    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self.order = "<"
        self.keep = capture.frames.append
        self.section: list[Interface] = []  # interfaces are numbered from 0 in each section

    def read(self, data: bytes) -> None:
        """Read blocks up to the end; a run of plain frames at one go."""
        at, size = 0, len(data)
        unpack, head = struct.Struct("<IIIIIII").unpack_from, struct.Struct("<II").unpack_from
        while at < size:
            if size - at < 12:
                raise _BrokenError(f"the file ends within a block, at octet {at}")
            if data[at : at + 4] == SECTION_MAGIC:
                self.begin_section(data[at + 8 : at + 12], at)
                unpack = struct.Struct(f"{self.order}IIIIIII").unpack_from
                head = struct.Struct(f"{self.order}II").unpack_from
            kind, total = head(data, at)
            if total < 12 or total % 4 or at + total > size:
                why = "the file ends within it" if total >= 12 and at + total > size else f"its length is {total}"
                raise _BrokenError(f"block at octet {at} cannot be read: {why}")
            if kind == ENHANCED and (behind := self.take_run(data, at, unpack)) > at:
                at = behind
                continue
            if kind == ENHANCED and total >= 32:
                self.take_frame(data, at, total, unpack(data, at))
            else:
                self.take(kind, data[at + 8 : at + total - 4], at)
            at += total

    def begin_section(self, magic: bytes, at: int) -> None:
        if magic not in ORDER_MAGIC:
            raise _BrokenError(f"section at octet {at} has no byte order")
        self.order = ORDER_MAGIC[magic]
        self.section = []

    def take_run(self, data: bytes, at: int, unpack: Callable[[bytes, int], tuple[int, ...]]) -> int:
        """Take frames of one interface, without options, for as long as they follow each other; return where that ends."""
        last, size, keep = len(data) - 32, len(data), self.keep
        if at > last or (wanted := unpack(data, at)[2]) >= len(self.section):
            return at
        place = self.section[wanted]
        unit, rest = divmod(NS, place.ticks)
        link, offset = place.link, place.offset * NS
        while at <= last and not rest:
            kind, total, number, high, low, kept, length = unpack(data, at)
            if kind != ENHANCED or number != wanted or total != 32 + (kept + 3 & ~3) or at + total > size:
                break
            begin = at + 28
            keep(_new(Frame, ((high << 32 | low) * unit + offset, data[begin : begin + kept], length, link, "")))
            at += total
        return at

    def take_frame(self, data: bytes, at: int, total: int, head: tuple[int, ...]) -> None:
        _, _, number, high, low, kept, length = head
        if number >= len(self.section) or 32 + kept > total:
            raise _BrokenError(f"frame at octet {at} belongs to no interface, or is longer than its block")
        place = self.section[number]
        begin = at + 28
        comment = ""
        behind = begin + (kept + 3 & ~3)
        if behind < at + total - 4:
            comment = _text(self.options(data[behind : at + total - 4]).get(COMMENT, b""))
        ticks = high << 32 | low
        time_ns = ticks if place.ticks == NS and not place.offset else self.time(ticks, place)
        self.keep(_new(Frame, (time_ns, data[begin : begin + kept], length, place.link, comment)))

    def time(self, ticks: int, place: Interface) -> int:
        unit = place.ticks
        return (ticks if unit == NS else ticks * NS // unit) + place.offset * NS

    def take(self, kind: int, body: bytes, at: int) -> None:
        """Read any block but an enhanced packet; one that is too short for its kind ends the reading."""
        try:
            if kind == SECTION:
                options = self.options(body[16:])
                self.capture.application = _text(options.get(APPLICATION, b"")) or self.capture.application
                if COMMENT in options:
                    self.capture.comments.append(_text(options[COMMENT]))
            elif kind == INTERFACE:
                self.take_interface(body)
            elif kind == NAMES:
                self.take_names(body)
            elif kind == STATISTICS:
                self.take_statistics(body)
            elif kind == SIMPLE:
                self.take_simple(body)
            elif kind == PACKET:
                number, _, high, low, kept, length = struct.unpack_from(f"{self.order}HHIIII", body)
                place = self.section[number]
                self.capture.frames.append(
                    Frame(self.time(high << 32 | low, place), body[20 : 20 + kept], length, place.link)
                )
        except (struct.error, IndexError) as error:
            raise _BrokenError(f"block of kind {kind} at octet {at} is too short") from error

    def take_interface(self, body: bytes) -> None:
        link, _, snap = struct.unpack_from(f"{self.order}HHI", body)
        options = self.options(body[8:])
        place = Interface(link, snap, _text(options.get(NAME, b"")), _text(options.get(FILTER, b"")[1:]))
        if resolution := options.get(RESOLUTION):
            exponent = resolution[0] & 0x7F
            place.ticks = 2**exponent if resolution[0] & 0x80 else 10**exponent
        if len(offset := options.get(OFFSET, b"")) == 8:
            (place.offset,) = struct.unpack(f"{self.order}q", offset)
        self.section.append(place)
        self.capture.interfaces.append(place)

    def take_simple(self, body: bytes) -> None:
        (length,) = struct.unpack_from(f"{self.order}I", body)
        place = self.section[0]
        kept = min(length, place.snap or length, len(body) - 4)
        last = self.capture.frames[-1].time_ns if self.capture.frames else 0  # it carries no time of its own
        self.capture.frames.append(Frame(last, body[4 : 4 + kept], length, place.link))

    def take_names(self, body: bytes) -> None:
        at = 0
        while at + 4 <= len(body):
            kind, length = struct.unpack_from(f"{self.order}HH", body, at)
            value = body[at + 4 : at + 4 + length]
            width = {1: 4, 2: 16}.get(kind)
            if kind == 0:
                return
            if width and len(value) > width:
                self.capture.names[text_of(value[:width])] = _text(value[width:].split(b"\0")[0])
            at += 4 + (length + 3 & ~3)

    def take_statistics(self, body: bytes) -> None:
        struct.unpack_from(f"{self.order}III", body)
        options = self.options(body[12:])
        drops = [options[code] for code in (INTERFACE_DROPS, SYSTEM_DROPS) if len(options.get(code, b"")) == 8]
        if drops:
            lost = sum(struct.unpack(f"{self.order}Q", value)[0] for value in drops)
            self.capture.dropped = (self.capture.dropped or 0) + lost

    def options(self, body: bytes) -> dict[int, bytes]:
        """Return the options of a block; of a code that stands there several times the last one counts."""
        return dict(self._options(body))

    def _options(self, body: bytes) -> Iterator[tuple[int, bytes]]:
        at = 0
        while at + 4 <= len(body):
            code, length = struct.unpack_from(f"{self.order}HH", body, at)
            if code == END:
                return
            yield code, body[at + 4 : at + 4 + length]
            at += 4 + (length + 3 & ~3)


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", errors="replace").rstrip("\0")
