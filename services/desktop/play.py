"""Press a button of the window, print what it shows, and close it: `python3 -m services.desktop.screen --no-wait -- python3 -m
services.desktop.play greet`. So a scenario's step can be played by the window itself, on a screen that nobody sees.
"""

import argparse
import sys
import tkinter as tk
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from services.desktop import style
from services.desktop.model import Model
from services.desktop.window import Settings, Window, open_window
from services.desktop.work.hosts import known_hosts

TIMEOUT = 30.0
STEP_MS = 30


class Play(NamedTuple):
    """A tab, the topic that works, what is pressed, and the fact that is shown in the end."""

    tab: str
    topic: str
    press: Callable[[Any], object]
    fact: str = ""


PLAYS = {
    "greet": Play("tcp", "tcp", lambda tab: tab.greet_button.invoke()),
    "echo": Play("tcp", "tcp", lambda tab: tab.echo()),
    "datagram": Play("udp", "udp", lambda tab: tab.ask()),
    "browse": Play("files", "files", lambda tab: tab.browse(), "listing"),
    "source": Play("web", "web", lambda tab: tab.source(), "source"),
    "send": Play("mail", "send", lambda tab: tab.compose.hand_over()),
    "inbox": Play("mail", "inbox", lambda tab: tab.inbox.fetch(), "entries"),
    "ftp": Play("classic", "ftp", lambda tab: tab.parts[0].open(), "items"),
    "news": Play("classic", "news", lambda tab: tab.parts[1].groups(), "groups"),
    "gopher": Play("classic", "gopher", lambda tab: tab.parts[3].menu(), "items"),
    "hosts": Play("hosts", "hosts", lambda tab: tab.look(), "hosts"),
}


def main(argv: list[str]) -> int:
    """Play what the command line names, one after the other; 1 where one fails."""
    parser = argparse.ArgumentParser("services.desktop.play")
    parser.add_argument("plays", nargs="+", choices=PLAYS)
    options = parser.parse_args(argv)
    root = tk.Tk(className="Labctl")
    model = Model(known_hosts())
    downloads = Path.home() / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    window = open_window(
        root, model, Settings("light", style.find_scale(1.0), "tcp", downloads, way="a screen of its own")
    )
    code = 0
    for name in options.plays:
        code |= play(root, window, model, PLAYS[name])
    root.event_generate("<<Close>>")
    return code


def play(root: tk.Tk, window: Window, model: Model, wanted: Play) -> int:
    """Press, wait until the work is done, print; return 0 where it went well."""
    tab = window.select(wanted.tab)
    root.update()
    wanted.press(tab)
    topic = model.topics[wanted.topic]
    done = tk.BooleanVar(root)
    left = [int(TIMEOUT * 1000 / STEP_MS)]

    def look() -> None:
        left[0] -= 1
        if not topic.busy or not left[0]:
            done.set(True)
        else:
            root.after(STEP_MS, look)

    look()
    root.wait_variable(done)
    lines = [f"{line.kind}: {line.text}" for line in topic.log.lines]
    fact = topic.facts.get(wanted.fact, ())
    lines += fact.splitlines() if isinstance(fact, str) else [words(item) for item in fact]
    print("\n".join([*lines, topic.status]))
    return int(topic.failed or topic.busy)


def words(item: object) -> str:
    """Return a fact's values in a line."""
    return "  ".join(str(value) for value in vars(item).values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
