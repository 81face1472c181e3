"""`lab file` and its library against our server, and against servers that lie."""

import json
import os
import pty
import random
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from services.client.errors import ClientError
from services.client.file_client import FileClient
from services.client.file_mirror import mirror

ROOT = Path(__file__).parents[2]


@pytest.fixture
def server(start_file):
    server = start_file()
    files = server.root / "files"
    (files / "notes.txt").write_bytes(b"some notes\n")
    (files / "a b ü").write_bytes(random.Random(1).randbytes(300_000))
    os.utime(files / "notes.txt", (1_700_000_000, 1_700_000_000))
    return server


@pytest.fixture
def lab(server, tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()

    def run(verb, *argv, code=0, before=()):
        done = subprocess.run(
            [*before, sys.executable, "-m", "services.client", "file", verb, "127.0.0.1", "--port", str(server.port), *map(str, argv)],
            cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        return done

    run.folder = folder
    return run


class Liar:
    """A server that answers every line with the next of its replies, then closes."""

    def __init__(self, *replies):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._replies = list(replies)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with self._listener, self._listener.accept()[0] as conn, conn.makefile("rb") as lines:
            for reply in self._replies:
                lines.readline()
                conn.sendall(reply)


class TestVerbs:
    def test_ls(self, lab):
        assert re.fullmatch(r" +300000  [\d: -]{19}  a b ü\n +11  2023-11-14 22:13:20  notes.txt\n", lab("ls").stdout)
        told = json.loads(lab("ls", "--json").stdout)
        assert told["version"] == 1
        assert told["files"][1] == {"name": "notes.txt", "size": 11, "modified": 1_700_000_000}

    def test_stat_and_hash_and_rm(self, lab, server):
        assert lab("stat", "notes.txt").stdout.endswith("notes.txt\n")
        (lab.folder / "sums").write_text(lab("hash", "notes.txt", "a b ü").stdout)
        lab("get", "notes.txt")
        lab("get", "a b ü")
        subprocess.run(["sha256sum", "--quiet", "-c", "sums"], cwd=lab.folder, check=True)
        lab("rm", "notes.txt")
        assert not (server.root / "files" / "notes.txt").exists()

    def test_get_put_and_back(self, lab, server):
        assert re.match(
            r"got a b ü: 300000 octets, [\d.]+ s\nsha256 [0-9a-f]{64}\n", lab("get", "a b ü", "-o", "here").stdout
        )
        assert "put there: 300000 octets" in lab("put", "here", "there", "--stats").stdout
        assert (server.root / "files" / "there").read_bytes() == (lab.folder / "here").read_bytes()
        assert lab("get", "notes.txt", "-o", "-").stdout == "some notes\n"
        assert not list(lab.folder.glob("*.part"))

    def test_get_into_a_folder(self, lab):
        (lab.folder / "sub").mkdir()
        lab("get", "notes.txt", "-o", "sub")
        assert (lab.folder / "sub" / "notes.txt").read_text() == "some notes\n"

    def test_a_broken_get_is_resumed(self, lab, server):
        lab("get", "a b ü", "--rate", "100k", code=-9, before=["timeout", "-s", "KILL", "1.5"])
        part = lab.folder / "a b ü.part"
        assert 0 < part.stat().st_size < 300_000
        assert re.search(r", resumed at [1-9]\d*, ", lab("get", "a b ü", "--resume").stdout)
        assert (lab.folder / "a b ü").read_bytes() == (server.root / "files" / "a b ü").read_bytes()
        assert not part.exists()

    def test_a_part_of_other_octets_is_found_out(self, lab):
        (lab.folder / "notes.txt.part").write_bytes(b"SOME")
        assert "digest of `notes.txt`" in lab("get", "notes.txt", "--resume", code=1).stderr
        assert not (lab.folder / "notes.txt").exists()
        lab("get", "notes.txt", "--resume")

    @pytest.mark.parametrize(
        ("argv", "words"),
        [(("get", "none"), "GET `none`: there is no such file (404)"), (("stat", "../x"), "(403)"), (("put", "absent"), "absent"),
         (("get", "notes.txt", "-o", "no/such/folder"), "no/such/folder")],
    )  # fmt: skip
    def test_what_fails_is_told(self, lab, argv, words):
        done = lab(*argv, code=1)
        assert done.stderr.startswith("error: ")
        assert words.replace("GET", "STAT" if "none" in argv else "GET") in done.stderr or words in done.stderr

    @pytest.mark.parametrize(
        "argv", [("get",), ("ls", "--rate", "5"), ("get", "x", "--rate", "fast"), ("mirror", "x", "-j", "0")]
    )
    def test_a_wrong_command_line_is_2(self, lab, argv):
        lab(*argv, code=2)

    def test_a_terminal_sees_how_far_it_is(self, server, tmp_path):
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [sys.executable, "-m", "services.client", "file", "get", "127.0.0.1", "a b ü", "--port", str(server.port), "-o",
             str(tmp_path / "x"), "--rate", "400k"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=theirs,
        ) as process:  # fmt: skip
            os.close(theirs)
            seen = b""
            try:
                while data := os.read(ours, 4096):
                    seen += data
            except OSError:
                pass  # how Linux tells that the other end of a terminal is closed
            assert process.wait() == 0
        os.close(ours)
        assert re.search(r"a b ü \[#+ *\] +\d+ %  [\d.]+ KiB of 293 KiB  [\d.]+ KiB/s", seen.decode())
        assert seen.endswith(b"\r\x1b[K")


class TestMirror:
    def test_many_files_of_all_sizes(self, lab, server):
        rng = random.Random(5)
        for number in range(500):
            (server.root / "files" / f"f{number}").write_bytes(rng.randbytes(rng.choice([0, 1, 1000, 70_000])))
        told = json.loads(lab("mirror", "copy", "--json").stdout)
        assert (len(told["fetched"]), told["failed"]) == (502, {})
        there = {path.name: path.read_bytes() for path in (server.root / "files").iterdir()}
        assert {path.name: path.read_bytes() for path in (lab.folder / "copy").iterdir()} == there

    def test_what_is_there_already_is_left_and_what_changed_is_fetched(self, lab, server):
        lab("mirror", "copy")
        (server.root / "files" / "notes.txt").write_bytes(b"other notes")
        (lab.folder / "copy" / "of my own").write_text("stays")
        assert "1 fetched" in lab("mirror", "copy").stdout
        assert (lab.folder / "copy" / "notes.txt").read_bytes() == b"other notes"
        assert (lab.folder / "copy" / "of my own").exists()

    def test_one_that_is_gone_meanwhile_fails_alone(self, server, tmp_path):
        with FileClient("127.0.0.1", server.port) as client:
            entries = client.list()
            client.delete("notes.txt")
        result = mirror(entries, lambda: FileClient("127.0.0.1", server.port), tmp_path / "copy")
        assert (result.fetched, list(result.failed)) == (["a b ü"], ["notes.txt"])
        assert "404" in result.failed["notes.txt"]

    def test_a_file_that_stands_where_the_folder_should_is_told(self, lab):
        (lab.folder / "copy").write_text("")
        assert "copy" in lab("mirror", "copy", code=1).stderr


class TestLibrary:
    def test_a_lost_connection_is_made_anew_for_the_next_request(self, start_file):
        server = start_file("--idle", "0.3")
        with FileClient("127.0.0.1", server.port) as files:
            assert files.list() == []
            server.event("closed", reason="silent for 0.3 s")
            assert files.list() == []
        assert sum(event["event"] == "connected" for event in server.log) == 2

    def test_progress_can_end_a_transfer_and_the_client_goes_on(self, server, tmp_path):
        class StopError(Exception):
            pass

        def stop(_done, _total):
            raise StopError

        with FileClient("127.0.0.1", server.port) as files:
            with pytest.raises(StopError):
                files.download("a b ü", tmp_path / "x", progress=stop)
            assert len(files.list()) == 2

    @pytest.mark.parametrize(
        ("replies", "words"),
        [([b"HTTP/1.1 400 Bad Request\r\n"], "no reply to LIST"), ([b"OK 5\r\nabc"], "2 octets of the body are missing"),
         ([b""], "closed before it answered"), ([b"OK 7\r\n../ 1 1"], "listing"), ([b"OK 12\r\n%2e%2e 1 17\r\n"], "listing")],
    )  # fmt: skip
    def test_a_server_that_lies_is_found_out(self, replies, words):
        with FileClient("127.0.0.1", Liar(*replies).port) as files, pytest.raises(ClientError, match=words):
            files.list()

    def test_a_server_that_closes_without_an_answer_to_quit_is_no_error(self):
        with FileClient("127.0.0.1", Liar(b"OK 0\r\n", b"").port) as files:
            assert files.list() == []

    def test_a_body_with_another_digest_is_not_kept(self, tmp_path):
        lies = [b"OK 5 1700000000\r\n", b"OK 5 5\r\nhello", b"OK " + b"0" * 64 + b"\r\n"]
        with FileClient("127.0.0.1", Liar(*lies).port) as files, pytest.raises(ClientError, match="digest"):
            files.download("x", tmp_path / "x")
        assert list(tmp_path.iterdir()) == []
