"""Draw the ladders of scenarios for the documents: `.venv/bin/python docs/ladders.py [SCENARIO …]` draws docs/ladders/NAME.svg.

The pictures are of real runs, so they never show what the programs do not do.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DRAWN = ("tcp-demo", "udp-demo")  # those that documents show


def main(names: list[str]) -> None:
    """Play each scenario and keep its picture."""
    folder = ROOT / "docs" / "ladders"
    folder.mkdir(exist_ok=True)
    for name in names or DRAWN:
        with tempfile.TemporaryDirectory() as report:
            argv = [
                sys.executable,
                "-m",
                "labctl",
                "run",
                name,
                "--lab",
                f"ladder-{name}",
                "--report",
                report,
                "--quiet",
            ]
            subprocess.run(argv, cwd=ROOT, check=True)
            (folder / f"{name}.svg").write_bytes((Path(report) / "trace.svg").read_bytes())


if __name__ == "__main__":
    main(sys.argv[1:])
