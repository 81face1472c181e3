"""A ladder as Mermaid's `sequenceDiagram`, for a README: forges draw it."""

from labctl.wire.ladder import EVERYONE, Ladder


def draw_mermaid(ladder: Ladder) -> str:
    """Return the diagram's text; hosts are called H0, H1, … there, since Mermaid has words of its own for some names."""
    lines = ["sequenceDiagram"]
    ids = {lane: f"H{index}" for index, lane in enumerate(ladder.lanes)}
    for lane, short in ids.items():
        lines.append(f"    participant {short} as {_plain('everyone' if lane == EVERYONE else lane)}")
    for row in ladder.rows:
        if row.kind in ("mark", "gap") and ids:
            ends = ",".join(dict.fromkeys((ids[ladder.lanes[0]], ids[ladder.lanes[-1]])))
            sign = {True: "✓ ", False: "✗ ", None: ""}[row.passed]
            lines.append(f"    Note over {ends}: {_plain(sign + row.text)}")
        elif row.kind == "call" and row.source in ids:
            lines.append(f"    Note over {ids[row.source]}: {_plain(row.text)}")
        elif row.kind == "packet" and row.source in ids and row.target in ids:
            arrow = "--x" if row.lost else "-->>" if row.tone == "bad" else "->>"
            ms = (row.time_ns - ladder.begin_ns) / 1e6
            lines.append(
                f"    {ids[row.source]}{arrow}{ids[row.target]}: {row.frame or 'lost'} · {ms:.1f} ms · {_plain(row.text)}"
            )
            notes = [*row.notes, *(f"{lane} {state}" for lane, state in row.states)]
            if notes:
                lines.append(f"    Note right of {ids[row.target]}: {_plain('; '.join(notes))}")
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Return a text in which nothing means anything to Mermaid: entities stand for `;`, `#`, `<`, quotes."""
    safe = "".join(char if char.isprintable() else "·" for char in text)
    return "".join(char if char not in '#;<>"%{}\\' else f"#{ord(char)};" for char in safe)
