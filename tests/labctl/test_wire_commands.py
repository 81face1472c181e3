"""Taps and traces on an engine in memory: what is planned, read, judged, and written."""

import json
import time

import pytest

from labctl.commands.calls import read_calls, under_strace
from labctl.commands.live import follow
from labctl.commands.pictures import FORMS, Choice, ladder_of, write_picture
from labctl.commands.run import RunResult, StepResult
from labctl.commands.trace import is_file, keep_marks, see, see_file, see_settled
from labctl.commands.wire import expectation_of, expects_wire, judge_wire, mark_steps
from labctl.engine.fake import FakeEngine
from labctl.engine.networks import bridge_name
from labctl.engine.taps import program, tap_body
from labctl.engine.translate import container_body, trace_calls
from labctl.errors import LabError, UsageError
from labctl.model import Executed, Found, FoundHost, FoundNetwork, HostSpec, LabSpec, Tapped, TapSpec
from labctl.plan import StartTap, is_complete, plan_up
from labctl.scenario.read import ScenarioError, parse_scenario
from labctl.scenario.wire import WireItem
from labctl.wire.expect import SAME, judge
from labctl.wire.ladder import lay_out
from labctl.wire.read import read_capture
from labctl.wire.rules import RULES
from labctl.wire.shaped import Shaped
from labctl.wire.write import write_pcapng
from tests.wire.frames import ACK, FIN, MS, PSH, B, Talk, tcp

HOSTS = (HostSpec("client", "labctl/client", {}), HostSpec("tcp-server", "labctl/tcp-server", {}))
SPEC = LabSpec("demo", "demo", HOSTS, tap=TapSpec(), tools_image="labctl/tools")
TAP = FoundHost("id-tap", "demo", "tap", "demo", role="tap")
CLIENT = FoundHost("1", "demo", "client", "demo", addresses=("10.0.0.1",), mac="02:00:00:00:00:01", traced=True)
SERVER = FoundHost("2", "demo", "server", "demo", addresses=("10.0.0.2",))
SCENARIO = """\
scenario: demo
title: A demo
hosts: [client, server]
steps:
  - {say: one, on: client, run: first, wire: [{handshake: {from: client, to: "server:7"}}, {close: {first: client}}]}
  - {say: two, on: client, run: second}
"""


