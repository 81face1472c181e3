"""A ladder as SVG: stands alone, follows the reader's light or dark mode, and every line of it has an accessible name."""

from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from labctl.wire.describe import duration
from labctl.wire.ladder import EVERYONE, Ladder, Row
from labctl.wire.terminal import cut, width_of, wrap

CHAR = 7.23  # pixels a character of 12 px monospace takes
ROW, HEAD = 30, 64
LEFT, STATES, NOTES = 116, 118, 330  # columns: number and time, states of the outer lanes, notes
LANES = {1: 0, 2: 420}  # pixels between two lanes, by their count
LANE = 300  # the same, for more lanes
NOTE_LINE = 15

STYLE = """
.b{fill:#fff}.t{font:12px ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;fill:#1b1f24}
.d{fill:#57606a}.h{font-weight:700;font-size:14px}
.g{stroke:#d0d7de}.m{font-weight:700}.x{fill:#cf222e}.o{fill:#1a7f37}.l{stroke-width:1.6;fill:none}.k{stroke-width:5;stroke-linecap:round;opacity:.45}
.TCP{stroke:#0969da}.UDP{stroke:#1a7f37}.ICMP{stroke:#8250df}.ARP{stroke:#9a6700}.DNS{stroke:#bc4c00}.IP,.other{stroke:#57606a}.bad{stroke:#cf222e}
.f{stroke:none}.f.TCP{fill:#0969da}.f.UDP{fill:#1a7f37}.f.ICMP{fill:#8250df}.f.ARP{fill:#9a6700}.f.DNS{fill:#bc4c00}.f.IP,.f.other{fill:#57606a}.f.bad{fill:#cf222e}
.p{fill:#ddf4ff;stroke:#54aeff}.c{fill:#f6f8fa}
@media (prefers-color-scheme:dark){.b{fill:#0d1117}.t{fill:#e6edf3}
.d{fill:#9198a1}.g{stroke:#3d444d}.x{fill:#ff7b72}.o{fill:#56d364}.c{fill:#161b22}
.TCP{stroke:#58a6ff}.UDP{stroke:#56d364}.ICMP{stroke:#d2a8ff}.ARP{stroke:#e3b341}.DNS{stroke:#ffa657}.IP,.other{stroke:#9198a1}.bad{stroke:#ff7b72}
.f.TCP{fill:#58a6ff}.f.UDP{fill:#56d364}.f.ICMP{fill:#d2a8ff}.f.ARP{fill:#e3b341}.f.DNS{fill:#ffa657}.f.IP,.f.other{fill:#9198a1}.f.bad{fill:#ff7b72}
.p{fill:#121d2f;stroke:#388bfd}}
""".strip().replace("\n", "")


@dataclass
class _Place:
    """Where things are, in pixels."""

    lanes: dict[str, float]
    last: float
    width: float
    notes: float

    def left(self, lane: str) -> bool:
        """Tell whether a lane is nearer to the left edge: its texts stand to its right then."""
        return self.lanes[lane] <= (min(self.lanes.values()) + self.last) / 2


def draw_svg(ladder: Ladder, title: str) -> str:
    """Return a ladder as an SVG document."""
    place = _places(ladder)
    tops, height = _tops(ladder)
    packets = sum(row.kind == "packet" for row in ladder.rows)
    about = f"A ladder of {packets} packets between {', '.join(lane or 'everyone' for lane in ladder.lanes)}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{place.width:.0f}" height="{height:.0f}"'
        f' viewBox="0 0 {place.width:.0f} {height:.0f}"'
        f' role="img" aria-labelledby="title about">',
        f'<title id="title">{_text(title)}</title><desc id="about">{_text(about)}</desc><style>{STYLE}</style>',
        f'<rect class="b" width="{place.width:.0f}" height="{height:.0f}"/>',
        *_head(place, title, height),
    ]
    for index, row in enumerate(ladder.rows):
        parts.append(f'<g role="listitem" aria-label={_attribute(_name(row, ladder.begin_ns))}>')
        parts += _row(row, ladder, place, tops, index)
        parts.append("</g>")
    if ladder.problems:
        parts.append(_label(12, height - 12, "; ".join(ladder.problems), "t x"))
    parts.append("</svg>\n")
    return "\n".join(parts)


