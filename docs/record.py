"""Draw a recorded run for the README: `.venv/bin/python docs/record.py` plays tcp-demo and writes docs/tcp-demo.svg."""

import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 100
# The template's only link is a font of somebody else's server; the reader's own monospace serves.
WEB_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def main() -> None:
    """Play, record, draw."""
    done = subprocess.run(
        [sys.executable, "-m", "labctl", "run", "tcp-demo"],
        cwd=ROOT,
        env=os.environ | {"FORCE_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    console = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True)
    console.print(Text("$ bin/labctl run tcp-demo\n", "bold"))
    console.print(Text.from_ansi(done.stdout))
    svg = WEB_FONT.sub("", console.export_svg(title="labctl run tcp-demo"))
    svg = svg.replace(
        'class="rich-terminal"', 'class="rich-terminal" role="img" aria-label="A recorded run of tcp-demo"', 1
    )
    (ROOT / "docs" / "tcp-demo.svg").write_text(svg)


if __name__ == "__main__":
    main()
