"""A long ladder made short enough for a picture: of a run of segments that tell nothing new the middle goes, then what exceeds a limit."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from labctl.wire.ladder import Ladder, Row

FIRST, LAST = 4, 3  # rows that stay of a run


def fold(ladder: Ladder, most: int) -> Ladder:
    """Return a ladder of at most about so many rows; what was left out is said where it was.

    Args:
        ladder: what is to be drawn.
        most: rows; every part between two marks keeps its beginning, short ones before long ones.
    """
    rows = list(_short_runs(ladder.rows))
    if len(rows) > most:
        parts = _parts(rows)
        room = _share([len(part) for part in parts], most)
        rows = [row for part, space in zip(parts, room, strict=True) for row in _cut(part, space)]
    return replace(ladder, rows=rows)


def _short_runs(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield the rows, less the middle of each run of segments in which nothing happened but octets and their ACKs."""
    run: list[Row] = []
    for row in rows:
        if _is_dull(row) and (not run or row.conversation == run[-1].conversation):
            run.append(row)
            continue
        yield from _without_middle(run)
        run = [row] if _is_dull(row) else []
        if not run:
            yield row
    yield from _without_middle(run)


def _is_dull(row: Row) -> bool:
    return (
        row.kind == "packet"
        and row.tone != "bad"
        and not row.states
        and all(n.startswith("held for") for n in row.notes)
    )


def _without_middle(run: list[Row]) -> list[Row]:
    if len(run) <= FIRST + LAST + 1:
        return run
    return [*run[:FIRST], _gap(run[FIRST:-LAST]), *run[-LAST:]]


def _gap(rows: Sequence[Row]) -> Row:
    """Return the row that stands for others; its frames are theirs."""
    frames = tuple(
        frame for row in rows for frame in (row.frames if row.kind == "gap" else (row.frame,) * (row.kind == "packet"))
    )
    calls = sum(row.kind == "call" for row in rows)
    counted = [f"{len(frames)} more packet{'' if len(frames) == 1 else 's'}"] if frames else []
    counted += [f"{calls} more call{'' if calls == 1 else 's'}"] if calls else []
    text = f"… {' and '.join(counted) or 'and so on'} …"
    return Row("gap", rows[0].time_ns, text, conversation=rows[0].conversation, frames=frames)


def _parts(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the rows from each mark to the next."""
    parts: list[list[Row]] = [[]]
    for row in rows:
        if row.kind == "mark":
            parts.append([])
        parts[-1].append(row)
    return [part for part in parts if part]


def _share(wanted: Sequence[int], most: int) -> list[int]:
    """Return how many rows each part gets: what short ones leave over, long ones share."""
    given = [0] * len(wanted)
    left = most
    for count, index in enumerate(sorted(range(len(wanted)), key=lambda index: wanted[index])):
        given[index] = min(wanted[index], max(1, left // (len(wanted) - count)))
        left -= given[index]
    return given


def _cut(part: list[Row], room: int) -> list[Row]:
    keep = max(1, room - 1)
    return part if len(part) <= room else [*part[:keep], _gap(part[keep:])]
