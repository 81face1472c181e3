"""The commands on an engine in memory."""

from dataclasses import replace
from pathlib import Path

import pytest

from labctl.commands.down import down
from labctl.commands.faults import inflict
from labctl.commands.hosts import choose_host, logs, ps
from labctl.commands.run import judge, play
from labctl.commands.up import needs_build, tagged, up
from labctl.engine.compose import source_digest
from labctl.engine.fake import FakeEngine
from labctl.errors import LabError, UsageError
from labctl.faults.read import read_fault
from labctl.model import CREDENTIALS, SUMMARY, Executed, Found, FoundHost, HostSpec, LabSpec
from labctl.progress import Silent
from labctl.scenario.catalog import Entry
from labctl.scenario.read import parse_scenario
from labctl.scenario.schema import Expect

COMPOSE = """\
services:
  tcp-server: {image: labctl/tcp-server, build: {context: ., labels: {labctl.source: ""}}, expose: ["7"]}
  client: {image: labctl/client, build: {context: ., labels: {labctl.source: ""}}}
"""
SCENARIO = """\
scenario: demo
title: A demo
hosts: [tcp-server, client]
steps:
  - {say: one, on: client, run: first, expect: {stdout: {equals: "1"}}}
  - {say: two, on: client, run: second, background: {}}
  - {say: three, on: tcp-server, run: third, expect: {exit: 3}}
"""


class Builder:
    """Builds by putting tags into the engine."""

    def __init__(self, engine):
        self.engine, self.built = engine, []

    def __call__(self, compose_file):
        return self

    def build(self, services, progress):
        self.built += services
        self.engine.tags |= {f"labctl/{name}:latest": "" for name in services}


@pytest.fixture
def entry(tmp_path, monkeypatch, own_cache):
    """A scenario and its Compose file, whose model stands in for what Compose would say of it."""
    import yaml

    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    (tmp_path / "demo.yaml").write_text(SCENARIO)
    monkeypatch.setattr("labctl.commands.prepare.read_services", lambda *_: yaml.safe_load(COMPOSE)["services"])
    return Entry("demo", tmp_path / "demo.yaml", tmp_path / "compose.yaml")


@pytest.fixture
def engine():
    return FakeEngine(tags={"labctl/tcp-server:latest": "", "labctl/client:latest": ""})


class TestUp:
    def test_brings_all_hosts_up_and_reports_them(self, engine, entry):
        result = up(engine, Builder(engine), entry, Silent())
        assert (result.lab, result.scenario, result.build) == ("demo", "demo", ())
        assert [(host.name, host.state) for host in result.hosts] == [("tcp-server", "running"), ("client", "running")]

    def test_a_dry_run_does_nothing(self, engine, entry):
        result = up(engine, Builder(engine), entry, Silent(), dry_run=True)
        assert result.steps[0] == "create network lab (internal)"
        assert engine.acted == []

    def test_builds_what_is_missing_and_no_more(self, engine, entry):
        del engine.tags["labctl/client:latest"]
        builder = Builder(engine)
        assert up(engine, builder, entry, Silent()).build == ("client",)
        assert builder.built == ["client"]

    def test_builds_all_where_asked(self, engine, entry):
        builder = Builder(engine)
        up(engine, builder, entry, Silent(), build=True)
        assert builder.built == ["tcp-server", "client"]

    def test_a_name_in_use_is_an_error_that_names_the_lab(self, engine, entry):
        up(engine, Builder(engine), entry, Silent())
        with pytest.raises(LabError, match="lab `demo` is up already") as caught:
            up(engine, Builder(engine), entry, Silent())
        assert "--lab" in caught.value.hint

    def test_a_lab_of_another_scenario_is_left_alone(self, engine, entry):
        engine.found = Found((FoundHost("x", "demo", "client", "other"),))
        with pytest.raises(LabError, match="with scenario `other`"):
            up(engine, Builder(engine), entry, Silent())
        assert engine.acted == []

    def test_two_labs_of_one_scenario_stand_side_by_side(self, engine, entry):
        up(engine, Builder(engine), entry, Silent())
        up(engine, Builder(engine), entry, Silent(), lab="second")
        assert engine.found.labs == ("demo", "second")

    def test_a_lab_left_half_up_is_put_right(self, engine, entry):
        up(engine, Builder(engine), entry, Silent())
        server, _ = engine.found.hosts
        engine.found = replace(engine.found, hosts=(replace(server, state="exited"),))
        engine.acted.clear()
        up(engine, Builder(engine), entry, Silent())
        assert engine.acted[:3] == [
            "start host tcp-server",
            "create host client from labctl/client",
            "start host client",
        ]

    def test_what_is_amiss_with_a_lab_that_is_up_is_said(self, engine, entry):
        class Noting(Silent):
            def note(self, text):
                notes.append(text)

        notes = []
        up(engine, Builder(engine), entry, Noting())
        server, client = engine.found.hosts
        engine.found = replace(engine.found, hosts=(server,))
        up(engine, Builder(engine), entry, Noting())
        assert notes == ["lab `demo` was left half up; putting it right"]
        engine.found = replace(engine.found, hosts=(replace(server, digest="other"), client))
        up(engine, Builder(engine), entry, Noting())
        assert notes[1:] == ["lab `demo` is up with another `tcp-server` than is asked for now; putting it right"]

    def test_the_image_that_was_built_for_a_lab_that_does_not_come_up_is_removed(self, engine, entry):
        def adapt(spec):
            server, client = spec.hosts
            return replace(spec, hosts=(replace(server, image="labctl-swap:demo.tcp-server.1"), client))

        engine.failing = "client"
        with pytest.raises(LabError, match="client"):
            up(engine, Builder(engine), entry, Silent(), adapt=adapt)
        assert engine.acted[-1] == "remove image labctl-swap:demo.tcp-server.1"

    @pytest.mark.parametrize("name", ["Upper", "a b", "-x", "", "x" * 42])
    def test_a_name_that_compose_would_refuse_is_a_usage_error(self, engine, entry, name):
        with pytest.raises(UsageError, match="not a lab's name"):
            up(engine, Builder(engine), entry, Silent(), lab=name or " ")

    def test_a_host_that_does_not_start_is_the_labs_failure(self, engine, entry):
        engine.failing = "client"
        with pytest.raises(LabError, match="client") as caught:
            up(engine, Builder(engine), entry, Silent())
        assert caught.value.code == 1


