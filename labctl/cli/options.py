"""Options and arguments that several commands share, each with its completion."""

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from labctl.cli.app import say_yes

F = TypeVar("F", bound=Callable[..., Any])


def _scenarios(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from labctl.scenario.catalog import own_scenarios

    if "/" in incomplete or incomplete.startswith("."):
        return [CompletionItem(incomplete, type="file")]
    return [
        CompletionItem(entry.name, help=entry.title) for entry in own_scenarios() if entry.name.startswith(incomplete)
    ]


def _labs(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from labctl.engine.peek import peek

    scenarios = {host.lab: host.scenario for host in peek() or ()}
    return [CompletionItem(lab, help=name) for lab, name in sorted(scenarios.items()) if lab.startswith(incomplete)]


def complete_hosts(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from labctl.engine.peek import peek

    lab = ctx.params.get("lab")
    hosts = {host.name: host.image for host in peek() or () if lab in (None, host.lab)}
    return [CompletionItem(name, help=image) for name, image in sorted(hosts.items()) if name.startswith(incomplete)]


scenario_argument = click.argument("scenario", shell_complete=_scenarios)
labs_argument = click.argument("labs", metavar="[LAB]...", nargs=-1, shell_complete=_labs)
host_argument = click.argument("host", shell_complete=complete_hosts)
hosts_argument = click.argument("hosts", metavar="[HOST]...", nargs=-1, shell_complete=complete_hosts)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


def lab_option(text: str) -> Callable[[F], F]:
    """Return the option `--lab NAME`, with what it means here."""
    return click.option("--lab", metavar="NAME", help=text, shell_complete=_labs)


def talk_options(command: F) -> F:
    """Add `--quiet` and `--yes`, which any command that does something takes."""
    yes = click.option(
        "--yes",
        is_flag=True,
        expose_value=False,
        callback=lambda _c, _p, value: say_yes(value),
        help="Install what is missing without asking.",
    )
    quiet = click.option("--quiet", "-q", is_flag=True, help="Say nothing but the result.")
    return quiet(yes(command))
