"""`labctl gui --screenshot`: what can be pressed, what is refused, and the picture's octets."""

import struct
import zlib

import pytest
from click.testing import CliRunner

from labctl.cli.gui import PRESSES, gui_command
from services.desktop.picture import png
from services.desktop.plays import PLAYS


def test_labctl_offers_what_the_window_can_press():
    assert tuple(PLAYS) == PRESSES


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--screenshot", "x.jpg"), "has to end in `.png`"),
        (("--screenshot", "x.png", "--via", "web"), "needs no --via"),
        (("--press", "greet"), "goes with --screenshot"),
        (("--screenshot", "x.png", "--size", "wide"), "`wide` is no size"),
        (("--screenshot", "x.png", "--size", "x"), "`x` is no size"),
        (("--screenshot", "x.png", "--size", "10x900"), "is no size from 200x200 to 7680x4320"),
        (("--via", "web", "--size", "900x99999"), "is no size from 200x200 to 7680x4320"),
        (("--screenshot", "x.png", "--print-command"), "goes without --screenshot"),
        (("--screenshot", "x.png", "--trusted"), "not for --screenshot"),
        (("--screenshot", "x.png", "--no-open"), "not for --screenshot"),
        (("--via", "relay", "--port", "8000"), "go with --via web"),
        (("--via", "ssh", "--no-open"), "go with --via web"),
        (("--screenshot", "x.png", "--press", "bell"), "'bell' is not one of"),
    ],
)
def test_words_that_do_not_go_together_are_refused(words, said):
    done = CliRunner().invoke(gui_command, words)
    assert done.exit_code == 2
    assert said in " ".join(done.output.replace("│", " ").split())


def test_a_folder_that_is_not_there_is_told_before_anything_starts(tmp_path):
    done = CliRunner().invoke(gui_command, ("--screenshot", str(tmp_path / "none" / "x.png")))
    assert done.exit_code
    assert "there is no folder" in str(done.exception)


def test_the_picture_is_png():
    blue, red = bytes((255, 0, 0, 9)), bytes((0, 0, 255, 9))
    octets = png(2, 1, blue + red)
    assert octets.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack_from(">II", octets, 16) == (2, 1)
    at = octets.index(b"IDAT")
    (size,) = struct.unpack_from(">I", octets, at - 4)
    assert zlib.decompress(octets[at + 4 : at + 4 + size]) == b"\0" + bytes((0, 0, 255)) + bytes((255, 0, 0))
