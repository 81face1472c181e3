"""A scenario under many faults, as a table: what passed, how much slower, what failed and how. Pure."""

import html
from collections.abc import Sequence
from dataclasses import dataclass, field

DEFAULT = (  # `{}` is the host from whose side a lesson is played
    "impair {} both delay 50ms",
    "impair {} both delay 50ms jitter 40ms",
    "impair {} both loss 5%",
    "impair {} both loss 20%",
    "impair {} both loss 10% burst 5",
    "impair {} both duplicate 20%",
    "impair {} both delay 10ms reorder 20%",
    "impair {} both corrupt 5%",
    "impair {} both rate 128kbit",
    "partition {} for 3s",
)
NOTHING = "nothing"


@dataclass(frozen=True)
class Cell:
    """What one step came to under one fault; `why` is empty where it passed."""

    say: str
    seconds: float
    why: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """A scenario under one fault; `broken` says why it could not be played at all."""

    fault: str
    cells: tuple[Cell, ...] = ()
    broken: str = ""

    @property
    def passed(self) -> bool:
        """Whether every step passed."""
        return not self.broken and not any(cell.why for cell in self.cells)

    @property
    def seconds(self) -> float:
        """How long the steps took together."""
        return sum(cell.seconds for cell in self.cells)


@dataclass(frozen=True)
class Matrix:
    """All rows; the first is the scenario without a fault, against which the others are held."""

    scenario: str
    title: str
    rows: tuple[Row, ...] = field(default_factory=tuple)

    def slower(self, row: Row, number: int) -> float:
        """Return how many times longer a step took than without a fault; below 50 ms both count as 50 ms."""
        base = self.rows[0].cells
        return max(0.05, row.cells[number].seconds) / max(0.05, base[number].seconds) if number < len(base) else 1.0

    def facts(self) -> dict[str, object]:
        """Return it as plain values."""
        rows = [
            {
                "fault": row.fault,
                "passed": row.passed,
                "broken": row.broken,
                "seconds": round(row.seconds, 3),
                "slower": round(row.seconds / max(0.05, self.rows[0].seconds), 2),
                "steps": [
                    {
                        "say": cell.say,
                        "passed": not cell.why,
                        "seconds": round(cell.seconds, 3),
                        "slower": round(self.slower(row, n), 2),
                        "failures": list(cell.why),
                    }
                    for n, cell in enumerate(row.cells)
                ],
            }
            for row in self.rows
        ]
        return {"scenario": self.scenario, "title": self.title, "rows": rows}


def heat(slower: float) -> str:
    """Return a colour for a step that passed: green where it was as quick, through yellow to orange at ten times."""
    share = min(1.0, max(0.0, (slower - 1) / 9))
    return f"hsl({round(130 - 100 * share)} 60% 80%)"


MARKS = ((1.5, "·"), (3, "▂"), (6, "▄"), (10, "▆"))  # a step that took less than so many times as long, in text
LONGER, FAILED = "█", "✗"
LEGEND = ", ".join([*(f"{mark} below ×{most:g}" for most, mark in MARKS), f"{LONGER} longer", f"{FAILED} failed"])


def mark(slower: float) -> str:
    """Return a step that passed as one character."""
    return next((mark for most, mark in MARKS if slower < most), LONGER)


def page(matrix: Matrix) -> str:
    """Return the heat map as one HTML page that needs nothing else."""
    count = max((len(row.cells) for row in matrix.rows), default=0)
    says = next((row.cells for row in matrix.rows if len(row.cells) == count), ())
    head = "".join(f'<th scope="col" title="{html.escape(cell.say)}">{n}</th>' for n, cell in enumerate(says, 1))
    body = "\n".join(_row(matrix, row, count) for row in matrix.rows)
    steps = "".join(f"<li>{html.escape(cell.say)}</li>" for cell in says)
    title = f"{html.escape(matrix.scenario)} under faults"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.4 system-ui, sans-serif; margin: 1rem auto; padding: 0 1rem; max-width: 70rem; color: #222; background: #fff }}
@media (prefers-color-scheme: dark) {{ body {{ color: #ddd; background: #181a1b }} }}
.wide {{ overflow-x: auto }}
table {{ border-collapse: collapse }}
th, td {{ border: 1px solid #bbb; padding: .3rem .6rem; text-align: center }}
th[scope=row] {{ text-align: left; font-weight: normal; font-family: ui-monospace, monospace; min-width: 10rem }}
td {{ white-space: nowrap }}
td[colspan] {{ white-space: normal }}
.passed, .failed {{ color: #222 }}
.failed {{ background: hsl(0 70% 80%); font-weight: bold }}
li {{ max-width: 60rem }}
</style></head><body>
<h1>{title}</h1><p>{html.escape(matrix.title)}</p>
<div class="wide"><table><thead><tr><th scope="col">fault</th>{head}<th scope="col">all</th></tr></thead><tbody>
{body}
</tbody></table></div>
<p>A step that passed shows how many times longer it took than without a fault (below 50 ms counts as 50 ms); one that failed shows ✗.</p>
<h2>Steps</h2><ol>{steps}</ol>
{_failures(matrix)}
</body></html>
"""


def _row(matrix: Matrix, row: Row, count: int) -> str:
    if row.broken:
        cells = f'<td class="failed" colspan="{count + 1}">{html.escape(row.broken)}</td>'
    else:
        cells = "".join(_cell(matrix, row, n) for n in range(len(row.cells)))
        mark = "✓" if row.passed else "✗"
        cells += f"<td{'' if row.passed else ' class=failed'}>{mark} {row.seconds:.1f} s</td>"
    return f'<tr><th scope="row">{html.escape(row.fault)}</th>{cells}</tr>'


def _failures(matrix: Matrix) -> str:
    """Return what failed, and how, for those who cannot point at a cell."""
    items = [
        f"<li><code>{html.escape(row.fault)}</code>, step {number}: {html.escape('; '.join(cell.why))}</li>"
        for row in matrix.rows
        for number, cell in enumerate(row.cells, 1)
        if cell.why
    ]
    return f"<h2>What failed, and how</h2><ul>{''.join(items)}</ul>" if items else ""


def _cell(matrix: Matrix, row: Row, number: int) -> str:
    cell, slower = row.cells[number], matrix.slower(row, number)
    if cell.why:
        return f'<td class="failed" title="{html.escape("; ".join(cell.why))}">✗</td>'
    return f'<td class="passed" style="background: {heat(slower)}" title="{cell.seconds:.2f} s">×{slower:.1f}</td>'


def lines(matrix: Matrix) -> list[Sequence[str]]:
    """Return the heat map as text: a row for each fault, its steps a character each."""
    table: list[Sequence[str]] = []
    for row in matrix.rows:
        failed = [str(n) for n, cell in enumerate(row.cells, 1) if cell.why]
        steps = "".join(FAILED if cell.why else mark(matrix.slower(row, n)) for n, cell in enumerate(row.cells))
        verdict = "passed" if row.passed else row.broken or f"failed ({', '.join(failed)})"
        why = next((cell.why[0] for cell in row.cells if cell.why), "")
        slower = f"×{row.seconds / max(0.05, matrix.rows[0].seconds):.1f}" if row.cells else "-"
        table.append(
            (row.fault, steps or "-", verdict, f"{row.seconds:.1f} s", slower, why.splitlines()[0][:80] if why else "")
        )
    return table