class TestImages:
    SPEC = LabSpec(
        "demo", "demo", (HostSpec("tcp-server", "labctl/tcp-server", {"build": {"labels": {"labctl.source": ""}}}),)
    )

    @pytest.mark.parametrize(("tags", "stale"), [({}, ["tcp-server"]), ({"labctl/tcp-server:latest": "old"}, ["tcp-server"]),
                                                 ({"labctl/tcp-server:latest": "now"}, [])])  # fmt: skip
    def test_an_image_of_other_sources_is_built_anew(self, tmp_path, monkeypatch, tags, stale):
        (tmp_path / "services").mkdir()
        monkeypatch.setattr("labctl.commands.up.source_digest", lambda _root: "now")
        assert needs_build(FakeEngine(tags=tags), self.SPEC, tmp_path / "compose.yaml") == stale

    def test_the_digest_follows_the_sources_and_nothing_else(self, tmp_path, monkeypatch):
        code = tmp_path / "services" / "tcp" / "server.py"
        code.parent.mkdir(parents=True)
        code.write_text("a")
        first = source_digest(tmp_path)
        (code.parent / "README.md").write_text("words")
        (tmp_path / "elsewhere.py").write_text("x")
        assert source_digest(tmp_path) == first
        code.write_text("b")
        second = source_digest(tmp_path)
        assert second != first
        monkeypatch.setenv("BASE_IMAGE", "other:1")
        assert source_digest(tmp_path) != second

    @pytest.mark.parametrize(
        ("image", "tag"), [("a/b", "a/b:latest"), ("a/b:1", "a/b:1"), ("host:5000/b", "host:5000/b:latest")]
    )
    def test_an_image_without_tag_is_latest(self, image, tag):
        assert tagged(image) == tag


class TestDown:
    def test_takes_the_only_lab_down(self, engine, entry):
        up(engine, Builder(engine), entry, Silent())
        assert down(engine, [], Silent()).labs == ("demo",)
        assert not engine.found

    def test_with_several_up_it_asks_which(self, engine, entry):
        up(engine, Builder(engine), entry, Silent())
        up(engine, Builder(engine), entry, Silent(), lab="second")
        with pytest.raises(UsageError, match="`demo`, `second`"):
            down(engine, [], Silent())
        assert down(engine, [], Silent(), everything=True).labs == ("demo", "second")
        assert not engine.found

    def test_nothing_up_is_no_error(self, engine):
        assert down(engine, [], Silent()).labs == ()

    def test_an_unknown_lab_is_answered_with_the_nearest(self, engine, entry):
        up(engine, Builder(engine), entry, Silent())
        with pytest.raises(UsageError, match="did you mean `demo`"):
            down(engine, ["dmo"], Silent())


