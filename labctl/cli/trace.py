"""`labctl trace`."""

import shutil
import sys
from pathlib import Path
from typing import Any

import click

from labctl.cli.app import wants_colour
from labctl.cli.options import _labs, json_option, talk_options
from labctl.cli.output import print_json
from labctl.cli.progress import show_progress
from labctl.cli.wire_options import tap_options, tap_spec
from labctl.cli.wiring import builder_for, connect

WIDTH = 100  # columns where nobody says how many there are


@click.command("trace")
@click.argument("lab", required=False, metavar="[LAB|FILE]", shell_complete=_labs)
@click.option("--follow", "-f", is_flag=True, help="Go on as packets cross the wire, until Ctrl-C.")
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    help="Write a file: .pcapng, .html, .svg, .mmd, .md, .txt, .json.",
)
@click.option("--conversation", "-c", type=click.IntRange(min=1), help="Only this conversation, by its number.")
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Also what crossed before the lab was ready, and the network's housekeeping.",
)
@click.option("--width", type=click.IntRange(min=40), help="Columns of the ladder; default: the terminal's.")
@tap_options
@json_option
@talk_options
def trace_command(
    lab: str | None,
    follow: bool,
    out: tuple[Path, ...],
    conversation: int | None,
    everything: bool,
    width: int | None,
    as_json: bool,
    quiet: bool,
    **tap_told: Any,
) -> None:
    """Draw what crossed LAB's wire as a ladder, with the sockets' calls beside the packets; or what a capture FILE holds.

    A lab has a tap where it came up with `labctl up --tap` or `labctl run --keep --trace`. Without, `--follow` starts a tap that captures
    from now on; --filter, --snap, --ring and --buffer are for that one.
    """
    from labctl.commands.pictures import Choice, check_form, ladder_of, write_picture
    from labctl.commands.trace import see, see_file

    for path in out:
        check_form(path)
    choice = Choice(conversation, everything)
    if follow:
        _follow(lab, width, quiet, tap_told)
        return
    if lab is not None and is_file(lab):
        seen = see_file(Path(lab))
    else:
        from labctl.commands.calls import read_calls

        engine = connect()
        seen = see(engine, lab, calls=lambda found: read_calls(engine, found))
    for path in out:
        write_picture(seen, path, choice)
        if not quiet:
            click.echo(f"wrote {path}", err=True)
    if as_json:
        from labctl.wire.facts import trace_facts

        print_json(name=seen.name, **trace_facts(seen.trace, seen.marks))
    elif not out:
        print_ladder(ladder_of(seen, choice), width)


def is_file(word: str) -> bool:
    """Tell whether a word names a capture file rather than a lab."""
    return "/" in word or Path(word).suffix in (".pcapng", ".pcap", ".cap")


def terminal_width(width: int | None = None) -> int:
    """Return how many columns a ladder may take."""
    return width or shutil.get_terminal_size((WIDTH, 24)).columns


def use_colour() -> bool:
    """Tell whether stdout takes colours."""
    wanted = wants_colour()
    return sys.stdout.isatty() if wanted is None else wanted


def speaks_unicode() -> bool:
    """Tell whether stdout can show the ladder's strokes."""
    try:
        "│─▶◀✗".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def print_ladder(ladder: Any, width: int | None = None) -> None:
    """Print a ladder to stdout."""
    from labctl.wire.terminal import TextLadder

    drawing = TextLadder(terminal_width(width), colour=use_colour(), ascii_only=not speaks_unicode())
    for line in drawing.draw(ladder):
        click.echo(line)


def _follow(lab: str | None, width: int | None, quiet: bool, tap_told: dict[str, Any]) -> None:
    """Draw packets as they come; what was captured before comes first."""
    from labctl.commands.prepare import tools_image
    from labctl.commands.trace import choose, follow, start_tap
    from labctl.wire.ladder import lay_out
    from labctl.wire.terminal import TextLadder

    engine = connect()
    found = choose(engine, lab)
    tap = found.tap
    if tap is None:
        with show_progress(quiet=quiet) as progress:
            image = tools_image(progress)
            if not engine.has_image(f"{image}:latest"):
                from labctl.paths import lab_root

                builder_for(engine)(lab_root() / "compose.yaml").build(["tools"], progress)
            tap = start_tap(engine, found, image, tap_spec(**tap_told), progress)
        click.echo(f"lab `{tap.lab}` had no tap; what crossed before now is not in the ladder", err=True)
    drawing = TextLadder(terminal_width(width), colour=use_colour(), ascii_only=not speaks_unicode())
    shown, begin = 0, 0
    for live, newest in follow(engine, tap, found):
        ladder = lay_out(live.builder.trace, frames=range(shown + 1, newest + 1))
        shown = newest
        if not ladder.rows:
            continue
        begin = begin or ladder.begin_ns
        lanes = list(dict.fromkeys([*drawing.lanes, *ladder.lanes]))
        if lanes != drawing.lanes:
            for line in drawing.head(lanes):
                click.echo(line)
        for row in ladder.rows:
            for line in drawing.row(row, begin):
                click.echo(line)
        sys.stdout.flush()
