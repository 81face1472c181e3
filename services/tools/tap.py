"""Capture on an interface into a ring of pcap files: `python3 -m services.tools.tap '{"bridge": "lab-0", "buffer_kib": 65536, …}'`.

tcpdump has a choice between a buffer with a place of full size for each frame, which a flood of small ones overflows, and one whose frames
it hands over a second late. Here frames are packed one after the other (TPACKET_V3, packet(7)) and handed over within `HOLD_MS`.

    listening on lab-0                                                       on stderr, once every frame from now on is taken
    12 packets captured, 12 packets received by filter, 0 packets dropped by kernel      the same, each time SIGUSR1 comes
"""

import ctypes
import json
import mmap
import os
import select
import signal
import socket
import struct
import sys
import time
from typing import NamedTuple

SOL_PACKET, ADD_MEMBERSHIP, RX_RING, STATISTICS, VERSION = 263, 1, 5, 6, 10  # linux/if_packet.h
PROMISCUOUS, V3, USER, ALL_PROTOCOLS, ATTACH_FILTER = 1, 2, 1, 3, 26
HOLD_MS = 20  # a frame is handed over this late at most: a follower is to be within 200 ms of the wire
BLOCK = 1 << 18  # octets; the largest frame fits in
FRAME = 2048  # octets; only the kernel's own check of the sizes asks for it
FILES = 4  # of the ring; the oldest goes when all are full
WAIT = 10.0  # seconds for the interface to be there
HEADER = struct.pack("<IHHiI", 0xA1B23C4D, 2, 4, 0, 0)  # nanoseconds; then snap length and link type
_BLOCK = struct.Struct("<III")  # status, frames, place of the first; at octet 8 of a block
_FRAME = struct.Struct("<IIIII4xH")  # next, seconds, nanoseconds, octets kept, octets, place of the frame
_RECORD = struct.Struct("<IIII")


class Config(NamedTuple):  # hosts wait until a tap listens, so nothing is imported that it can do without
    """What is captured, and how much of it is kept."""

    bridge: str
    buffer_kib: int
    ring_mb: int
    snap: int
    filter: list[str]
    stem: str


class Files:
    """The ring of files: `STEM0`, `STEM1`, …, then `STEM0` anew."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.most = config.ring_mb * 1_000_000 // FILES
        self.number = -1
        self.next()

    def next(self) -> None:
        """Begin the next file."""
        self.number += 1
        self.stream = os.open(f"{self.config.stem}{self.number % FILES}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.write(self.stream, HEADER + struct.pack("<II", self.config.snap, 1))
        self.size = 24

    def write(self, records: bytes) -> None:
        """Write whole records."""
        if self.size + len(records) > self.most and self.size > 24:
            os.close(self.stream)
            self.next()
        os.write(self.stream, records)
        self.size += len(records)


class Tap:
    """A packet socket with its ring, mapped into memory."""

    def __init__(self, config: Config) -> None:
        """Open the socket; it takes nothing until `listen`.

        Raises:
            ValueError: the filter is none.
            OSError: not permitted, or no memory for the buffer.
        """
        self.config = config
        self.files = Files(config)
        self.captured = self.received = self.dropped = 0
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._filter()
        self.blocks = max(2, config.buffer_kib * 1024 // BLOCK)
        self.socket.setsockopt(SOL_PACKET, VERSION, V3)
        request = struct.pack("IIIIIII", BLOCK, self.blocks, FRAME, self.blocks * BLOCK // FRAME, HOLD_MS, 0, 0)
        self.socket.setsockopt(SOL_PACKET, RX_RING, request)
        self.ring = mmap.mmap(
            self.socket.fileno(), self.blocks * BLOCK, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE
        )
        self.at = 0

    def _filter(self) -> None:
        """Have the kernel leave out what the filter does not name, and keep `snap` octets of the rest (BPF; tcpdump compiles it)."""
        argv = ["tcpdump", "-y", "EN10MB", "-s", str(self.config.snap), "-ddd", "--", *self.config.filter]
        program = "1\n6 0 0 " + str(self.config.snap)
        if self.config.filter:
            import subprocess

            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            if done.returncode:
                raise ValueError(done.stderr.strip())
            program = done.stdout
        lines = [tuple(map(int, line.split())) for line in program.split("\n")[1:] if line]
        code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
        self.socket.setsockopt(socket.SOL_SOCKET, ATTACH_FILTER, struct.pack("HP", len(lines), ctypes.addressof(code)))

    def listen(self) -> None:
        """Take every frame of the interface from now on."""
        index = socket.if_nametoindex(self.config.bridge)
        self.socket.setsockopt(SOL_PACKET, ADD_MEMBERSHIP, struct.pack("IHH8s", index, PROMISCUOUS, 0, b""))
        self.socket.bind((self.config.bridge, ALL_PROTOCOLS))

    def drain(self) -> None:
        """Write the frames of all blocks that the kernel has handed over, and give the blocks back."""
        ring = self.ring
        while True:
            base = self.at * BLOCK
            status, count, first = _BLOCK.unpack_from(ring, base + 8)
            if not status & USER:
                return
            place = base + first
            records: list[bytes] = []
            for _ in range(count):
                following, seconds, nanoseconds, kept, length, begin = _FRAME.unpack_from(ring, place)
                records += (
                    _RECORD.pack(seconds, nanoseconds, kept, length),
                    ring[place + begin : place + begin + kept],
                )
                place += following
            if records:
                self.files.write(b"".join(records))
                self.captured += count
            ring[base + 8 : base + 12] = bytes(4)
            self.at = (self.at + 1) % self.blocks

    def count(self) -> str:
        """Return what was captured, received and dropped so far."""
        seen, lost, _ = struct.unpack(
            "III", self.socket.getsockopt(SOL_PACKET, STATISTICS, 12)
        )  # since it was last asked
        self.received += seen
        self.dropped += lost
        received = self.received - self.dropped
        return f"{self.captured} packets captured, {received} packets received by filter, {self.dropped} packets dropped by kernel"


def say(text: str) -> None:
    """Write a line to stderr, at once."""
    os.write(2, f"{text}\n".encode())


def main(argument: str) -> int:
    """Capture until ended by a signal, or until the interface is gone."""
    config = Config(**json.loads(argument))
    wake, waker = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        tap = Tap(config)
        deadline = time.monotonic() + WAIT
        while not os.path.exists(f"/sys/class/net/{config.bridge}"):
            if time.monotonic() > deadline:
                raise ValueError(f"there is no interface {config.bridge}")
            time.sleep(0.01)
        tap.listen()
    except (ValueError, OSError) as error:
        say(f"cannot capture: {error}")
        return 1
    say(f"listening on {config.bridge}")
    events = select.poll()
    events.register(tap.socket, select.POLLIN | select.POLLERR)
    events.register(wake, select.POLLIN)
    asked = 0.0
    while True:
        ready = dict(events.poll(HOLD_MS if asked else None))
        tap.drain()
        if wake.fileno() in ready:
            wake.recv(64)
            asked = (
                time.monotonic() + 1.5 * HOLD_MS / 1000
            )  # by then the block that is being filled has been handed over
        if asked and time.monotonic() >= asked:
            asked = 0.0
            tap.drain()
            say(tap.count())
        if ready.get(tap.socket.fileno(), 0) & select.POLLERR:
            return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
