"""A trace as one page for a browser: the page brings its own program (`page.html`), and this its data. No network is needed.

Of a plain segment the page gets its octets, its time, and the direction of its connection: its program reads the rest when somebody looks.
"""

import base64
import json
import struct
from typing import Any

from labctl.wire.ladder import EVERYONE, Ladder, Row, Rows, is_group
from labctl.wire.model import Packet, Trace
from labctl.wire.pause import no_collection
from labctl.wire.tcp import Way

PLACE, OCTETS = "__TRACE__", "__OCTETS__"
# Octets that the page can show of a frame: the page of a long capture must not grow beyond what a browser opens at once.
FEW, KEEP_FEW, KEEP_MANY = 4000, 1600, 120


def draw_html(
    trace: Trace, ladder: Ladder, page: str, title: str, summary: str = "", deep: dict[str, Any] | None = None
) -> str:
    """Return the page with the data of a ladder in it.

    Args:
        trace: what was seen: the frames' octets come from there.
        ladder: what is drawn.
        page: the page's text, with `PLACE` where its data go, and then `OCTETS` for those of the frames.
        title: shown as the page's name.
        summary: what the ladder is of, in a line.
        deep: frame number → what tshark says of its fields (`deep.py`).
    """
    keep = KEEP_FEW if len(ladder.rows) <= FEW else KEEP_MANY
    with no_collection():
        data = page_data(trace, ladder, keep) | {"title": title, "summary": summary, "deep": deep or {}}
    octets = data.pop("octets")
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    # `</script>` or `<!--` in a payload must not end the page's own script.
    safe = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    before, _, behind = page.partition(PLACE)
    between, _, after = behind.partition(OCTETS)
    return "".join((before, safe, between, octets, after))


def page_data(trace: Trace, ladder: Ladder, keep: int) -> dict[str, Any]:
    """Return what the page reads: columns rather than records, since a long trace repeats its keys otherwise.

    In `rows` a plain segment is 0: what it is can be read from its octets (`octets`, one behind the other) and its `ways` entry.
    """
    texts: dict[str, int] = {}

    def text_id(text: str) -> int:
        return texts.setdefault(text, len(texts))

    lanes = {lane: index for index, lane in enumerate(ladder.lanes)}
    begin = ladder.begin_ns
    entries = ladder.rows.entries if isinstance(ladder.rows, Rows) else ladder.rows
    is_plain = ladder.rows.is_plain if isinstance(ladder.rows, Rows) else bool
    rows: list[Any] = []
    packets: list[Packet | None] = []
    ways: list[int] = []
    places: dict[Way, int] = {}
    for index, entry in enumerate(entries):
        if isinstance(entry, Packet) and entry.way and is_plain(entry):
            rows.append(0)
            packets.append(entry)
            ways.append(places.setdefault(entry.way, len(places)))
        else:
            row = ladder.rows[index]
            rows.append(_row(row, lanes, begin, text_id))
            packets.append(trace.packet(row.frame) if row.frame else None)
            ways.append(-1)
    octets = [packet.octets[:keep] if packet else b"" for packet in packets]
    shown = {entry.conversation for entry in entries if isinstance(entry, Row)} | {way.number for way in places}
    shown |= {trace.of.get(packet.number, 0) for packet in packets if packet and not packet.way}
    return {
        "begin_ns": str(begin),
        "lanes": ["everyone" if lane == EVERYONE else lane for lane in ladder.lanes],
        "ways": [_way(way, lanes, text_id) for way in places],
        "texts": list(texts),
        "rows": rows,
        "columns": {
            "at": _column("d", [(entry.time_ns - begin) / 1000 for entry in entries]),
            "way": _column("i", ways),
            "frame": _column("I", [packet.number if packet else 0 for packet in packets]),
            "kept": _column("I", [len(item) for item in octets]),
            "length": _column("I", [packet.length if packet else 0 for packet in packets]),
        },
        "octets": base64.b64encode(b"".join(octets)).decode(),
        "conversations": [
            {
                "number": item.number,
                "title": item.title,
                "kind": item.topic or item.kind,
                "packets": len(item.packets),
                "octets": [item.opener.octets, item.answerer.octets],
                "events": [[event.frame, event.text, event.rfc] for event in item.events[:200]],
            }
            for item in trace.conversations
            if item.number in shown
        ],
        "left_out": ladder.left_out,
        "problems": ladder.problems,
    }


def _column(form: str, values: list[Any]) -> str:
    """Return numbers as the octets of one of JavaScript's typed arrays, in base64."""
    return base64.b64encode(struct.pack(f"<{len(values)}{form}", *values)).decode()


def _way(way: Way, lanes: dict[str, int], text_id: Any) -> list[Any]:
    """Return what the segments of one direction have in common, as the page's function `plain` takes it."""
    item, near, far = way.conversation, way.end.side, way.peer.side
    shift = near.shift or 0 if far.shift is not None else 0
    target = lanes.get(EVERYONE if is_group(far.address) else far.host, -1)
    first = [near.first_seq or 0, far.first_seq]
    return [lanes.get(near.host, -1), target, item.number, text_id(item.topic or item.kind), *first, shift]


KINDS = {"packet": 0, "call": 1, "conversation": 2, "mark": 3}
NONE: list[Any] = []  # shared: the page only reads
TONES = {"plain": 0, "note": 1, "bad": 2}


def _row(row: Row, lanes: dict[str, int], begin: int, text_id: Any) -> list[Any]:
    """Return one row as the page's constants (`KIND`, `AT`, `TEXT`, …) number it; times in µs."""
    return [
        KINDS[row.kind],
        (row.time_ns - begin) / 1000,
        text_id(row.text),
        lanes.get(row.source, -1),
        lanes.get(row.target, -1),
        row.frame,
        row.conversation,
        text_id(row.protocol),
        TONES[row.tone],
        text_id(row.detail),
        row.notes,
        [[lanes.get(lane, -1), state] for lane, state in row.states] if row.states else NONE,
        (row.end_ns - begin) / 1000 if row.end_ns else 0,
        row.frames or NONE,
        row.passed,
        int(row.lost),
        (row.sent_ns - begin) / 1000 if row.sent_ns else 0,
    ]
