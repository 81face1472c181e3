"""Write docs/protocols.md from the table that the clients read: `.venv/bin/python docs/protocols.py`."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from services.client.topics import PROTOCOLS  # noqa: E402

HEAD = """\
# Protocols

Every protocol of the lab, made from `services/client/topics.py` by `docs/protocols.py`; the clients read the same rows.

| protocol | function | port | Python module then | and now | host | client | scenario | RFC sections covered |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


def page() -> str:
    """Return the page."""
    lines = []
    for row in PROTOCOLS:
        client = ", ".join(f"`lab {topic}`" for topic in row.topic.split(", ") if topic) or "–"
        then = row.then or "–"
        cells = (row.name, row.function, ", ".join(row.ports), then, row.now, row.host, client, row.scenario, row.rfcs)
        lines.append("| " + " | ".join(cells) + " |")
    changes = "\n".join(f"- {row.name}: {row.changes}." for row in PROTOCOLS if row.changes)
    return HEAD + "\n".join(lines) + f"\n\n## What became of the modules\n\n{changes}\n"


if __name__ == "__main__":
    (ROOT / "docs" / "protocols.md").write_text(page())