def _places(ladder: Ladder) -> _Place:
    count = len(ladder.lanes)
    first = LEFT + STATES
    gap = LANES.get(count, LANE)
    if count == 2 and any(row.kind == "call" for row in ladder.rows):
        gap = 620  # a call's arguments take room
    lanes = {lane: float(first + gap * index) for index, lane in enumerate(ladder.lanes)}
    last = max(lanes.values(), default=float(first))
    notes = last + STATES + 12
    return _Place(lanes, last, notes + NOTES, notes)


def _lines(row: Row) -> list[str]:
    if row.kind == "packet" and row.notes:
        return wrap("; ".join(row.notes), int(NOTES / CHAR) - 1)
    return []


def _tops(ladder: Ladder) -> tuple[list[float], float]:
    """Return where each row's arrow is, and how high the whole is."""
    tops, at = [], float(HEAD + 12)
    for row in ladder.rows:
        at += {"mark": 18, "conversation": 6}.get(row.kind, 0)
        tops.append(at + 18)
        at += ROW if row.kind == "packet" else 22
        at += max(0, (len(_lines(row)) - 2) * NOTE_LINE)
    return tops, at + 34


def _head(place: _Place, title: str, height: float) -> Iterator[str]:
    yield _label(12, 24, title, "t h")
    yield _label(12, HEAD - 6, "frame", "t d")
    yield _label(LEFT - 8, HEAD - 6, "ms", "t d", "end")
    for lane, x in place.lanes.items():
        yield f'<line class="g" x1="{x:.0f}" y1="{HEAD + 4}" x2="{x:.0f}" y2="{height - 26:.0f}"/>'
        name = cut("everyone" if lane == EVERYONE else lane, 38)
        wide = width_of(name) * 8.4 + 20
        yield f'<rect class="p" x="{x - wide / 2:.0f}" y="{HEAD - 26}" width="{wide:.0f}" height="28" rx="6"/>'
        yield _label(x, HEAD - 7, name, "t h", "middle")


def _row(row: Row, ladder: Ladder, place: _Place, tops: list[float], index: int) -> Iterator[str]:
    y = tops[index]
    if row.kind == "mark":
        colour = {True: "t m o", False: "t m x", None: "t m"}[row.passed]
        yield f'<rect class="c" x="0" y="{y - 15:.0f}" width="{place.width:.0f}" height="22"/>'
        yield _label(
            12, y, {True: "✓ ", False: "✗ ", None: ""}[row.passed] + cut(row.text, int(place.width / CHAR) - 4), colour
        )
    elif row.kind == "conversation":
        yield _label(min(place.lanes.values(), default=LEFT) + 10, y - 2, f"{row.conversation}  {row.text}", "t d")
    elif row.kind == "call":
        yield from _call(row, ladder, place, tops, index)
    elif row.source in place.lanes and row.target in place.lanes:
        yield from _packet(
            row, ladder, place, y, _height_at(row.sent_ns, ladder.rows, tops, index) if row.sent_ns else None
        )


def _height_at(time_ns: int, rows: list[Row], tops: list[float], index: int) -> float:
    """Return the height that stands for a moment at or before a row: between the rows around it, by time."""
    later = index
    while later > 0 and rows[later - 1].time_ns > time_ns:
        later -= 1
    if later == 0:
        return tops[0] - 12
    before, behind = rows[later - 1].time_ns, rows[later].time_ns
    share = (time_ns - before) / (behind - before) if behind > before else 1.0
    return tops[later - 1] + (tops[later] - tops[later - 1]) * min(1.0, share) - 2