def pcap(talk):
    import struct

    head = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1)
    records = (
        struct.pack("<IIII", f.time_ns // 10**9, f.time_ns % 10**9, len(f.octets), f.length) + f.octets
        for f in talk.frames
    )
    return head + b"".join(records)


def greeting():
    talk = Talk().opened().b(3, ACK | PSH, 301, 101, b"Thank you").a(4, ACK, 101, 310).b(5, FIN | ACK, 310, 101)
    return talk.a(6, FIN | ACK, 101, 311).b(7, ACK, 311, 102)


@pytest.fixture
def engine():
    tapped = Tapped((pcap(greeting()),), 8, 2, "lab-0", TapSpec(filter="tcp"), ((1, "ready"),))
    return FakeEngine(Found((CLIENT, SERVER, TAP)), tapped=tapped)


class TestPlan:
    def test_a_tap_stands_before_every_host(self):
        steps = [str(step) for step in plan_up(SPEC, Found())]
        assert steps.index("tap network lab (keep 256 MB)") < steps.index("create host client from labctl/client")

    def test_one_that_listens_is_left_alone(self):
        assert not [step for step in plan_up(SPEC, Found((TAP,))) if isinstance(step, StartTap)]
        found = Found(
            (*(FoundHost(h.name, "demo", h.name, digest=h.digest) for h in HOSTS), TAP),
            (FoundNetwork("n", "demo", "n", "lab"),),
        )
        assert is_complete(plan_up(LabSpec("demo", "demo", HOSTS), found))

    def test_one_that_has_ended_is_replaced(self):
        steps = [
            str(step) for step in plan_up(SPEC, Found((FoundHost("t", "demo", "tap", role="tap", state="exited"),)))
        ]
        assert steps[0] == "remove host tap (not wanted)"
        assert "tap network lab (keep 256 MB)" in steps

    def test_it_has_two_capabilities_and_a_read_only_root(self):
        body = tap_body(SPEC, TapSpec(), "lab-0")
        host = body["HostConfig"]
        assert (host["CapDrop"], host["CapAdd"], host["ReadonlyRootfs"]) == (["ALL"], ["NET_RAW", "NET_ADMIN"], True)
        assert body["Labels"]["labctl.role"] == "tap"
        assert host["Mounts"][0]["VolumeOptions"]["Labels"]["labctl.lab"] == "demo"

    def test_a_filter_cannot_become_an_option(self):
        *_, said = program(TapSpec(filter="-w /etc/passwd"), "lab-0")
        assert json.loads(said)["filter"] == ["-w", "/etc/passwd"]

    def test_a_bridges_name_fits_linux_and_is_known_beforehand(self):
        assert len(bridge_name("lab-demo_lab_1234")) <= 15
        assert bridge_name("a") != bridge_name("b")


class TestStrace:
    def test_the_images_own_program_runs_under_it(self):
        lab = LabSpec("demo", "demo", ())
        body = container_body(
            lab, HostSpec("x", "i", {"x-labctl-calls": True, "tmpfs": ["/tmp:size=1m"]}), "net", publish=False
        )
        trace_calls(body, {"Entrypoint": ["python3", "-m", "services.tcp"], "Cmd": ["--quick"]})
        assert body["Entrypoint"][0] == "strace"
        assert body["Entrypoint"][-3:] == ["python3", "-m", "services.tcp"]
        assert body["Cmd"] == ["--quick"]
        assert set(body["HostConfig"]["Tmpfs"]) == {
            "/tmp",
            "/dev/lab-calls",
        }  # a mount point of an earlier start would give its mode
        assert body["Labels"]["labctl.calls"]

    def test_an_entrypoint_of_the_composes_own_drops_the_images_command(self):
        body = container_body(
            LabSpec("d", "d", ()),
            HostSpec("x", "i", {"x-labctl-calls": True, "entrypoint": ["own"]}),
            "net",
            publish=False,
        )
        trace_calls(body, {"Entrypoint": ["other"], "Cmd": ["other"]})
        assert (body["Entrypoint"][-1], body["Cmd"]) == ("own", [])

    def test_files_of_all_hosts_are_read(self, engine):
        line = "close(3<TCP:[10.0.0.1:4000->10.0.0.2:7]>) = 0 <0.000010>"
        argv = under_strace(["sh", "-c", "true"], "step-1")
        assert argv[-4:] == ["--", "sh", "-c", "true"]
        engine.exec = lambda *_, **__: Executed(0, f"\x1eserver\n9 0.005 {line}\n\x1estep-1\n8 0.004 {line}\n".encode())
        calls = read_calls(engine, engine.found)
        assert [(call.host, call.program) for call in calls] == [
            ("client", "step-1"),
            ("client", "server"),
        ]  # the server is not traced


class TestSee:
    def test_names_drops_and_marks_come_with_it(self, engine):
        seen = see(engine, None)
        assert (seen.name, seen.ready_ns, seen.trace.dropped) == ("demo", 1, 2)
        assert seen.trace.conversations[0].title == "TCP client:4000 → server:7"
        assert seen.capture.interfaces[0].filter == "tcp"
        assert "fe80::ff:fe00:1" in seen.capture.names

    def test_a_ring_that_went_round_is_said(self, engine):
        first, second = Talk(), Talk()
        first.frames, second.frames = greeting().frames[:4], greeting().frames[4:]
        engine.tapped = Tapped((pcap(first), pcap(second)), 50)
        assert see(engine, "demo").trace.problems == ["the ring of 256 MB went round: the first 42 frames are gone"]

    def test_a_frame_that_is_being_written_is_no_loss(self, engine):
        engine.tapped = Tapped((pcap(greeting())[:-5],), 8)
        assert see(engine, "demo").trace.problems == []

    def test_a_lab_without_a_tap(self, engine):
        engine.found = Found((CLIENT, SERVER))
        with pytest.raises(LabError, match="has no tap") as caught:
            see(engine, None)
        assert "--tap" in caught.value.hint

    def test_unknown_labs_and_files(self, engine, tmp_path):
        with pytest.raises(UsageError, match="did you mean `demo`"):
            see(engine, "dmo")
        with pytest.raises(UsageError, match="cannot be read"):
            see_file(tmp_path / "none.pcap")
        (tmp_path / "x.pcap").write_bytes(b"hello")
        with pytest.raises(UsageError, match="no capture"):
            see_file(tmp_path / "x.pcap")

    def test_settled_means_closed(self, engine):
        assert len(see_settled(engine, "demo", 0).trace.packets) == 8

    def test_what_is_held_settles_later(self, engine, monkeypatch):
        monkeypatch.setattr("labctl.commands.trace.SETTLE", 0)
        shaper, whole = engine.start_helper(CLIENT, "tools"), engine.tapped
        engine.shapers[shaper.id]["log"] = {"events": [[0, 400 * MS, "delayed", "r", "00", 1]], "cuts": []}
        engine.tapped = Tapped((whole.files[0][:-70],), 7)
        began, read = time.monotonic(), engine.read_tap

        def read_later(tap):
            if time.monotonic() > began + 0.1:
                engine.tapped = whole
            return read(tap)

        monkeypatch.setattr(engine, "read_tap", read_later)
        assert len(see_settled(engine, "demo", 0).trace.packets) == 8

    @pytest.mark.parametrize("size", [1, 7, 100, 10000])
    def test_a_growing_capture_is_followed_frame_by_frame(self, engine, size):
        octets = engine.tapped.files[0]
        engine.tapped = Tapped(tuple(octets[at : at + size] for at in range(0, len(octets), size)))
        *_, live = follow(engine, TAP, engine.found)
        assert live.newest == 8
        assert live.builder.trace.conversations[0].events[-1].kind == "closed"

    def test_who_follows_is_told_once_of_what_shapers_did_and_who_is_cut_off(self, engine, monkeypatch):
        monkeypatch.setattr("labctl.commands.live.ASK", 0)
        shaper = engine.start_helper(CLIENT, "tools")
        head = tcp(PSH | ACK, 101, 301, b"never seen").hex()
        events = [[number * MS, 0, "lost", "client → server", head, number] for number in (1, 2)]
        cut = {"host": "server", "addresses": [B], "other": "", "sources": [], "since_ns": 4 * MS, "until_ns": 0}
        log = engine.shapers[shaper.id]["log"] = {"events": events[:1], "cuts": []}
        whole = engine.tapped.files[0]
        engine.tapped = Tapped((whole[:-300], b"", b"", whole[-300:]))
        following = follow(engine, TAP, engine.found)
        assert [item.seen_ns for item in next(following).builder.trace.shaped] == [MS]
        assert next(following).builder.trace.shaped == []
        log["events"], log["cuts"] = events, [cut]
        live = next(following)
        ladder = lay_out(live.builder.trace, frames=range(live.newest + 1, live.newest + 1))
        assert [(row.frame, row.lost, row.time_ns) for row in ladder.rows] == [(0, True, 2 * MS)]
        assert next(following).builder.trace.unheard.keys() == {5, 7}  # what was sent before is not


class TestPictures:
    @pytest.mark.parametrize("suffix", FORMS)
    def test_every_form_is_written(self, engine, tmp_path, suffix):
        path = tmp_path / "deep" / f"ladder{suffix}"
        write_picture(see(engine, None), path, Choice(everything=True))
        assert len(path.read_bytes()) > 300

    def test_an_unknown_suffix_lists_the_known(self, engine, tmp_path):
        with pytest.raises(UsageError, match="names no form") as caught:
            write_picture(see(engine, None), tmp_path / "x.png", Choice())
        assert ".pcapng" in caught.value.hint

    def test_an_unknown_conversation(self, engine):
        with pytest.raises(UsageError, match="no conversation 9"):
            ladder_of(see(engine, None), Choice(9))

    def test_what_is_written_is_read_again(self, engine, tmp_path):
        write_picture(see(engine, None), tmp_path / "x.pcapng", Choice())
        again = see_file(tmp_path / "x.pcapng")
        assert (again.trace.dropped, again.trace.conversations[0].opener.host) == (2, "client")
        write_picture(again, tmp_path / "x.json", Choice())
        assert json.loads((tmp_path / "x.json").read_text())["version"] == 1


class TestNotes:
    """`x.json` beside `x.pcapng`."""

    @pytest.fixture
    def kept(self, engine, tmp_path):
        seen = see(engine, None)
        seen.trace.shaped.append(Shaped(MS, 0, "lost", "r", b"head"))
        assert [path.name for path in write_picture(seen, tmp_path / "r", Choice())][:2] == [
            "trace.pcapng",
            "trace.json",
        ]
        return tmp_path / "r"

    def test_a_reports_folder_gives_all_back(self, kept):
        seen = see_file(kept)
        assert (seen.name, seen.ready_ns, seen.trace.problems) == ("demo", 1, [])
        assert [item.verdict for item in seen.trace.shaped] == ["lost"]

    def test_all_as_json_is_notes_too(self, kept):
        write_picture(see_file(kept), kept / "trace.json", Choice())
        assert [item.verdict for item in see_file(kept).trace.shaped] == ["lost"]

    def test_a_capture_with_nothing_to_note_is_alone(self, engine, tmp_path):
        engine.tapped = Tapped(engine.tapped.files, 8)
        assert write_picture(see(engine, None), tmp_path / "x.pcapng", Choice()) == [tmp_path / "x.pcapng"]

    def test_damaged_ones_are_left_out_and_that_is_said(self, kept):
        (kept / "trace.json").write_text('{"version": 1, "notes": {"name": ')
        seen = see_file(kept)
        assert seen.name == "trace.pcapng"
        assert seen.trace.problems[0].startswith(
            "the notes in `trace.json` (socket calls, steps, what shapers did) are left out: it is no JSON"
        )
        assert len(seen.trace.packets) == 8

    def test_those_of_another_capture_are_left_out(self, kept):
        (kept / "other.json").write_bytes((kept / "trace.json").read_bytes())
        capture = read_capture((kept / "trace.pcapng").read_bytes())
        del capture.frames[0]
        (kept / "other.pcapng").write_bytes(write_pcapng(capture))
        assert "another capture" in see_file(kept / "other.pcapng").trace.problems[0]

    def test_nobody_elses_file_is_written_over(self, engine, tmp_path):
        (tmp_path / "x.json").write_text("{}")
        with pytest.raises(UsageError, match="something else"):
            write_picture(see(engine, None), tmp_path / "x.pcapng", Choice())
        assert (tmp_path / "x.json").read_text() == "{}"

    @pytest.mark.parametrize(("word", "file"), [("a/b", True), ("x.pcapng", True), ("demo", False)])
    def test_files_and_labs_are_told_apart(self, word, file):
        assert is_file(word) is file


class TestJudge:
    LESSON = parse_scenario(SCENARIO, "f", ["client", "server"])

    def played(self, *times):
        steps = [
            StepResult(step, Executed(0), (), began, ended)
            for step, (began, ended) in zip(self.LESSON.steps, times, strict=True)
        ]
        return RunResult("demo", self.LESSON, tuple(steps))

    def test_a_steps_expectations_are_held_against_its_own_time(self, engine):
        assert expects_wire(self.LESSON)
        judged, verdicts = judge_wire(self.played((MS, 9 * MS), (20 * MS, 30 * MS)), see(engine, None))
        assert [(item.step, item.verdict.met) for item in verdicts] == [(1, True), (1, False)]
        assert judged.steps[0].failures == ("on the wire: close from client: server closed first (frame 6)",)
        assert judged.steps[1].passed
        late, _ = judge_wire(self.played((20 * MS, 30 * MS), (40 * MS, 50 * MS)), see(engine, None))
        assert "no connection between these ends was seen" in late.steps[0].failures[0]

    def test_steps_are_marked_and_the_marks_stay_with_the_lab(self, engine):
        judged, _ = judge_wire(self.played((MS, 9 * MS), (20 * MS, 30 * MS)), see(engine, None))
        seen = mark_steps(judged, see(engine, None))
        assert [(mark.text, mark.passed) for mark in seen.marks] == [("1. one", False), ("2. two", True)]
        assert seen.summary == "A demo: 1 of 2 steps as expected"
        keep_marks(engine, seen, "demo")
        engine.tapped = Tapped(engine.tapped.files, 8, marks=tuple(engine.marks))
        again = see(engine, None)
        assert [(mark.text, mark.passed) for mark in again.marks] == [("1. one", False), ("2. two", True)]

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ("{handshak: {}}", "did you mean `handshake`"),
            ("{close: {frist: client}}", "did you mean `first`"),
            ("{handshake: {from: clinet}}", "did you mean `client`"),
            ("{data: {}, close: {}}", "exactly one"),
            ("{state: {from: client, is: OPEN}}", "TIME-WAIT"),
            ("{segments: {count: many}}", "count"),
            ("{handshake: {to: 'server:http'}}", "is not a name"),
        ],
    )
    def test_a_word_that_is_none_is_told_with_its_place(self, wrong, said):
        text = SCENARIO.replace('{handshake: {from: client, to: "server:7"}}', wrong)
        with pytest.raises(ScenarioError) as caught:
            parse_scenario(text, "f", ["client", "server"])
        assert said in str(caught.value)
        assert "f:5:" in str(caught.value)

    def test_what_is_expected_of_all_steps_together_fails_the_run(self, engine):
        text = SCENARIO + "wire: [{close: {first: server}}, {close: {first: client}}]\n"
        lesson = parse_scenario(text, "f", ["client", "server"])
        played = RunResult("demo", lesson, self.played((MS, 9 * MS), (20 * MS, 30 * MS)).steps)
        judged, verdicts = judge_wire(played, see(engine, None))
        assert [(item.step, item.verdict.met) for item in verdicts[-2:]] == [(0, True), (0, False)]
        assert judged.failures == ("on the wire: close from client: server closed first (frame 6)",)
        assert not judged.passed

    def test_a_host_that_takes_no_part_is_told_there_too(self):
        with pytest.raises(ScenarioError, match=r"f:7:.*wire\[0\].close.first: host `sever` is not among"):
            parse_scenario(SCENARIO + "wire: [{close: {first: sever}}]\n", "f", ["client", "server"])


