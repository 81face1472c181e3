"""`labctl doctor`."""

import os
import sys

import click

from labctl.cli.options import json_option
from labctl.cli.output import print_json
from labctl.cli.wiring import connect
from labctl.errors import LabError

MARKS = {"ok": ("✓", "green"), "note": ("•", "yellow"), "lacking": ("✗", "red")}


@click.command("doctor")
@json_option
def doctor_command(as_json: bool) -> None:
    """Tell what this machine has for labs, what it lacks, and how to mend it. Exits with 3 where no engine answers."""
    from labctl.commands.doctor import Row, this_engine, this_machine
    from labctl.commands.doctor_gui import display_rows, socket_rows, tool_rows

    rows = list(this_machine())
    code = 0
    try:
        engine = connect()
        facts = engine.facts()
        rows += this_engine(engine, facts, f"{engine.endpoint.url} ({engine.endpoint.origin})")
        rows += socket_rows(engine.endpoint, facts)
    except LabError as error:
        rows.append(Row("engine", "lacking", f"{error.what} ({error.where})", error.hint))
        code = error.code
    rows += [*display_rows(os.environ.get("DISPLAY", "")), *tool_rows()]
    if code == 0 and any(row.status == "lacking" for row in rows):
        code = 1
    if as_json:
        print_json(rows=rows)
    else:
        width = max(len(row.topic) for row in rows)
        for row in rows:
            mark, colour = MARKS[row.status]
            click.echo(f"{click.style(mark, fg=colour)} {click.style(row.topic.ljust(width), bold=True)}  {row.text}")
            if row.hint:
                click.echo(f"  {' ' * width}  {click.style('→ ' + row.hint, dim=True)}")
    sys.exit(code)
