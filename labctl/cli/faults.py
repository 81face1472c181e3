"""`labctl impair`, `partition`, `pause`, `crash`, `restart`, `heal`, `faults`."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from labctl.cli.options import complete_hosts, json_option, lab_option
from labctl.cli.output import print_json, print_table
from labctl.cli.wiring import connect_to_break, helpers_image
from labctl.errors import UsageError
from labctl.faults.impairment import AT, WORDS, Impairment, of_rule
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
@click.option("--port", metavar="N", help='Only this port, of either end; the same as `--filter "port N"`.')
@click.option("--at", metavar="VERB", help=f"{AT[0].upper()}{AT[1:]}.")
@click.option("--nth", metavar="N", help="Of these only the N-th: `3`, `2,5`, `4-6`; counted from now.")
@click.option("--seed", metavar="N", help="Of all decisions; the same seed loses the same packets.  [default: 1]")
@click.option("--for", "lasts", metavar="TIME", help="Heal by itself after this time: `30s`.")
@click.option(
    "--backend", type=click.Choice(["auto", "shaper", "netem"]), default="auto", show_default=True,
    help="What does it: labctl's shaper, or the kernel's netem where it has one, which knows no seed; auto: netem for a plain delay.",
)  # fmt: skip
@click.option("--replace", is_flag=True, help="Take back what is there; else what is said is merged with it.")
@lab
@json_option
@quiet_option
def impair_command(
    a: str, b: str | None, both: bool, filters: str | None, port: str | None, at: str | None, nth: str | None,
    seed: str | None, lasts: str | None,
    backend: str, replace: bool, lab: str | None, as_json: bool, quiet: bool, **properties: str | None,
) -> None:  # fmt: skip
    """Impair what host A sends to host B, or to all others: `labctl impair client tcp-server --delay 100ms --loss 5%`.

    Or the replies that B gives A: `labctl impair client smtp-relay --reply "451 4.7.1 Try again later" --at RCPT --probability 30%`.

    It is in force when the command returns, and for as long as the lab, unless --for says otherwise. Zero lifts a property: `--loss 0%`.
    """
    told = {name.replace("_", "-"): value for name, value in properties.items() if value is not None}
    told |= {name: value for name, value in (("nth", nth), ("seed", seed), ("for", lasts)) if value is not None}
    try:
        where = " ".join([filters or "", *(["port", port] if port else []), *(["at", at] if at else [])])
        fault = impair([a, b] if b else [a], told, where, both=both, replacing=replace, backend=backend)
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
    if item.kind == "reply":
        return _replied(counts)
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


def _replied(counts: dict[str, int]) -> str:
    """Return what became of replies, in a line; connections that could not be read come last and apart."""
    words = [f"{counts.get('seen', 0)} replies"] if counts else []
    for name in ("answered", "late", "stalled", "truncated"):
        if count := counts.get(name, 0):
            words.append(f"{count} {name}")
    if unread := counts.get("unread"):
        words.append(
            f"{unread} of {counts['connections']} connections unreadable (TLS, or no such protocol): nothing inside can be changed"
        )
    return ", ".join(words) or "-"


def _say(words: list[str], lab: str | None, *, as_json: bool, quiet: bool) -> None:
    try:
        fault = read_fault(" ".join(word for word in words if word))
    except ValueError as error:
        raise UsageError(str(error)) from error
    _do(fault, lab, as_json=as_json, quiet=quiet)


def _do(fault: Fault, lab: str | None, *, as_json: bool, quiet: bool) -> None:
    from labctl.commands.faults import faults, inflict
    from labctl.commands.hosts import choose_lab

    engine = connect_to_break()
    name = (
        lab if lab and LAB_NAME.fullmatch(lab) else choose_lab(engine, lab)[0].lab
    )  # one look at the engine less where it is named
    told = inflict(engine, name, fault, helpers_image(engine))
    if as_json:
        print_json(lab=name, verb=fault.verb, hosts=fault.hosts, shapers=told)
    elif not quiet:
        click.echo(outcome(fault, name, told), err=True)
        if fault.verb == "heal" and len(fault.hosts) == 2:
            for line in what_stays(fault, name, faults(engine, name)):
                click.echo(line, err=True)
    sys.exit(0)


def what_stays(fault: Fault, lab: str, broken: Iterable["Broken"]) -> Iterator[str]:
    """Yield, in words, what two hosts that were healed of each other still do to all others, and so to each other."""
    for item in broken:
        ends = {item.host, item.to}
        for host in ends.intersection(fault.hosts) if "all" in ends else ():
            yield f"{item.host} → {item.to}: {item.told} stays; `labctl heal {host} --lab {lab}` lifts it"


def _in_force(item: Impairment, told: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what has become of an impairment that was said, merged with what was there; empty where nothing is left of it."""
    placed = (
        replace(item, target=item.target or host) if item.is_of_replies else replace(item, source=item.source or host)
        for host in told
    )
    idents = {one.ident for one in placed}
    rules = [rule for one in told.values() for rule in (*one.get("rules", ()), *one.get("replies", ()))]
    return next((of_rule(item.source, rule).told for rule in rules if rule["ident"] in idents), "")


def outcome(fault: Fault, lab: str, told: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what is so now, as those tell who do it: with what was in force before."""
    lifted = f"`labctl heal --lab {lab}`"
    if not fault.impairments:
        words = {
            "heal": "healed", "restart": "started again", "pause": f"paused; {lifted} has it go on",
            "crash": f"killed; `labctl restart {fault.hosts[0] if fault.hosts else ''} --lab {lab}` starts it again",
            "partition": f"cut off; {_until(fault.lasts, lifted)}",
        }  # fmt: skip
        return f"lab `{lab}`: {' and '.join(fault.hosts) or 'all hosts'}: {words[fault.verb]}"
    now = [_in_force(item, told) for item in fault.impairments]
    ways = "; ".join(
        f"{a.ident}: {words or 'nothing is left'}" for a, words in zip(fault.impairments, now, strict=True)
    )
    if not any(now):
        return ways
    delayed = {a.source for a, words in zip(fault.impairments, now, strict=True) if "delay " in words}
    twice = " (both ways, so a round trip takes the delay twice)" if len(delayed) > 1 else ""
    return f"{ways}{twice}; {_until(fault.impairments[0].lasts, lifted)}"


def _until(lasts: float | None, lifted: str) -> str:
    return f"it ends by itself after {lasts:g} s, or with {lifted}" if lasts else f"{lifted} lifts it"
