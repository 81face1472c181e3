"""Draw docs/gui/*.png anew: each tab of the window, light and dark, in a lab that is brought up for it.

.venv/bin/python docs/screenshots.py [FOLDER [SIZE [SCALE]]]
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "desktop"))
LAB = "screenshots"


def labctl(*argv: str) -> str:
    """Run labctl and return what it prints."""
    return subprocess.run(
        [sys.executable, "-m", "labctl", *argv], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout


def tour(window, save) -> None:
    """Use each tab, and save what it looks like."""
    window.press("greet")
    window.sees("Thank you for connecting")
    window.press("compare")
    window.sees("alike")
    window.press("join")
    window.sees("is now ana")
    window.fill("line", "hello, everybody")
    window.press("say")
    window.sees("→ hello, everybody")
    save("tcp")
    window.tab(2)
    window.press("send")
    window.sees("octets came back")
    save("udp")
    window.tab(3)
    window.press("browse")
    window.sees("picture.png")
    window.choose_row("picture.png")
    window.press("download")
    window.sees("as on the server")
    save("files")
    window.tab(4)
    window.press("send")
    window.sees("Successfully sent email")
    window.wait(
        lambda: window.press("fetch") or (window.sees("by POP3") and "Greetings" in rows(window)) or None, "the mail"
    )
    window.choose_row("alice@lab.test")
    window.sees("Subject: Greetings")
    save("mail")
    window.tab(5)
    window.press("source")
    window.sees("<!doctype html>")
    save("web-source")
    window.fill("address", "http://web-server/picture.png")
    window.press("download")
    window.sees("image/png")
    save("web-picture")
    classic(window, save)
    window.tab(7)
    window.sees("hosts are reachable")
    save("hosts")
    window.tab(8)
    window.sees("running:")
    save("widgets")


def rows(window) -> str:
    """Return all cells of the tables that are shown."""
    return "\n".join(
        cell for widget in window.tree() if widget["mapped"] for row in widget.get("rows", ()) for cell in row
    )


def classic(window, save) -> None:
    """The four tabs within Classic; Ctrl+Tab there changes the outer ones, so the inner are clicked."""
    window.tab(6)
    window.press("list")
    window.sees("readme.txt")
    save("ftp")
    book = window.one("book")
    scale = window.scale
    for title, x in (("news", 90), ("telnet", 160), ("gopher", 235)):
        window.screen.click(book["x"] + round(x * scale), book["y"] + round(18 * scale))
        if title == "news":
            window.press("groups")
            window.sees("lab.announce")
            window.choose_row("lab.announce")
            window.sees("article")
        elif title == "telnet":
            window.press("connect")
            window.sees("login:")
        else:
            window.press("menu")
            window.sees("lines of menu")
        save(title)


def main(argv: list[str]) -> None:
    """Bring a lab up, take the pictures, take it down."""
    from desk import Desk

    folder = Path(argv[0]) if argv else ROOT / "docs" / "gui"
    size = argv[1] if len(argv) > 1 else "900x640"
    scale = argv[2] if len(argv) > 2 else "1"
    folder.mkdir(parents=True, exist_ok=True)
    hosts = json.loads(labctl("up", "gui-demo", "--lab", LAB, "--json"))["hosts"]
    try:
        container = next(host["id"] for host in hosts if host["name"] == "desktop")
        names = ",".join(host["name"] for host in hosts if host["name"] != "desktop")
        for theme in ("light", "dark"):
            with Desk(container, "--hosts", names, "--theme", theme, "--scale", scale, size=size) as window:
                window.scale = float(scale)
                tour(
                    window,
                    lambda name, window=window, theme=theme: (folder / f"{name}-{theme}.png").write_bytes(
                        window.picture()
                    ),
                )
    finally:
        labctl("down", LAB, "--quiet")


if __name__ == "__main__":
    main(sys.argv[1:])
