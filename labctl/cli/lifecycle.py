"""`labctl run`, `up`, `down`, `build`."""

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labctl.cli.options import json_option, lab_option, labs_argument, scenario_argument, talk_options
from labctl.cli.output import print_json, print_table
from labctl.cli.progress import show_progress
from labctl.cli.wire_options import tap_options, tap_spec
from labctl.cli.wiring import builder_for, connect, connect_to_clear, helpers_image
from labctl.errors import UsageError
from labctl.scenario.catalog import find_scenario, own_scenarios

publish_option = click.option("--publish", is_flag=True, help="Open the hosts' ports on 127.0.0.1.")

if TYPE_CHECKING:
    from concurrent.futures import Future

build_option = click.option("--build", is_flag=True, help="Build the images even where they are up to date.")
timeout_option = click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=30, show_default=True, help="Seconds until ready."
)
swap_option = click.option(
    "--swap",
    "swaps",
    multiple=True,
    metavar="HOST=PATH",
    help="Put a program of your own in a host's place: a file, a folder with a Dockerfile, or an image. Repeatable.",
)

calls_option = click.option(
    "--calls", is_flag=True, help="Record the hosts' socket calls too; it slows them, and implies a tap."
)


@click.command("up")
@scenario_argument
@lab_option("Name of the lab; default: the scenario's.")
@build_option
@publish_option
@timeout_option
@swap_option
@click.option(
    "--watch", is_flag=True, help="Stay, and restart what was swapped whenever its files change; Ctrl-C ends it."
)
@click.option("--dry-run", is_flag=True, help="Print the plan and do nothing.")
@click.option("--tap", is_flag=True, help="Capture the lab's wire from its first frame; `labctl trace` shows it.")
@calls_option
@tap_options
@json_option
@talk_options
def up_command(
    scenario: str,
    lab: str | None,
    build: bool,
    publish: bool,
    timeout: float,
    swaps: tuple[str, ...],
    watch: bool,
    dry_run: bool,
    tap: bool,
    calls: bool,
    as_json: bool,
    quiet: bool,
    **tap_told: Any,
) -> None:
    """Bring SCENARIO's hosts up and wait until each name resolves and each port answers, asked from the client's side.

    SCENARIO is a name from `labctl ls`, or the path of a file of your own.
    """
    from labctl.commands.swap import Unbuilt, put_in, read_swaps
    from labctl.commands.up import up

    programs = read_swaps(swaps)
    if watch and not programs:
        raise UsageError("there is nothing to watch", where="--watch", hint="`--swap HOST=PATH` names what changes")
    entry = find_scenario(scenario)
    engine = connect()
    builder = (lambda _: Unbuilt()) if dry_run else builder_for(engine)
    with show_progress(quiet=quiet) as progress:
        result = up(
            engine,
            builder_for(engine),
            entry,
            progress,
            lab=lab,
            build=build,
            publish=publish,
            timeout=timeout,
            dry_run=dry_run,
            tap=tap_spec(**tap_told) if tap or calls else None,
            calls=calls,
            adapt=lambda spec: put_in(spec, programs, builder, progress),
        )
    if as_json:
        print_json(**{name: getattr(result, name) for name in ("lab", "scenario", "build", "steps", "hosts")})
    elif dry_run:
        images = [f"build the image of {name}" for name in result.build]
        click.echo("\n".join([*images, *result.steps]))
    elif not quiet:
        rows = [(host.name, " ".join(host.addresses), " ".join(host.published)) for host in result.hosts]
        print_table(("HOST", "ADDRESSES", "PUBLISHED"), rows)
        click.echo(
            f"lab `{result.lab}` is up; try `labctl shell client`, and `labctl down {result.lab}` in the end", err=True
        )
    if watch and not dry_run:
        from labctl.commands.prepare import wanted
        from labctl.commands.watch import watch_swaps

        with show_progress(quiet=True) as progress:
            spec = wanted(entry, lab, progress, publish=publish)
            for news in watch_swaps(engine, spec, programs, builder_for(engine), progress, timeout=timeout):
                click.echo(news, err=True)


@click.command("down")
@labs_argument
@click.option("--all", "everything", is_flag=True, help="Every lab on this engine.")
@click.option("--keep-volumes", is_flag=True, help="Leave the labs' named volumes.")
@click.option("--dry-run", is_flag=True, help="Print the plan and do nothing.")
@json_option
@talk_options
def down_command(
    labs: tuple[str, ...], everything: bool, keep_volumes: bool, dry_run: bool, as_json: bool, quiet: bool
) -> None:
    """Take the named labs down, or the only one that is up; containers, networks and volumes go."""
    from labctl.commands.down import down

    engine = connect_to_clear()
    with show_progress(quiet=quiet) as progress:
        result = down(engine, labs, progress, everything=everything, keep_volumes=keep_volumes, dry_run=dry_run)
    if as_json:
        print_json(labs=result.labs, steps=result.steps)
    elif dry_run:
        click.echo("\n".join(result.steps))
    elif not quiet:
        named = ", ".join(f"`{name}`" for name in result.labs)
        click.echo(f"lab {named} is down" if named else "no lab is up", err=True)


