"""`labctl matrix`."""

import sys
from pathlib import Path
from xml.etree import ElementTree

import click

from labctl.cli.options import json_option, scenario_argument, talk_options
from labctl.cli.output import print_json, print_table
from labctl.cli.progress import show_progress
from labctl.cli.wiring import builder_for, connect, helpers_image
from labctl.faults.matrix import Matrix, Row, lines, page
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
        print_table(("FAULT", "VERDICT", "TOOK", "SLOWER", "WHY"), lines(made))
    sys.exit(0 if made.rows[0].passed else 1)


def write_junit(path: Path, made: Matrix) -> None:
    """Write a case for each fault and step."""
    suites = ElementTree.Element("testsuites", name=f"{made.scenario} under faults")
    for row in made.rows:
        failed = sum(bool(cell.why) for cell in row.cells)
        counts: dict[str, str] = {
            "tests": str(len(row.cells)),
            "failures": str(failed),
            "errors": str(int(bool(row.broken))),
        }
        counts |= {"name": row.fault, "time": f"{row.seconds:.3f}"}
        suite = ElementTree.SubElement(suites, "testsuite", counts)
        for number, cell in enumerate(row.cells, 1):
            case = ElementTree.SubElement(
                suite, "testcase", classname=row.fault, name=f"{number}. {cell.say}", time=f"{cell.seconds:.3f}"
            )
            if cell.why:
                text = "".join(char if char.isprintable() else repr(char)[1:-1] for char in "; ".join(cell.why))
                ElementTree.SubElement(case, "failure", message=text)
        if row.broken:
            case = ElementTree.SubElement(suite, "testcase", classname=row.fault, name="lab")
            ElementTree.SubElement(case, "error", message=row.broken)
    ElementTree.ElementTree(suites).write(path, encoding="utf-8", xml_declaration=True)
