"""Grades as JSON, CSV, JUnit XML, and a page of HTML for each submission."""

import csv
import html
import io
import json
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from labctl.grade.judge import Grade

VERSION = 1
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{name}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}}
li{{margin:.8rem 0;list-style:none}}.yes::before{{content:"✓ ";color:#18794e}}.no::before{{content:"✗ ";color:#c62a2f}}
pre{{background:#f4f4f5;padding:.6rem;overflow:auto}}small{{color:#555}}</style>
<h1>{name}</h1><p><strong>{points:g} of {worth:g} points</strong> in {scenario}, {seconds:.1f} s</p>{problem}
<ul>{verdicts}</ul><h2>What it wrote</h2><pre>{log}</pre></html>
"""


def write_all(folder: Path, scenario: str, worth: float, grades: Sequence[Grade]) -> None:
    """Write `grades.json`, `grades.csv`, `junit.xml` and NAME.html into a folder, which is made where it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"version": VERSION, "scenario": scenario, "worth": worth, "grades": [grade.facts() for grade in grades]}
    (folder / "grades.json").write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    (folder / "grades.csv").write_text(as_csv(grades, worth))
    ElementTree.ElementTree(as_junit(scenario, grades)).write(
        folder / "junit.xml", encoding="utf-8", xml_declaration=True
    )
    for grade in grades:
        (folder / f"{grade.name}.html").write_text(as_page(grade, scenario, worth))


def as_csv(grades: Sequence[Grade], worth: float) -> str:
    """Return a line a submission; a name that a spreadsheet would take for a formula is quoted."""
    names = list(
        dict.fromkeys(verdict.name for grade in grades for verdict in grade.verdicts if verdict.name != "step")
    )
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(["submission", "points", "of", "steps", *names, "problem"])
    for grade in grades:
        steps = sum(verdict.points for verdict in grade.verdicts if verdict.name == "step")
        by_name = {verdict.name: verdict.points for verdict in grade.verdicts}
        table.writerow(
            [
                _cell(grade.name),
                grade.points,
                worth,
                steps,
                *(by_name.get(name, 0) for name in names),
                _cell(grade.problem.partition("\n")[0]),
            ]
        )
    return out.getvalue()


def _cell(text: str) -> str:
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


def as_junit(scenario: str, grades: Sequence[Grade]) -> ElementTree.Element:
    """Return a test suite a submission, a test case a check."""
    root = ElementTree.Element("testsuites", name=scenario)
    for grade in grades:
        failed = sum(not verdict.passed for verdict in grade.verdicts)
        suite = ElementTree.SubElement(
            root, "testsuite", name=grade.name, tests=str(len(grade.verdicts)), failures=str(failed),
            errors=str(int(bool(grade.problem))), time=f"{grade.seconds:.3f}",
        )  # fmt: skip
        for verdict in grade.verdicts:
            case = ElementTree.SubElement(
                suite,
                "testcase",
                classname=grade.name,
                name=f"{verdict.name}: {verdict.tried}",
                time=f"{verdict.seconds:.3f}",
            )
            if not verdict.passed:
                ElementTree.SubElement(case, "failure", message=_plain(verdict.said)).text = _plain(
                    "\n".join(verdict.ladder)
                )
        if grade.problem:
            case = ElementTree.SubElement(suite, "testcase", classname=grade.name, name="lab")
            ElementTree.SubElement(case, "error", message=_plain(grade.problem))
    return root


def as_page(grade: Grade, scenario: str, worth: float) -> str:
    """Return a submission's page; all that the submission said is text there, whatever it looks like."""
    items = []
    for verdict in grade.verdicts:
        ladder = (
            f"<details><summary>what the client saw</summary><pre>{_safe(chr(10).join(verdict.ladder))}</pre></details>"
        )
        items.append(
            f'<li class="{"yes" if verdict.passed else "no"}"><strong>{_safe(verdict.tried)}</strong> '
            f"<small>{verdict.points:g} of {verdict.worth:g}</small><br>{_safe(verdict.said)}{ladder if verdict.ladder else ''}</li>"
        )
    problem = f"<pre>{_safe(grade.problem)}</pre>" if grade.problem else ""
    return PAGE.format(
        name=_safe(grade.name), points=grade.points, worth=worth, scenario=_safe(scenario), seconds=grade.seconds,
        problem=problem, verdicts="\n".join(items), log=_safe(grade.log),
    )  # fmt: skip


def _safe(text: str) -> str:
    return html.escape(_plain(text))


def _plain(text: str) -> str:
    """XML 1.0 section 2.2 has no place for most control characters."""
    return "".join(char if char in "\n\t" or char.isprintable() else "\ufffd" for char in text)
