"""`labctl doctor`."""

import os
import sys
from typing import TYPE_CHECKING

import click

from labctl.cli.options import json_option
from labctl.cli.output import print_json
from labctl.cli.wiring import builder_for, connect, helpers_image
from labctl.errors import LabError

if TYPE_CHECKING:
    from labctl.commands.doctor import Row
    from labctl.engine.sdk import DockerEngine

MARKS = {"ok": ("✓", "green"), "note": ("•", "yellow"), "lacking": ("✗", "red")}


@click.command("doctor")
@click.option("--impair", is_flag=True, help="Measure what impairments are worth here: 30 s, in a lab of its own.")
@json_option
def doctor_command(impair: bool, as_json: bool) -> None:
    """Tell what this machine has for labs, what it lacks, and how to mend it. Exits with 3 where no engine answers."""
    from labctl.commands.doctor import Row, this_engine, this_machine
    from labctl.commands.doctor_gui import display_rows, socket_rows, tool_rows

    rows = list(this_machine())
    code = 0
    try:
        engine = connect()
        facts = engine.facts()
        rows += this_engine(engine, facts, f"{engine.endpoint.url} ({engine.endpoint.origin})")
        rows += socket_rows(engine.endpoint, facts, os.environ.get("DISPLAY", ""))
        if impair:
            rows += _impairments(engine)
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


def _impairments(engine: "DockerEngine") -> "list[Row]":
    """Return what was measured in a lab that is there for nothing else."""
    from labctl.cli.progress import show_progress
    from labctl.commands.down import down
    from labctl.commands.measure import Bench, check
    from labctl.commands.up import up
    from labctl.scenario.catalog import find_scenario

    with show_progress(quiet=False) as progress:
        lab = up(engine, builder_for(engine), find_scenario("tcp-demo"), progress, lab=f"doctor-{os.getpid()}").lab
    try:
        return list(check(Bench(engine, lab, helpers_image(engine))))
    finally:
        with show_progress(quiet=True) as progress:
            down(engine, [lab], progress)
