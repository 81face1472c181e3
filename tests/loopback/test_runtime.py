"""The runtime's own rules: log lines, flags, ports."""

import argparse
import io
import json
import socket

import pytest

from services.runtime.limits import Limits, add_arguments, parse_ports, read_limits, variable
from services.runtime.log import LINES_A_SECOND, Log, peer_name
from services.runtime.sockets import bind


class TestLog:
    def test_text_is_one_line_whatever_a_peer_sent(self) -> None:
        out = io.StringIO()
        Log(stream=out, clock=lambda: 0.25).event("closed", port=7, reason='a "b"\n\x1b[2J', seconds=0.5)
        assert (
            out.getvalue() == '1970-01-01T00:00:00.250Z closed port=7 reason="a \\"b\\"\\n\\u001b[2J" seconds=0.500\n'
        )

    def test_json_is_one_object_a_line(self) -> None:
        out = io.StringIO()
        Log("json", stream=out, clock=lambda: 0.0).event("closed", reason="a\nb")
        (line,) = out.getvalue().splitlines()
        assert json.loads(line) == {"time": "1970-01-01T00:00:00.000Z", "event": "closed", "reason": "a\nb"}

    def test_a_flood_is_summed_up_and_what_is_notable_keeps_its_room(self) -> None:
        now = 0.0
        out = io.StringIO()
        log = Log(stream=out, clock=lambda: now)
        assert sum(log.has_room() for _ in range(LINES_A_SECOND + 5)) == LINES_A_SECOND
        assert log.has_room("ended")
        assert log.has_room("connected")
        now = 1.0
        assert log.has_room()
        assert "more lines=5" in out.getvalue()

    def test_serving_goes_on_when_nobody_reads_the_log(self) -> None:
        class Broken(io.StringIO):
            def flush(self) -> None:
                raise BrokenPipeError

        Log(stream=Broken()).event("closed")

    @pytest.mark.parametrize(
        ("peer", "name"),
        [(("10.0.0.1", 80), "10.0.0.1:80"), (("fe80::1", 80, 0, 2), "[fe80::1]:80"), ("", "local"), (None, "local")],
    )
    def test_peers_have_names(self, peer: object, name: str) -> None:
        assert peer_name(peer) == name


class TestLimits:
    def parse(self, *flags: str, **environ: str) -> Limits:
        parser = argparse.ArgumentParser()
        add_arguments(parser, environ)
        return read_limits(parser.parse_args(flags))

    def test_a_flag_goes_before_the_environment_and_that_before_the_default(self) -> None:
        assert self.parse() == Limits()
        assert self.parse(LAB_MAX_LINE="80", LAB_IDLE="1.5") == Limits(line=80, idle=1.5)
        assert self.parse("--max-line=90", LAB_MAX_LINE="80") == Limits(line=90)

    def test_every_limit_has_both(self) -> None:
        names = [variable(name) for name in ("connections", "idle", "line", "buffered")]
        assert names == ["LAB_MAX_CONNECTIONS", "LAB_IDLE", "LAB_MAX_LINE", "LAB_MAX_BUFFERED"]


class TestPorts:
    def test_words_go_over_the_standard_ports(self) -> None:
        assert parse_ports(["echo=7007"], {"echo": 7, "time": 37}) == {"echo": 7007, "time": 37}

    @pytest.mark.parametrize("word", ["echo", "echo=", "echo=-1", "echo=65536", "nope=1"])
    def test_anything_else_is_refused(self, word: str) -> None:
        with pytest.raises(ValueError, match="is not"):
            parse_ports([word], {"echo": 7})

    def test_both_families_get_the_same_free_port(self) -> None:
        bound = bind(socket.SOCK_STREAM, 0)
        ports = {sock.getsockname()[1] for sock in bound}
        families = {sock.family for sock in bound}
        for sock in bound:
            sock.close()
        assert len(ports) == 1
        assert families == {socket.AF_INET, socket.AF_INET6}
