"""How a played scenario looks: on the terminal while it is played, and as files for CI."""

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import click

from labctl.cli.output import JSON_VERSION, printable, xml_text
from labctl.commands.run import AnyStep, RunResult, StepResult, words
from labctl.engine.base import Engine
from labctl.scenario.schema import FaultStep, Scenario

SHOWN_LINES = 12


class Verdicts:
    """Prints each step with its command, what came of it, and the verdict."""

    def __init__(self, *, silent: bool) -> None:
        self.silent = silent
        self._count = 0

    def title(self, scenario: Scenario) -> None:
        """Print the scenario's name and title."""
        self._print(f"{click.style(scenario.scenario, bold=True)}  {scenario.title}\n")

    def begin(self, step: AnyStep) -> None:
        """Print what is about to happen."""
        self._count += 1
        self._print(f"{self._count:2}  {click.style(words(step), bold=True)}")
        self._print(f"    {_line(step)}")
        if not isinstance(step, FaultStep) and step.background:
            self._print(click.style("    goes on in the background", dim=True))
        sys.stdout.flush()

    def end(self, result: StepResult) -> None:
        """Print what a step did, and whether that was what was expected."""
        if result.in_background:
            self._print(f"    {_line(result.step)} {click.style('(ended)', dim=True)}")
        for octets, mark in ((result.executed.stdout, "│"), (result.executed.stderr, "┆")):
            lines = printable(octets.decode(errors="replace")).splitlines()
            shown = (
                lines
                if len(lines) <= SHOWN_LINES
                else [*lines[: SHOWN_LINES - 1], f"… {len(lines) - SHOWN_LINES + 1} more lines"]
            )
            for line in shown:
                self._print(f"    {click.style(mark, dim=True)} {line}")
        if result.passed:
            self._print(
                f"    {click.style('✓', fg='green')} {click.style(f'{result.executed.seconds:.2f} s', dim=True)}\n"
            )
        for failure in result.failures:
            self._print(f"    {click.style('✗', fg='red')} {printable(failure)}")
        if result.failures:
            self._print("")

    def note(self, text: str) -> None:
        """Print something that belongs to no step."""
        self._print(text)

    def sum_up(self, result: RunResult) -> None:
        """Print the verdict on the whole."""
        passed = sum(step.passed for step in result.steps)
        verdict = (
            click.style("passed", fg="green", bold=True)
            if result.passed
            else click.style("failed", fg="red", bold=True)
        )
        self._print(f"{result.scenario.scenario} {verdict}: {passed} of {len(result.steps)} steps as expected")
        for failure in result.failures:
            self._print(f"    {click.style('✗', fg='red')} {printable(failure)}")
        sys.stdout.flush()

    def _print(self, text: str) -> None:
        if not self.silent:
            click.echo(text)


def _line(step: AnyStep) -> str:
    """Return what is done: a host's prompt with its command, or the fault."""
    head, rest = ("fault:", step.fault) if isinstance(step, FaultStep) else (f"{step.on}$", step.run)
    return f"{click.style(head, fg='yellow' if isinstance(step, FaultStep) else 'cyan')} {rest}"


def write_report(folder: Path, result: RunResult, engine: Engine) -> None:
    """Write `report.json`, `junit.xml` and each host's log into a folder, which is made where it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"version": JSON_VERSION, "lab": result.lab, "scenario": result.scenario.scenario, "passed": result.passed}
    told = {"steps": result.facts(), "failures": list(result.failures)}
    report = json.dumps(facts | told, indent=2, ensure_ascii=False)
    (folder / "report.json").write_text(report + "\n")
    write_junit(folder / "junit.xml", result)
    for host in engine.look(result.lab).hosts:
        if host.role != "host":
            continue
        (folder / f"{host.name}.log").write_bytes(b"".join(line + b"\n" for line in engine.logs(host)))


def write_junit(path: Path, result: RunResult) -> None:
    """Write the verdicts as JUnit XML: one test case a step."""
    name = result.scenario.scenario
    failed = sum(not step.passed for step in result.steps) + bool(result.failures)
    total = sum(step.executed.seconds for step in result.steps)
    suite = ElementTree.Element(
        "testsuite",
        name=name,
        tests=str(len(result.steps) + bool(result.failures)),
        failures=str(failed),
        errors="0",
        time=f"{total:.3f}",
    )
    for number, item in enumerate(result.steps, 1):
        case = ElementTree.SubElement(
            suite, "testcase", classname=name, name=f"{number}. {words(item.step)}", time=f"{item.executed.seconds:.3f}"
        )
        if not item.passed:
            failure = ElementTree.SubElement(case, "failure", message=xml_text("; ".join(item.failures)))
            failure.text = xml_text(click.unstyle(_line(item.step)) + "\n" + "\n".join(item.failures))
        for tag, octets in (("system-out", item.executed.stdout), ("system-err", item.executed.stderr)):
            if octets:
                ElementTree.SubElement(case, tag).text = xml_text(octets.decode(errors="replace"))
    if result.failures:
        case = ElementTree.SubElement(suite, "testcase", classname=name, name="all steps together")
        ElementTree.SubElement(case, "failure", message=xml_text("; ".join(result.failures)))
    path.parent.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
