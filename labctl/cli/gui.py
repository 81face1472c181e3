"""`labctl gui`."""

import json
import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from labctl.cli.options import lab_option, talk_options
from labctl.cli.progress import show_progress
from labctl.cli.wiring import builder_for, connect, connect_quickly
from labctl.engine.endpoint import find_endpoint
from labctl.errors import LabError

if TYPE_CHECKING:
    from labctl.commands.gui import Wish
    from labctl.engine.base import Breaking
    from labctl.model import FoundHost

LEAST, MOST = (200, 200), (7680, 4320)  # pixels of a screen
TABS = ("tcp", "udp", "files", "mail", "web", "classic", "hosts", "widgets")
PRESSES = (
    "greet", "echo", "chat", "say", "datagram", "browse", "download", "source", "picture", "send", "inbox", "read", "ftp", "news",
    "articles", "telnet", "gopher", "hosts",
)  # fmt: skip


def _labs_and_scenarios(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    from labctl.engine.peek import peek
    from labctl.scenario.catalog import own_scenarios

    names = {host.lab for host in peek() or ()} | {entry.name for entry in own_scenarios()}
    return sorted(name for name in names if name.startswith(incomplete))


@click.command("gui")
@click.argument("scenario", required=False, metavar="[SCENARIO|LAB]", shell_complete=_labs_and_scenarios)
@lab_option("The lab, where several are up.")
@click.option(
    "--via", type=click.Choice(["auto", "relay", "ssh", "socket", "web"]), default="auto", show_default=True,
    help="How the window reaches this screen.",
)  # fmt: skip
@click.option(
    "--trusted", is_flag=True, help="Let the window do all that X lets a program do: AltGr works, and so would spying."
)
@click.option("--theme", type=click.Choice(["light", "dark"]), default="light", show_default=True)
@click.option("--tab", type=click.Choice(TABS), help="The tab that is shown first; default: tcp.")
@click.option("--scale", type=click.FloatRange(0.5, 4), help="1 is 96 dots an inch; default: as the display says.")
@click.option(
    "--size",
    metavar="WxH",
    default="1100x750",
    show_default=True,
    help="Of the screen, with --via web or --screenshot; 200x200 to 7680x4320.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="On 127.0.0.1, with --via web; default: a free one."
)
@click.option("--no-open", is_flag=True, help="With --via web: print the address and open no browser.")
@click.option(
    "--screenshot",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.png",
    help="Write a picture of the window into a file and end; needs no display.",
)
@click.option(
    "--press", "presses", type=click.Choice(PRESSES), multiple=True, metavar="BUTTON",
    help=f"With --screenshot: press a button before, and wait for what comes; may be said several times. {', '.join(PRESSES)}.",
)  # fmt: skip
@click.option("--print-command", is_flag=True, help="Print the classic commands that do the same by hand.")
@talk_options
def gui_command(
    scenario: str | None,
    lab: str | None,
    via: str,
    trusted: bool,
    theme: str,
    tab: str | None,
    scale: float | None,
    size: str,
    port: int,
    no_open: bool,
    screenshot: Path | None,
    presses: tuple[str, ...],
    print_command: bool,
    quiet: bool,
) -> None:
    """Open the window whose program runs in the lab's `desktop` container and speaks to every host by name.

    It goes into the lab that is up; a SCENARIO that is not up is brought up first, and stays up. `--via auto` asks the display that
    DISPLAY names, and takes the browser where none answers. Ctrl-C closes the window.
    """
    from labctl.commands import gui

    wish = gui.Wish(via, trusted, theme, tab or "", scale, size, port)
    _check(wish, screenshot, presses, no_open=no_open, print_command=print_command)
    endpoint = find_endpoint()
    engine = connect_quickly()
    obstacle = (
        gui.socket_obstacle(endpoint, lambda: json.loads(engine.call("GET", "/info")[1])) if via == "socket" else ""
    )
    here = os.environ.get("DISPLAY", "")
    screen = None if screenshot or print_command else gui.choose_way(wish, here, why_no_socket=obstacle)
    try:
        socket_mount = screen is not None and screen.way == "socket"
        hosts, desktop = _desktop(engine, scenario, lab, socket_mount=socket_mount, quiet=quiet)
        prefix = [*gui.docker_words(endpoint), "exec", "-i", desktop.id[:12]]
        names = [host.name for host in hosts if host.role == "host" and host.name != gui.NAME]
        if print_command:
            click.echo(gui.classic_commands(prefix, wish, names, gui.network_of(engine, desktop.lab), desktop.image))
        elif screen is None:
            assert screenshot  # noqa: S101 - else there is a way to the user's screen
            _save(screenshot, *gui.take_picture(prefix, wish, names, presses), quiet=quiet)
        else:
            if screen.remark and not quiet:
                click.echo(f"note: {screen.remark}", err=True)
            code = gui.show(prefix, wish, screen, names, lambda line: _tell(line, quiet=quiet, no_open=no_open))
            gui.check_end(engine, desktop, code)
    finally:
        if screen:
            screen.close()


def _check(
    wish: "Wish", screenshot: Path | None, presses: tuple[str, ...], *, no_open: bool, print_command: bool
) -> None:
    """See that the options go together, and that the tools are here.

    Raises:
        click.UsageError: they do not.
        LabError: the picture cannot be written there, or there is no `docker` command.
    """
    if not re.fullmatch(r"[1-9]\d{1,4}x[1-9]\d{1,4}", wish.size):
        raise click.UsageError(f"`{wish.size}` is no size such as 1100x750")
    width, height = map(int, wish.size.split("x"))
    if not (LEAST[0] <= width <= MOST[0] and LEAST[1] <= height <= MOST[1]):
        raise click.UsageError(f"`{wish.size}` is no size from {LEAST[0]}x{LEAST[1]} to {MOST[0]}x{MOST[1]}")
    if screenshot and print_command:
        raise click.UsageError("--print-command shows no window: it goes without --screenshot")
    if screenshot and (wish.trusted or wish.port or no_open):
        raise click.UsageError("--trusted, --port and --no-open are for a window on your screen, not for --screenshot")
    if wish.via in ("relay", "ssh", "socket") and (wish.port or no_open):
        raise click.UsageError("--port and --no-open go with --via web")
    if presses and not screenshot:
        raise click.UsageError("--press goes with --screenshot")
    if screenshot and wish.via != "auto":
        raise click.UsageError("--screenshot is taken inside the container: it needs no --via")
    if screenshot and screenshot.suffix.lower() != ".png":
        raise click.UsageError(f"`{screenshot}`: the picture is a PNG file, so its name has to end in `.png`")
    if screenshot and not screenshot.absolute().parent.is_dir():
        raise LabError(f"there is no folder `{screenshot.absolute().parent}` for the picture", where="--screenshot")
    if shutil.which("docker") is None:
        raise LabError("the window needs the `docker` command", hint="Debian's package is `docker-cli` or `docker.io`")


def _desktop(
    engine: "Breaking", scenario: str | None, lab: str | None, *, socket_mount: bool, quiet: bool
) -> "tuple[Sequence[FoundHost], FoundHost]":
    """Return the lab's hosts and its desktop container, which are made where they are not there; the SDK is imported only then."""
    from labctl.commands import gui

    hosts: Sequence[FoundHost] | None = gui.lab_of(engine, scenario, lab)
    found = gui.running_desktop(hosts, engine, socket_mount=socket_mount) if hosts else None
    if hosts and found:
        return hosts, found
    whole = connect()
    with show_progress(quiet=quiet) as progress:
        if hosts is None:
            from labctl.commands.up import up
            from labctl.scenario.catalog import find_scenario

            assert scenario  # noqa: S101 - `lab_of` finds a lab or raises where none is named
            hosts = up(whole, builder_for(whole), find_scenario(scenario), progress, lab=lab).hosts
        return hosts, gui.ensure_desktop(whole, builder_for(whole), hosts, progress, socket_mount=socket_mount)


def _save(path: Path, picture: bytes, trouble: str, *, quiet: bool) -> None:
    """Write the picture.

    Raises:
        LabError: it cannot be written; or what was pressed failed, which the picture shows.
    """
    try:
        path.write_bytes(picture)
    except OSError as error:
        raise LabError(f"the picture cannot be written: {error.strerror}", where=str(path)) from error
    if trouble:
        raise LabError(f"what was pressed failed: {trouble}", where=f"--press; {path} shows it")
    if not quiet:
        click.echo(f"{path}: {len(picture) / 1000:.0f} kB", err=True)


def _tell(line: str, *, quiet: bool, no_open: bool) -> None:
    if not line.startswith("http://"):
        if not quiet:
            click.echo(line, err=True)
        return
    click.echo(line)  # the address is data
    sys.stdout.flush()
    if not no_open and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform == "darwin"):
        import webbrowser

        webbrowser.open(line)
    elif not quiet:
        click.echo("open it in a browser on this machine; from elsewhere, `ssh -L` brings the port along", err=True)
