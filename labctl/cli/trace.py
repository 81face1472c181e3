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
from labctl.errors import UsageError

WIDTH = 100  # columns where nobody says how many there are


@click.command("trace")
@click.argument("lab", required=False, metavar="[LAB|FILE]", shell_complete=_labs)
@click.option("--follow", "-f", is_flag=True, help="Go on as packets cross the wire, until Ctrl-C.")
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE|DIR",
    help="Write a file: .pcapng, .html, .svg, .mmd, .md, .txt, .json; or a folder with all that a report has.",
)
@click.option("--deep", is_flag=True, help="Ask tshark too, in a container of its own: fields, and whether it agrees.")
@click.option(
    "--frame",
    "frames",
    type=click.IntRange(min=1),
    multiple=True,
    help="With --deep: print this frame's fields instead.",
)
@click.option("--conversation", "-c", type=click.IntRange(min=1), help="Only this conversation, by its number.")
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Also what crossed before the lab was ready, and the network's housekeeping.",
)
@click.option(
    "--most",
    type=click.IntRange(min=1),
    help="About so many rows: of dull stretches and long steps the rest is only counted.",
)
@click.option("--width", type=click.IntRange(min=40), help="Columns of the ladder; default: the terminal's.")
@tap_options
@json_option
@talk_options
def trace_command(
    lab: str | None,
    follow: bool,
    out: tuple[Path, ...],
    deep: bool,
    frames: tuple[int, ...],
    conversation: int | None,
    everything: bool,
    most: int | None,
    width: int | None,
    as_json: bool,
    quiet: bool,
    **tap_told: Any,
) -> None:
    """Draw what crossed LAB's wire as a ladder, the sockets' calls beside the packets; or what a capture FILE holds, or a report's folder.

    A capture keeps what a pcapng has no place for (calls, steps, what shapers did) in a .json beside it, which is read with it.

    A lab has a tap where it came up with `labctl up --tap` or `labctl run --keep --trace`. Without, `--follow` starts a tap that captures
    from now on; --filter, --snap, --ring and --buffer are for that one.
    """
    from labctl.commands.pictures import Choice, check_form, picture_of, write_picture
    from labctl.commands.trace import see_place

    for path in out:
        check_form(path)
    choice = Choice(conversation, everything, most)
    if (follow or not deep) and (frames or deep):
        raise UsageError("`--frame` goes with `--deep`, and `--deep` not with `--follow`", where="--deep")
    if follow:
        for option, given in {"--out": out, "--most": most, "--json": as_json}.items():
            if given:
                hint = "what was captured up to now is had by `labctl trace` without `--follow`"
                raise UsageError(
                    f"`--follow` draws on the terminal alone, so `{option}` does not go with it",
                    where=option,
                    hint=hint,
                )
        _follow(lab, choice, width, quiet, tap_told)
        return
    seen = see_place(connect, lab)
    told: dict[str, Any] = {}
    if deep:
        seen, told = _ask_tshark(seen, choice, frames, quiet=quiet or as_json)
    for path in sorted(
        out, key=lambda path: path.suffix == ".json"
    ):  # it holds the notes of a capture of the same name too
        written = write_picture(seen, path, choice)
        if not quiet:
            click.echo(f"wrote {', '.join(map(str, written))}", err=True)
    if as_json:
        from labctl.commands.pictures import seen_facts

        print_json(name=seen.name, **seen_facts(seen), **told)
    elif frames:
        print_fields(seen, frames)
    elif not out:
        print_ladder(picture_of(seen, choice), width)


def _ask_tshark(seen: Any, choice: Any, frames: tuple[int, ...], *, quiet: bool) -> tuple[Any, dict[str, Any]]:
    """Return what was seen with what tshark says of it, and its analysis as plain values; say whether it agrees."""
    from dataclasses import replace

    from labctl.cli.wiring import tshark_image
    from labctl.commands.deep import look_deeper
    from labctl.commands.pictures import ladder_of

    known = [row.frame for row in ladder_of(seen, choice).rows if row.frame]
    wanted = sorted(set(frames)) or sorted(known)
    missing = [frame for frame in wanted if frame > len(seen.capture.frames)]
    if missing:
        raise UsageError(
            f"there is no frame {missing[0]}", where=seen.name, hint=f"there are {len(seen.capture.frames)}"
        )
    engine = connect()
    found = look_deeper(engine, tshark_image(engine), seen, wanted, known)
    if not quiet:
        click.secho(str(found.check), fg="yellow" if found.check.disagreements else None, err=True)
        for item in found.check.disagreements[:20]:
            click.echo(f"  {item}", err=True)
        if found.left_out:
            click.echo(f"{found.left_out} frames more are not decoded; `-c` chooses a conversation", err=True)
    check = {"marked": found.check.marked, "disagreements": [item.facts() for item in found.check.disagreements]}
    return replace(seen, fields=found.fields), {"tshark": check}


def print_fields(seen: Any, frames: tuple[int, ...]) -> None:
    """Print what tshark says of some frames."""
    from labctl.cli.output import printable
    from labctl.wire.deep import node_lines

    for frame in frames:
        click.secho(f"frame {frame}", bold=True)
        for line in node_lines(seen.fields.get(frame, ())):
            click.echo(f"  {printable(line)}")


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


def _follow(lab: str | None, choice: Any, width: int | None, quiet: bool, tap_told: dict[str, Any]) -> None:
    """Draw packets as they come; what was captured before comes first."""
    from labctl.commands.live import follow
    from labctl.commands.prepare import tools_image
    from labctl.commands.trace import choose, is_file, start_tap
    from labctl.wire.ladder import lay_out
    from labctl.wire.terminal import TextLadder

    if lab is not None and is_file(lab):
        raise UsageError(
            f"`{lab}` is a file, and does not grow", where="--follow", hint="a lab that is up can be followed"
        )
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
    for live in follow(engine, tap, found):
        ladder = lay_out(
            live.builder.trace,
            frames=range(shown + 1, live.newest + 1),
            conversations=None if choice.conversation is None else [choice.conversation],
            everything=choice.everything,
        )
        shown = live.newest
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
