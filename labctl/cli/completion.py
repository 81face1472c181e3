"""`labctl completion`."""

import click
from click.shell_completion import get_completion_class

from labctl.cli.app import app

WHERE = {
    "bash": "~/.local/share/bash-completion/completions/labctl",
    "zsh": "a folder of your $fpath, as _labctl",
    "fish": "~/.config/fish/completions/labctl.fish",
}


@click.command("completion", epilog="  ".join(f"{shell}: {place}." for shell, place in WHERE.items()))
@click.argument("shell", type=click.Choice(list(WHERE)))
def completion_command(shell: str) -> None:
    """Print the completion script of SHELL; it knows scenarios, labs and hosts. Save it where that shell looks."""
    completion = get_completion_class(shell)
    assert completion is not None  # noqa: S101 - the choices are click's own shells
    click.echo(completion(app, {}, "labctl", "_LABCTL_COMPLETE").source())