class TestVocabulary:
    """Each word as a scenario file says it: once as it is on the wire, and once wrong."""

    TABLE = (
        ("handshake", '{from: client, to: "server:7"}', "{from: server}"),
        ("handshake", "{count: 1}", "{count: 2}"),
        ("data", "{from: server, contains: [Thank, you], lacks: password}", "{from: server, contains: Bye}"),
        ("data", "{from: server, after: {handshake: {}}}", "{from: server, before: {handshake: {}}}"),
        ("data", "{from: server, before: {close: {}}}", "{from: server, lacks: Thank}"),
        ("close", "{first: server}", "{first: client}"),
        ("reset", "{count: 0}", "{}"),
        ("retransmission", "{count: 0}", "{from: server}"),
        ("retransmissions", "{count: 0}", "{count: {least: 2}}"),
        ("fast_retransmission", "{count: 0}", "{}"),
        ("duplicate_ack", "{count: {most: 3}}", "{from: client}"),
        ("keep_alive", "{count: 0}", "{from: client, count: 3}"),
        ("zero_window", "{count: 0}", "{from: client}"),
        ("window_probe", "{count: 0}", "{from: server}"),
        ("no_retransmission", "{from: server}", "{to: nobody}"),
        ("segments", "{from: server, count: 1}", "{from: client}"),
        ("datagrams", "{count: 0}", "{from: client}"),
        ("packets", '{kind: TCP, to: "server:7", contains: SYN}', "{kind: ICMP}"),
        ("packets", "{kind: ARP, count: 0}", "{count: 0}"),
        ("octets", "{from: server, count: 9}", "{from: server, count: 10}"),
        ("round_trips", "{from: client, count: 1}", "{from: client, count: 2}"),
        ("duration", "{most: 5s}", "{least: 5s}"),
        ("state", "{from: server, is: TIME-WAIT}", "{from: client, is: TIME-WAIT}"),
    )

    def item(self, word, said):
        head = SCENARIO.partition("wire:")[0].replace("client, server", "client, server, nobody")
        return (
            parse_scenario(f"{head}wire: [{{{word}: {said}}}]}}\n", "f", ["client", "server", "nobody"])
            .steps[0]
            .wire[0]
        )

    @pytest.mark.parametrize(("word", "right", "wrong"), TABLE, ids=lambda value: value[:24])
    def test_what_is_so_is_met_and_what_is_not_is_missed(self, engine, word, right, wrong):
        trace = see(engine, None).trace
        assert judge(expectation_of(self.item(word, right)), trace).met
        missed = judge(expectation_of(self.item(word, wrong)), trace)
        assert not missed.met
        assert missed.said

    def test_a_line_is_asked_for_as_a_whole_by_a_part_or_by_an_expression(self, engine):
        """Where the port has no protocol that could be read, that is said: nobody waits for lines in vain."""
        wanted = expectation_of(
            self.item("line", "{from: client, equals: a, contains: b, matches: 'c$', lacks: d, count: 2}")
        )
        assert (wanted.what, wanted.source, wanted.equals, wanted.contains) == ("line", "client", "a", "b")
        assert (wanted.matches, wanted.lacks, wanted.count.least) == ("c$", "d", 2)
        assert "no protocol is known" in judge(expectation_of(self.item("line", "{}")), see(engine, None).trace).said
        with pytest.raises(ScenarioError, match="`matches` is not a regular expression"):
            self.item("line", "{matches: '('}")

    def test_files_and_rules_know_the_same_words(self):
        assert {SAME.get(word, word) for word in WireItem.model_fields} == set(RULES)

    @pytest.mark.parametrize("word", WireItem.model_fields)
    def test_the_documents_tell_every_word(self, word):
        from labctl.paths import lab_root

        assert f"`{word}`" in (lab_root() / "docs" / "wire.md").read_text()
