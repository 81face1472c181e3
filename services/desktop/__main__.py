"""Open the window: `python3 -m services.desktop [--tab mail] [--theme dark]`, on the display that `DISPLAY` names."""

import argparse
import os
import sys
from pathlib import Path
from typing import NamedTuple

PAGES = ("tcp", "udp", "files", "mail", "web", "classic", "hosts", "widgets")


class Config(NamedTuple):
    """What the command line and the environment ask for.

    Args:
        scale: 1.0 is 96 dots an inch; None asks the display.
        probe: Unix socket that tells what the window shows; None: no such socket.
    """

    theme: str
    tab: str
    hosts: tuple[str, ...]
    scale: float | None
    geometry: str
    downloads: Path
    probe: Path | None
    untrusted: bool
    way: str


def read_config(argv: list[str]) -> Config:
    """Read flags, and the environment where a flag is left out."""
    parser = argparse.ArgumentParser("services.desktop", description="The lab's window.")
    parser.add_argument("--theme", choices=("light", "dark"), default=os.environ.get("LAB_THEME") or "light")
    parser.add_argument("--tab", choices=PAGES, default="tcp")
    parser.add_argument("--hosts", default=os.environ.get("LAB_HOSTS", ""), help="the lab's hosts, with commas between")
    parser.add_argument("--scale", type=float, help="1.0 is 96 dots an inch; default: as the display says")
    parser.add_argument("--geometry", default="", help="such as 1000x700+0+0")
    parser.add_argument("--downloads", type=Path, default=Path.home() / "downloads")
    parser.add_argument("--probe", type=Path, help="Unix socket that tells what the window shows")
    parser.add_argument("--untrusted", action="store_true", help="say so where AltGr is pressed, which cannot work")
    parser.add_argument("--way", default="", help="how the window reaches the screen, to be shown in it")
    options = parser.parse_args(argv)
    options.hosts = tuple(name for name in options.hosts.split(",") if name)
    return Config(**vars(options))


def main(argv: list[str]) -> int:
    """Show the window until it is closed; 1 where there is no display."""
    config = read_config(argv)
    import tkinter as tk

    try:
        return show(config)
    except tk.TclError as error:
        sys.stderr.write(f"error: no window can be shown: {error}\n\nhint: `labctl gui` brings the display along\n")
        return 1


def show(config: Config) -> int:
    """Open the window and stay until it is closed."""
    from services.desktop import style
    from services.desktop.model import Model
    from services.desktop.window import Settings, open_window

    root = style.open_root()
    scale = style.find_scale(root, config.scale)
    hosts = config.hosts
    if not hosts:
        from services.desktop.work.hosts import known_hosts

        hosts = known_hosts()
    config.downloads.mkdir(parents=True, exist_ok=True)
    width, height = (
        min(root.winfo_screenwidth(), round(900 * scale)),
        min(root.winfo_screenheight(), round(660 * scale)),
    )
    root.geometry(config.geometry or f"{width}x{height}")
    open_window(
        root, Model(hosts), Settings(config.theme, scale, config.tab, config.downloads, config.untrusted, config.way)
    )
    if config.probe:
        from services.desktop.probe import Probe

        Probe(root, config.probe)
    root.mainloop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
