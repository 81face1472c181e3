"""`labctl matrix`."""

import sys
from pathlib import Path
from xml.etree import ElementTree

import click

from labctl.cli.options import json_option, scenario_argument, talk_options
from labctl.cli.output import print_json, print_table, xml_text
from labctl.cli.progress import show_progress
from labctl.cli.wiring import builder_for, connect, helpers_image
from labctl.errors import UsageError
from labctl.faults.matrix import LEGEND, Matrix, Row, lines, page
from labctl.scenario.catalog import find_scenario


@click.command("matrix")
@scenario_argument
@click.option(
    "--fault",
    "faults",
    metavar="TEXT",
    multiple=True,
    help="A fault, as a scenario writes it; repeatable. Without: ten usual ones.",
)
@click.option("--lab", metavar="NAME", help="Name of the labs; default: the scenario's, with `-matrix`.")
@click.option("--html", "html_file", type=click.Path(path_type=Path, dir_okay=False), help="File for the heat map.")
@click.option("--junit", type=click.Path(path_type=Path, dir_okay=False), help="File for the verdicts as JUnit XML.")
@json_option
@talk_options
def matrix_command(
    scenario: str,
    faults: tuple[str, ...],
    lab: str | None,
    html_file: Path | None,
    junit: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Play SCENARIO under every fault of a list, each in a fresh lab: what passes, how much slower, what fails and how.

    Exits with 1 where it fails without a fault; that it fails under one is a result.
    """
    from labctl.commands.matrix import matrix

    entry = find_scenario(scenario)
    for path in filter(None, (html_file, junit)):
        _make_room(path)
    engine = connect()

    def tell(row: Row) -> None:
        if not quiet:
            click.echo(f"{'✓' if row.passed else '✗'} {row.fault}: {row.seconds:.1f} s", err=True)

    with show_progress(quiet=True) as progress:
        made = matrix(
            engine, builder_for(engine), entry, faults, progress, helpers_image(engine),
            lab=lab or f"{entry.name}-matrix", on_row=tell,
        )  # fmt: skip
    if html_file:
        html_file.write_text(page(made), encoding="utf-8")
    if junit:
        write_junit(junit, made)
    if as_json:
        print_json(**made.facts())
    else:
        print_table(("FAULT", "STEPS", "VERDICT", "TOOK", "SLOWER", "WHY"), lines(made))
        if not quiet:
            click.echo(f"each step: {LEGEND}", err=True)
    sys.exit(0 if made.rows[0].passed else 1)


def _make_room(path: Path) -> None:
    """See that a file can be written, before much is played for it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("ab").close()
    except OSError as error:
        raise UsageError(f"`{path}` cannot be written: {error.strerror}") from error


def write_junit(path: Path, made: Matrix) -> None:
    """Write a suite for each fault, and in it a case for each step."""
    suites = [_suite(row) for row in made.rows]
    whole = ElementTree.Element("testsuites", name=f"{made.scenario} under faults")
    for count in ("tests", "failures", "errors"):
        whole.set(count, str(sum(int(suite.get(count, "0")) for suite in suites)))
    whole.set("time", f"{sum(row.seconds for row in made.rows):.3f}")
    whole.extend(suites)
    ElementTree.ElementTree(whole).write(path, encoding="utf-8", xml_declaration=True)


def _suite(row: Row) -> ElementTree.Element:
    suite = ElementTree.Element("testsuite", name=row.fault, time=f"{row.seconds:.3f}")
    for number, cell in enumerate(row.cells, 1):
        case = _case(suite, row, f"{number}. {cell.say}", cell.seconds)
        if cell.why:
            failure = ElementTree.SubElement(case, "failure", message=xml_text("; ".join(cell.why)), type="expectation")
            failure.text = xml_text("\n".join(cell.why))
    if row.broken:
        ElementTree.SubElement(_case(suite, row, "lab", 0.0), "error", message=xml_text(row.broken), type="lab")
    for count, cases in (("tests", "testcase"), ("failures", "testcase/failure"), ("errors", "testcase/error")):
        suite.set(count, str(len(suite.findall(cases))))
    return suite


def _case(suite: ElementTree.Element, row: Row, name: str, seconds: float) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", classname=row.fault, name=xml_text(name), time=f"{seconds:.3f}")
