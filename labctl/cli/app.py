"""`labctl`: the group of commands, each imported when it is asked for."""

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import click
from click.core import Command  # before rich-click puts its own in click's place: both are of this class

from labctl import __version__
from labctl.errors import LabError, UsageError

COMMANDS = {  # name → (module, one line for `labctl --help`); the table also gives the order
    "run": ("lifecycle", "Bring a scenario up, play its steps, judge them, take it down."),
    "up": ("lifecycle", "Bring a scenario's hosts up and wait until each port answers."),
    "grade": ("grade", "Judge programs in the place of a scenario's server, and give points."),
    "down": ("lifecycle", "Take labs down; nothing of them is left."),
    "build": ("lifecycle", "Build the images of a scenario, or of all."),
    "ls": ("listing", "List the scenarios and the labs that are up."),
    "ps": ("listing", "List the hosts of the labs that are up."),
    "logs": ("listing", "Show what the hosts logged."),
    "trace": ("trace", "Draw what crossed a lab's wire as a ladder: text, SVG, HTML, Mermaid, pcapng."),
    "explain": ("explain", "Tell in words what happened on the wire."),
    "diff": ("diff", "Tell what differs between two traces: before and after a fix."),
    "exec": ("inside", "Run a command in a host."),
    "shell": ("inside", "Open a shell in a host."),
    "gui": ("gui", "Open the window whose program runs in the lab, on this screen."),
    "impair": ("faults", "Make the way from one host to another a bad one: delay, loss, rate, …"),
    "partition": ("faults", "Let nothing pass between two hosts, or between one and all others."),
    "pause": ("faults", "Stop a host's programs where they stand."),
    "crash": ("faults", "Kill a host (SIGKILL), its network cut first or not."),
    "restart": ("faults", "Start a host again."),
    "heal": ("faults", "Lift what was broken: everywhere, at one host, or between two."),
    "faults": ("faults", "List what is broken, what does it, and what was measured."),
    "matrix": ("matrix", "Play a scenario under every fault of a list, and draw what came of it."),
    "check": ("files", "Validate a scenario file and say all that is wrong with it."),
    "schema": ("files", "Print the JSON Schema of the scenario file, for editors."),
    "doctor": ("doctor", "Tell what this machine has, what it lacks and how to mend it."),
    "completion": ("completion", "Print the completion script for bash, zsh or fish."),
}
INTERRUPTED = 130
HELP = """\
Usage: labctl COMMAND [OPTIONS] [ARGUMENTS]

A network-protocol lab in containers: bring a scenario up, play it, see what
came of it, take it all down again.

Commands:
{commands}

Options:
  --version   Show the version.
  --help      Show this, or with a command what that one takes.

First steps: `labctl run tcp-demo`, then `labctl ls`. Exit codes: 0 done, 1 the
lab or an expectation failed, 2 usage or a bad file, 3 no usable engine,
130 interrupted."""


class LazyGroup(click.Group):
    """Knows its commands by a table, so that `--help`, `ls` and completion import nothing heavy."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names, in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import the command's module and return it."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"labctl.cli.{COMMANDS[cmd_name][0]}")
        command = getattr(module, f"{cmd_name}_command")
        return command if isinstance(command, Command) else None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command; an unknown one is answered with the nearest known."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from labctl.words import nearest

            raise click.UsageError(f"there is no command `{args[0]}`{nearest(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def get_help(self, ctx: click.Context) -> str:
        """Return the help, from the table alone and without rich, so that it comes at once."""
        width = max(map(len, COMMANDS)) + 2
        rows = [f"  {click.style(name.ljust(width), fg='cyan')}{text}" for name, (_, text) in COMMANDS.items()]
        text = HELP.format(commands="\n".join(rows))
        return click.unstyle(text) if ctx.color is False or not (ctx.color or sys.stdout.isatty()) else text


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="labctl", message="%(prog)s %(version)s")
@click.option("--yes", is_flag=True, hidden=True, expose_value=False, callback=lambda _c, _p, value: say_yes(value))
def app() -> None:
    """Bring up, play, see and break network protocols between containers."""


def say_yes(value: bool) -> None:
    """Remember `--yes`, wherever on the line it stands."""
    if value:
        os.environ["LABCTL_YES"] = "1"


def run_cli(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code; what the user can act on is told in words."""
    if {"--help", "-h"} & set(argv[1:]):
        # The commands' own help is rich-click's; nothing else pays for importing it.
        from rich_click.patch import patch

        patch()
    # A `kill` deserves the same clean-up as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = app.main(list(argv), prog_name="labctl", standalone_mode=False, color=wants_colour())
        sys.stdout.flush()
    except click.ClickException as error:
        command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "labctl"
        return _tell(UsageError(error.format_message(), hint=f"`{command} --help` shows what it takes"), argv)
    except LabError as error:
        return _tell(error, argv)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:  # `labctl logs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code if isinstance(code, int) else 0


def wants_colour() -> bool | None:
    """Return what `NO_COLOR` and `FORCE_COLOR` ask for; None leaves it to whether a terminal is there."""
    if os.environ.get("NO_COLOR"):
        return False
    return True if os.environ.get("FORCE_COLOR") else None


def _tell(error: LabError, argv: Sequence[str]) -> int:
    if error.code == 3:
        from labctl.cli.engine_offer import offer

        if offer(error):
            return run_cli(argv)
    text = str(error)
    if wants_colour() is not False and sys.stderr.isatty():
        text = text.replace("error:", click.style("error:", fg="red", bold=True), 1)
    click.echo(text, err=True)
    return error.code
