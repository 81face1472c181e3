"""Draw the picture of the lab's site: two hosts, and the segments of a handshake between them. `python3 picture.py FILE.png`

PNG by hand (RFC 2083): a header, the rows deflated, an end; each chunk has its length, its type and a CRC. The picture is drawn three times
as large and averaged, so its slanting lines are smooth.
"""

import struct
import sys
import zlib
from pathlib import Path

WIDTH, HEIGHT, FINE = 640, 360, 3
PAPER, INK, LEFT, RIGHT, WIRE = (250, 250, 247), (38, 50, 56), (2, 119, 189), (216, 67, 21), (144, 164, 174)
Colour = tuple[int, int, int]


class Canvas:
    """Pixels, three octets each."""

    def __init__(self, width: int, height: int, paper: Colour) -> None:
        self.width, self.height = width, height
        self.rows = [bytearray(bytes(paper) * width) for _ in range(height)]

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Fill a rectangle."""
        for row in self.rows[round(top) : round(bottom)]:
            row[3 * round(left) : 3 * round(right)] = bytes(colour) * (round(right) - round(left))

    def line(self, x0: float, y0: float, x1: float, y1: float, width: float, colour: Colour) -> None:
        """Draw a line as squares along it."""
        steps = int(max(abs(x1 - x0), abs(y1 - y0)))
        for step in range(steps + 1):
            x, y = x0 + (x1 - x0) * step / steps, y0 + (y1 - y0) * step / steps
            self.box(x - width / 2, y - width / 2, x + width / 2, y + width / 2, colour)

    def arrow(self, x0: float, y0: float, x1: float, y1: float, width: float, colour: Colour) -> None:
        """Draw a line with a head at its second end."""
        self.line(x0, y0, x1, y1, width, colour)
        back = -1 if x1 > x0 else 1
        for up in (-1, 1):
            self.line(x1, y1, x1 + back * 10 * width / 3, y1 + up * 6 * width / 3, width, colour)

    def shrunk(self, by: int) -> "Canvas":
        """Return it smaller, each pixel the mean of those that it stands for."""
        small = Canvas(self.width // by, self.height // by, PAPER)
        for y, row in enumerate(small.rows):
            rows = self.rows[y * by : (y + 1) * by]
            for x in range(small.width):
                for part in range(3):
                    at = 3 * by * x + part
                    row[3 * x + part] = sum(sum(fine[at : at + 3 * by : 3]) for fine in rows) // by**2
        return small


def draw() -> Canvas:
    """Draw the two hosts, their time lines and three segments."""
    fine = Canvas(WIDTH * FINE, HEIGHT * FINE, PAPER)
    for x, colour in ((120, LEFT), (520, RIGHT)):
        fine.box((x - 70) * FINE, 30 * FINE, (x + 70) * FINE, 92 * FINE, colour)
        for lamp in range(3):
            fine.box((x - 54 + 18 * lamp) * FINE, 46 * FINE, (x - 44 + 18 * lamp) * FINE, 56 * FINE, PAPER)
        fine.box((x - 54) * FINE, 68 * FINE, (x + 54) * FINE, 74 * FINE, PAPER)
        fine.line(x * FINE, 92 * FINE, x * FINE, 336 * FINE, 2 * FINE, WIRE)
    for top, to_right in ((120, True), (180, False), (240, True)):
        ends = (126, 514) if to_right else (514, 126)
        fine.arrow(ends[0] * FINE, top * FINE, ends[1] * FINE, (top + 40) * FINE, 3 * FINE, LEFT if to_right else RIGHT)
    fine.box(40 * FINE, 344 * FINE, 600 * FINE, 346 * FINE, INK)
    return fine.shrunk(FINE)


def png(canvas: Canvas) -> bytes:
    """Return the picture as PNG, eight bits for each of red, green and blue."""
    rows = b"".join(b"\0" + bytes(row) for row in canvas.rows)
    header = struct.pack(">IIBBBBB", canvas.width, canvas.height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(png(draw()))
