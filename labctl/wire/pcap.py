"""The classic capture file (`tcpdump -w`): a header of 24 octets, then records of 16 octets and a frame each.

    magic 4 | major 2 | minor 2 | zone 4 | accuracy 4 | snap length 4 | link type 4
    seconds 4 | micro- or nanoseconds 4 | octets kept 4 | octets on the wire 4 | the frame

Format: draft-ietf-opsawg-pcap. The magic number tells the byte order, and whether the fraction counts nanoseconds.
"""

import struct

from labctl.wire.capture import Capture, Frame, Interface

FORMATS = {  # magic → (byte order, nanoseconds in a unit of the fraction)
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
HEADER, RECORD = 24, 16
MOST = 1 << 24  # octets; a record that claims more is garbage: libpcap itself stops at 256 KiB
NS = 10**9
_new = tuple.__new__  # a named tuple's own constructor takes three times as long


class Stream:
    """Reads a growing file: octets in, cut anywhere; frames out. `labctl trace --follow` feeds it.

    Raises (from `feed`):
        ValueError: the octets are no such file, or a record claims more than any frame has.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._order = ""
        self._unit = 1
        self.interface = Interface()

    def feed(self, octets: bytes) -> list[Frame]:
        """Take octets and return the frames that are whole by now."""
        data = self._rest + octets
        at = 0
        if not self._order:
            if len(data) < HEADER:
                self._rest = data
                return []
            if data[:4] not in FORMATS:
                raise ValueError("no pcap file")
            self._order, self._unit = FORMATS[data[:4]]
            snap, link = struct.unpack_from(f"{self._order}II", data, 16)
            self.interface = Interface(link & 0xFFFF, snap, ticks=NS // self._unit)
            at = HEADER
        frames, at = _records(data, at, self._order, self._unit, self.interface.link)
        self._rest = data[at:]
        if len(self._rest) >= RECORD and struct.unpack_from(f"{self._order}I", self._rest, 8)[0] > MOST:
            raise ValueError("a record claims more octets than a frame has")
        return frames

    @property
    def left(self) -> int:
        """Octets of a frame that is not whole yet."""
        return len(self._rest)


def read(octets: bytes) -> Capture:
    """Return what the file holds, as far as it is whole; see `read_capture`."""
    stream = Stream()
    try:
        frames = stream.feed(octets)
        problem = f"the last record is cut short, {stream.left} octets are left over" if stream.left else ""
        if len(octets) < HEADER:
            problem = "the file ends within its header"
    except ValueError as error:
        order, unit = FORMATS[octets[:4]]
        frames, at = _records(octets, HEADER, order, unit, stream.interface.link)
        problem = f"{error}, at octet {at}"
    return Capture(frames, [stream.interface], problem=problem)


def _records(data: bytes, at: int, order: str, unit: int, link: int) -> tuple[list[Frame], int]:
    """Return the whole records from `at` on, and where the first one that is not whole begins."""
    frames: list[Frame] = []
    take, keep, size = struct.Struct(f"{order}IIII").unpack_from, frames.append, len(data)
    while at + RECORD <= size:
        seconds, fraction, kept, length = take(data, at)
        end = at + RECORD + kept
        if end > size or kept > MOST:
            break
        keep(_new(Frame, (seconds * NS + fraction * unit, data[at + RECORD : end], length, link, "")))
        at = end
    return frames, at
