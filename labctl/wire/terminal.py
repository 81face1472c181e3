"""A ladder as text, for a terminal of any width: one line a packet, coloured by protocol.

frame   ms      client                              tcp-server
    1   0.000     │──────────────SYN──────────────────▶│
"""

import unicodedata
from collections.abc import Iterator

from labctl.wire.ladder import EVERYONE, Ladder, Row

COLOURS = {"TCP": 36, "UDP": 32, "ICMP": 35, "ARP": 33, "DNS": 34, "IP": 37, "other": 37}
BAD, DIM, BOLD = 31, 2, 1
PLAIN = str.maketrans("→…–·✓✗µ", ">.-.+xu")  # for a terminal that has nothing but ASCII
LEAST = 48  # columns; a narrower ladder is drawn this wide
LANE = 16  # columns between two lanes, at the least
GROUP = 12  # columns to the lane of groups, which nobody sends from
CALL = 28  # columns in which a call with its time says enough
NUMBERS = 15  # columns of the frame's number and its time


class TextLadder:
    """Draws rows; keeps its lanes, so that a live ladder grows under its head."""

    def __init__(self, width: int, *, colour: bool, ascii_only: bool = False) -> None:
        self.width = max(LEAST, width)
        self.colour = colour
        self.rail, self.stroke, self.right, self.left = ("|", "-", ">", "<") if ascii_only else ("│", "─", "▶", "◀")
        self.ascii_only = ascii_only
        self.lanes: list[str] = []
        self.places: list[int] = []
        self.notes_at = 0
        self.begun: set[int] = set()

    def draw(self, ladder: Ladder) -> Iterator[str]:
        """Yield the whole ladder, a line at a time."""
        for problem in ladder.problems:
            for line in wrap(f"! {problem}", self.width):
                yield self.paint(line, BAD)
        if not ladder.rows:
            yield "no packets"
            return
        yield from self.head(ladder.lanes)
        for row in ladder.rows:
            yield from self.row(row, ladder.begin_ns)
        told = ", ".join(f"{count} {why}" for why, count in ladder.left_out.items() if why != "not asked for")
        for line in wrap(f"left out: {told}", self.width) if told else ():
            yield self.paint(line, DIM)

    def head(self, lanes: list[str]) -> Iterator[str]:
        """Take the lanes and yield the line with their names."""
        self.lanes = lanes
        room = self.width - NUMBERS
        notes = min(44, room * 2 // 5) if room > 70 else 0
        group = min(GROUP, room // 4) if len(lanes) > 2 and lanes[-1] == EVERYONE else 0
        last = max(1, len(lanes) - 1 - bool(group))
        longest = max((len(self.name(lane)) for lane in (lanes[0], lanes[-1])), default=0) if lanes else 0
        margin = min(longest // 2, 8) + 1
        span = max(room - notes - 2 * margin - group, LANE)
        self.places = [NUMBERS + margin + span * index // last for index in range(len(lanes) - bool(group))]
        if group:
            self.places.append(self.places[-1] + group)
        self.notes_at = self.places[-1] + margin + 1 if notes and self.places else 0
        line = _Line(self.width)
        line.put(0, "frame      ms")
        for lane, place in zip(lanes, self.places, strict=True):
            name = cut(self.name(lane), span // last)
            line.put(max(NUMBERS, place - width_of(name) // 2), name)
        yield self.paint(line.text(), BOLD)

    def name(self, lane: str) -> str:
        """Return a lane's name."""
        return "everyone" if lane == EVERYONE else lane

    def row(self, row: Row, begin_ns: int) -> Iterator[str]:
        """Yield the lines of one row."""
        if row.kind == "mark":
            sign = {True: "✓ ", False: "✗ ", None: ""}[row.passed]
            yield ""
            for number, part in enumerate(wrap(f"{sign}{row.text}", self.width - 2)):
                yield self.paint(f"{'  ' * bool(number)}{part}", BAD if row.passed is False else BOLD)
            for note in row.notes if row.passed is False else ():
                yield self.paint(cut(f"    {note}", self.width), BAD)
        elif row.kind == "gap":
            yield self.paint(self.between(row.text), DIM)
        elif row.kind == "conversation":
            if row.conversation in self.begun:
                return
            self.begun.add(row.conversation)
            line = self.blank()
            line.put(
                NUMBERS + 2 if not self.places else self.places[0] + 2,
                cut(f"{row.conversation}  {row.text}", self.width - self.places[0] - 3),
            )
            yield self.paint(line.text(), DIM)
        elif row.kind == "call":
            yield from self.call(row, begin_ns)
        else:
            yield from self.packet(row, begin_ns)

    def blank(self) -> "_Line":
        line = _Line(self.width)
        for place in self.places:
            line.put(place, self.rail)
        return line

    def between(self, text: str) -> str:
        """Return a line with a text in the midst of the lanes."""
        line, text = self.blank(), cut(text, self.places[-1] - self.places[0] - 3)
        line.put((self.places[0] + self.places[-1] - width_of(text)) // 2, text)
        return line.text()

    def numbers(self, line: "_Line", row: Row, begin_ns: int) -> None:
        if row.frame:
            line.put(0, f"{row.frame:5}")
        line.put(5, f"{milliseconds(row.time_ns - begin_ns):>9}")

    def packet(self, row: Row, begin_ns: int) -> Iterator[str]:
        line = self.blank()
        self.numbers(line, row, begin_ns)
        source = self.lanes.index(row.source) if row.source in self.lanes else 0
        target = self.lanes.index(row.target) if row.target in self.lanes else len(self.lanes) - 1
        left, right = sorted((self.places[source], self.places[target]))
        if left == right:
            text = cut(row.text, self.width - left - 4)
            line.put(left + 1, f"{self.left} {text}" if source == target else text)
        else:
            room = right - left - 1
            text = cut(row.text, room - 6 if row.lost else room - 4)
            if row.lost:  # the arrow breaks: the head and what is before it are missing
                room = max(room - 3 if row.frame else room * 2 // 3, width_of(text) + 3)
            dashes = room - 1 - width_of(text)
            before = dashes // 2
            bar = self.stroke * before + text + self.stroke * (dashes - before)
            to_right = target > source
            head = "✗" if row.lost else self.right if to_right else self.left
            line.put(left + 1 if to_right else right - room, bar + head if to_right else head + bar)
        code = BAD if row.tone == "bad" else COLOURS.get(row.protocol, 37)
        notes = [note for note in row.notes if row.text not in note or row.kind != "packet" or row.lost]
        notes += [
            f"{lane}: {state}" for lane, state in dict(row.states).items()
        ]  # of two in one frame the later one stands
        yield from self.with_notes(line, notes, code, row)

    def call(self, row: Row, begin_ns: int) -> Iterator[str]:
        line = self.blank()
        self.numbers(line, row, begin_ns)
        place = self.places[self.lanes.index(row.source)] if row.source in self.lanes else NUMBERS
        took = f"  {row.notes[0]}" if row.notes else ""
        edge = self.notes_at or self.width
        to_right = place - NUMBERS < edge - place
        way, limit = (1, edge) if to_right else (-1, NUMBERS)
        rooms = [way * (end - place) for end in (*self.places, limit) if way * (end - place) > 0]
        text = cut_call(row.text, _enough(rooms, width_of(row.text + took)) - 3 - width_of(took)) + took
        line.put(place + 2 if to_right else place - 1 - width_of(text), text)
        frames = ", ".join(map(str, row.frames[:4]))
        note = (
            [f"{'frame' if len(row.frames) == 1 else 'frames'} {frames}{' …' if len(row.frames) > 4 else ''}"]
            if frames
            else []
        )
        yield from self.with_notes(line, note, BAD if row.tone == "bad" else 37, row)

    def with_notes(self, line: "_Line", notes: list[str], code: int, row: Row) -> Iterator[str]:
        if not notes:
            yield self.paint(line.text(), code)
            return
        if self.notes_at:
            shown = wrap("; ".join(notes), self.width - self.notes_at)
            yield self.paint(line.text(self.notes_at), code) + self.paint(shown[0], BAD if row.tone == "bad" else DIM)
            for more in shown[1:]:
                yield self.paint(self.blank().text(self.notes_at), DIM) + self.paint(
                    more, BAD if row.tone == "bad" else DIM
                )
            return
        yield self.paint(line.text(), code)
        room = self.places[-1] - self.places[0] - 3  # between the lanes, which go on
        for more in wrap("; ".join(notes), max(room, LANE)):
            line = self.blank()
            line.put(self.places[0] + 2, more)
            yield self.paint(line.text(), BAD if row.tone == "bad" else DIM)

    def paint(self, text: str, code: int) -> str:
        """Return a text in a colour, where colours are wanted."""
        if self.ascii_only:
            text = text.translate(PLAIN).encode("ascii", "replace").decode()
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text.strip() else text


def _enough(rooms: list[int], wanted: int) -> int:
    """Return how many columns a text gets: those to the next lane where it says enough in them, else those beyond."""
    return next((room for room in sorted(rooms) if room - 3 >= min(wanted, CALL)), max(rooms))


def milliseconds(nanoseconds: int) -> str:
    """Return a time in milliseconds, with as many decimals as eight columns have room for."""
    value = nanoseconds / 1e6
    return f"{value:.3f}" if value < 9999.9995 else f"{value:.1f}" if value < 999999.95 else f"{value / 1000:.0f} s"


class _Line:
    """One line of cells; a wide character takes two of them, the second empty."""

    def __init__(self, width: int) -> None:
        self.cells = [" "] * width

    def put(self, place: int, text: str) -> None:
        for char in text:
            wide = width_of(char)
            if place >= 0 and place + wide <= len(self.cells) and wide:
                self.cells[place] = char
                if wide == 2:
                    self.cells[place + 1] = ""
            place += wide

    def text(self, width: int = 0) -> str:
        return "".join(self.cells[:width]) if width else "".join(self.cells).rstrip()


def width_of(text: str) -> int:
    """Return how many columns a terminal gives a text."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def cut(text: str, room: int) -> str:
    """Return a text that fits into so many columns, without characters that move a cursor."""
    text = "".join(char if char.isprintable() else "·" for char in text)
    if width_of(text) <= room:
        return text
    while text and width_of(text) > room - 1:
        text = text[:-1]
    return f"{text}…" if room > 0 else ""


def cut_call(text: str, room: int) -> str:
    """Return a call that fits into so many columns: of its arguments the last ones go, and its result stays."""
    head, equals, result = text.rpartition(") = ")
    if not equals or width_of(text) <= room or width_of(result) + 12 > room:
        return cut(text, room)
    return cut(head, room - width_of(equals + result)) + equals + cut(result, room)


def wrap(text: str, room: int) -> list[str]:
    """Return a text in lines of so many columns, broken between words."""
    lines, current = [], ""
    for word in text.split():
        longer = f"{current} {word}" if current else word
        if width_of(longer) <= room or not current:
            current = longer
        else:
            lines.append(cut(current, room))
            current = word
    return [*lines, cut(current, room)]
