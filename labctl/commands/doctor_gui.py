"""`doctor`'s rows about the window: a row for each condition that decides by which way it can reach the screen."""

import os
import shutil
import webbrowser
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from labctl.commands.doctor import Row
from labctl.commands.gui import SOCKETS, no_socket, socket_obstacle
from labctl.engine.endpoint import Endpoint
from labctl.gui.display import Display, DisplayError, Session, own_cookie, parse_display

DESKTOP_USER = 1000  # number of the user in the container


def display_rows(display_text: str) -> Iterator[Row]:
    """Look at the display: whether it answers, with what it lets us in, whether it can be given an untrusted client."""
    try:
        display = parse_display(display_text)
        cookie = own_cookie(display)
        session = Session(display, cookie)
    except DisplayError as error:
        hint = (
            "`relay`, `ssh` and `socket` need an X server (XQuartz, WSLg, `ssh -X` to here); `--via web` does without"
        )
        yield Row("display", "note", str(error), hint)
        return
    try:
        how = "with a cookie" if cookie else "without a cookie: by who we are, or anybody"
        yield Row("display", "ok", f"`{display.text}` answers, {how}")
        if session.has_security():
            yield Row("X security", "ok", "SECURITY extension: the window is shown as an untrusted client")
        else:
            hint = "Xwayland and some Xorg builds have none; `--via web` keeps the window apart"
            yield Row("X security", "note", "no SECURITY extension: a window on this display can read the others", hint)
    finally:
        session.close()
    yield from _user_rule(display, cookie)


def _user_rule(display: Display, cookie: bytes | None) -> Iterator[Row]:
    """A server without cookies (Xwayland) lets in by the user's number: a container's user by the socket only where it is the same."""
    if not cookie and display.path and os.getuid() != DESKTOP_USER:
        text = f"the display asks for no cookie but for its own user, {os.getuid()}; the container's is {DESKTOP_USER}"
        yield Row("X user", "note", text, "`--via socket` may be refused; `relay` and `ssh` connect as you")


def socket_rows(endpoint: Endpoint, facts: Mapping[str, Any], display_text: str) -> Iterator[Row]:
    """Look whether the display's socket is one that the engine can mount."""
    obstacle = socket_obstacle(endpoint, lambda: facts)
    if not obstacle and not Path(SOCKETS).is_dir():
        obstacle = f"there is no {SOCKETS}"
    if not obstacle:
        with suppress(DisplayError):  # which has a row of its own
            obstacle = no_socket(parse_display(display_text))
    if obstacle:
        yield Row("X socket", "note", f"no `--via socket`: {obstacle}", "`relay`, `ssh` and `web` need no mount")
    else:
        yield Row("X socket", "ok", f"{SOCKETS} can be mounted (`--via socket`)")


def tool_rows() -> Iterator[Row]:
    """Look for the programs that a way needs."""
    if shutil.which("docker"):
        yield Row("docker CLI", "ok", "carries the window's connections (`docker exec -i`)")
    else:
        yield Row(
            "docker CLI",
            "note",
            "none here, and `labctl gui` needs it",
            "Debian's package is `docker-cli` or `docker.io`",
        )
    missing = [tool for tool in ("ssh", "ssh-keygen", "xauth") if not shutil.which(tool)]
    if missing:
        hint = "Debian's packages are `openssh-client` and `xauth`; `--via relay` needs neither"
        yield Row("ssh", "note", f"no `--via ssh`: {', '.join(missing)} not found", hint)
    else:
        yield Row("ssh", "ok", "ssh, ssh-keygen and xauth are here (`--via ssh`)")
    try:
        name = (
            webbrowser.get().__class__.__name__
            if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
            else ""
        )
    except webbrowser.Error:
        name = ""
    if name:
        yield Row("browser", "ok", "`--via web` opens it by itself")
    else:
        yield Row(
            "browser",
            "note",
            "none can be opened from here",
            "`--via web` prints its address; `ssh -L` brings its port elsewhere",
        )
