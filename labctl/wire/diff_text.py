"""A comparison of two traces as text: one line a difference, a mark in front that says which trace has it.

   A     ms      B     ms
-  4  3.000                 client → server  …        only in A
+                5  4.000   client → server  …        only in B
~  6  5.000      7  9.000   client → server  …        in both, and not alike
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby

from labctl.wire.describe import octets_of
from labctl.wire.diff import Compared, Diff, Difference, Tolerance
from labctl.wire.terminal import BOLD, DIM, PLAIN, milliseconds, wrap

RED, GREEN, YELLOW = 31, 32, 33
MARKS = {"A": ("-", RED), "B": ("+", GREEN), "both": ("~", YELLOW)}
SHOWN = 40  # differences of one conversation
ROW = 4  # so many segments in a row are told as one
WIDE = 84  # columns from which on frame numbers are shown
LEAST = 48


class DiffText:
    """Draws comparisons at a width."""

    def __init__(self, width: int, *, colour: bool, ascii_only: bool = False) -> None:
        self.width = max(LEAST, width)
        self.colour = colour
        self.ascii_only = ascii_only

    def draw(self, result: Diff, a: str, b: str) -> Iterator[str]:
        """Yield the lines; `a` and `b` are the names of the two."""
        count = len(result.compared)
        within = f"times within {tolerance_text(result.tolerance)}"
        if result.same:
            alike = f"{count} conversation{'' if count == 1 else 's'} alike" if count else "no conversations"
            yield from self.lines(f"no difference between {a} and {b}: {alike}, {within}", 0, 0)
        else:
            yield self.paint(f"A  {a}", BOLD)
            yield self.paint(f"B  {b}", BOLD)
            rest = count - len(result.differing)
            yield from self.lines(f"{rest} of {count} conversations alike, {within}", 0, DIM)
        for note in result.notes:
            yield from self.lines(f"! {note}", 2, YELLOW)
        for item in result.differing:
            yield ""
            yield from self.conversation(item)

    def conversation(self, item: Compared) -> Iterator[str]:
        """Yield what differs in one conversation."""
        if not item.a or not item.b:
            mark, colour = MARKS["A" if item.a else "B"]
            number, seconds = (item.a, item.seconds_a) if item.a else (item.b, item.seconds_b)
            only = f"only in {'A' if item.a else 'B'} (number {number}, {seconds * 1000:.1f} ms)"
            yield from self.lines(f"{mark} {item.title}: {only}", 2, colour)
            return
        took = f"{item.seconds_a * 1000:.1f} ms, {item.seconds_b * 1000:.1f} ms"
        yield from self.lines(f"{item.title}  (number {item.a}, {item.b}; {took})", 2, BOLD)
        head = f"  {'A':>5} {'ms':>9} {'B':>5} {'ms':>9}" if self.width >= WIDE else f"  {'A ms':>9} {'B ms':>9}"
        yield self.paint(head, DIM)
        told = list(fold(item.differences))
        for one in told[:SHOWN]:
            yield from self.difference(one)
        more = len(told) - SHOWN
        if more > 0:
            yield from self.lines(f"  … and {more} more; `--json` has them all", 2, DIM)

    def difference(self, item: Difference) -> Iterator[str]:
        """Yield one difference, its text broken between words."""
        mark, colour = MARKS[item.which]
        cells = []
        for frame, at in ((item.frame_a, item.at_a), (item.frame_b, item.at_b)):
            time = "" if at is None else milliseconds(round(at * 1e9))
            cells.append(f"{frame or '':>5} {time:>9}" if self.width >= WIDE else f"{time:>9}")
        front = f"{mark} {' '.join(cells)}  "
        for number, line in enumerate(wrap(item.text, self.width - len(front))):
            yield self.paint((front if number == 0 else " " * len(front)) + line, colour)

    def lines(self, text: str, indent: int, code: int) -> Iterator[str]:
        """Yield a text in lines, those after the first set in."""
        for number, line in enumerate(wrap(text, self.width - indent)):
            yield self.paint((" " * indent if number else "") + line, code)

    def paint(self, text: str, code: int) -> str:
        """Return a text in a colour, where colours are wanted."""
        if self.ascii_only:
            text = text.translate(PLAIN).encode("ascii", "replace").decode()
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and code and text.strip() else text.rstrip()


def fold(differences: Iterable[Difference]) -> Iterator[Difference]:
    """Yield differences, those that only one trace has and that are alike in all but their octets put together."""
    for _, same in groupby(differences, lambda one: (one.which, one.kind, one.group) if one.group else id(one)):
        row = list(same)
        if len(row) < ROW:
            yield from row
            continue
        way, _, meaning = row[0].group.partition("; ")
        octets = sum(one.octets for one in row)
        last = row[-1].frame_a or row[-1].frame_b
        text = f"{way}: {len(row)} segments with {octets_of(octets)}{f', each {meaning}' if meaning else ''}, until frame {last}"
        yield replace(row[0], text=text, octets=octets)


def tolerance_text(tolerance: Tolerance) -> str:
    """Return a tolerance in words."""
    said = [f"{tolerance.seconds * 1000:g} ms"] if tolerance.seconds else []
    said += [f"{tolerance.share * 100:g} %"] if tolerance.share else []
    return " or ".join(said) or "nothing"
