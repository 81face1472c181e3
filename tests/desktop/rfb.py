"""A VNC client (RFC 6143) for tests: looks at the screen, strikes keys, presses buttons; and writes what it sees as PNG.

Keys are keysyms, so no keyboard layout stands between a test and the window.
"""

import struct
import subprocess
import time
import zlib

KEYS = {
    "Return": 0xFF0D, "Tab": 0xFF09, "Escape": 0xFF1B, "BackSpace": 0xFF08, "Control": 0xFFE3, "Alt": 0xFFE9, "Shift": 0xFFE1,
    "Left": 0xFF51, "Up": 0xFF52, "Right": 0xFF53, "Down": 0xFF54,
}  # fmt: skip


class PipeStream:
    """Octets through a command's stdin and stdout."""

    def __init__(self, argv):
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def read(self, size):
        data = self.process.stdout.read(size)
        if len(data) < size:
            raise EOFError("the screen is gone")
        return data

    def write(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)


class Screen:
    """One connection to a VNC server that asks for no password."""

    def __init__(self, stream):
        self.stream = stream
        assert stream.read(12).startswith(b"RFB 003.")
        stream.write(b"RFB 003.008\n")
        kinds = stream.read(stream.read(1)[0])
        assert 1 in kinds, kinds  # None
        stream.write(b"\x01")
        assert stream.read(4) == bytes(4)
        stream.write(b"\x01")  # shared
        self.width, self.height = struct.unpack(">HH", stream.read(4))
        stream.read(16)
        self.name = stream.read(struct.unpack(">I", stream.read(4))[0]).decode()
        # 32 bits a pixel, little-endian, true colour: octets B G R 0
        stream.write(struct.pack(">BxxxBBBBHHHBBBxxx", 0, 32, 24, 0, 1, 255, 255, 255, 16, 8, 0))
        stream.write(struct.pack(">BxHi", 2, 1, 0))  # raw rectangles alone
        self.pixels = bytearray(self.width * self.height * 4)

    def close(self):
        self.stream.close()

    def look(self, incremental=False):
        """Ask for the screen, and read one answer."""
        self.stream.write(struct.pack(">BBHHHH", 3, incremental, 0, 0, self.width, self.height))
        while True:
            kind = self.stream.read(1)[0]
            if kind == 0:
                break
            if kind == 1:
                self.stream.read(1)
                _, count = struct.unpack(">HH", self.stream.read(4))
                self.stream.read(6 * count)
            elif kind == 3:
                self.stream.read(3)
                self.stream.read(struct.unpack(">I", self.stream.read(4))[0])
        self.stream.read(1)
        (count,) = struct.unpack(">H", self.stream.read(2))
        for _ in range(count):
            x, y, width, height, encoding = struct.unpack(">HHHHi", self.stream.read(12))
            assert encoding == 0, encoding
            data = self.stream.read(width * height * 4)
            for row in range(height):
                at = ((y + row) * self.width + x) * 4
                self.pixels[at : at + width * 4] = data[row * width * 4 : (row + 1) * width * 4]
        return bytes(self.pixels)

    def colours(self):
        """Return how many different colours are on the screen: one, where nothing is drawn yet."""
        data = self.look()
        return len({data[at : at + 3] for at in range(0, len(data), 4 * 37)})

    def png(self):
        """Return the screen as a PNG file."""
        data = self.look()
        rows = []
        for y in range(self.height):
            row = data[y * self.width * 4 : (y + 1) * self.width * 4]
            rgb = bytearray(self.width * 3)
            rgb[0::3], rgb[1::3], rgb[2::3] = row[2::4], row[1::4], row[0::4]
            rows.append(b"\0" + bytes(rgb))
        return png(self.width, self.height, b"".join(rows))

    # -- keyboard and pointer ---------------------------------------------------------------------------------------------

    def key(self, *names):
        """Press keys one after the other, release them in reverse: `key("Control", "a")`."""
        codes = [KEYS.get(name) or keysym(name) for name in names]
        for code in codes:
            self.stream.write(struct.pack(">BBxxI", 4, 1, code))
        for code in reversed(codes):
            self.stream.write(struct.pack(">BBxxI", 4, 0, code))

    def type(self, text):
        for char in text:
            self.key("Return" if char == "\n" else char)
            if ord(char) > 126:  # the server gives it a key of its own first, which clients have to hear of
                time.sleep(0.1)

    def click(self, x, y, times=1):
        self.stream.write(struct.pack(">BBHH", 5, 0, x, y))
        for _ in range(times):
            self.stream.write(struct.pack(">BBHH", 5, 1, x, y))
            self.stream.write(struct.pack(">BBHH", 5, 0, x, y))
            time.sleep(0.02)  # a click of a hand is no shorter; nothing is waited for here


def keysym(char):
    """Return a character's keysym: its code point where Latin-1 has it, else the Unicode range."""
    return ord(char) if ord(char) < 256 else 0x01000000 + ord(char)


def png(width, height, rows):
    """Return a PNG of 8-bit RGB; each row begins with its filter's octet."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 6)) + chunk(b"IEND", b"")
