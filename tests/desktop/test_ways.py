"""All four ways to a screen: the X relay, `ssh -X`, the X socket, the browser; what an untrusted window may not do; what is left behind."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys

import pytest
from browser import Browser
from conftest import ROOT
from ways import count_lines, gui, until, windows

from labctl.gui.agent import new_cookie, start_agent
from labctl.gui.display import Session, own_cookie, parse_display
from labctl.gui.relay import Relay, carry_for

# Asks the X server for a picture of the whole screen, as a spy would: prints `denied` with the error's number, or how much came.
SPY = r"""
import os, socket, struct
cookie = open(os.environ["XAUTHORITY"], "rb").read()[-16:]
conn = socket.socket(socket.AF_UNIX)
conn.connect("/tmp/.X11-unix/X" + os.environ["DISPLAY"].strip(":"))
name = b"MIT-MAGIC-COOKIE-1"
conn.sendall(struct.pack("<BxHHHHxx", 0x6C, 11, 0, len(name), 16) + name + b"\0\0" + cookie)
def read(size):
    data = b""
    while len(data) < size:
        piece = conn.recv(size - len(data))
        assert piece, "closed"
        data += piece
    return data
head = read(8)
body = read(4 * struct.unpack_from("<H", head, 6)[0])
assert head[0] == 1, body
vendor, formats = struct.unpack_from("<H", body, 16)[0], body[21]
root = struct.unpack_from("<I", body, 32 + (vendor + 3 & ~3) + 8 * formats)[0]
conn.sendall(struct.pack("<BBHIhhHHI", 73, 2, 5, root, 0, 0, 100, 100, 0xFFFFFFFF))  # GetImage
reply = read(32)
print("denied", reply[1]) if reply[0] == 0 else print("octets", 4 * struct.unpack_from("<I", reply, 4)[0])
"""


class TestOnTheDisplay:
    @pytest.mark.parametrize("via", ["auto", "relay", "ssh", "socket"])
    def test_the_window_comes_untrusted_and_goes(self, lab, display, screen, via):
        with gui(lab, "--via", via, env=display.env) as process:
            line = count_lines(process, "→ your display")
            assert "untrusted cookie" in line
            assert ("relay" if via == "auto" else via) in line
            until(lambda: screen.colours() > 8, "the window")
        until(lambda: screen.colours() < 4, "the window to go")
        until(lambda: not windows(lab), f"the container to be empty again, there are {windows(lab)}")
        assert lab.exec("desktop", "ls", "/run/labctl").strip() == ""

    def test_the_first_login_by_ssh_brings_no_complaint_of_xauth(self, lab, display, screen):
        lab.exec("desktop", "rm", "-f", "/home/lab/.Xauthority")
        with gui(lab, "--via", "ssh", env=display.env) as process:
            until(lambda: screen.colours() > 8, "the window")
            os.killpg(process.pid, signal.SIGINT)
            _, said = process.communicate(timeout=20)
        assert "→ your display" in said
        assert "xauth" not in said

    def test_when_the_host_goes_that_is_told(self, lab, display, screen):
        """By the socket's container, which the next window makes anew."""
        with gui(lab, "--via", "socket", env=display.env) as process:
            until(lambda: screen.colours() > 8, "the window")
            found = [
                "docker",
                "ps",
                "-q",
                "-f",
                f"label=labctl.lab={lab.name}",
                "-f",
                "label=com.docker.compose.service=desktop-x",
            ]
            container = subprocess.run(found, capture_output=True, text=True, check=True).stdout.strip()
            subprocess.run(["docker", "rm", "-f", container], check=True, capture_output=True)
            _, said = process.communicate(timeout=20)
        assert process.returncode == 1
        assert f"`desktop-x` of lab `{lab.name}` does not run any more" in said

    def test_a_click_on_the_display_reaches_the_lab(self, lab, display, screen):
        """It becomes a connection to tcp-server, whose answer becomes pixels."""
        with gui(lab, "--via", "relay", env=display.env):
            until(lambda: screen.colours() > 8, "the window")
            before = screen.look()
            screen.click(361, 108)  # Greet
            until(lambda: screen.look() != before, "a change")

    def test_when_labctl_is_killed_the_window_goes(self, lab, display, screen):
        with gui(lab, "--via", "relay", env=display.env) as process:
            until(lambda: screen.colours() > 8, "the window")
            process.kill()
            process.wait(5)
            until(lambda: screen.colours() < 4, "the window to go", 10)
            until(lambda: not windows(lab), "the container to be empty", 10)

    def test_two_windows_at_once(self, lab, display, screen):
        with gui(lab, "--via", "relay", env=display.env), gui(lab, "--via", "relay", env=display.env):
            until(
                lambda: len([line for line in windows(lab) if "services.desktop --theme" in line]) == 2, "two windows"
            )


