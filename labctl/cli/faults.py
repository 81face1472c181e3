"""`labctl impair`, `partition`, `pause`, `crash`, `restart`, `heal`, `faults`."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from labctl.cli.options import complete_hosts, json_option, lab_option
from labctl.cli.output import print_json, print_table
from labctl.cli.wiring import connect_to_break, helpers_image
from labctl.errors import UsageError
from labctl.faults.impairment import WORDS
from labctl.faults.read import Fault, impair, read_fault
from labctl.model import LAB_NAME

if TYPE_CHECKING:
    from labctl.commands.faults import Broken

quiet_option = click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors.")
lab = lab_option("The lab, where several are up.")


def _host(name: str, *, required: bool = True) -> Callable[[Any], Any]:
    return click.argument(name, required=required, shell_complete=complete_hosts)


def _properties(command: Any) -> Any:
    for name, word in reversed(WORDS.items()):
        command = click.option(f"--{name}", metavar="VALUE", help=f"{word.help[0].upper()}{word.help[1:]}.")(command)
    return command


@click.command("impair")
@_host("a")
@_host("b", required=False)
@click.option("--both", is_flag=True, help="The other direction too: a delay then counts twice in a round trip.")
@_properties
@click.option(
    "--filter", "filters", metavar="FILTER", help="Only these packets: `tcp port 25`, `udp`, `tcp data`, `syn`."
)
@click.option("--nth", metavar="N", help="Of these only the N-th: `3`, `2,5`, `4-6`; counted from now.")
@click.option("--seed", metavar="N", help="Of all decisions; the same seed loses the same packets.  [default: 1]")
@click.option("--for", "lasts", metavar="TIME", help="Heal by itself after this time: `30s`.")
@click.option(
    "--backend", type=click.Choice(["auto", "shaper", "netem"]), default="auto", show_default=True,
    help="What does it: labctl's shaper, or the kernel's netem where it has one; auto takes netem where it does the same.",
)  # fmt: skip
@click.option("--replace", is_flag=True, help="Take back what is there; else what is said is merged with it.")
@lab
@json_option
@quiet_option
def impair_command(
    a: str, b: str | None, both: bool, filters: str | None, nth: str | None, seed: str | None, lasts: str | None,
    backend: str, replace: bool, lab: str | None, as_json: bool, quiet: bool, **properties: str | None,
) -> None:  # fmt: skip
    """Impair what host A sends to host B, or to all others: `labctl impair client tcp-server --delay 100ms --loss 5%`.

    It is in force when the command returns, and for as long as the lab, unless --for says otherwise. Zero lifts a property: `--loss 0%`.
    """
    told = {name.replace("_", "-"): value for name, value in properties.items() if value is not None}
    told |= {name: value for name, value in (("nth", nth), ("seed", seed), ("for", lasts)) if value is not None}
    try:
        fault = impair([a, b] if b else [a], told, filters or "", both=both, replacing=replace, backend=backend)
    except ValueError as error:
        raise UsageError(str(error), hint="`labctl impair --help` tells the properties and their units") from error
    _do(fault, lab, as_json=as_json, quiet=quiet)


@click.command("partition")
@_host("a")
@_host("b", required=False)
@click.option("--for", "lasts", metavar="TIME", help="Heal by itself after this time: `30s`.")
@lab
@json_option
@quiet_option
def partition_command(a: str, b: str | None, lasts: str | None, lab: str | None, as_json: bool, quiet: bool) -> None:
    """Let nothing pass between hosts A and B, or between A and all others. Nobody is told: packets vanish.

    Names still resolve: the engine answers those inside each host.
    """
    _say(["partition", a, b or "", *(["for", lasts] if lasts else [])], lab, as_json=as_json, quiet=quiet)


@click.command("pause")
@_host("host")
@lab
@json_option
@quiet_option
def pause_command(host: str, lab: str | None, as_json: bool, quiet: bool) -> None:
    """Stop HOST's programs where they stand; its kernel goes on: it acknowledges, and accepts connections until a queue is full."""
    _say(["pause", host], lab, as_json=as_json, quiet=quiet)


@click.command("crash")
@_host("host")
@click.option(
    "--cut", type=click.Choice(["first", "after"]), default="after", show_default=True,
    help="Cut its network before it is killed: its peers hear nothing, as when power fails; or after: its kernel says farewell.",
)  # fmt: skip
@lab
@json_option
@quiet_option
def crash_command(host: str, cut: str, lab: str | None, as_json: bool, quiet: bool) -> None:
    """Kill HOST with SIGKILL. `labctl restart HOST` starts it again, with what its volumes hold."""
    _say(["crash", host, "cut", cut], lab, as_json=as_json, quiet=quiet)