def _packet(row: Row, ladder: Ladder, place: _Place, y: float, sent: float | None) -> Iterator[str]:
    colour = (
        "bad"
        if row.tone == "bad"
        else row.protocol
        if row.protocol in ("TCP", "UDP", "ICMP", "ARP", "DNS", "IP")
        else "other"
    )
    yield _label(44, y + 4, str(row.frame or "–"), "t d", "end")
    yield _label(LEFT - 8, y + 4, f"{(row.time_ns - ladder.begin_ns) / 1e6:.3f}", "t d", "end")
    begin, end = place.lanes[row.source], place.lanes[row.target]
    if begin == end:
        yield f'<circle class="f {colour}" cx="{begin:.0f}" cy="{y:.0f}" r="4"/>'
        yield _label(begin + 10, y + 4, cut(row.text, 50), "t")
    else:
        way = 1 if end > begin else -1
        room = int(abs(end - begin) / CHAR) - 4
        yield _label((begin + end) / 2, y - 6, cut(row.text, room), "t", "middle")
        # The arrow begins at the height of the moment at which its host sent it: what was held slants by that time.
        top = sent if sent is not None else y - 2
        if row.lost:
            far = begin + (end - begin) * 0.6
            yield f'<line class="l {colour}" x1="{begin:.0f}" y1="{top:.0f}" x2="{far:.0f}" y2="{y + 1:.0f}"/>'
            yield f'<path class="l {colour}" d="M{far - 6:.0f} {y - 5:.0f}l12 12m0 -12l-12 12"/>'
        else:
            yield f'<line class="l {colour}" x1="{begin:.0f}" y1="{top:.0f}" x2="{end - 6 * way:.0f}" y2="{y + 3:.0f}"/>'
            yield f'<path class="f {colour}" d="M{end:.0f} {y + 3:.0f}l{-10 * way} -5v10z"/>'
    states: dict[str, str] = {}
    for lane, state in row.states:  # of two in one frame the later one stands
        states[lane] = state
    for lane, state in states.items():
        if lane in place.lanes:
            x, left = place.lanes[lane], place.lanes[lane] == min(place.lanes.values())
            yield _label(x - 10 if left else x + 10, y + 4, state, "t d", "end" if left else "start")
    lines = _lines(row)
    for number, line in enumerate(lines):
        top = y + 4 + (number * NOTE_LINE if len(lines) > 1 else 0) - (8 if len(lines) > 1 else 0)
        yield _label(place.notes, top, line, "t x" if row.tone == "bad" else "t")


def _call(row: Row, ladder: Ladder, place: _Place, tops: list[float], index: int) -> Iterator[str]:
    if row.source not in place.lanes:
        return
    y, x = tops[index], place.lanes[row.source]
    last = index
    while last + 1 < len(ladder.rows) and ladder.rows[last + 1].time_ns <= row.end_ns:
        last += 1
    colour = "bad" if row.tone == "bad" else row.protocol or "other"
    left = place.left(row.source)
    side = 1 if left else -1
    if tops[last] > y:
        yield f'<line class="k {colour}" x1="{x + 4 * side:.0f}" y1="{y:.0f}" x2="{x + 4 * side:.0f}" y2="{tops[last] + 3:.0f}"/>'
    yield f'<circle class="f {colour}" cx="{x + 4 * side:.0f}" cy="{y - 3:.0f}" r="3.5"/>'
    yield _label(LEFT - 8, y, f"{(row.time_ns - ladder.begin_ns) / 1e6:.3f}", "t d", "end")
    room = int(max(place.last - min(place.lanes.values()), 300) / CHAR) - 14
    text = cut(row.text, room)
    took = row.notes[0] if row.notes else ""
    yield _label(x + 14 * side, y, f"{text}  {took}", "t x" if row.tone == "bad" else "t", "start" if left else "end")


def _name(row: Row, begin_ns: int) -> str:
    """Return a row in words, for who cannot see it."""
    ms = f"{(row.time_ns - begin_ns) / 1e6:.3f} ms"
    if row.kind == "packet":
        told = [
            f"{'lost' if row.lost else f'frame {row.frame}'}, {ms}, {row.source} to {row.target or 'everyone'}: {row.text}",
            *row.notes,
        ]
        return "; ".join([*told, *(f"{lane} is {state}" for lane, state in row.states)])
    if row.kind == "call":
        return f"{ms}, {row.source} calls {row.text}, {duration((row.end_ns - row.time_ns) / 1e9)}"
    if row.kind == "mark":
        return row.text + {True: ", passed", False: ", failed", None: ""}[row.passed]
    return f"conversation {row.conversation}: {row.text}"


def _label(x: float, y: float, text: str, style: str, anchor: str = "start") -> str:
    at = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text class="{style}" x="{x:.0f}" y="{y:.0f}"{at} xml:space="preserve">{_text(text)}</text>'


def _text(text: str) -> str:
    return escape(_clean(text))


def _attribute(text: str) -> str:
    return quoteattr(_clean(text))


def _clean(text: str) -> str:
    """XML 1.0 section 2.2 has no place for most control characters, escaped or not."""
    return "".join(char if char.isprintable() and char not in "\ufffe\uffff" else "·" for char in text)
