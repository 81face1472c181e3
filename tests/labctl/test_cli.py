"""The command line: what is printed where, exit codes, completion, and that nothing heavy is imported before it is needed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from labctl.cli.app import COMMANDS, run_cli

ROOT = Path(__file__).parents[2]
NOWHERE = "unix:///nonexistent/docker.sock"


def labctl(*argv, **env):
    return subprocess.run(
        [sys.executable, "-m", "labctl", *argv], capture_output=True, text=True, cwd=ROOT, env=os.environ | env, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


class TestImports:
    """What must answer at once must not import what is slow."""

    HEAVY = ("docker", "requests", "pydantic", "rich.console", "asyncio", "labctl.engine.sdk")

    def imported(self, *argv, **env):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "labctl", *argv], capture_output=True, text=True, cwd=ROOT, check=False,
            env=os.environ | {"DOCKER_HOST": NOWHERE} | env,
        )  # fmt: skip
        return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}

    @pytest.mark.parametrize("argv", [["--help"], ["--version"], ["ls"], ["ls", "--json"], ["nonsense"]], ids=" ".join)
    def test_nothing_heavy_for(self, argv):
        assert not {name for name in self.imported(*argv) if name.startswith(self.HEAVY)}

    @pytest.mark.parametrize("words", ["labctl ", "labctl up ", "labctl down ", "labctl logs ", "labctl up --"])
    def test_nothing_heavy_for_completion(self, words):
        env = {"_LABCTL_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
        assert not {name for name in self.imported(**env) if name.startswith(self.HEAVY)}


class TestHelp:
    def test_lists_every_command(self):
        told = labctl("--help")
        assert told.returncode == 0
        assert "\x1b" not in told.stdout
        for name in COMMANDS:
            assert f"\n  {name} " in told.stdout

    @pytest.mark.parametrize("name", COMMANDS)
    def test_every_command_tells_what_it_takes(self, name, capsys):
        assert run_cli([name, "--help"]) == 0
        assert "Usage: labctl" in capsys.readouterr().out

    def test_colour_is_for_who_wants_it(self):
        assert "\x1b" in labctl("--help", FORCE_COLOR="1").stdout
        assert "\x1b" not in labctl("--help", NO_COLOR="1", FORCE_COLOR="").stdout


class TestErrors:
    @pytest.mark.parametrize(
        ("argv", "code", "said"),
        [
            (["upp"], 2, "did you mean `up`"),
            (["up"], 2, "Missing argument 'SCENARIO'"),
            (["up", "tcp-demo", "--timeout", "-1"], 2, "--timeout"),
            (["up", "tcp-dmo"], 2, "did you mean `tcp-demo`"),
            (["check", "./none.yaml"], 2, "no scenario file"),
            (["completion", "tcsh"], 2, "tcsh"),
            (["ps", "--nonsense"], 2, "--nonsense"),
        ],
    )
    def test_are_told_on_stderr_with_a_hint_and_a_code(self, argv, code, said):
        told = labctl(*argv)
        assert (told.returncode, told.stdout) == (code, "")
        assert told.stderr.startswith("error: ")
        assert said in told.stderr
        assert "hint: " in told.stderr

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("--lab", "one", "--", "true"), "`--lab` stands behind the host; labctl's options go before it"),
            (("-it", "sh"), "`-it` stands behind the host"),
            (("--",), "Behind `--` stands none"),
        ],
    )
    def test_options_behind_the_host_are_no_command(self, words, said):
        told = labctl("exec", "client", *words, DOCKER_HOST=NOWHERE)
        assert told.returncode == 2
        assert said in told.stderr

    @pytest.mark.parametrize(
        "argv",
        [["ps"], ["up", "tcp-demo"], ["down"], ["logs"], ["exec", "client", "--", "true"], ["doctor"]],
        ids=" ".join,
    )
    def test_without_an_engine_the_code_is_3_and_the_socket_is_named(self, argv):
        told = labctl(*argv, DOCKER_HOST=NOWHERE)
        assert told.returncode == 3
        assert NOWHERE in told.stdout + told.stderr
        assert "Traceback" not in told.stderr

    def test_a_socket_without_permission_is_told_as_such(self, tmp_path, capsys, monkeypatch):
        from labctl.engine.sdk import DockerEngine
        from labctl.errors import EngineError

        def refuse(*_args, **_kwargs):
            from docker.errors import DockerException

            raise DockerException("Error while fetching server API version: PermissionError(13, 'Permission denied')")

        monkeypatch.setattr("docker.APIClient", refuse)
        with pytest.raises(EngineError, match="no permission") as caught:
            DockerEngine()
        assert "usermod -aG docker" in caught.value.hint

    def test_ls_works_without_an_engine_and_says_so(self):
        told = labctl("ls", DOCKER_HOST=NOWHERE)
        assert told.returncode == 0
        assert "tcp-demo" in told.stdout
        assert "engine does not answer" in told.stderr


class TestJson:
    @pytest.mark.parametrize("argv", [["ls", "--json"], ["check", "tcp-demo", "--json"]], ids=" ".join)
    def test_carries_a_version(self, argv):
        assert json.loads(labctl(*argv, DOCKER_HOST=NOWHERE).stdout)["version"] == 1

    def test_problems_of_a_file_are_data_too(self, tmp_path):
        bad = tmp_path / "bad.yaml"
        bad.write_text("scenario: x\n")
        told = labctl("check", str(bad), "--json")
        assert told.returncode == 2
        report = json.loads(told.stdout)
        assert report["valid"] is False
        assert {"file", "line", "column", "path", "message"} <= set(report["problems"][0])

    def test_the_schema_is_json_schema(self):
        assert json.loads(labctl("schema").stdout)["title"] == "Scenario"


class TestCompletion:
    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_there_is_a_script_for(self, shell):
        told = labctl("completion", shell)
        assert told.returncode == 0
        assert "_LABCTL_COMPLETE" in told.stdout

    def test_knows_scenarios(self):
        words = {"_LABCTL_COMPLETE": "bash_complete", "COMP_WORDS": "labctl up tc", "COMP_CWORD": "2"}
        assert labctl(**words).stdout.split() == ["plain,tcp-chat", "plain,tcp-demo", "plain,tcp-retransmit"]

    def test_knows_labs_and_hosts_that_are_up(self, monkeypatch):
        from labctl.cli import options
        from labctl.model import FoundHost

        hosts = (FoundHost("1", "mine", "client", "tcp-demo"), FoundHost("2", "other", "tcp-server", "tcp-demo"))
        monkeypatch.setattr("labctl.engine.peek.peek", lambda: hosts)

        class Context:
            params = {"lab": None}  # noqa: RUF012

        assert [item.value for item in options._labs(Context, None, "m")] == ["mine"]
        assert [item.value for item in options.complete_hosts(Context, None, "")] == ["client", "tcp-server"]
        Context.params = {"lab": "mine"}
        assert [item.value for item in options.complete_hosts(Context, None, "")] == ["client"]


class TestSeams:
    def test_control_characters_of_a_peer_do_not_reach_the_terminal(self):
        from labctl.cli.output import printable

        assert printable("a\x1b[2Jb\tc\n") == "a\\x1b[2Jb\tc\n"

    def test_junit_is_xml_whatever_the_output_was(self, tmp_path):
        from xml.etree import ElementTree

        from labctl.cli.verdicts import write_junit
        from labctl.commands.run import RunResult, StepResult
        from labctl.model import Executed
        from labctl.scenario.read import parse_scenario

        lesson = parse_scenario("scenario: a\ntitle: b\nhosts: [c]\nsteps: [{say: x, on: c, run: y}]", "f", ["c"])
        failed = StepResult(
            lesson.steps[0], Executed(1, b"\x00\x1b<&>\xff", b""), ("exit code 0 was expected, it was 1",)
        )
        write_junit(tmp_path / "j.xml", RunResult("lab", lesson, (failed,)))
        suite = ElementTree.parse(tmp_path / "j.xml").getroot()
        assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
        assert suite.find("testcase/failure").get("message") == "exit code 0 was expected, it was 1"
