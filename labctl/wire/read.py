"""Reading a capture file: pcapng and classic pcap, whole or broken."""

from labctl.wire import pcap, pcapng
from labctl.wire.capture import Capture
from labctl.wire.pause import no_collection


class CaptureError(ValueError):
    """The octets are no capture file at all."""


def read_capture(octets: bytes) -> Capture:
    """Return what a capture file holds; one that is broken off is read as far as it goes, and `problem` says where it ends.

    Raises:
        CaptureError: the octets begin like no capture file that is known here.
    """
    magic = octets[:4]
    with no_collection():
        if magic == pcapng.SECTION_MAGIC:
            return pcapng.read(octets)
        if magic in pcap.FORMATS:
            return pcap.read(octets)
    kind = "the file is empty" if not octets else f"it begins with {magic.hex(' ')}"
    raise CaptureError(f"neither pcapng nor pcap: {kind}")
