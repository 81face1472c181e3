"""How long work looks while it lasts: a live display on a terminal, plain lines elsewhere, nothing with `--quiet`."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from labctl.progress import Progress, Silent


@contextmanager
def show_progress(*, quiet: bool) -> Iterator[Progress]:
    """Give the progress that suits stderr, for as long as the work lasts."""
    if quiet:
        yield Silent()
    elif sys.stderr.isatty():
        live = LiveProgress()
        try:
            yield live
        finally:
            live.close()
    else:
        yield PlainProgress()


class PlainProgress:
    """A line an event, for logs and pipes."""

    def __init__(self) -> None:
        self._last: dict[str, str] = {}
        self._lock = threading.Lock()

    def update(self, task: str, text: str, fraction: float | None = None) -> None:  # noqa: ARG002 - lines tell no shares
        self._say(task, text)

    def done(self, task: str, text: str) -> None:
        self._say(task, text)

    def note(self, text: str) -> None:
        click.echo(text, err=True)

    def _say(self, task: str, text: str) -> None:
        with self._lock:
            if self._last.get(task) != text:
                self._last[task] = text
                click.echo(f"{task}: {text}", err=True)


class LiveProgress:
    """A line a task, redrawn in place; rich is imported by the drawing thread, while the work has begun already."""

    def __init__(self) -> None:
        self._tasks: dict[str, tuple[str, float | None, bool]] = {}
        self._notes: list[str] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._draw, daemon=True)
        self._thread.start()

    def update(self, task: str, text: str, fraction: float | None = None) -> None:
        self._tasks[task] = (text, fraction, False)

    def done(self, task: str, text: str) -> None:
        self._tasks[task] = (text, None, True)

    def note(self, text: str) -> None:
        self._notes.append(text)

    def close(self) -> None:
        """Draw what is left and give the terminal back."""
        self._closing.set()
        self._thread.join()

    def _draw(self) -> None:
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True)
        began = time.monotonic()
        with Live(console=console, refresh_per_second=12, get_renderable=lambda: self._table(began)) as live:
            while not self._closing.wait(0.08):
                self._tell_notes(live.console)
            self._tell_notes(live.console)

    def _tell_notes(self, console: Any) -> None:
        while self._notes:
            console.print(self._notes.pop(0), highlight=False, markup=False)

    def _table(self, began: float) -> Any:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 1))
        frame = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"[int((time.monotonic() - began) * 10) % 10]
        for task, (text, fraction, done) in list(self._tasks.items()):
            mark = Text("✓", "green") if done else Text(frame, "cyan")
            bar: Any = ProgressBar(total=1.0, completed=fraction, width=24) if fraction is not None else ""
            table.add_row(
                mark, Text(task, "bold"), Text(text, "" if not done else "dim", overflow="ellipsis", no_wrap=True), bar
            )
        return table