@click.command("run")
@scenario_argument
@lab_option("Name of the lab; default: the scenario's.")
@click.option("--keep", is_flag=True, help="Leave the lab up afterwards.")
@build_option
@publish_option
@timeout_option
@swap_option
@click.option(
    "--report",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the report: verdicts, logs, the trace.",
)
@click.option("--junit", type=click.Path(path_type=Path, dir_okay=False), help="File for the verdicts as JUnit XML.")
@click.option(
    "--trace/--no-trace",
    "traced",
    default=None,
    help="Draw what crossed the wire; it is captured anyhow where a step expects something of it, unless --no-trace.",
)
@calls_option
@tap_options
@json_option
@talk_options
def run_command(
    scenario: str,
    lab: str | None,
    keep: bool,
    build: bool,
    publish: bool,
    timeout: float,
    swaps: tuple[str, ...],
    report: Path | None,
    junit: Path | None,
    traced: bool | None,
    calls: bool,
    as_json: bool,
    quiet: bool,
    **tap_told: Any,
) -> None:
    """Bring SCENARIO up, play its steps, judge what they did, take it down. Exits with 1 where an expectation failed."""
    from concurrent.futures import ThreadPoolExecutor

    from labctl.cli.verdicts import Verdicts, write_junit, write_report
    from labctl.commands.down import down
    from labctl.commands.prepare import load
    from labctl.commands.run import play
    from labctl.commands.swap import put_in, read_swaps
    from labctl.commands.up import up

    programs = read_swaps(swaps)
    entry = find_scenario(scenario)
    engine = connect()
    lesson = load(entry)
    expecting = [*lesson.wire, *(item for step in lesson.steps for item in getattr(step, "wire", ()))]
    asked = traced is not False and bool(expecting)
    calls = calls or (asked and any(item.word == "call" for item in expecting))
    tap = tap_spec(**tap_told) if asked or traced or calls or (report and traced is not False) else None
    with show_progress(quiet=quiet) as progress:
        result = up(
            engine, builder_for(engine), entry, progress, lab=lab, build=build, publish=publish, timeout=timeout, tap=tap, calls=calls,
            adapt=lambda spec: put_in(spec, programs, builder_for(engine), progress),
        )  # fmt: skip
    verdicts, drawer = Verdicts(silent=quiet or as_json), ThreadPoolExecutor(1)
    drawing: Future[None] | None = None
    # while the steps are played; while the lab comes up, no processor is idle
    ahead = drawer.submit(_read_ahead) if tap else None
    try:
        verdicts.title(lesson)
        image = helpers_image(engine)
        played = play(engine, result.lab, lesson, verdicts.begin, verdicts.end, calls=calls, image=image)
        seen = None
        if ahead:
            ahead.result()
            from labctl.cli.wire_verdicts import look_at_the_wire

            played, seen = look_at_the_wire(engine, played, verdicts, draw=bool(traced))
            if keep:
                from labctl.commands.trace import keep_marks

                keep_marks(engine, seen, result.lab)
        elif expecting:
            verdicts.note("what the steps expect of the wire was not judged: --no-trace")
        verdicts.sum_up(played)
        if report:
            write_report(report, played, engine)
            if seen:
                from labctl.cli.wire_verdicts import write_trace

                drawing = drawer.submit(write_trace, report, seen)  # while the engine takes the hosts down
        if junit:
            write_junit(junit, played)
    finally:
        if not keep:
            with show_progress(quiet=True) as progress:
                down(engine, [result.lab], progress)
    if drawing:
        drawing.result()
    if as_json:
        print_json(lab=played.lab, scenario=lesson.scenario, passed=played.passed, steps=played.facts())
    if keep and not quiet:
        click.echo(f"lab `{result.lab}` is still up; `labctl down {result.lab}` takes it down", err=True)
    sys.exit(0 if played.passed else 1)


def _read_ahead() -> None:
    """Import what judges and draws the wire."""
    from labctl.cores import dialogue

    importlib.import_module("labctl.cli.wire_verdicts")
    dialogue()


@click.command("build")
@click.argument("scenario", required=False)
@talk_options
def build_command(scenario: str | None, quiet: bool) -> None:
    """Build the images of SCENARIO, or of every host of the lab and its helpers; what is up to date costs next to nothing."""
    from labctl.commands.prepare import host_names, wanted

    entry = find_scenario(scenario) if scenario else next(own_scenarios())
    engine = connect()
    with show_progress(quiet=quiet) as progress:
        if scenario:
            names = [host.name for host in wanted(entry, None, progress).hosts if "build" in host.service]
        else:
            names = host_names(entry.compose_file)
        builder_for(engine)(entry.compose_file).build(names, progress)
