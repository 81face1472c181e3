"""`labctl gui --screenshot`: a picture without a display; what is pressed before it is in it, and what failed is told."""

import os
import struct
import subprocess
import sys
import zlib

from conftest import ROOT


def shoot(lab, path, *words):
    env = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    argv = [sys.executable, "-m", "labctl", "gui", "--lab", lab.name, "--screenshot", str(path), *words]
    return subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=120)


def pixels(octets):
    """Return width, height and the octets of a PNG file's rows."""
    at = octets.index(b"IDAT")
    (size,) = struct.unpack_from(">I", octets, at - 4)
    return *struct.unpack_from(">II", octets, 16), zlib.decompress(octets[at + 4 : at + 4 + size])


def test_a_picture_of_a_tab_with_what_was_pressed(lab, tmp_path):
    plain, pressed = tmp_path / "plain.png", tmp_path / "pressed.png"
    for path, *words in ((plain, "--tab", "web"), (pressed, "--press", "picture")):
        done = shoot(lab, path, "--size", "800x600", *words)
        assert done.returncode == 0, done.stderr
    orange = bytes((216, 67, 21))  # of a box in services/web/picture.py
    width, height, rows = pixels(pressed.read_bytes())
    assert (width, height) == (800, 600)
    assert rows.count(orange) > 4000
    assert pixels(plain.read_bytes())[2].count(orange) < 100
    assert lab.exec("desktop", "ls", "/run/labctl").strip() == ""


def test_what_failed_is_told_and_shown(lab, tmp_path):
    path = tmp_path / "silence.png"
    subprocess.run(["docker", "pause", lab.hosts["udp-server"]], check=True, capture_output=True)
    try:
        done = shoot(lab, path, "--press", "datagram")
    finally:
        subprocess.run(["docker", "unpause", lab.hosts["udp-server"]], check=True, capture_output=True)
    assert done.returncode == 1
    assert "`datagram`: no answer, asked 3 times" in done.stderr
    assert str(path) in done.stderr
    assert path.read_bytes().startswith(b"\x89PNG")
