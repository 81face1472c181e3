"""A program in a host's place: what is read of the command line, what becomes of the service, what a watch sees."""

import base64
import gzip
import os

import pytest

from labctl.commands.swap import VARIABLE, adapted, bring_in, read_swaps
from labctl.commands.watch import look
from labctl.errors import UsageError
from labctl.model import HostSpec, LabSpec, Port
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
    return adapted(SPEC, {"tcp-server": bring_in(str(program), "tcp-server", nobody, Silent())}).hosts[0]


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


class TestImage:
    def test_its_own_user_and_command_hold(self):
        host = swapped("registry.test/mine:2")
        assert (host.image, host.service["user"]) == ("registry.test/mine:2", "")
        assert not {"entrypoint", "command", "build"} & set(host.service)

    def test_an_unknown_host_is_answered_with_the_nearest(self):
        swap = bring_in("image", "tcp-serve", nobody, Silent())
        with pytest.raises(UsageError, match="did you mean `tcp-server`"):
            adapted(SPEC, {"tcp-serve": swap})


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
