"""`labctl gui`."""

import os
import shutil
import sys
import webbrowser

import click

from labctl.cli.options import lab_option, talk_options
from labctl.cli.progress import show_progress
from labctl.cli.wiring import builder_for, connect
from labctl.errors import LabError

TABS = ("tcp", "udp", "files", "mail", "web", "classic", "hosts", "widgets")


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
@click.option("--tab", type=click.Choice(TABS), default="tcp", show_default=True, help="The tab that is shown first.")
@click.option("--scale", type=click.FloatRange(0.5, 4), help="1 is 96 dots an inch; default: as the display says.")
@click.option("--size", metavar="WxH", default="1100x750", show_default=True, help="Of the screen, with --via web.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="On 127.0.0.1, with --via web; default: a free one."
)
@click.option("--no-open", is_flag=True, help="With --via web: print the address and open no browser.")
@click.option("--print-command", is_flag=True, help="Print the classic commands that do the same by hand.")
@talk_options
def gui_command(
    scenario: str | None,
    lab: str | None,
    via: str,
    trusted: bool,
    theme: str,
    tab: str,
    scale: float | None,
    size: str,
    port: int,
    no_open: bool,
    print_command: bool,
    quiet: bool,
) -> None:
    """Open the window whose program runs in the lab's `desktop` container and speaks to every host by name.

    It goes into the lab that is up; a SCENARIO that is not up is brought up first, and stays up. `--via auto` asks the display that
    DISPLAY names, and takes the browser where none answers. Ctrl-C closes the window.
    """
    from labctl.commands import gui

    engine = connect()
    wish = gui.Wish(via, trusted, theme, tab, scale, size, port)
    if not size.replace("x", "", 1).isdecimal():
        raise click.UsageError(f"`{size}` is no size such as 1100x750")
    if shutil.which("docker") is None:
        raise LabError("the window needs the `docker` command", hint="Debian's package is `docker-cli` or `docker.io`")
    obstacle = gui.socket_obstacle(engine.endpoint, engine.facts()) if via == "socket" else ""
    screen = gui.choose_way(wish, os.environ.get("DISPLAY", ""), why_no_socket=obstacle)
    try:
        hosts = gui.lab_of(engine, scenario, lab)
        with show_progress(quiet=quiet) as progress:
            if hosts is None:
                from labctl.commands.up import up
                from labctl.scenario.catalog import find_scenario

                assert scenario  # noqa: S101 - `lab_of` finds a lab or raises where none is named
                hosts = up(engine, builder_for(engine), find_scenario(scenario), progress, lab=lab).hosts
            found = gui.ensure_desktop(
                engine, builder_for(engine), hosts, progress, socket_mount=screen.way == "socket"
            )
        prefix = [*gui.docker_words(engine.endpoint), "exec", "-i", found.id[:12]]
        names = [host.name for host in hosts if host.role == "host" and host.name != gui.NAME]
        if print_command:
            click.echo(gui.classic_commands(prefix, wish, names))
            return
        if screen.remark and not quiet:
            click.echo(f"note: {screen.remark}", err=True)
        sys.exit(gui.show(prefix, wish, screen, names, lambda line: _tell(line, quiet=quiet, no_open=no_open)))
    finally:
        screen.close()


def _tell(line: str, *, quiet: bool, no_open: bool) -> None:
    if not line.startswith("http://"):
        if not quiet:
            click.echo(line, err=True)
        return
    click.echo(line)  # the address is data
    sys.stdout.flush()
    if not no_open and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform == "darwin"):
        webbrowser.open(line)
    elif not quiet:
        click.echo("open it in a browser on this machine; from elsewhere, `ssh -L` brings the port along", err=True)
