"""A trace as one page for a browser: the page brings its own program (`page.html`), and this its data. No network is needed."""

import base64
import json
from typing import Any

from labctl.wire.ladder import EVERYONE, Ladder, Row
from labctl.wire.model import Trace
from labctl.wire.pause import no_collection

PLACE = "__TRACE__"
# Octets that the page can show of a frame: the page of a long capture must not grow beyond what a browser opens at once.
FEW, KEEP_FEW, KEEP_MANY = 4000, 1600, 96


def draw_html(trace: Trace, ladder: Ladder, page: str, title: str, summary: str = "") -> str:
    """Return the page with the data of a ladder in it.

    Args:
        trace: what was seen: the frames' octets come from there.
        ladder: what is drawn.
        page: the page's text, with `PLACE` where its data go.
        title: shown as the page's name.
        summary: what the ladder is of, in a line.
    """
    keep = KEEP_FEW if len(ladder.rows) <= FEW else KEEP_MANY
    with no_collection():
        data = page_data(trace, ladder, keep) | {"title": title, "summary": summary}
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    # `</script>` or `<!--` in a payload must not end the page's own script.
    safe = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return page.replace(PLACE, safe, 1)


def page_data(trace: Trace, ladder: Ladder, keep: int) -> dict[str, Any]:
    """Return what the page reads: columns rather than records, since a long trace repeats its keys otherwise."""
    packets = {packet.number: packet for packet in trace.packets}
    texts: dict[str, int] = {}

    def text_id(text: str) -> int:
        return texts.setdefault(text, len(texts))

    lanes = {lane: index for index, lane in enumerate(ladder.lanes)}
    begin = ladder.begin_ns
    rows: list[list[Any]] = []
    octets: list[str] = []
    for row in ladder.rows:
        rows.append(_row(row, lanes, begin, text_id))
        packet = packets.get(row.frame)
        octets.append(base64.b64encode(packet.octets[:keep]).decode() if packet else "")
    shown = {row.conversation for row in ladder.rows}
    return {
        "begin_ns": str(begin),
        "lanes": ["everyone" if lane == EVERYONE else lane for lane in ladder.lanes],
        "texts": list(texts),
        "rows": rows,
        "octets": octets,
        "lengths": {
            row.frame: packets[row.frame].length
            for row in ladder.rows
            if row.frame and len(packets[row.frame].octets) > keep
        },
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
