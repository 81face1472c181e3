"""A screen inside the container: an X server that is also a VNC server, a window manager, and the window on it.

    labctl gui --via web ──▶ python3 -m services.desktop.screen ──▶ Xtigervnc ◀── services.desktop.pipe ◀── the browser
    tests                ──▶ python3 -m services.desktop.screen COMMAND …

The X server listens on a Unix socket in a folder of mode 0700 and on no port. All of it ends when the window is closed, or with
whoever holds our stdin: `docker exec` passes no signals on, but it closes that.
"""

import argparse
import os
import secrets
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from services.desktop.xauth import WILD, Record, dump

FOLDER = Path("/run/labctl/screen")
START = 10.0  # seconds that the X server may take


def main(argv: list[str]) -> int:
    """Run a command, by default the window, on a screen of its own and return its exit code."""
    parser = argparse.ArgumentParser("services.desktop.screen")
    parser.add_argument("--size", default="1100x750", help="width x height in pixels")
    parser.add_argument("--number", type=int, default=1, help="of the display")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="for the sockets and the cookie")
    parser.add_argument("--no-wait", action="store_true", help="do not end when stdin does")
    parser.add_argument("--tell", action="store_true", help="say `ready` on stdout once a VNC client may connect")
    parser.add_argument("--bare", action="store_true", help="no window manager")
    parser.add_argument("--dpi", type=int, default=96)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args(argv)
    options.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    started: list[subprocess.Popen[bytes]] = []
    try:
        environment = start_server(options, started)
        if options.tell:
            os.write(1, b"ready\n")
        if not options.bare:
            manager = ["matchbox-window-manager", "-use_titlebar", "no"]
            started.append(
                subprocess.Popen(manager, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            )
        words = [word for word in options.command if word != "--"]
        command = (
            words if words and not words[0].startswith("-") else [sys.executable, "-m", "services.desktop", *words]
        )
        window = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=2 if options.tell else None
        )
        started.append(window)
        return wait_for(window, None if options.no_wait else 0)
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            with suppress(subprocess.TimeoutExpired):
                process.wait(3)
        for name in ("xauth", "vnc.sock", "x.log"):
            (options.folder / name).unlink(missing_ok=True)
        with suppress(OSError):  # a caller's own things are in it, such as the probe's socket
            options.folder.rmdir()


def start_server(options: argparse.Namespace, started: "list[subprocess.Popen[bytes]]") -> dict[str, str]:
    """Start the X server and return the environment of its clients, once it takes connections.

    Raises:
        SystemExit: it does not come up.
    """
    cookie = options.folder / "xauth"
    record = Record(WILD, b"", str(options.number).encode(), secrets.token_bytes(16))
    cookie.touch(mode=0o600)
    cookie.write_bytes(dump([record]))
    vnc = options.folder / "vnc.sock"
    vnc.unlink(missing_ok=True)
    read, write = os.pipe()
    command = [
        "Xtigervnc", f":{options.number}", "-auth", str(cookie), "-geometry", options.size, "-depth", "24", "-dpi", str(options.dpi),
        "-nolisten", "tcp", "-rfbport", "-1", "-rfbunixpath", str(vnc), "-rfbunixmode", "0600", "-SecurityTypes", "None", "-AlwaysShared",
        "-extension", "GLX", "-noreset", "-desktop", "labctl – desktop", "-displayfd", str(write), "-AcceptCutText", "-SendCutText",
    ]  # fmt: skip
    log = (options.folder / "x.log").open("wb")
    server = subprocess.Popen(command, pass_fds=[write], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    started.append(server)
    os.close(write)
    ready, _, _ = select.select([read], [], [], START)  # it writes its number there once it listens
    if not ready or not os.read(read, 16):
        raise SystemExit(
            f"the X server did not come up:\n{(options.folder / 'x.log').read_text(errors='replace')[-800:]}"
        )
    deadline = time.monotonic() + START
    while not vnc.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return os.environ | {"DISPLAY": f":{options.number}", "XAUTHORITY": str(cookie)}


def wait_for(window: "subprocess.Popen[bytes]", stdin: int | None) -> int:
    """Wait until the window is closed, or stdin ends, and return the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    handle = os.pidfd_open(window.pid)
    while True:
        ready, _, _ = select.select([handle, *([stdin] if stdin is not None else [])], [], [])
        if handle in ready:
            return window.wait()
        if not os.read(stdin or 0, 4096):
            return 129


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