class TestHosts:
    FOUND = Found(
        (FoundHost("1", "one", "client"), FoundHost("2", "one", "tcp-server"), FoundHost("3", "two", "client"))
    )

    def test_the_lab_must_be_named_where_several_are_up(self):
        with pytest.raises(UsageError, match="`one`, `two`"):
            choose_host(FakeEngine(self.FOUND), "client", None)
        assert choose_host(FakeEngine(self.FOUND), "client", "two").id == "3"

    def test_an_unknown_host_is_answered_with_the_nearest(self):
        with pytest.raises(UsageError, match="did you mean `tcp-server`"):
            choose_host(FakeEngine(self.FOUND), "tcpserver", "one")

    def test_no_lab_at_all(self):
        with pytest.raises(LabError, match="no lab is up"):
            choose_host(FakeEngine(), "client", None)

    def test_ps_lists_all_labs_or_one(self):
        assert len(ps(FakeEngine(self.FOUND), None)) == 3
        assert [item.host.id for item in ps(FakeEngine(self.FOUND), "two")] == ["3"]

    ASKED = FoundHost("4", "three", "mail", labels={CREDENTIALS: "tell", SUMMARY: "sum up"})

    @pytest.mark.parametrize(
        ("answer", "credentials"),
        [
            (Executed(0, b'{"bob": "x"}'), {"bob": "x"}),
            (Executed(0, b"{bob"), None),
            (Executed(1, b'{"bob": "x"}'), None),
            (TimeoutError(), None),
            (LabError("gone"), None),
        ],
    )
    def test_ps_asks_the_hosts_whose_service_says_how(self, answer, credentials):
        engine = FakeEngine(Found((self.ASKED,)), answers={"tell": answer, "sum up": Executed(0, b"all well\nmore")})
        (listed,) = ps(engine, None, credentials=True)
        assert (listed.summary, listed.credentials) == ("all well", credentials)

    def test_ps_asks_for_no_password_unless_told_to(self):
        engine = FakeEngine(Found((self.ASKED,)))
        ps(engine, None)
        assert engine.acted == ["mail$ sum up"]

    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            (Executed(0, b"queue: 3 messages\nmore\n"), "queue: 3 messages"), (Executed(0, b""), ""),
            (Executed(1, b"x"), "(say how: exit code 1)"), (TimeoutError(), "(say how: no answer for 2 s)"),
            (LabError("host `a` does not run"), "(say how: host `a` does not run)"),
        ],
    )  # fmt: skip
    def test_ps_asks_a_host_that_has_a_summary_command(self, answer, said):
        hosts = (FoundHost("1", "one", "a", labels={SUMMARY: "say how"}), FoundHost("2", "one", "b"))
        engine = FakeEngine(Found(hosts), answers={"say how": answer})
        assert [item.summary for item in ps(engine, "one")] == [said, ""]

    def test_ps_asks_no_host_that_does_not_run(self):
        engine = FakeEngine(Found((FoundHost("1", "one", "a", state="exited", labels={SUMMARY: "say how"}),)))
        assert [item.summary for item in ps(engine, None)] == [""]
        assert engine.acted == []

    @pytest.mark.parametrize("follow", [False, True])
    def test_logs_name_their_host(self, follow):
        engine = FakeEngine(self.FOUND.of("one"), log=(b"first", b"second\r"))
        seen = sorted((line.host, line.text) for line in logs(engine, [], None, follow=follow))
        assert seen == [("client", "first"), ("client", "second"), ("tcp-server", "first"), ("tcp-server", "second")]


