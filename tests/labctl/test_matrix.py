"""A scenario under faults: the table, the page, the files; and the playing on an engine in memory."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from labctl.commands import matrix as command
from labctl.engine.fake import FakeEngine
from labctl.errors import LabError, UsageError
from labctl.faults.matrix import DEFAULT, Cell, Matrix, Row, heat, lines, mark, page
from labctl.faults.read import read_fault
from labctl.model import Found, FoundHost
from labctl.progress import Silent
from labctl.scenario.catalog import find_scenario

MADE = Matrix(
    "demo",
    "A <demo>",
    (
        Row("nothing", (Cell("one", 0.1), Cell("two & three", 0.2))),
        Row("impair client loss 5%", (Cell("one", 0.1), Cell("two & three", 1.0))),
        Row("partition client", (Cell("one", 0.2), Cell("two & three", 5.0, ("it was not through\x00",)))),
        Row("crash client", broken="host `client` is gone"),
    ),
)


@pytest.mark.parametrize("text", DEFAULT)
def test_each_usual_fault_is_one(text):
    read_fault(text.format("client"), ["client"])


def test_slower_is_held_against_the_same_step_without_a_fault():
    assert MADE.slower(MADE.rows[1], 0) == 1.0
    assert MADE.slower(MADE.rows[1], 1) == pytest.approx(5.0)
    assert heat(1) != heat(5) != heat(10) == heat(100)


def test_text():
    told = {row[0]: row[1:] for row in lines(MADE)}
    assert told["impair client loss 5%"] == ("·▄", "passed", "1.1 s", "×3.7", "")
    assert told["partition client"][:2] == ("▂✗", "failed (2)")
    assert told["crash client"][:2] == ("-", "host `client` is gone")
    assert [mark(slower) for slower in (0.2, 1.5, 3, 6, 10, 99)] == ["·", "▂", "▄", "▆", "█", "█"]


def test_page_stands_alone_and_escapes_what_it_shows():
    text = page(MADE)
    assert "A &lt;demo&gt;" in text
    assert "two &amp; three" in text
    assert "<code>partition client</code>, step 2: it was not through" in text
    assert "<script" not in text
    assert "http" not in text
    assert text.count("<tr>") == 1 + 4 or text.count('<tr><th scope="row"') == 4


def test_facts():
    rows = MADE.facts()["rows"]
    assert [row["passed"] for row in rows] == [True, True, False, False]
    assert rows[2]["steps"][1]["failures"] == ["it was not through\x00"]


def test_junit_counts_and_tells_what_is_in_it(tmp_path):
    """Those that read it add nothing up themselves: each suite, and the whole, says how many cases it has, and how they ended."""
    from labctl.cli.matrix import write_junit  # not above: `--help` patches click before it imports a command

    write_junit(tmp_path / "m.xml", MADE)
    whole = ElementTree.parse(tmp_path / "m.xml").getroot()
    assert whole.tag == "testsuites"
    assert {name: whole.get(name) for name in ("tests", "failures", "errors", "time")} == {
        "tests": "7", "failures": "1", "errors": "1", "time": "6.600",
    }  # fmt: skip
    assert [suite.get("failures") for suite in whole] == ["0", "0", "1", "0"]
    assert [suite.get("errors") for suite in whole] == ["0", "0", "0", "1"]
    assert [suite.get("tests") for suite in whole] == ["2", "2", "2", "1"]
    assert all(int(suite.get("tests")) == len(suite.findall("testcase")) for suite in whole)
    assert all(
        case.get("classname") and case.get("name") and float(case.get("time")) >= 0 for case in whole.iter("testcase")
    )
    failure = whole.find(".//failure")
    assert (failure.get("message"), failure.text, failure.get("type")) == (
        "it was not through\ufffd", "it was not through\ufffd", "expectation",
    )  # fmt: skip


def test_a_file_that_cannot_be_written_is_told_before_anything_starts(tmp_path, capsys):
    from labctl.cli.app import run_cli

    (tmp_path / "file").write_text("")
    assert run_cli(["matrix", "tcp-demo", "--junit", str(tmp_path / "file" / "m.xml")]) == 2
    assert "m.xml` cannot be written: " in capsys.readouterr().err


class TestPlaying:
    """Each fault has a fresh lab; one that cannot be inflicted is a row of its own."""

    @pytest.fixture
    def played(self, monkeypatch):
        acted = []
        hosts = tuple(FoundHost(f"id-{name}", "mx", name) for name in ("tcp-server", "client"))

        class Upped:
            lab = "mx"

        def up(engine, *_, **__):
            acted.append("up")
            engine.found = Found(hosts)
            return Upped

        monkeypatch.setattr(command, "up", up)
        monkeypatch.setattr(command, "down", lambda *_: acted.append("down"))
        engine = FakeEngine()

        def play(*faults):
            entry = find_scenario("tcp-demo")
            return command.matrix(
                engine, lambda _: None, entry, faults, Silent(), lambda: "labctl/tools", lab="mx"
            ), acted

        return play

    def test_rows(self, played):
        made, acted = played("impair client loss 5%", "pause client")
        assert [row.fault for row in made.rows] == ["nothing", "impair client loss 5%", "pause client"]
        assert acted == ["up", "down"] * (2 + 2)
        assert len(made.rows[0].cells) == 5

    @pytest.mark.parametrize(
        ("first", "second", "kept"),
        [
            ((2.0, ()), (1.0, ()), 1.0),
            ((1.0, ()), (2.0, ()), 1.0),
            ((1.0, ()), (3.0, ("no",)), 3.0),
            ((1.0, ("no",)), (3.0, ()), 1.0),
        ],
    )
    def test_without_a_fault_the_quicker_of_two_counts_unless_one_fails(self, played, monkeypatch, first, second, kept):
        rows = iter([first, second, (9.0, ())])

        def row(_engine, _lab, _scenario, text, *_):
            seconds, why = next(rows)
            return Row(text, (Cell("x", seconds, why),))

        monkeypatch.setattr(command, "_row", row)
        made, _ = played("pause client")
        assert [row.seconds for row in made.rows] == [kept, 9.0]

    def test_a_fault_that_cannot_be(self, played, monkeypatch):
        def refuse(*_):
            raise LabError("no")

        monkeypatch.setattr(command, "inflict", refuse)
        made, acted = played("pause client")
        assert made.rows[1].broken == "no"
        assert acted == ["up", "down"] * (2 + 1)

    def test_a_fault_that_is_none_is_told_before_anything_starts(self, played):
        with pytest.raises(UsageError, match="did you mean `crash`"):
            played("crush client")
        with pytest.raises(UsageError, match="`jitter` needs a `delay`"):
            played("impair client jitter 5ms")


def test_the_command_is_documented():
    assert "`matrix SCENARIO`" in (Path(__file__).parents[2] / "README.md").read_text()
