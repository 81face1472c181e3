"""The window's model: events in, state out; no display, no thread."""

import pytest

from services.desktop.model import (
    LOG_LINES,
    Began,
    Cancelled,
    Ended,
    Failed,
    FormError,
    Learned,
    Line,
    Log,
    Model,
    Progressed,
    Said,
    Topic,
    in_octets,
    printable,
    read_host,
    read_port,
    read_text,
)


@pytest.fixture
def model():
    return Model(("tcp-server", "file-server"))


def begun(model, topic="files", job=1, what="Download of a"):
    model.fold(Began(topic, job, what))
    return model.topics[topic]


class TestAJob:
    def test_it_is_busy_from_its_begin_to_its_end(self, model):
        topic = begun(model)
        assert topic.busy
        assert topic.status == "Download of a …"
        model.fold(Ended("files", 1, "a is here"))
        assert not topic.busy
        assert topic.status == "a is here"

    def test_progress_is_told_in_octets_and_as_a_share(self, model):
        topic = begun(model)
        model.fold(Progressed("files", 1, 250_000, 1_000_000))
        assert topic.share == 0.25
        assert topic.status == "Download of a: 250.0 kB of 1.0 MB"

    def test_without_a_total_there_is_no_share(self, model):
        topic = begun(model)
        model.fold(Progressed("files", 1, 700, None))
        assert topic.share is None
        assert topic.status == "Download of a: 700 B"

    def test_more_than_all_is_all(self, model):
        topic = begun(model)
        model.fold(Progressed("files", 1, 12, 10))
        assert topic.share == 1.0

    def test_a_failure_is_told_and_logged_with_its_hint(self, model):
        topic = begun(model)
        model.fold(Failed("files", 1, "the connection was refused", "`ss -ltn` there"))
        assert (topic.failed, topic.outcome, topic.hint) == (True, "the connection was refused", "`ss -ltn` there")
        assert [line.kind for line in topic.log.lines] == ["error", "note"]

    def test_the_next_job_forgets_the_failure(self, model):
        topic = begun(model)
        model.fold(Failed("files", 1, "refused"))
        model.fold(Began("files", 2, "Files of x"))
        assert (topic.failed, topic.outcome, topic.done, topic.total) == (False, "", 0, None)

    def test_cancelling_is_told(self, model):
        topic = begun(model)
        model.fold(Cancelled("files", 1))
        assert topic.status == "Download of a: cancelled"
        assert not topic.failed


class TestLateEvents:
    """What comes of a job that is over, or was replaced, changes nothing."""

    @pytest.mark.parametrize(
        "event",
        [
            Progressed("files", 1, 5, 10),
            Said("files", 1, (Line("note", "late"),)),
            Learned("files", 1, "listing", ("late",)),
            Ended("files", 1, "late"),
            Failed("files", 1, "late"),
            Cancelled("files", 1),
        ],
        ids=lambda event: type(event).__name__,
    )
    def test_of_a_replaced_job(self, model, event):
        begun(model, job=1)
        topic = begun(model, job=2, what="Upload of b")
        assert model.fold(event) is None
        assert (topic.job, topic.done, topic.outcome, topic.facts, topic.log.total) == (2, 0, "", {}, 0)

    def test_of_a_cancelled_job(self, model):
        topic = begun(model)
        model.fold(Cancelled("files", 1))
        assert model.fold(Ended("files", 1, "late")) is None
        assert topic.outcome.endswith("cancelled")

    def test_topics_do_not_meet(self, model):
        begun(model, "files", 1)
        begun(model, "web", 2)
        assert model.fold(Ended("web", 2, "done")) == "web"
        assert model.topics["files"].busy

    def test_an_unknown_topic_is_a_bug(self, model):
        with pytest.raises(KeyError):
            model.fold(Ended("nothing", 1, ""))


class TestLog:
    def test_a_view_gets_what_it_has_not_seen(self):
        log = Log()
        log.add((Line("sent", "a"), Line("received", "b")))
        log.add((Line("note", "c"),))
        assert [line.text for line in log.since(0)] == ["a", "b", "c"]
        assert [line.text for line in log.since(2)] == ["c"]
        assert log.since(3) == []

    def test_it_keeps_so_many_lines_and_counts_all(self):
        log = Log()
        log.add(tuple(Line("received", str(number)) for number in range(LOG_LINES + 500)))
        assert len(log.lines) == LOG_LINES
        assert log.total == LOG_LINES + 500
        assert log.since(0)[0].text == "500"

    def test_facts_are_replaced(self, model):
        topic = begun(model)
        model.fold(Learned("files", 1, "listing", ("a",)))
        model.fold(Learned("files", 1, "listing", ("a", "b")))
        assert topic.facts["listing"] == ("a", "b")


class TestForms:
    @pytest.mark.parametrize(("text", "port"), [("7", 7), (" 12345 ", 12345), ("65535", 65535)])
    def test_ports(self, text, port):
        assert read_port(text) == port

    @pytest.mark.parametrize("text", ["", "0", "65536", "-1", "http", "７", "1e3"])
    def test_what_is_no_port(self, text):
        with pytest.raises(FormError, match="a number from 1 to 65535"):
            read_port(text)

    def test_hosts_are_trimmed(self):
        assert read_host(" tcp-server\n") == "tcp-server"

    @pytest.mark.parametrize("text", ["", "  ", "two words", "a\0b"])
    def test_what_is_no_host(self, text):
        with pytest.raises(FormError):
            read_host(text)

    def test_a_missing_text_is_named(self):
        with pytest.raises(FormError, match="the subject is missing"):
            read_text(" ", "the subject")


class TestWords:
    @pytest.mark.parametrize(
        ("number", "text"),
        [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (20_000_000, "20.0 MB"), (5 * 10**12, "5000.0 GB"), (None, "?")],
    )
    def test_octets(self, number, text):
        assert in_octets(number) == text

    def test_control_characters_of_a_peer_are_shown_as_such(self):
        assert printable("a\x1b[2Jb\tc\r") == "a\ufffd[2Jb\tc\ufffd"

    def test_a_fresh_topic_is_idle(self):
        assert Topic().status == ""
        assert Topic().share is None
