"""Capture on an interface into a ring of pcap files: `python3 -m services.tools.tap '{"bridge": "lab-0", "buffer_kib": 65536, …}'`.

tcpdump has a choice between a buffer with a place of full size for each frame, which a flood of small ones overflows, and one whose frames
it hands over a second late. Here frames are packed one after the other (TPACKET_V3, packet(7)) and handed over within `HOLD_MS`.

    listening on lab-0        on stderr, once every frame from now on is taken

It is asked by lines of JSON on stdin, and answers each by a line on stdout:

    {"id": "7", "do": "mark", "marks": [[1700000000000000000, "ready"]]}     keep these notes of what happened when; earlier ones go
    {"id": "7"}
    {"id": "8", "do": "tell"}                    how many frames passed the filter, and how many more the kernel lost; the notes
    {"id": "8", "received": 12, "dropped": 0, "marks": [[1700000000000000000, "ready"]]}
"""

import json
import mmap
import os
import select
import socket
import struct
import sys
import time
from array import array

SOL_PACKET, ADD_MEMBERSHIP, RX_RING, STATISTICS, VERSION = 263, 1, 5, 6, 10  # linux/if_packet.h
PROMISCUOUS, V3, USER, ALL_PROTOCOLS, ATTACH_FILTER = 1, 2, 1, 3, 26
HOLD_MS = 8  # a frame is handed over this late at most: a follower is to be within 200 ms of the wire
BLOCK = 1 << 18  # octets; the largest frame fits in
FRAME = 2048  # octets; only the kernel's own check of the sizes asks for it
FILES = 4  # of the ring; the oldest goes when all are full
WAIT = 10.0  # seconds for the interface to be there
HEADER = struct.pack("<IHHiI", 0xA1B23C4D, 2, 4, 0, 0)  # nanoseconds; then snap length and link type
_BLOCK = struct.Struct("<III")  # status, frames, place of the first; at octet 8 of a block
_FRAME = struct.Struct("<IIIII4xH")  # next, seconds, nanoseconds, octets kept, octets, place of the frame
_RECORD = struct.Struct("<IIII")


class Config:  # hosts wait until a tap listens, so what takes long to import (`typing`, `ctypes`) is not
    """What is captured, and how much of it is kept."""

    def __init__(self, *, bridge: str, buffer_kib: int, ring_mb: int, snap: int, filter: list[str], stem: str) -> None:  # noqa: A002
        self.bridge, self.filter, self.snap = bridge, filter, snap
        self.buffer_kib, self.ring_mb, self.stem = buffer_kib, ring_mb, stem


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
        self.received = self.dropped = 0
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
        code = array("B", b"".join(struct.pack("HBBI", *line) for line in lines))
        self.socket.setsockopt(socket.SOL_SOCKET, ATTACH_FILTER, struct.pack("HP", len(lines), code.buffer_info()[0]))

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
            ring[base + 8 : base + 12] = bytes(4)
            self.at = (self.at + 1) % self.blocks

    def count(self) -> dict[str, int]:
        """Return how many frames passed the filter so far, and how many more the kernel lost."""
        seen, lost, _ = struct.unpack(
            "III", self.socket.getsockopt(SOL_PACKET, STATISTICS, 12)
        )  # since it was last asked
        self.received += seen
        self.dropped += lost
        return {"received": self.received - self.dropped, "dropped": self.dropped}


class Desk:
    """What is asked on stdin, and what is answered."""

    def __init__(self, tap: Tap) -> None:
        self.tap = tap
        self.rest = b""
        self.marks: list[object] = []
        self.waiting: list[str] = []  # who is to be told how the capture stands
        self.due = 0.0  # when that can be said

    def hear(self, octets: bytes) -> None:
        """Take octets of the questions, cut anywhere."""
        *lines, self.rest = (self.rest + octets).split(b"\n")
        for line in lines:
            try:
                self._take(line)
            except (ValueError, KeyError, TypeError) as error:
                say(1, json.dumps({"error": f"this is no question: {error!r}"}))

    def _take(self, line: bytes) -> None:
        asked = json.loads(line)
        if asked["do"] == "mark":
            self.marks = asked["marks"]
            say(1, json.dumps({"id": asked["id"]}))
        elif asked["do"] == "tell":
            self.waiting.append(asked["id"])
            self.due = time.monotonic() + 1.5 * HOLD_MS / 1000  # by then the block that is being filled is handed over
        else:
            raise ValueError(asked["do"])

    def patience(self) -> float | None:
        """Return in how many milliseconds an answer is due; None where none is."""
        return max(0.0, self.due - time.monotonic()) * 1000 if self.waiting else None

    def answer(self) -> None:
        """Tell all who wait how the capture stands, once all that crossed before they asked is in its file."""
        if self.waiting and time.monotonic() >= self.due:
            self.tap.drain()
            told = {**self.tap.count(), "marks": self.marks}
            for ident in self.waiting:
                say(1, json.dumps({"id": ident, **told}))
            self.waiting.clear()


def say(stream: int, text: str) -> None:
    """Write a line, at once."""
    os.write(stream, f"{text}\n".encode())


def main(argument: str) -> int:
    """Capture until the interface is gone, or until it is killed."""
    config = Config(**json.loads(argument))
    try:
        tap = Tap(config)
        deadline = time.monotonic() + WAIT
        while not os.path.exists(f"/sys/class/net/{config.bridge}"):
            if time.monotonic() > deadline:
                raise ValueError(f"there is no interface {config.bridge}")
            time.sleep(0.01)
        tap.listen()
    except (ValueError, OSError) as error:
        say(2, f"cannot capture: {error}")
        return 1
    say(2, f"listening on {config.bridge}")
    desk = Desk(tap)
    events = select.poll()
    events.register(tap.socket, select.POLLIN | select.POLLERR)
    events.register(0, select.POLLIN)
    while True:
        ready = dict(events.poll(desk.patience()))
        tap.drain()
        if 0 in ready:
            octets = os.read(0, 1 << 16)
            if not octets:
                events.unregister(0)
            desk.hear(octets)
        desk.answer()
        if ready.get(tap.socket.fileno(), 0) & select.POLLERR:
            return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
