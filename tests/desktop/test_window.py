"""The window as its user has it: keys and clicks by VNC, what is shown by the probe; the servers are the lab's."""

import os
import re
import subprocess
import time
from itertools import takewhile

import pytest

PAGES = ("tcp", "udp", "files", "mail", "web", "classic", "hosts", "widgets")
CONTROLS = {"TButton", "TEntry", "TCombobox", "TCheckbutton", "Treeview", "Text"}


class TestTalking:
    def test_greeting_and_echo(self, desk, lab):
        window = desk()
        window.press("greet")
        window.sees("← Thank you for connecting")
        window.fill("echo", "grüße €")
        window.press("compare")
        window.sees("← grüße €")
        window.sees("11 octets there and back")

    def test_the_chat_speaks_both_ways(self, desk, lab):
        window = desk()
        window.fill("name", "ana")
        window.press("join")
        window.sees("is now ana")
        other = subprocess.Popen(
            ["docker", "exec", "-i", lab.hosts["client"], "lab", "tcp", "chat", "tcp-server", "--name", "bob"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            window.sees("is now bob")
            window.fill("line", "hello bob")
            window.screen.key("Return")
            assert "ana: hello bob\n" in iter(other.stdout.readline, "")
            other.stdin.write("hello ana\n")
            other.stdin.flush()
            window.sees("bob: hello ana")
        finally:
            other.stdin.close()
            other.wait(20)
            other.stdout.close()
        window.press("join")  # is called Leave now
        window.sees("you left the chat")

    def test_datagrams(self, desk):
        window = desk("--tab", "udp")
        window.press("send")
        window.sees("← Thank you for connecting")

    def test_an_unknown_host_is_told_in_words(self, desk):
        window = desk()
        window.fill("server", "nowhere")
        window.press("greet")
        window.sees("the name `nowhere` does not resolve")

    def test_a_port_that_is_none_is_told_before_anything_is_sent(self, desk):
        window = desk()
        window.fill("port", "99999", y=window.one("server")["y"])
        window.press("greet")
        window.sees("`99999` is no port")

    def test_a_silent_server_does_not_freeze_the_window_and_can_be_cancelled(self, desk, lab):
        subprocess.run(["docker", "pause", lab.hosts["tcp-server"]], check=True, capture_output=True)
        try:
            window = desk()
            window.press("greet")
            window.sees("Greeting from tcp-server:12345 …")
            began = time.monotonic()
            window.press(text="Cancel")
            window.sees("cancelled")
            assert time.monotonic() - began < 3
        finally:
            subprocess.run(["docker", "unpause", lab.hosts["tcp-server"]], check=True, capture_output=True)


class TestFiles:
    def test_download_then_upload_by_the_dialog(self, desk, lab):
        window = desk("--tab", "files")
        window.press("browse")
        window.sees("noise-1m.bin")
        window.choose_row("noise-1m.bin")
        window.press("download")
        window.sees("as on the server")
        sums = (
            lab.exec("desktop", "sha256sum", "/home/lab/downloads/noise-1m.bin"),
            lab.exec("file-server", "sh", "-c", "find /srv/lab -name noise-1m.bin -exec sha256sum {} +"),
        )
        assert sums[0].split()[0] == sums[1].split()[0]

        lab.exec("desktop", "sh", "-c", "echo from the window > /home/lab/downloads/mine.txt")
        window.press("upload")
        window.sees("File name:")
        window.screen.type("/home/lab/downloads/mine.txt\n")
        window.sees("mine.txt is on file-server")
        assert (
            lab.exec("client", "sh", "-c", "cd /tmp && lab file get file-server mine.txt >&2 && cat mine.txt")
            == "from the window\n"
        )

    def test_a_cancelled_download_is_resumed(self, desk, lab):
        lab.exec(
            "client",
            "sh",
            "-c",
            "cd /home/lab && head -c 200000000 /dev/zero >big && lab file put file-server big && rm big",
        )
        window = desk("--tab", "files")
        window.press("browse")
        window.sees("big")
        window.choose_row("big")
        part = "/home/lab/downloads/big.part"
        watch = ["docker", "exec", lab.hosts["desktop"], "sh", "-c", f"until [ -s {part} ]; do :; done"]
        begun = subprocess.Popen(watch)  # by now, for the whole of it takes half a second
        window.press("download")
        begun.wait(20)
        subprocess.run(["docker", "pause", lab.hosts["file-server"]], check=True, capture_output=True)
        try:
            window.press(text="Cancel")
            window.sees("cancelled")
        finally:
            subprocess.run(["docker", "unpause", lab.hosts["file-server"]], check=True, capture_output=True)
        size = int(lab.exec("desktop", "stat", "-c", "%s", part))
        assert 0 < size < 200_000_000
        window.press("download")
        window.sees("resumed at")
        window.sees("as on the server")
        lab.exec("desktop", "rm", "/home/lab/downloads/big")

    def test_a_broken_upload_is_resumed_where_it_ended(self, desk, lab):
        make = "head -c 20000000 /dev/zero > large.bin"
        lab.exec(
            "client",
            "sh",
            "-c",
            f"cd /home/lab && {make} && timeout 3 lab file put --rate 2m file-server large.bin",
            check=False,
        )
        lab.exec("desktop", "sh", "-c", f"cd /home/lab/downloads && {make}")
        window = desk("--tab", "files")
        window.press("upload")
        window.sees("File name:")
        window.screen.type("/home/lab/downloads/large.bin\n")
        window.sees("large.bin is on file-server: 20.0 MB, resumed at ", patience=60)
        lab.exec("desktop", "rm", "/home/lab/downloads/large.bin")


class TestWeb:
    def test_source_then_picture(self, desk, lab):
        lab.exec("desktop", "rm", "-f", "/home/lab/downloads/picture.png")  # of another test
        window = desk("--tab", "web")
        window.press("source")
        window.sees("<!doctype html>", patience=20)
        window.fill("address", "http://web-server/picture.png")
        window.press("download")
        window.sees("image/png")
        orange = bytes((21, 67, 216))  # of a box in services/web/picture.py, as octets B G R
        assert window.wait(lambda: window.screen.look().count(orange) > 4000 or None, "the picture")
        sums = lab.exec("desktop", "sha256sum", "/home/lab/downloads/picture.png").split()[0]
        assert sums in lab.exec("client", "curl", "-s", "http://web-server/SHA256SUMS")


class TestHosts:
    def test_each_host_with_its_addresses(self, desk, lab):
        window = desk("--tab", "hosts")
        window.sees("hosts are reachable")
        rows = {row[0]: row for widget in window.tree() for row in widget.get("rows", ())}
        assert set(lab.hosts) - {"desktop"} <= set(rows)
        assert all("reachable" in row[2] for row in rows.values())
        assert lab.exec("client", "getent", "ahostsv4", "tcp-server").split()[0] in rows["tcp-server"][1]

    def test_a_host_that_does_not_answer(self, desk, lab):
        subprocess.run(["docker", "pause", lab.hosts["udp-server"]], check=True, capture_output=True)
        try:
            window = desk("--tab", "hosts")
            window.sees("no datagram is answered")
            window.sees("✗ unreachable")
        finally:
            subprocess.run(["docker", "unpause", lab.hosts["udp-server"]], check=True, capture_output=True)


class TestKeysAndLook:
    def test_keys_change_tabs_and_theme(self, desk):
        window = desk()
        window.screen.key("Alt", "5")
        window.one("address")
        window.screen.key("Control", "Tab")
        window.wait(lambda: window.all("list") or None, "the tab Classic")
        window.screen.key("Control", "t")
        window.wait(lambda: window.all("theme", text="Light") or None, "the dark theme")

    def test_a_password_is_never_shown_nor_told(self, desk):
        window = desk("--tab", "mail")
        window.fill("password", "s3cret")
        assert window.one("password")["value"] == "******"
        assert "s3cret" not in window.words()

    def test_control_a_selects_all(self, desk):
        window = desk()
        window.fill("echo", "first")
        window.fill("echo", "second")
        assert window.one("echo")["value"] == "second"

    @pytest.mark.parametrize(("size", "scale"), [((640, 440), "1"), ((800, 600), "1"), ((1600, 1200), "2")])
    def test_nothing_is_clipped(self, desk, size, scale):
        """Every widget that is shown lies inside the window's own area; or its tab scrolls, in the smallest window alone."""
        window = desk("--scale", scale, size="{}x{}".format(*size))
        for number, page in enumerate(PAGES, start=1):
            window.tab(number)
            window.wait(lambda: f".{page}." in window.shown() or None, "the tab")  # noqa: B023 - called at once
            shown = [widget for widget in window.tree() if widget["mapped"]]
            scrolls = any(re.fullmatch(rf".*\.{page}\.!scrollbar\d*", widget["path"]) for widget in shown)
            assert not scrolls or size[0] < 800, page
            for widget in shown:
                if widget["class"] in CONTROLS and not scrolls:
                    right, bottom = widget["x"] + widget["width"], widget["y"] + widget["height"]
                    assert right <= size[0], widget
                    assert bottom <= size[1], widget
                    assert widget["height"] > 15, widget


class TestImage:
    def test_it_takes_at_most_130_mb_beyond_what_it_shares_with_the_others(self, images):
        """`udp-server` is the shared base and a few kB of its own; a step that both have is stored once.

        Steps are compared, not layers: two builds at the same time may do one step twice.
        """

        def ask(name, *words):
            argv = ["docker", *words, f"{os.environ.get('LAB_IMAGES', 'labctl')}/{name}"]
            return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout

        def steps(name):
            return ask(name, "history", "--no-trunc", "--format", "{{.CreatedBy}}").splitlines()[::-1]

        def size(name):
            return int(ask(name, "image", "inspect", "--format", "{{.Size}}"))

        shared = list(takewhile(lambda step: "services/runtime" not in step, steps("udp-server")))
        assert len(shared) > 5
        assert steps("desktop")[: len(shared)] == shared
        assert 20e6 < size("desktop") - size("udp-server") < 130e6
