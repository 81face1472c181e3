"""`labctl diff`."""

import sys
from typing import Any

import click

from labctl.cli.options import _labs, json_option
from labctl.cli.output import print_json
from labctl.cli.trace import speaks_unicode, terminal_width, use_colour
from labctl.cli.wiring import connect
from labctl.errors import UsageError


@click.command("diff")
@click.argument("one", metavar="A", shell_complete=_labs)
@click.argument("other", metavar="B", shell_complete=_labs)
@click.option(
    "--tolerance",
    metavar="TIME",
    default="20ms,25%",
    show_default=True,
    help="Times that lie no further apart count as the same: `50ms`, `10%` of the longer, or either: `20ms,25%`.",
)
@click.option("--all", "everything", is_flag=True, help="Also what was before the lab was ready, ARP and ICMP.")
@click.option("--width", type=click.IntRange(min=40), help="Columns; default: the terminal's.")
@json_option
def diff_command(one: str, other: str, tolerance: str, everything: bool, width: int | None, as_json: bool) -> None:
    """Tell what differs between two traces of one scenario: before and after a fix, with and without a fault.

    A and B are capture files, report folders, or labs that are up. `-` stands before what only A has, `+` before what only B has,
    `~` before what both have, but not alike. Exits with 0 where nothing differs, 1 where something does, 2 where a file cannot be read.
    """
    from labctl.commands.trace import see_place
    from labctl.wire.diff import diff, diff_facts
    from labctl.wire.diff_text import DiffText

    allowed = _tolerance(tolerance)
    a, b = see_place(connect, one), see_place(connect, other)
    since = (0, 0) if everything else (a.ready_ns, b.ready_ns)
    result = diff(a.trace, b.trace, *since, allowed, everything=everything)
    if as_json:
        print_json(a=one, b=other, **diff_facts(result))
    else:
        drawing = DiffText(terminal_width(width), colour=use_colour(), ascii_only=not speaks_unicode())
        for line in drawing.draw(result, one, other):
            click.echo(line)
    sys.stdout.flush()
    sys.exit(0 if result.same else 1)


def _tolerance(text: str) -> Any:
    from labctl.faults.units import read_duration, read_share
    from labctl.wire.diff import Tolerance

    told = {"seconds": 0.0, "share": 0.0}
    for part in text.split(","):
        try:
            if part.strip().endswith("%"):
                told["share"] = read_share(part)
            else:
                told["seconds"] = read_duration(part) / 1e9
        except ValueError as error:
            raise UsageError(str(error), where="--tolerance", hint="such as `50ms`, `10%` or `20ms,25%`") from error
    return Tolerance(**told)
