"""Draw docs/gui/*.png anew: each tab of the window, light and dark, in a lab that is brought up for it.

.venv/bin/python docs/screenshots.py [FOLDER [SIZE [SCALE]]]
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LAB = "screenshots"
# The picture's name, and the buttons that are pressed for it: see `labctl gui --help`.
PICTURES = {
    "tcp": ("greet", "echo", "chat", "say"),
    "udp": ("datagram",),
    "files": ("browse", "download"),
    "mail": ("send", "inbox", "read"),
    "web-source": ("source",),
    "web-picture": ("picture",),
    "ftp": ("ftp",),
    "news": ("news", "articles"),
    "telnet": ("telnet",),
    "gopher": ("gopher",),
    "hosts": ("hosts",),
    "widgets": (),
}


def labctl(*argv: str) -> str:
    """Run labctl and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "labctl", *argv], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"labctl {' '.join(argv)}:\n{done.stderr}")
    return done.stdout


def main(argv: list[str]) -> None:
    """Bring a lab up, take the pictures, take it down."""
    folder = Path(argv[0]) if argv else ROOT / "docs" / "gui"
    size = argv[1] if len(argv) > 1 else "900x640"
    scale = argv[2] if len(argv) > 2 else "1"
    folder.mkdir(parents=True, exist_ok=True)
    labctl("up", "gui-demo", "--lab", LAB, "--quiet")
    try:
        for theme in ("light", "dark"):
            for name, buttons in PICTURES.items():
                shown = ["--tab", name] if not buttons else [word for button in buttons for word in ("--press", button)]
                file = folder / f"{name}-{theme}.png"
                labctl(
                    "gui",
                    "--lab",
                    LAB,
                    "--screenshot",
                    str(file),
                    "--theme",
                    theme,
                    "--size",
                    size,
                    "--scale",
                    scale,
                    *shown,
                )
    finally:
        labctl("down", LAB, "--quiet")


if __name__ == "__main__":
    main(sys.argv[1:])
