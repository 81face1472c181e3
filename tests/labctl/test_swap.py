"""A program in a host's place: what is read of the command line, what becomes of the service, what a watch sees."""

import base64
import gzip
import os
import re
import subprocess

import pytest

from labctl.commands.swap import VARIABLE, Unbuilt, adapted, bring_in, called, put_in, read_swaps, through
from labctl.commands.watch import look
from labctl.errors import LabError, UsageError
from labctl.model import FoundHost, HostSpec, LabSpec, Port
from labctl.progress import Silent

SERVICE = {
    "image": "labctl/tcp-server", "build": {"context": "."}, "entrypoint": ["ref"], "command": ["ref"], "user": "lab", "mem_limit": 5,
    "healthcheck": {"test": ["CMD", "x"]}, "labels": {"labctl.reset": "USR1", "labctl.summary": "s"}, "environment": {"A": "1"},
}  # fmt: skip
SPEC = LabSpec(
    "x", "x", (HostSpec("tcp-server", "labctl/tcp-server", SERVICE, (Port(7),)), HostSpec("client", "c", {}))
)


def nobody(_):
    raise AssertionError("nothing is to be built")


def swapped(program):
    return adapted(SPEC, {"tcp-server": bring_in(str(program), "tcp-server", "x", nobody, Silent())}).hosts[0]


class TestCommandLine:
    def test_pairs(self):
        assert read_swaps(("a=./x.py", "b=im/age:1=2")) == {"a": "./x.py", "b": "im/age:1=2"}

    @pytest.mark.parametrize("texts", [("a",), ("=x",), ("a=",), ("a=x", "a=y")])
    def test_anything_else_is_refused(self, texts):
        with pytest.raises(UsageError):
            read_swaps(texts)


class TestFile:
    def test_it_travels_in_the_definition(self, tmp_path):
        path = tmp_path / "my.py"
        path.write_text("print(1)\n")
        host = swapped(path)
        assert host.image == "labctl/tcp-server"
        assert gzip.decompress(base64.b64decode(host.service["environment"][VARIABLE])) == b"print(1)\n"
        assert host.service["environment"]["A"] == "1"
        assert host.service["entrypoint"][-3:] == ["/tmp/my.py", "python3", "-u"]

    def test_nothing_of_the_reference_is_left_but_its_place(self, tmp_path):
        path = tmp_path / "my.py"
        path.touch()
        host = swapped(path)
        assert (host.service["command"], host.service["mem_limit"], host.service["user"]) == ([], 5, "lab")
        assert not {"build", "healthcheck"} & set(host.service)
        assert host.service["labels"] == {"labctl.summary": "s"}  # it cannot be told by a signal to start itself anew
        assert (host.ports, host.ready) == ((Port(7),), ())

    def test_another_text_is_another_definition(self, tmp_path):
        path = tmp_path / "my.py"
        digests = []
        for text in ("1", "2", "1"):
            path.write_text(text)
            digests.append(swapped(path).digest)
        assert digests[0] == digests[2] != digests[1]

    def test_the_first_line_names_an_interpreter(self, tmp_path):
        path = tmp_path / "server"
        path.write_text("#!/usr/bin/env python3\n")
        assert swapped(path).service["entrypoint"][-2:] == ["/usr/bin/env", "python3"]

    def test_one_that_is_too_long_is_refused_with_the_way_out(self, tmp_path):
        path = tmp_path / "long.py"
        path.write_bytes(os.urandom(200_000))
        with pytest.raises(UsageError) as refused:
            swapped(path)
        assert "Dockerfile" in refused.value.hint

    def test_one_that_is_much_too_long_is_not_even_read(self, tmp_path):
        path = tmp_path / "long.py"
        with path.open("wb") as file:
            file.truncate(1 << 40)  # a hole: a TiB that takes no room, and would be read for an hour
        with pytest.raises(UsageError, match="too long"):
            swapped(path)

    def test_one_that_is_not_there_is_said_with_where_it_was_looked_for(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(UsageError, match=r"no file or folder `server\.py`") as raised:
            bring_in("server.py", "tcp-server", "x", nobody, Silent())
        assert str(tmp_path) in raised.value.hint


class TestClient:
    """A host that listens at nothing waits for commands as before; `lab` is the program there."""

    def swapped(self, program):
        return adapted(SPEC, {"client": bring_in(str(program), "client", "x", nobody, Silent())}).hosts[1]

    def played(self, host, run, tmp_path):
        found = FoundHost("i", "x", "client", labels=host.service["labels"])
        script = through(found, run).replace("/tmp/", f"{tmp_path}/run/")
        (tmp_path / "run").mkdir()
        env = os.environ | host.service["environment"]
        return subprocess.run(["sh", "-c", script], env=env, capture_output=True, text=True, timeout=30, check=False)

    def test_a_file_is_called_with_what_follows_lab(self, tmp_path):
        path = tmp_path / "my client.py"
        path.write_text(
            "import os, sys\nprint(sys.argv[1:], sys.stdin.read(), os.environ['LABCTL_PROGRAM'])\nsys.exit(3)\n"
        )
        host = self.swapped(path)
        done = self.played(host, "echo in | lab tcp greet 'two words'; echo $?; lab </dev/null", tmp_path)
        assert done.stdout == "['tcp', 'greet', 'two words'] in\n \n3\n[]  \n"
        assert (host.image, "entrypoint" in host.service, host.ready) == ("c", False, None)

    def test_an_image_brings_the_command_client_and_only_waits(self):
        host = self.swapped("registry.test/mine:2")
        assert (host.image, host.service["entrypoint"]) == ("registry.test/mine:2", ["sleep", "infinity"])
        assert through(FoundHost("i", "x", "client", labels=host.service["labels"]), "lab x").startswith(
            'lab() { client "$@"; }'
        )

    def test_an_argument_list_calls_it_too_and_its_words_stay_words(self, tmp_path):
        path = tmp_path / "mine.py"
        path.write_text("import sys\nprint(sys.argv[1:])\n")
        host = self.swapped(path)
        found = FoundHost("i", "x", "client", labels=host.service["labels"])
        argv = [word.replace("/tmp/", f"{tmp_path}/") for word in called(found, ["lab", "tcp", "two words", "$x"])]
        env = os.environ | host.service["environment"]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=30, check=True)
        assert done.stdout == "['tcp', 'two words', '$x']\n"
        assert called(found, ["nc", "lab"]) == ["nc", "lab"]
        assert called(FoundHost("i", "x", "client"), ["lab", "x"]) == ["lab", "x"]

    def test_where_nothing_was_swapped_a_command_is_what_it_was(self):
        assert through(FoundHost("i", "x", "client"), "lab x") == "lab x"


