"""`labctl trace`, `explain` and `diff` on capture files: good ones, broken ones, and none at all. No engine is asked."""

import json

import pytest

from labctl.cli.app import run_cli
from labctl.wire.capture import Capture
from labctl.wire.write import write_pcapng
from tests.wire.test_expect import greeting

GARBAGE = bytes(range(7, 256)) * 9


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with captures: whole, cut, and none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    whole = write_pcapng(Capture(list(greeting().frames), dropped=3))
    for name, octets in {
        "whole": whole,
        "cut": whole[:-100],
        "empty": b"",
        "garbage": GARBAGE,
        "text": b"hi\n",
        "head": whole[:3],
    }.items():
        (tmp_path / f"{name}.pcapng").write_bytes(octets)
    (tmp_path / "folder").mkdir()
    return tmp_path


class TestBadInput:
    """Said in words, where and how to mend it, with 2 as the exit code and nothing on stdout."""

    @pytest.mark.parametrize("argv", ["trace", "explain", "diff whole.pcapng", "trace --json", "trace -o x.svg"])
    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("none.pcapng", "cannot be read: No such file"),
            ("./folder", "cannot be read: No such file"),
            ("empty.pcapng", "the file is empty"),
            ("garbage.pcapng", "neither pcapng nor pcap"),
            ("text.pcapng", "neither pcapng nor pcap"),
            ("head.pcapng", "neither pcapng nor pcap"),
        ],
    )  # fmt: skip
    def test_what_is_no_capture(self, folder, capsys, argv, name, said):
        assert run_cli([*argv.split(), name]) == 2
        told = capsys.readouterr()
        assert told.out == ""
        assert said in told.err
        assert f"at {name.removeprefix('./')}" in told.err
        assert not (folder / "x.svg").exists()

    @pytest.mark.parametrize("verb", ["trace", "explain"])
    def test_a_conversation_that_there_is_not(self, folder, capsys, verb):
        assert run_cli([verb, "whole.pcapng", "-c", "9"]) == 2
        assert "there is no conversation 9" in (told := capsys.readouterr().err)
        assert "from 1 to 1" in told

    def test_a_file_does_not_grow(self, folder, capsys):
        assert run_cli(["trace", "whole.pcapng", "--follow"]) == 2
        assert "is a file, and does not grow" in capsys.readouterr().err

    @pytest.mark.parametrize("option", [("--out", "x.svg"), ("--most", "9"), ("--json",)])
    def test_what_does_not_go_with_following(self, folder, capsys, option):
        assert run_cli(["trace", "demo", "--follow", *option]) == 2
        assert f"`{option[0]}` does not go with it" in capsys.readouterr().err


class TestHalfACapture:
    """What is there is told; that it is not all is said first."""

    def test_trace(self, folder, capsys):
        assert run_cli(["trace", "cut.pcapng"]) == 0
        told = capsys.readouterr().out
        assert told.startswith("! block at octet")
        assert "─FIN─" in told

    def test_explain(self, folder, capsys):
        assert run_cli(["explain", "cut.pcapng"]) == 0
        told = capsys.readouterr()
        assert told.err.startswith("! block at octet")
        assert "three-way handshake" in told.out

    def test_explain_tells_of_lost_frames_in_json_too(self, folder, capsys):
        assert run_cli(["explain", "whole.pcapng", "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["problems"] == ["the capture lost 3 frames, for want of buffer: gaps may be its own"]

    def test_diff(self, folder, capsys):
        with pytest.raises(SystemExit) as ended:
            run_cli(["diff", "whole.pcapng", "cut.pcapng"])
        assert ended.value.code == 1
        assert "! B: block at octet" in capsys.readouterr().out
