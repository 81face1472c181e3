"""Press buttons of the window, print what it shows, and close it: `python3 -m services.desktop.screen --no-wait -- python3 -m
services.desktop.play greet`. So a scenario's step can be played by the window itself, on a screen that nobody sees.

With `--picture` stdout is a picture of the screen instead (PNG), and what failed is told on stderr.
"""

import argparse
import sys
import time
import tkinter as tk
from collections.abc import Callable
from pathlib import Path

from services.desktop import style
from services.desktop.__main__ import PAGES
from services.desktop.model import Model
from services.desktop.picture import screen
from services.desktop.plays import PLAYS, Play
from services.desktop.window import Settings, Window, open_window
from services.desktop.work.hosts import known_hosts

TIMEOUT = 30.0
STEP_MS = 30
TALKS = ("chat", "telnet")  # conversations: nobody waits for their end


def main(argv: list[str]) -> int:
    """Play what the command line names, one after the other; 1 where one fails."""
    parser = argparse.ArgumentParser("services.desktop.play")
    parser.add_argument("plays", nargs="*", metavar="WORD", help=", ".join(PLAYS))
    parser.add_argument("--picture", action="store_true", help="write a picture to stdout")
    parser.add_argument("--tab", choices=PAGES, help="shown in the end; default: the last button's")
    parser.add_argument("--theme", choices=("light", "dark"), default="light")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--hosts", default="", help="the lab's hosts, with commas between")
    options = parser.parse_args(argv)
    for word in options.plays:
        if word not in PLAYS:
            parser.error(f"there is no button `{word}`: {', '.join(PLAYS)}")
    root = style.open_root()
    model = Model(tuple(filter(None, options.hosts.split(","))) or known_hosts())
    downloads = Path.home() / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    first = PLAYS[options.plays[0]].tab if options.plays else options.tab or PAGES[0]
    way = "" if options.picture else "a screen of its own"
    scale = style.find_scale(root, options.scale)
    window = open_window(root, model, Settings(options.theme, scale, first, downloads, way=way))
    window.desk.confirm = lambda _title, _question: True  # nobody is there to be asked
    failed = [word for word in options.plays if not play(root, window, model, PLAYS[word], quiet=options.picture)]
    if options.picture:
        if options.tab:
            window.select(options.tab)
        settle(root, window)
        sys.stdout.buffer.write(screen())
        for word in failed:
            sys.stderr.write(f"`{word}`: {model.topics[PLAYS[word].topic].status}\n")
    root.event_generate("<<Close>>")
    return int(bool(failed))


def play(root: tk.Tk, window: Window, model: Model, wanted: Play, *, quiet: bool = False) -> bool:
    """Press, wait until the work is done, print; tell whether it went well."""
    tab = window.select(wanted.tab)
    wait(root, lambda: window.drawn)  # a row that the last play fetched has to be there to be chosen
    root.update()
    wanted.press(tab)
    topic = model.topics[wanted.topic]
    done = wait(root, lambda: topic.failed or wanted.done(topic))
    if not quiet:
        lines = [f"{line.kind}: {line.text}" for line in topic.log.lines]
        fact = topic.facts.get(wanted.fact, ())
        lines += fact.splitlines() if isinstance(fact, str) else [words(item) for item in fact]
        print("\n".join([*lines, topic.status]))
    return done and not topic.failed


def wait(root: tk.Tk, done: Callable[[], bool], seconds: float = TIMEOUT) -> bool:
    """Let the event loop run until something holds; tell whether it did."""
    tick = tk.BooleanVar(root)
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        root.after(STEP_MS, tick.set, True)
        root.wait_variable(tick)
    return True


def settle(root: tk.Tk, window: Window) -> None:
    """Wait until the window fills the screen, the tab that is shown has no more work, and all of it is drawn."""
    model = window.desk.model

    def still() -> bool:
        tab = window.tabs[window.current]
        topics = [name for part in (tab, *tab.parts) for name in part.topics if name not in TALKS]
        return window.drawn and not any(model.topics[name].busy for name in topics)

    wait(root, lambda: root.winfo_width() >= root.winfo_screenwidth(), 2.0)  # a screen without a manager fills nothing
    wait(root, still)
    root.update()
    root.winfo_pointerxy()  # a question, so that all before it has been done


def words(item: object) -> str:
    """Return a fact's values in a line."""
    return "  ".join(str(value) for value in vars(item).values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
