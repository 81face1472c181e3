"""Grades as JSON, CSV, JUnit XML, and a page of HTML for each submission."""

import base64
import csv
import html
import io
import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

from labctl.grade.verdict import Grade, Verdict

VERSION = 1
STYLE = """:root{color-scheme:light dark;--ink:#1c1c1f;--dim:#5c5c66;--paper:#fff;--box:#f2f2f4;--yes:#18794e;--no:#c62a2f}
@media(prefers-color-scheme:dark){:root{--ink:#ececf0;--dim:#a5a5b0;--paper:#17171a;--box:#232328;--yes:#4cc38a;--no:#ff8589}}
body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:1.5rem auto;padding:0 1rem;color:var(--ink);background:var(--paper)}
h1{overflow-wrap:anywhere}ul{padding:0}li{margin:1rem 0;list-style:none;padding-left:1.6rem;text-indent:-1.6rem}li>*{text-indent:0}
.yes::before,.no::before{display:inline-block;width:1.6rem;text-indent:0}
.yes::before{content:"✓";color:var(--yes)}.no::before{content:"✗";color:var(--no)}
pre,figure{background:var(--box);padding:.6rem;margin:.4rem 0;overflow:auto;border-radius:4px;font-size:14px}
img{display:block;max-width:none}small,summary,.none{color:var(--dim)}summary{cursor:pointer}a{color:inherit}
table{border-collapse:collapse}td,th{text-align:left;padding:.2rem .8rem .2rem 0;vertical-align:top;overflow-wrap:break-word}
td:first-child{min-width:9rem;max-width:18rem}th{white-space:nowrap}"""
HEAD = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>{title}</title>
<style>{style}</style>
<h1>{title}</h1>"""
PAGE = (
    HEAD
    + """<p><strong>{points:g} of {worth:g} points</strong> in {scenario}, {seconds:.1f} s</p>{problem}
<ul>{verdicts}</ul><h2>What it wrote</h2>{log}</html>
"""
)
INDEX = (
    HEAD
    + """<table><tr><th>Submission<th>Points of {worth:g}<th>Not passed</tr>
{rows}</table></html>
"""
)


def write_all(folder: Path, scenario: str, worth: float, grades: Sequence[Grade]) -> None:
    """Write `grades.json`, `grades.csv`, `junit.xml`, `index.html`, and for each NAME.html with captures in NAME.files/, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"version": VERSION, "scenario": scenario, "worth": worth, "grades": [grade.facts() for grade in grades]}
    (folder / "grades.json").write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    (folder / "grades.csv").write_text(as_csv(grades, worth))
    ElementTree.ElementTree(as_junit(scenario, grades)).write(
        folder / "junit.xml", encoding="utf-8", xml_declaration=True
    )
    (folder / "index.html").write_text(as_index(grades, scenario, worth))
    for grade in grades:
        (folder / page_name(grade)).write_text(as_page(grade, scenario, worth))
        for number, verdict in enumerate(grade.verdicts, 1):
            if verdict.picture:
                (folder / captures(grade)).mkdir(exist_ok=True)
                (folder / captures(grade) / capture_name(number, verdict)).write_bytes(verdict.picture.capture)


def page_name(grade: Grade) -> str:
    """Return the name of a submission's page, which is never the index's."""
    return f"{grade.name}{'_' * (grade.name.lower() == 'index')}.html"


def captures(grade: Grade) -> str:
    """Return the name of the folder with a submission's captures."""
    return f"{grade.name}.files"


def capture_name(number: int, verdict: Verdict) -> str:
    """Return the name of the capture of one check or step."""
    return f"{number:02}-{verdict.name.replace(':', '-')}.pcapng"


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
                _cell(grade.told),
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


def as_index(grades: Sequence[Grade], scenario: str, worth: float) -> str:
    """Return the page with a line a submission."""
    rows = []
    for grade in grades:
        missed = [
            verdict.tried.removesuffix(".") if verdict.name == "step" else verdict.name
            for verdict in grade.verdicts
            if not verdict.passed
        ]
        told = "; ".join([grade.told] * bool(grade.problem) + missed)
        link = f'<a href="{quote(page_name(grade))}">{_safe(grade.name)}</a>'
        rows.append(f"<tr><td>{link}<td>{grade.points:g}<td>{_safe(told)}</tr>")
    return INDEX.format(title=f"Grades: {_safe(scenario)}", style=STYLE, worth=worth, rows="\n".join(rows))


def as_page(grade: Grade, scenario: str, worth: float) -> str:
    """Return a submission's page; all that the submission said is text there, whatever it looks like."""
    items = [_item(grade, number, verdict) for number, verdict in enumerate(grade.verdicts, 1)]
    problem = f"<pre>{_safe(grade.problem)}</pre>" if grade.problem else ""
    problem += f"<p>{_safe(grade.hint[:1].upper() + grade.hint[1:])}.</p>" if grade.hint else ""
    return PAGE.format(
        title=_safe(grade.name), style=STYLE, points=grade.points, worth=worth, scenario=_safe(scenario), seconds=grade.seconds,
        problem=problem, verdicts="\n".join(items),
        log=f"<pre>{_safe(grade.log)}</pre>" if grade.log else '<p class="none">Nothing.</p>',
    )  # fmt: skip


def _item(grade: Grade, number: int, verdict: Verdict) -> str:
    shown = "" if verdict.passed else " open"  # where something went wrong, that is what is to be seen
    parts = [f"<strong>{_safe(verdict.tried)}</strong> <small>{verdict.points:g} of {verdict.worth:g}</small>"]
    parts.append(f"<div>{_safe(verdict.said)}</div>")
    if verdict.ladder:
        text = _safe("\n".join(verdict.ladder))
        parts.append(
            f"<details{shown}><summary>What the client did and saw, in seconds</summary><pre>{text}</pre></details>"
        )
    if verdict.picture:
        # an image of its own: the styles of many ladders cannot get at each other, nor at the page
        image = base64.b64encode(verdict.picture.svg.encode()).decode()
        place = quote(f"{captures(grade)}/{capture_name(number, verdict)}")
        parts.append(
            f'<details{shown}><summary>What crossed the wire</summary><figure tabindex="0"><img alt="Ladder of the packets" '
            f'src="data:image/svg+xml;base64,{image}"></figure><a href="{place}">all packets (pcapng)</a></details>'
        )
    return f'<li class="{"yes" if verdict.passed else "no"}">{"".join(parts)}</li>'


def _safe(text: str) -> str:
    return html.escape(_plain(text))


def _plain(text: str) -> str:
    """XML 1.0 section 2.2 has no place for most control characters."""
    return "".join(char if char in "\n\t" or char.isprintable() else "\ufffd" for char in text)