class TestFaults:
    """What each verb comes to, from each state a host can be in."""

    def after(self, fault, *states):
        hosts = tuple(FoundHost(str(n), "demo", f"h{n}", state=state) for n, state in enumerate(states))
        engine = FakeEngine(Found(hosts))
        inflict(engine, "demo", read_fault(fault))
        return engine.acted, [host.state for host in engine.found.hosts]

    @pytest.mark.parametrize(
        ("fault", "states", "acted", "left"),
        [
            ("crash h0", ["running", "running"], ["kill h0"], ["exited", "running"]),
            ("pause h1", ["running", "running"], ["pause h1"], ["running", "paused"]),
            ("restart h0", ["exited"], ["restart h0"], ["running"]),
            ("restart h0", ["running"], ["restart h0"], ["running"]),
            ("restart h0", ["paused"], ["unpause h0", "restart h0"], ["running"]),
            ("heal h0", ["paused", "paused"], ["unpause h0"], ["running", "paused"]),
            ("heal", ["paused", "exited", "running"], ["unpause h0", "restart h1"], ["running"] * 3),
            ("heal", ["running"], [], ["running"]),
        ],
    )
    def test_verb(self, fault, states, acted, left):
        assert self.after(fault, *states) == (acted, left)

    @pytest.mark.parametrize("fault", ["crash h0", "pause h0"])
    @pytest.mark.parametrize("state", ["exited", "paused"])
    def test_what_does_not_run_cannot_be_broken(self, fault, state):
        with pytest.raises(LabError, match=f"is {state}"):
            self.after(fault, state)

    def test_a_host_that_is_not_there(self):
        with pytest.raises(UsageError, match="has no host `h9`"):
            self.after("crash h9", "running")

    SCENARIO = """\
scenario: demo
title: A demo
hosts: [client]
steps:
  - fault: pause client
  - {say: Mend it., fault: heal}
  - fault: crash client
  - fault: crash client
  - {say: go on, fault: restart client}
"""

    def test_a_fault_is_a_step_that_is_judged_and_reported(self):
        lesson = parse_scenario(self.SCENARIO, "f", ["client"])
        engine = FakeEngine(Found((FoundHost("1", "demo", "client"),)))
        begun = []
        result = play(engine, "demo", lesson, begun.append)
        assert engine.acted == ["pause client", "unpause client", "kill client", "restart client"]
        assert [step.passed for step in result.steps] == [True, True, True, False, True]
        assert "nothing to break" in result.steps[3].failures[0]
        assert result.facts()[1] == {
            "say": "Mend it.", "fault": "heal", "passed": True, "failures": [], "seconds": pytest.approx(0, abs=1),
        }  # fmt: skip
        assert result.facts()[0]["say"].startswith("client stands still")
        assert len(begun) == 5


class TestRun:
    LESSON = parse_scenario(SCENARIO, "f", ["tcp-server", "client"])

    def played(self, **answers):
        engine = FakeEngine(Found((FoundHost("1", "demo", "client"), FoundHost("2", "demo", "tcp-server"))))
        engine.answers = {"first": Executed(0, b"1"), "third": Executed(3)} | answers
        return play(engine, "demo", self.LESSON)

    def test_all_as_expected_passes(self):
        assert self.played().passed

    def test_later_steps_are_played_though_one_failed(self):
        result = self.played(first=Executed(0, b"2"))
        assert [step.passed for step in result.steps] == [False, True, True]

    def test_a_step_that_takes_too_long_fails_in_words(self):
        result = self.played(first=TimeoutError())
        assert result.steps[0].failures == ("it was not through within 30 s",)

    def test_a_background_step_is_judged_too(self):
        assert [step.passed for step in self.played(second=Executed(1)).steps] == [True, False, True]

    def test_a_host_that_is_gone_is_an_error(self):
        with pytest.raises(LabError, match="not in lab"):
            play(FakeEngine(), "demo", self.LESSON)

    @pytest.mark.parametrize(
        ("expect", "executed", "said"),
        [
            ({}, Executed(0), ""),
            ({}, Executed(1), "exit code 0 was expected, it was 1"),
            ({"stdout": {"equals": "a"}}, Executed(0, b"b"), "stdout was to equal 'a', it was 'b'"),
            ({"stdout": {"contains": ["a", "b"]}}, Executed(0, b"a"), "stdout was to contain 'b'"),
            ({"stdout": {"lacks": "a"}}, Executed(0, b"a"), "stdout was not to contain 'a'"),
            ({"stderr": {"matches": "^x$"}}, Executed(0, b"", b"y"), "stderr was to match"),
            ({"stdout": {"equals": "\ufffd"}}, Executed(0, b"\xff"), ""),
        ],
    )
    def test_judging(self, expect, executed, said):
        failures = judge(Expect.model_validate({k: _tuples(v) for k, v in expect.items()}), executed)
        assert said in "; ".join(failures)
        assert bool(said) == bool(failures)


def _tuples(value):
    return {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}


def test_the_packaged_files_are_found():
    from labctl.paths import lab_root

    assert (lab_root() / "compose.yaml").is_file()
    assert isinstance(lab_root(), Path)
