"""Progress of a transfer: a line on a terminal, nothing elsewhere."""

import sys
import time

EVERY = 0.1  # seconds between two drawings
WIDTH = 24
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def amount(octets: float) -> str:
    """Return octets for a reader: `1.5 MiB`."""
    unit = 0
    while octets >= 1024 and unit < len(UNITS) - 1:
        octets /= 1024
        unit += 1
    return f"{octets:.0f} {UNITS[unit]}" if unit == 0 or octets >= 100 else f"{octets:.1f} {UNITS[unit]}"


class Meter:
    """Draws `name [####    ]  45 %  12.3 MiB of 27.0 MiB  98.1 MiB/s` on stderr, over and over; to be closed in the end.

    Args:
        name: what is transferred.
        shown: whether at all; by default where stderr is a terminal.
    """

    def __init__(self, name: str, *, shown: bool | None = None) -> None:
        self._name = name if len(name) <= 30 else name[:29] + "…"
        self._shown = sys.stderr.isatty() if shown is None else shown
        self._began = time.monotonic()
        self._first: int | None = None
        self._next = 0.0
        self._drawn = False

    def __enter__(self) -> "Meter":
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def __call__(self, done: int, total: int | None) -> None:
        """Take note of octets done, and of how many there are in all, where that is known."""
        if not self._shown:
            return
        if self._first is None:  # a resumed transfer begins in the middle, and its pace is that of the rest
            self._first = done
        now = time.monotonic()
        if now >= self._next:
            self._next = now + EVERY
            self._draw(done, total, now - self._began)

    def _draw(self, done: int, total: int | None, seconds: float) -> None:
        pace = (done - (self._first or 0)) / seconds if seconds > 0.05 else 0.0
        if total:
            filled = WIDTH * min(done, total) // total
            share = (
                f"[{'#' * filled:<{WIDTH}}] {100 * min(done, total) // total:3} %  {amount(done)} of {amount(total)}"
            )
        else:
            share = amount(done)
        sys.stderr.write(f"\r\x1b[K{self._name} {share}  {amount(pace)}/s")
        sys.stderr.flush()
        self._drawn = True


class Pace:
    """Holds a transfer to a rate, by sleeping.

    Args:
        rate: octets a second; None for no limit.
    """

    def __init__(self, rate: int | None) -> None:
        self.rate = rate
        self._began = time.monotonic()
        self._done = 0

    @property
    def portion(self) -> int:
        """Octets to move at once: a tenth of a second's."""
        return max(1, self.rate // 10) if self.rate else 1 << 20

    def keep(self, octets: int) -> None:
        """Take note of octets moved, and wait until they may have been."""
        if self.rate:
            self._done += octets
            ahead = self._began + self._done / self.rate - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
