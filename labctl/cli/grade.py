"""`labctl grade`."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from labctl.cli.options import json_option, scenario_argument, talk_options
from labctl.cli.output import print_json, printable
from labctl.cli.progress import show_progress
from labctl.cli.wiring import builder_for, connect
from labctl.errors import UsageError
from labctl.scenario.catalog import find_scenario

if TYPE_CHECKING:
    from labctl.grade.verdict import Grade

LABS_A_CORE = 2
by_name = attrgetter("name")


@click.command("grade")
@scenario_argument
@click.argument("submissions", type=click.Path(exists=True, path_type=Path))
@click.option("--jobs", "-j", type=click.IntRange(min=1), help="Labs at once; default and most: two a core.")
@click.option(
    "--report",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for JSON, CSV, JUnit and a page for each.",
)
@json_option
@talk_options
def grade_command(
    scenario: str, submissions: Path, jobs: int | None, report: Path | None, as_json: bool, quiet: bool
) -> None:
    """Judge each program of the folder SUBMISSIONS, or one alone, in the place of SCENARIO's server, in a lab of its own.

    Points come from the scenario's `grading`. Exits with 1 where one does not reach all of them.
    """
    from labctl.commands.prepare import load, wanted
    from labctl.commands.up import needs_build
    from labctl.grade.judge import grade, worth
    from labctl.grade.report import write_all

    entry = find_scenario(scenario)
    lesson = load(entry)
    grading = lesson.grading
    if grading is None:
        raise UsageError(
            f"scenario `{lesson.scenario}` has no `grading`", where=str(entry.path), hint="`tcp-demo` shows one"
        )
    chosen = list_submissions(submissions, report)
    if report:
        _make_sure_of(report)
    engine = connect()
    with show_progress(quiet=quiet) as progress:  # once, and not in each lab
        if stale := needs_build(engine, wanted(entry, None, progress), entry.compose_file):
            builder_for(engine)(entry.compose_file).build(stale, progress)
    at_once = min(jobs or LABS_A_CORE * (os.cpu_count() or 1), LABS_A_CORE * (os.cpu_count() or 1))
    total = worth(lesson, grading)
    grades: list[Grade] = []
    over = threading.Event()
    with ThreadPoolExecutor(at_once) as pool:
        try:
            for future in as_completed(
                [pool.submit(grade, engine, entry.path, lesson, grading, path, over) for path in chosen]
            ):
                grades.append(future.result())
                if not quiet and not as_json:
                    _show(grades[-1], total, whole=len(chosen) == 1)
        except BaseException:
            # Ctrl-C: those that wait are not begun, those that are up go after the check that is played
            over.set()
            pool.shutdown(cancel_futures=True)
            if report and grades:
                write_all(report, lesson.scenario, total, sorted(grades, key=by_name))
                click.echo(f"{len(grades)} of {len(chosen)} submissions were graded; see {report}", err=True)
            raise
    grades.sort(key=by_name)
    if report:
        write_all(report, lesson.scenario, total, grades)
    if as_json:
        print_json(scenario=lesson.scenario, worth=total, grades=[item.facts() for item in grades])
    sys.exit(0 if all(item.points == total for item in grades) else 1)


def _make_sure_of(report: Path) -> None:
    """Make the folder of reports before anything is graded: it would be for nothing."""
    try:
        report.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"`{report}` cannot be made: {error.strerror}", where="--report") from error
    if not os.access(report, os.W_OK | os.X_OK):
        raise UsageError(f"nothing can be written to `{report}`", where="--report")


def list_submissions(path: Path, report: Path | None = None) -> list[Path]:
    """Return what is in a folder of submissions, or the one that is named.

    Files and folders whose name begins with a dot are none, nor is the folder of reports.

    Raises:
        UsageError: there is none.
    """
    if path.is_file() or (path / "Dockerfile").is_file():
        return [path]
    found = sorted(item for item in path.iterdir() if not item.name.startswith((".", "__")))
    found = [item for item in found if not report or item.resolve() != report.resolve()]
    if not found:
        raise UsageError(f"there is no submission in `{path}`")
    return found


def _show(grade: "Grade", total: float, *, whole: bool) -> None:
    problem = f"  {printable(grade.told)}"
    if whole:
        for verdict in grade.verdicts:
            mark = click.style("✓", fg="green") if verdict.passed else click.style("✗", fg="red")
            click.echo(f"{mark} {verdict.tried}\n  {printable(verdict.said)}")
            if not verdict.passed:
                for line in verdict.ladder[-12:]:
                    click.echo(click.style(f"  │ {printable(line)}", dim=True))
        if grade.hint:
            click.echo(f"{printable(grade.problem)}\n\nhint: {printable(grade.hint)}\n")
    click.echo(f"{printable(grade.name)}  {grade.points:g} of {total:g}  {grade.seconds:.1f} s{problem}".rstrip())