@click.command("restart")
@_host("host")
@lab
@json_option
@quiet_option
def restart_command(host: str, lab: str | None, as_json: bool, quiet: bool) -> None:
    """Start HOST again, whether it runs or not. Impairments of its links stay in force."""
    _say(["restart", host], lab, as_json=as_json, quiet=quiet)


@click.command("heal")
@_host("a", required=False)
@_host("b", required=False)
@lab
@json_option
@quiet_option
def heal_command(a: str | None, b: str | None, lab: str | None, as_json: bool, quiet: bool) -> None:
    """Lift every fault of the lab, those that concern host A, or those between A and B; what was paused or crashed runs again."""
    _say(["heal", a or "", b or ""], lab, as_json=as_json, quiet=quiet)


@click.command("faults")
@lab
@json_option
def faults_command(lab: str | None, as_json: bool) -> None:
    """List what is broken: which backend does it, for how long still, and what was measured of it."""
    from labctl.commands.faults import faults
    from labctl.commands.hosts import choose_lab

    engine = connect_to_break()
    name = choose_lab(engine, lab)[0].lab
    broken = faults(engine, name)
    if as_json:
        print_json(lab=name, faults=broken)
        return
    rows = [
        (item.kind, item.host, item.to or "-", item.told, item.backend or "-", _left(item), _measured(item))
        for item in broken
    ]
    print_table(("FAULT", "HOST", "TO", "WHAT", "BACKEND", "LEFT", "MEASURED"), rows)
    if not broken:
        click.echo(f"nothing is broken in lab `{name}`", err=True)


def _left(item: "Broken") -> str:
    return "-" if item.seconds_left is None else f"{item.seconds_left:.0f} s"


def _measured(item: "Broken") -> str:
    """Return the counts that are not zero, in a line; what the emulator itself lost comes last and apart."""
    counts = item.measured or {}
    seen = counts.get("seen", 0)
    words = [f"{seen} packets"] if counts else []
    for name in ("lost", "duplicated", "corrupted", "reordered", "overflowed", "too_long"):
        if count := counts.get(name, 0):
            words.append(f"{count} {name.replace('_', ' ')} ({count / max(1, seen):.1%})")
    if waited := counts.get("waited_us"):
        words.append(f"waited {waited / 1000:.1f} ms")
    if late := counts.get("late_us", {}).get("p50"):
        words.append(f"{late / 1000:.2f} ms late")
    if overrun := counts.get("overrun"):
        words.append(f"OVERRUN {overrun}: this machine did not keep up")
    return ", ".join(words) or "-"


def _say(words: list[str], lab: str | None, *, as_json: bool, quiet: bool) -> None:
    try:
        fault = read_fault(" ".join(word for word in words if word))
    except ValueError as error:
        raise UsageError(str(error)) from error
    _do(fault, lab, as_json=as_json, quiet=quiet)


def _do(fault: Fault, lab: str | None, *, as_json: bool, quiet: bool) -> None:
    from labctl.commands.faults import inflict
    from labctl.commands.hosts import choose_lab

    engine = connect_to_break()
    name = (
        lab if lab and LAB_NAME.fullmatch(lab) else choose_lab(engine, lab)[0].lab
    )  # one look at the engine less where it is named
    told = inflict(engine, name, fault, helpers_image(engine))
    if as_json:
        print_json(lab=name, verb=fault.verb, hosts=fault.hosts, shapers=told)
    elif not quiet:
        click.echo(_outcome(fault, name), err=True)
    sys.exit(0)


def _outcome(fault: Fault, lab: str) -> str:
    """Return what is so now."""
    if fault.impairments:
        ways = "; ".join(f"{item.source or 'all'} → {item.target or 'all'}: {item.told}" for item in fault.impairments)
        twice = (
            " (both ways, so a round trip takes the delay twice)"
            if len(fault.impairments) > 1 and "delay" in ways
            else ""
        )
        return f"{ways}{twice}; `labctl heal --lab {lab}` lifts it"
    done = {"heal": "healed", "restart": "started again", "pause": "paused", "crash": "killed", "partition": "cut off"}[
        fault.verb
    ]
    return f"lab `{lab}`: {' and '.join(fault.hosts) or 'all hosts'}: {done}"