class TestImage:
    def test_its_own_user_and_command_hold(self):
        host = swapped("registry.test/mine:2")
        assert (host.image, host.service["user"]) == ("registry.test/mine:2", "")
        assert not {"entrypoint", "command", "build"} & set(host.service)

    def test_an_unknown_host_is_answered_with_the_nearest_before_anything_is_built(self, tmp_path):
        (tmp_path / "Dockerfile").write_text("FROM x\n")
        with pytest.raises(UsageError, match="did you mean `tcp-server`"):
            put_in(SPEC, {"tcp-serve": str(tmp_path)}, nobody, Silent())


class TestFolder:
    """An image a lab: it goes with the lab, and is nobody else's."""

    @pytest.fixture
    def folder(self, tmp_path):
        folder = tmp_path / "mine"
        folder.mkdir()
        (folder / "Dockerfile").write_text("FROM x\n")
        return folder

    def image(self, folder, lab="x"):
        return bring_in(str(folder), "tcp-server", lab, lambda _: Unbuilt(), Silent()).image

    def test_it_is_named_after_the_lab_the_host_and_what_is_in_the_folder(self, folder):
        first = self.image(folder)
        assert re.fullmatch(r"labctl-swap:x\.tcp-server\.[0-9a-f]{16}", first)
        assert self.image(folder) == first
        assert self.image(folder, "y") == first.replace(":x.", ":y.")

    @pytest.mark.parametrize("change", ["text", "name", "mode", "link"])
    def test_another_content_is_another_image(self, folder, change):
        file, link = folder / "file", folder / "link"
        file.write_text("one")
        link.symlink_to("a")
        first = self.image(folder)
        match change:
            case "text":
                file.write_text("two")
            case "name":
                file.rename(folder / "other")
            case "mode":
                file.chmod(0o755)
            case "link":
                link.unlink()
                link.symlink_to("b")
        assert self.image(folder) != first

    def test_names_may_be_any_octets(self, folder):
        before = self.image(folder)
        (folder / os.fsdecode(b"M\xfcller")).write_text("x")
        (folder / "link").symlink_to(os.fsdecode(b"M\xfcller"))
        assert self.image(folder) != before

    def test_where_a_link_leads_is_not_read(self, folder):
        (folder / "memory").symlink_to("/proc/self/mem")
        (folder / "endless").symlink_to("/dev/zero")
        assert self.image(folder)

    def test_one_that_cannot_be_built_is_said_by_its_own_name(self, folder):
        class Fails:
            def build(self, services, progress):
                raise LabError("no", where="/tmp/gone/compose.yaml")

        with pytest.raises(LabError) as failed:
            bring_in(str(folder), "tcp-server", "x", lambda _: Fails(), Silent())
        assert failed.value.where == str(folder / "Dockerfile")

    def test_one_that_cannot_be_read_is_said(self, folder):
        with pytest.raises(UsageError, match="`/proc/self/mem` cannot be read: Input/output error"):
            swapped("/proc/self/mem")


class TestWatch:
    def test_a_change_shows(self, tmp_path):
        path = tmp_path / "my.py"
        path.write_text("1")
        before = look(str(path))
        path.write_text("22")
        assert look(str(path)) != before

    def test_so_does_one_in_a_folder(self, tmp_path):
        before = look(str(tmp_path))
        (tmp_path / "new").touch()
        assert look(str(tmp_path)) != before

    def test_what_is_gone_for_a_moment_shows_nothing(self, tmp_path):
        assert look(str(tmp_path / "nothing")) == ()
