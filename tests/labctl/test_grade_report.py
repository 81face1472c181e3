"""What is told of a submission: verdicts in words, problems in a line, pages that stand in nobody's way."""

import pytest

from labctl.grade.report import as_csv, as_index, write_all
from labctl.grade.verdict import Grade, in_words
from labctl.scenario.schema import Check

SEEN = "after 0 octets nothing more came"


def verdict(check="restart", passed=False, seen=SEEN, plain="", port=7):
    told = {"passed": passed, "seen": seen, "ladder": ["0.000 connect"], "seconds": 1.5}
    return in_words(Check(check=check, port=port, points=2), told, plain)


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
