"""A ladder as SVG: stands alone, follows the reader's light or dark mode, and every line of it has an accessible name.

Arrows are drawn first and texts above them, each with a rim of the background's colour: a text is legible though an arrow crosses it.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape, quoteattr

from labctl.wire.describe import duration
from labctl.wire.ladder import EVERYONE, Ladder, Row
from labctl.wire.terminal import cut, cut_call, milliseconds, width_of, wrap

CHAR = 7.23  # pixels a character of 12 px monospace takes
ROW, HEAD = 30, 64
LEFT, STATES, NOTES = 116, 118, 330  # columns: number and time, states of the outer lanes, notes
CALLS = 430  # the outer lanes' column where they made calls
LANES = {1: 0, 2: 420, 3: 300, 4: 300}  # pixels between two lanes, by their count
LANE, ALL_LANES = 140, 1200  # the same, for more lanes: at least, and of all of them together
NOTE_LINE = 15
BAR = 8  # pixels from the bar of one call to that of another at the same time

STYLE = """
.b{fill:#fff}.t{font:12px ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;fill:#1b1f24;paint-order:stroke;
stroke:#fff;stroke-width:4px;stroke-linejoin:round}.d{fill:#57606a}.s{font-size:10.5px}.h{font-weight:700;font-size:14px}
.g{stroke:#d0d7de}.m{font-weight:700;stroke:#f6f8fa}.h{stroke:none}.x{fill:#cf222e}.o{fill:#1a7f37}.l{stroke-width:1.6;fill:none}.k{stroke-width:5;stroke-linecap:round;opacity:.45}
.TCP{stroke:#0969da}.UDP{stroke:#1a7f37}.ICMP{stroke:#8250df}.ARP{stroke:#9a6700}.DNS{stroke:#bc4c00}.IP,.other{stroke:#57606a}.bad{stroke:#cf222e}
.f{stroke:none}.f.TCP{fill:#0969da}.f.UDP{fill:#1a7f37}.f.ICMP{fill:#8250df}.f.ARP{fill:#9a6700}.f.DNS{fill:#bc4c00}.f.IP,.f.other{fill:#57606a}.f.bad{fill:#cf222e}
.p{fill:#ddf4ff;stroke:#54aeff}.c{fill:#f6f8fa}
@media (prefers-color-scheme:dark){.b{fill:#0d1117}.t{fill:#e6edf3;stroke:#0d1117}.m{stroke:#161b22}.h{stroke:none}
.d{fill:#9198a1}.g{stroke:#3d444d}.x{fill:#ff7b72}.o{fill:#56d364}.c{fill:#161b22}
.TCP{stroke:#58a6ff}.UDP{stroke:#56d364}.ICMP{stroke:#d2a8ff}.ARP{stroke:#e3b341}.DNS{stroke:#ffa657}.IP,.other{stroke:#9198a1}.bad{stroke:#ff7b72}
.f.TCP{fill:#58a6ff}.f.UDP{fill:#56d364}.f.ICMP{fill:#d2a8ff}.f.ARP{fill:#e3b341}.f.DNS{fill:#ffa657}.f.IP,.f.other{fill:#9198a1}.f.bad{fill:#ff7b72}
.p{fill:#121d2f;stroke:#388bfd}}
""".strip().replace("\n", "")


@dataclass
class _Place:
    """Where things are, in pixels: lanes, the notes' column, each row's arrow, and each row's bar of a call."""

    lanes: dict[str, float]
    notes: float
    width: float
    tops: list[float]
    height: float
    depths: list[int]
    calls: bool
    taken: dict[str, float] = field(default_factory=dict)

    def free(self, lane: str, y: float) -> float:
        """Return the height at or below `y` where a lane's next state does not stand on the one before."""
        self.taken[lane] = max(y, self.taken.get(lane, 0.0) + 13)
        return self.taken[lane]

    @property
    def first(self) -> float:
        """The leftmost lane."""
        return min(self.lanes.values(), default=LEFT)

    @property
    def last(self) -> float:
        """The rightmost lane."""
        return max(self.lanes.values(), default=LEFT)

    def is_inner(self, lane: str) -> bool:
        """Tell whether a lane has others on both sides: its texts cannot stand outside then."""
        return self.first < self.lanes[lane] < self.last


def draw_svg(ladder: Ladder, title: str) -> str:
    """Return a ladder as an SVG document."""
    place = _places(ladder)
    packets = sum(row.kind == "packet" for row in ladder.rows)
    about = f"A ladder of {packets} packets between {', '.join(lane or 'everyone' for lane in ladder.lanes)}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{place.width:.0f}" height="{place.height:.0f}"'
        f' viewBox="0 0 {place.width:.0f} {place.height:.0f}"'
        f' role="figure" aria-labelledby="title about">',  # not `img`: in that, nothing has a name of its own
        f'<title id="title">{_text(title)}</title><desc id="about">{_text(about)}</desc><style>{STYLE}</style>',
        f'<rect class="b" width="{place.width:.0f}" height="{place.height:.0f}"/>',
        *_head(place, title),
    ]
    arrows = [_arrow(row, ladder, place, index) for index, row in enumerate(ladder.rows) if row.kind == "packet"]
    parts += (_band(place, top) for row, top in zip(ladder.rows, place.tops, strict=True) if row.kind == "mark")
    parts += (stroke for arrow in arrows if arrow for stroke in arrow.strokes())
    slants = {arrow.index: arrow for arrow in arrows if arrow}
    parts.append('<g role="list" aria-label="what crossed">')
    for index, row in enumerate(ladder.rows):
        parts.append(f'<g role="listitem" aria-label={_attribute(_name(row, ladder.begin_ns))}>')
        parts += _row(row, ladder, place, index, slants.get(index))
        parts.append("</g>")
    parts.append("</g>")
    if ladder.problems:
        parts.append(_label(12, place.height - 12, "; ".join(ladder.problems), "t x"))
    parts.append("</svg>\n")
    return "\n".join(parts)


def _places(ladder: Ladder) -> _Place:
    callers = {row.source for row in ladder.rows if row.kind == "call"}
    count = len(ladder.lanes)
    first = LEFT + (CALLS if ladder.lanes and ladder.lanes[0] in callers else STATES)
    gap = LANES.get(count) or max(LANE, ALL_LANES / max(1, count - 1))
    lanes = {lane: first + gap * index for index, lane in enumerate(ladder.lanes)}
    behind = CALLS if count > 1 and ladder.lanes[-1] in callers else STATES
    notes = max(lanes.values(), default=float(first)) + behind + 12
    tops, height = _tops(ladder)
    return _Place(lanes, notes, notes + NOTES, tops, height, _depths(ladder), bool(callers))


def _lines(row: Row) -> list[str]:
    if row.kind == "packet" and row.notes:
        return wrap("; ".join(row.notes), int(NOTES / CHAR) - 1)
    return row.notes if row.kind == "mark" and row.passed is False else []


def _tops(ladder: Ladder) -> tuple[list[float], float]:
    """Return where each row's arrow is, and how high the whole is."""
    tops, at = [], float(HEAD + 12)
    for row in ladder.rows:
        at += {"mark": 18, "conversation": 12}.get(row.kind, 0)
        tops.append(at + 18)
        at += {"packet": ROW, "mark": 30}.get(row.kind, 22)
        at += max(0, (len(_lines(row)) - (2 if row.kind == "packet" else 0)) * NOTE_LINE)
    return tops, at + 34


def _depths(ladder: Ladder) -> list[int]:
    """Return how many calls of the same host still go on when one begins: their bars stand side by side."""
    busy: dict[str, list[int]] = {}
    depths = []
    for row in ladder.rows:
        ends = busy.setdefault(row.source, [])
        ends[:] = [end if end > row.time_ns else 0 for end in ends]
        depth = ends.index(0) if 0 in ends else len(ends)
        if row.kind == "call":
            ends[depth : depth + 1] = [row.end_ns]
        depths.append(depth)
    return depths


def _head(place: _Place, title: str) -> Iterator[str]:
    yield _label(12, 24, title, "t h")
    yield _label(12, HEAD - 6, "frame", "t d")
    yield _label(LEFT - 8, HEAD - 6, "ms", "t d", "end")
    for lane, x in place.lanes.items():
        yield f'<line class="g" x1="{x:.0f}" y1="{HEAD + 4}" x2="{x:.0f}" y2="{place.height - 26:.0f}"/>'
        name = cut("everyone" if lane == EVERYONE else lane, 38)
        wide = width_of(name) * 8.4 + 20
        yield f'<rect class="p" x="{x - wide / 2:.0f}" y="{HEAD - 26}" width="{wide:.0f}" height="28" rx="6"/>'
        yield _label(x, HEAD - 7, name, "t h", "middle")


def _row(row: Row, ladder: Ladder, place: _Place, index: int, arrow: "_Arrow | None") -> Iterator[str]:
    y = place.tops[index]
    if row.kind == "mark":
        yield from _mark(row, place, y)
    elif row.kind == "conversation":
        yield _label(place.first + 10, y - 10, f"{row.conversation}  {row.text}", "t d")
    elif row.kind == "gap":
        yield _label((place.first + place.last) / 2, y, row.text, "t d", "middle")
    elif row.kind == "call":
        yield from _call(row, ladder, place, index)
    elif arrow:
        yield from _packet(row, ladder, place, arrow)


def _band(place: _Place, y: float) -> str:
    return f'<rect class="c" x="0" y="{y - 15:.0f}" width="{place.width:.0f}" height="22"/>'


def _mark(row: Row, place: _Place, y: float) -> Iterator[str]:
    colour = {True: "t m o", False: "t m x", None: "t m"}[row.passed]
    room = int(place.width / CHAR) - 4
    yield _label(12, y, {True: "✓ ", False: "✗ ", None: ""}[row.passed] + cut(row.text, room), colour)
    for number, line in enumerate(_lines(row), 1):
        yield _label(26, y + 5 + number * NOTE_LINE, cut(line, room), "t x")


@dataclass
class _Arrow:
    """A packet's way from lane to lane; it begins at the height of the moment at which its host sent it."""

    index: int
    row: Row
    begin: float
    end: float
    top: float
    y: float
    colour: str

    def strokes(self) -> Iterator[str]:
        """Yield the line and its head."""
        begin, end, y, colour = self.begin, self.end, self.y, self.colour
        if begin == end:
            yield f'<circle class="f {colour}" cx="{begin:.0f}" cy="{y:.0f}" r="4"/>'
        elif self.row.lost:  # it breaks
            far = begin + (end - begin) * (0.9 if self.row.frame else 0.6)  # where it arrived, or on its way
            yield f'<line class="l {colour}" x1="{begin:.0f}" y1="{self.top:.0f}" x2="{far:.0f}" y2="{y + 1:.0f}"/>'
            yield f'<path class="l {colour}" d="M{far - 6:.0f} {y - 5:.0f}l12 12m0 -12l-12 12"/>'
        else:
            way = 1 if end > begin else -1
            slope = f' transform="rotate({self.degrees:.1f} {end:.0f} {y + 3:.0f})"' if abs(self.degrees) > 2 else ""
            yield f'<line class="l {colour}" x1="{begin:.0f}" y1="{self.top:.0f}" x2="{end - 6 * way:.0f}" y2="{y + 3:.0f}"/>'
            yield f'<path class="f {colour}"{slope} d="M{end:.0f} {y + 3:.0f}l{-10 * way} -5v10z"/>'

    @property
    def degrees(self) -> float:
        """How far a text along the line is turned, clockwise."""
        return math.degrees(math.atan((self.y + 3 - self.top) / (self.end - self.begin)))

    def label(self) -> str:
        """Return the text above the line, along it where it slants."""
        if self.begin == self.end:
            return _label(self.begin + 10, self.y + 4, cut(self.row.text, 50), "t")
        text = cut(self.row.text, int(abs(self.end - self.begin) / CHAR) - 4)
        if abs(self.degrees) <= 2:
            return _label((self.begin + self.end) / 2, (self.top + self.y) / 2 - 5, text, "t", "middle")
        share = 0.66  # nearer to the head: there arrows that began at once are apart
        x, y = self.begin + (self.end - self.begin) * share, self.top + (self.y + 3 - self.top) * share
        return _label(x, y - 5, text, "t", "middle", f"rotate({self.degrees:.1f} {x:.0f} {y:.0f})")


def _arrow(row: Row, ladder: Ladder, place: _Place, index: int) -> _Arrow | None:
    if row.source not in place.lanes or row.target not in place.lanes:
        return None
    known = row.protocol in ("TCP", "UDP", "ICMP", "ARP", "DNS", "IP")
    colour = "bad" if row.tone == "bad" else row.protocol if known else "other"
    y = place.tops[index]
    top = _height_at(row.sent_ns, ladder.rows, place.tops, index) if row.sent_ns else y - 2
    return _Arrow(index, row, place.lanes[row.source], place.lanes[row.target], top, y, colour)


def _height_at(time_ns: int, rows: Sequence[Row], tops: list[float], index: int) -> float:
    """Return the height that stands for a moment at or before a row: between the rows around it, by time."""
    later = index
    while later > 0 and rows[later - 1].time_ns > time_ns:
        later -= 1
    if later == 0:
        return tops[0] - 12
    before, behind = rows[later - 1].time_ns, rows[later].time_ns
    share = (time_ns - before) / (behind - before) if behind > before else 1.0
    return tops[later - 1] + (tops[later] - tops[later - 1]) * min(1.0, share) - 2


def _packet(row: Row, ladder: Ladder, place: _Place, arrow: _Arrow) -> Iterator[str]:
    y = arrow.y
    yield _label(44, y + 4, str(row.frame or "–"), "t d", "end")
    yield _label(LEFT - 8, y + 4, _ms(row, ladder), "t d", "end")
    yield arrow.label()
    for lane, state in dict(row.states).items():  # of two in one frame the later one stands
        if lane not in place.lanes:
            continue
        x, at = place.lanes[lane], y if place.calls or lane != row.source else max(arrow.top, HEAD + 20)
        at = place.free(lane, at)
        if place.is_inner(lane):
            yield _label(x + 5, at + 15, state, "t d s")
        elif x == place.first:
            yield _label(x - 10, at + 4, state, "t d", "end")
        else:
            yield _label(x + 10, at + 4, state, "t d")
    lines = _lines(row)
    for number, line in enumerate(lines):
        top = y + 4 + (number * NOTE_LINE if len(lines) > 1 else 0) - (8 if len(lines) > 1 else 0)
        yield _label(place.notes, top, line, "t x" if row.tone == "bad" else "t")


def _call(row: Row, ladder: Ladder, place: _Place, index: int) -> Iterator[str]:
    """A call stands outside its lane, beside the segments that it caused; the bar says how long it blocked."""
    if row.source not in place.lanes:
        return
    y, tops = place.tops[index], place.tops
    last = index
    while last + 1 < len(ladder.rows) and ladder.rows[last + 1].time_ns <= row.end_ns:
        last += 1
    colour = "bad" if row.tone == "bad" else row.protocol or "other"
    left = place.lanes[row.source] == place.first and len(place.lanes) > 1
    side = -1 if left else 1
    x = place.lanes[row.source] + (5 + BAR * min(place.depths[index], 5)) * side
    if tops[last] > y:
        yield f'<line class="k {colour}" x1="{x:.0f}" y1="{y - 3:.0f}" x2="{x:.0f}" y2="{tops[last] + 3:.0f}"/>'
    yield f'<circle class="f {colour}" cx="{x:.0f}" cy="{y - 3:.0f}" r="3.5"/>'
    yield _label(LEFT - 8, y, _ms(row, ladder), "t d", "end")
    took = f"  {row.notes[0]}" if row.notes else ""
    room = int((LANE * 2 if place.is_inner(row.source) else CALLS - 20) / CHAR) - 3 - len(took)
    text = cut_call(row.text, room - place.depths[index]) + took
    yield _label(x + 9 * side, y + 1, text, "t x" if row.tone == "bad" else "t", "end" if left else "start")


def _ms(row: Row, ladder: Ladder) -> str:
    return milliseconds(row.time_ns - ladder.begin_ns)


def _name(row: Row, begin_ns: int) -> str:
    """Return a row in words, for who cannot see it."""
    ms = f"{(row.time_ns - begin_ns) / 1e6:.3f} ms"
    if row.kind == "packet":
        told = [
            f"{f'frame {row.frame}' if row.frame else 'lost'}, {ms}, {row.source} to {row.target or 'everyone'}: {row.text}",
            *row.notes,
        ]
        return "; ".join([*told, *(f"{lane} is {state}" for lane, state in row.states)])
    if row.kind == "call":
        return f"{ms}, {row.source} calls {row.text}, {duration((row.end_ns - row.time_ns) / 1e9)}"
    if row.kind == "mark":
        return "; ".join([row.text + {True: ", passed", False: ", failed", None: ""}[row.passed], *row.notes])
    if row.kind == "gap":
        return row.text
    return f"conversation {row.conversation}: {row.text}"


def _label(x: float, y: float, text: str, style: str, anchor: str = "start", turn: str = "") -> str:
    at = "" if anchor == "start" else f' text-anchor="{anchor}"'
    at += f' transform="{turn}"' if turn else ""
    return f'<text class="{style}" x="{x:.0f}" y="{y:.0f}"{at} xml:space="preserve">{_text(text)}</text>'


def _text(text: str) -> str:
    return escape(_clean(text))


def _attribute(text: str) -> str:
    return quoteattr(_clean(text))


def _clean(text: str) -> str:
    """XML 1.0 section 2.2 has no place for most control characters, escaped or not."""
    return "".join(char if char.isprintable() and char not in "\ufffe\uffff" else "·" for char in text)