class TestTrust:
    def spy(self, lab, display, cookie):
        import asyncio

        relay = Relay(parse_display(display.text), cookie, new_cookie())
        order = {"argv": ["python3", "-c", SPY], "relay": True, "cookie": relay.fake.hex(), "display": ""}
        prefix = ["docker", "exec", "-i", lab.hosts["desktop"]]
        with start_agent(prefix, order) as agent:
            code = asyncio.run(carry_for(agent, relay))
        assert code == 0
        return relay.counts

    @pytest.fixture
    def real(self, display, monkeypatch):
        for name, value in display.env.items():
            monkeypatch.setenv(name, value)
        return own_cookie(parse_display(display.text))

    def test_an_untrusted_window_gets_no_picture_of_the_screen(self, lab, display, real, capfd):
        session = Session(parse_display(display.text), real)
        try:
            self.spy(lab, display, session.untrusted_cookie())
        finally:
            session.close()
        assert "denied 10" in capfd.readouterr().err  # BadAccess

    def test_a_trusted_one_does(self, lab, display, real, capfd):
        self.spy(lab, display, real)
        assert "octets 40000" in capfd.readouterr().err

    def test_the_real_cookie_never_enters_the_container(self, lab, display, screen, real):
        with gui(lab, "--via", "relay", "--trusted", env=display.env) as process:
            assert "trusted" in count_lines(process, "→ your display")
            until(lambda: screen.colours() > 8, "the window")
            kept = lab.exec(
                "desktop",
                "sh",
                "-c",
                "cat /run/labctl/x*.auth /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | od -An -tx1 -v | tr -d ' \\n'",
            )
            assert real.hex() not in kept
            assert real.hex().encode().hex() not in kept


class TestInWords:
    def test_without_a_display_a_way_that_needs_one_says_so(self, lab):
        done = subprocess.run(
            [sys.executable, "-m", "labctl", "gui", "--lab", lab.name, "--via", "relay"], cwd=ROOT, capture_output=True, text=True,
            env={name: value for name, value in os.environ.items() if name != "DISPLAY"}, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert "DISPLAY is not set" in done.stderr
        assert "--via web" in done.stderr

    @pytest.mark.parametrize("part", ["# ssh -X", "# The X socket"])
    def test_the_classic_commands_work_when_typed(self, lab, display, screen, tmp_path, part):
        done = subprocess.run(
            [sys.executable, "-m", "labctl", "gui", "--lab", lab.name, "--via", "relay", "--print-command"], cwd=ROOT, capture_output=True,
            text=True, env=os.environ | display.env, check=True,
        )  # fmt: skip
        (script,) = (half for half in re.split("(?m)^(?=# )", done.stdout) if half.startswith(part))
        typed = subprocess.Popen(
            ["sh", "-c", script],
            cwd=tmp_path,
            env=os.environ | display.env,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            until(lambda: screen.colours() > 8, "the window")
        finally:
            os.killpg(typed.pid, signal.SIGTERM)
            typed.wait(20)
            lab.exec("desktop", "rm", "-rf", "/run/labctl/keys")

    def test_doctor_tells_of_each_condition(self, display):
        argv = [sys.executable, "-m", "labctl", "doctor", "--json"]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, env=os.environ | display.env, check=False)
        rows = {row["topic"]: row for row in json.loads(done.stdout)["rows"]}
        assert rows["display"]["status"] == rows["X security"]["status"] == rows["X socket"]["status"] == "ok"
        assert {"docker CLI", "ssh", "browser"} <= set(rows)


def status_of(address, path, **headers):
    """Ask for a path exactly as it stands here, and return the status."""
    conn = http.client.HTTPConnection(address.removeprefix("http://"), timeout=10)
    try:
        conn.putrequest("GET", path, skip_host="Host" in headers)
        for name, value in headers.items():
            conn.putheader(name, value)
        conn.endheaders()
        return conn.getresponse().status
    finally:
        conn.close()


class TestInTheBrowser:
    def test_who_has_no_token_is_refused_and_no_port_is_published(self, lab):
        with gui(lab, "--via", "web", "--no-open") as process:
            address = process.stdout.readline().strip()
            base, _, token = address.partition("/#")
            assert status_of(base, "/") == status_of(base, "/core/rfb.js") == 200
            assert status_of(base, "/core/../../etc/passwd") == 404
            assert status_of(base, "/", Host="evil.test") == 421
            upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
            assert status_of(base, "/screen?token=wrong", **upgrade) == 403
            assert status_of(base, f"/screen?token={token}", Origin="http://evil.test", **upgrade) == 403
            ports = subprocess.run(
                ["docker", "port", lab.hosts["desktop"]], capture_output=True, text=True, check=True
            ).stdout
            assert ports == ""
        until(lambda: not windows(lab), "the container to be empty")

    def test_a_browser_shows_the_window_and_hands_clicks_on(self, lab, tmp_path):
        """Headless Chromium: the page draws the window; a click on Greet changes it; the token is gone from the address."""
        blue = "[29, 95, 214]"  # the accent of the light palette, on the button Greet; nearly, for VNC may send JPEG
        seen = f"""(() => {{
            const canvas = document.querySelector("#screen canvas");
            if (!canvas || !canvas.width) return 0;
            const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data, want = {blue};
            let count = 0;
            for (let i = 0; i < data.length; i += 4) count += want.every((value, k) => Math.abs(data[i + k] - value) < 8);
            return count;
        }})()"""
        with gui(lab, "--via", "web", "--no-open", "--size", "900x600") as process:
            browser = Browser(tmp_path / "profile")
            try:
                browser.open(process.stdout.readline().strip())
                browser.until("document.body?.dataset.state === 'connected'")
                before = browser.until(f"{seen} > 1000 && {seen}")
                assert browser.value("location.href").endswith("/")
                browser.click(361, 108)
                browser.until(f"Math.abs({seen} - {before}) > 200")
                assert browser.picture().startswith(b"\x89PNG")
                process.send_signal(signal.SIGINT)
                browser.until("document.body.dataset.state === 'gone'")
            finally:
                browser.close()
