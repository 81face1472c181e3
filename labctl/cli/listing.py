"""`labctl ls`, `ps`, `logs`."""

import dataclasses
from typing import TYPE_CHECKING

import click

from labctl.cli.options import hosts_argument, json_option, lab_option
from labctl.cli.output import print_json, print_table, printable
from labctl.cli.wiring import connect, connect_quickly
from labctl.engine.peek import peek
from labctl.model import FoundHost

if TYPE_CHECKING:
    from labctl.commands.hosts import Listed

COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_green", "bright_magenta")


@click.command("ls")
@json_option
@click.option("--quiet", "-q", is_flag=True, help="Only names.")
def ls_command(as_json: bool, quiet: bool) -> None:
    """List the scenarios that labctl brings and the labs that are up."""
    from labctl.scenario.catalog import own_scenarios

    entries = list(own_scenarios())
    hosts = _peeked()
    labs: dict[str, list[FoundHost]] = {}
    for host in hosts or ():
        labs.setdefault(host.lab, []).append(host)
    if as_json:
        print_json(
            scenarios=[{"name": entry.name, "title": entry.title} for entry in entries],
            engine=hosts is not None,
            labs=[
                {"name": lab, "scenario": found[0].scenario, "hosts": len(_hosts(found))}
                for lab, found in sorted(labs.items())
            ],
        )
    elif quiet:
        click.echo("\n".join(entry.name for entry in entries))
    else:
        print_table(("SCENARIO", "TITLE"), [(entry.name, entry.title) for entry in entries])
        if labs:
            click.echo()
            rows = [(lab, found[0].scenario, _count(found)) for lab, found in sorted(labs.items())]
            print_table(("LAB", "SCENARIO", "HOSTS"), rows)
        elif hosts is None:
            click.echo("the engine does not answer, so no labs are listed; `labctl doctor` tells why", err=True)


def _peeked() -> tuple[FoundHost, ...] | None:
    """Ask without the SDK; with it, where the engine is not behind a Unix socket."""
    from labctl.engine.endpoint import find_endpoint
    from labctl.errors import LabError

    if find_endpoint().socket:
        return peek()
    try:
        return connect().look().hosts
    except LabError:
        return None


def _hosts(found: list[FoundHost]) -> list[FoundHost]:
    """Leave out the helpers: a tap is in a lab and no host of it."""
    return [host for host in found if host.role == "host"]


def _count(found: list[FoundHost]) -> str:
    hosts = _hosts(found)
    running = sum(host.state == "running" for host in hosts)
    return str(running) if running == len(hosts) else f"{running} of {len(hosts)} running"


@click.command("ps")
@click.argument("lab", required=False)
@json_option
def ps_command(lab: str | None, as_json: bool) -> None:
    """List the hosts of LAB, or of every lab that is up. With --json also the accounts that the lab made, and their passwords."""
    from labctl.commands.hosts import ps

    hosts = ps(connect_quickly(), lab, credentials=as_json)
    if as_json:
        print_json(hosts=[_facts(item) for item in hosts])
    else:
        print_table(("LAB", "HOST", "STATUS", "IMAGE", "ADDRESSES", "PUBLISHED"), [_row(item.host) for item in hosts])
        for item in hosts:
            if item.summary:
                click.echo(f"{item.host.lab}/{item.host.name}: {printable(item.summary)}")
        if not hosts:
            click.echo("no lab is up", err=True)


def _row(host: FoundHost) -> tuple[str, ...]:
    addresses, published = " ".join(host.addresses), " ".join(host.published) or "-"
    return (host.lab, host.name, host.status, host.image, addresses, published)


def _facts(item: "Listed") -> dict[str, object]:
    facts: dict[str, object] = {field.name: getattr(item.host, field.name) for field in dataclasses.fields(FoundHost)}
    del facts["labels"]
    return facts | {"summary": item.summary, "credentials": item.credentials}


@click.command("logs")
@hosts_argument
@lab_option("The lab, where several are up.")
@click.option("--follow", "-f", is_flag=True, help="Go on as they log.")
@click.option("--tail", "-n", type=click.IntRange(min=0), help="Only the last N lines of each.")
@json_option
def logs_command(hosts: tuple[str, ...], lab: str | None, follow: bool, tail: int | None, as_json: bool) -> None:
    """Show what HOSTs logged, or all hosts of the lab."""
    import json

    from labctl.commands.hosts import logs

    colour: dict[str, str] = {}
    for line in logs(connect(), hosts, lab, follow=follow, tail=tail):
        if as_json:
            click.echo(json.dumps({"host": line.host, "line": line.text}, ensure_ascii=False))
        else:
            shade = colour.setdefault(line.host, COLOURS[len(colour) % len(COLOURS)])
            click.echo(f"{click.style(f'{line.host} |', fg=shade)} {printable(line.text)}")
