"""What is told of a submission: verdicts in words, problems in a line, pages that stand in nobody's way."""

import os

import pytest

from labctl.cli.grade import _make_sure_of, list_submissions
from labctl.errors import UsageError
from labctl.grade.report import as_csv, as_index, write_all
from labctl.grade.verdict import Grade, in_words, readable
from labctl.grade.words import FIRST_START, how_it_ended, may_have_ended
from labctl.scenario.schema import Check

SEEN = "after 0 octets nothing more came"


def verdict(check="restart", passed=False, seen=SEEN, plain="", port=7):
    told = {"passed": passed, "seen": seen, "ladder": ["0.000 connect"], "seconds": 1.5}
    return in_words(Check(check=check, port=port, points=2), told, plain)


ENDS = {
    (0, "", 0): ("exit code 0.", "let your loop go back to `accept`"),
    (1, "OSError: boom", 0): ("exit code 1, its last line is `OSError: boom`.", "`recv` and `send` raise"),
    (137, "", 64): ("it took more than 64 MiB of memory.", "Look for what grows"),
    (137, "", 0): ("exit code 137.", "`recv` and `send` raise"),
    (1, "", 64): ("exit code 1.", "`recv` and `send` raise"),  # a child of it was ended
}


class TestWords:
    def test_what_holds_is_told_and_counts(self):
        judged = verdict(passed=True, seen="")
        assert (judged.said, judged.points, judged.worth) == ("Your server can be started again at once.", 2, 2)

    def test_what_does_not_is_told_with_where_to_look(self):
        judged = verdict()
        assert judged.said.startswith("After 0 octets nothing more came. The old connection keeps the port")
        assert (judged.points, judged.ladder, judged.name) == (0, ("0.000 connect",), "restart:7")

    def test_a_server_that_does_not_even_talk_is_not_sent_to_look_elsewhere(self):
        said = verdict(plain=SEEN).said
        assert said.startswith(f"Already a plain talk at port 7 fails: {SEEN}. Compare what was expected")
        assert "SO_REUSEADDR" not in said

    def test_one_that_does_not_listen_hears_just_that(self):
        said = verdict(
            "split",
            seen="no connection: [Errno 111] Connection refused",
            plain="no connection: [Errno 111] Connection refused",
        ).said
        assert said.endswith('Nobody listens at port 7: bind a socket to it, on every address (`("", 7)`).')
        assert "collect octets" not in said

    def test_a_check_that_passes_although_a_plain_talk_does_not_has_its_points(self):
        """A server that waits for the client's FIN before it greets."""
        assert verdict("half-close", passed=True, seen="", plain=SEEN).points == 2

    @pytest.mark.parametrize("end", ENDS)
    def test_a_program_that_has_ended_hears_how_and_where_to_look(self, end):
        what, advice = ENDS[end]
        said = verdict("vanishing-client", seen=how_it_ended(*end)).said
        assert what in said and advice in said
        assert "``" not in said

    @pytest.mark.parametrize(
        "last", ["BlockingIOError: [Errno 11] Resource temporarily unavailable", "RuntimeError: can't start new thread"]
    )
    def test_a_program_that_lacks_processes_is_told_of_the_limit(self, last):
        said = verdict("big-message", seen=how_it_ended(1, last, 0)).said
        assert "may have 64 processes" in said and "sendall" not in said

    def test_a_connection_that_broke_may_be_a_program_s_end(self):
        assert may_have_ended("after 0 octets the connection broke: [Errno 104] Connection reset by peer")
        assert may_have_ended("no connection: [Errno 111] Connection refused")
        assert not may_have_ended("after 0 octets nothing more came, and no end either")

    def test_a_first_start_that_fails_is_not_about_a_port_that_is_kept(self):
        said = verdict(seen=f"{FIRST_START}: nobody listens at port 7 after 10 s").said
        assert said.startswith("Already when it is first started beside the client: nobody listens")
        assert said.endswith('listen on every address (`("", 7)`).')


PROBLEMS = {
    "the program ended; its last lines:\n  | Traceback\n  | RuntimeError: boom": "the program ended: RuntimeError: boom",
    "the program ended; its last lines:\n  (it said nothing)": "the program ended: (it said nothing)",
    "it has no Dockerfile": "it has no Dockerfile",
    "": "",
}


@pytest.mark.parametrize(("problem", "line"), PROBLEMS.items())
def test_a_problem_is_one_line_in_tables(problem, line):
    grade = Grade("x", problem=problem)
    assert grade.told == line
    assert as_csv([grade], 1).splitlines()[1].endswith(f",{line}")
    assert line in as_index([grade], "s", 1)


def test_a_submission_named_index_does_not_take_the_index_s_place(tmp_path):
    write_all(tmp_path, "s", 1, [Grade("index"), Grade("other")])
    index = (tmp_path / "index.html").read_text()
    assert 'href="index_.html">index' in index and 'href="other.html">other' in index
    assert "0 of 1 points" in (tmp_path / "index_.html").read_text()


def test_what_to_change_stands_beside_the_problem(tmp_path):
    write_all(
        tmp_path,
        "s",
        1,
        [Grade("x", problem="it listens at none of its ports", hint="it has to listen on every address")],
    )
    assert "<p>It has to listen on every address.</p>" in (tmp_path / "x.html").read_text()


def test_a_name_that_is_no_utf_8_is_written_all_the_same(tmp_path):
    name = os.fsdecode(b"M\xfcller.py")
    write_all(tmp_path, "s", 1, [Grade(readable(name), problem=readable(f"there is no file `{name}`"))])
    assert r"M\xfcller.py" in (tmp_path / "index.html").read_text()
    assert (tmp_path / r"M\xfcller.py.html").exists()


class TestSubmissions:
    def test_the_folder_of_reports_is_none(self, tmp_path):
        for name in ("a.py", "b", "grades", ".git", "__pycache__"):
            (tmp_path / name).mkdir()
        found = list_submissions(tmp_path, tmp_path / "b" / ".." / "grades")
        assert [path.name for path in found] == ["a.py", "b"]

    def test_a_report_that_cannot_be_written_is_told_before_anything_is_graded(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(UsageError, match="cannot be made: Not a directory"):
            _make_sure_of(tmp_path / "file" / "grades")
