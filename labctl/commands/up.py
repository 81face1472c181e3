"""`up`: bring a lab up."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from labctl.commands.faults import impair_links
from labctl.commands.prepare import TOOLS, wanted
from labctl.commands.swap import await_swapped
from labctl.engine.base import Engine, ImageBuilder
from labctl.engine.compose import source_digest
from labctl.engine.lock import lab_lock
from labctl.errors import LabError
from labctl.faults.impairment import of_rule
from labctl.model import Found, FoundHost, HostSpec, LabSpec, TapSpec
from labctl.paths import lab_root
from labctl.plan import RemoveHost, Step, is_complete, plan_down, plan_up, swapped_out
from labctl.progress import Progress
from labctl.scenario.catalog import Entry

READY = "ready"
BuilderFor = Callable[[Path], ImageBuilder]


@dataclass(frozen=True)
class Upped:
    """What `up` did, or would do."""

    lab: str
    scenario: str
    build: tuple[str, ...]
    steps: tuple[str, ...]
    hosts: tuple[FoundHost, ...] = ()


def up(
    engine: Engine,
    builder_for: BuilderFor,
    entry: Entry,
    progress: Progress,
    *,
    lab: str | None = None,
    build: bool = False,
    publish: bool = False,
    timeout: float = 30,
    dry_run: bool = False,
    tap: TapSpec | None = None,
    calls: bool = False,
    adapt: Callable[[LabSpec], LabSpec] = lambda spec: spec,
) -> Upped:
    """Bring a scenario's lab up, or put one right that was left half up.

    Args:
        lab: its name; the scenario's where None.
        build: build the images even where they are up to date.
        publish: open the hosts' ports on 127.0.0.1.
        timeout: seconds until each port must answer.
        dry_run: only tell the steps.
        tap: how to capture the lab's wire, from before its first host; None for not at all.
        calls: run the hosts' programs under strace, so that `labctl trace` shows their socket calls.
        adapt: changes what the scenario asks for, such as another program in a host's place.

    Raises:
        LabError: a lab of that name is up already, or the lab could not be brought up; then nothing of it is left.
        UsageError: the scenario has problems.
    """
    spec = adapt(wanted(entry, lab, progress, publish=publish, tap=tap, calls=calls))
    with _or_no_image(engine, spec, progress), lab_lock(spec.name, progress.note):
        found = engine.look(spec.name)
        steps = plan_up(spec, found)
        stale = needs_build(engine, spec, entry.compose_file, everything=build)
        tools = bool(spec.tools_image) and not _tools_are_current(engine, spec)
        if not dry_run:
            _refuse_taken(spec, found, steps)
            if found:
                progress.note(f"lab `{spec.name}` {_what_is_amiss(steps)}; putting it right")
            if stale:
                builder_for(entry.compose_file).build(stale, progress)
            if tools:
                builder_for(lab_root() / "compose.yaml").build([TOOLS], progress)
            engine.act(spec, steps, progress, timeout=timeout)
            _await_swapped(engine, spec, progress, timeout)
            _mark_ready(engine, spec)
        if not dry_run and spec.links:
            _impair(engine, spec, progress)
        hosts = () if dry_run else tuple(host for host in engine.look(spec.name).hosts if host.role == "host")
    built = (*stale, TOOLS) if tools else tuple(stale)
    links = (of_rule(source, rule) for source, rule in spec.links)
    told = (*map(str, steps), *(f"impair {item.ident}: {item.told}" for item in links))
    return Upped(spec.name, spec.scenario, built, told, hosts)


@contextmanager
def _or_no_image(engine: Engine, spec: LabSpec, progress: Progress) -> Iterator[None]:
    """Where the lab does not come up, remove the images that were built for it alone: there is no lab to take down with them."""
    try:
        yield
    except BaseException:
        if images := {step.image for step in swapped_out(host.image for host in spec.hosts)}:
            images -= {host.image for host in engine.look(spec.name).hosts}
            engine.act(spec, swapped_out(images), progress)
        raise


def _what_is_amiss(steps: tuple[Step, ...]) -> str:
    other = ", ".join(f"`{step.host.name}`" for step in steps if isinstance(step, RemoveHost))
    return f"is up with another {other} than is asked for now" if other else "was left half up"


def _mark_ready(engine: Engine, spec: LabSpec) -> None:
    """Note when the lab was ready: what crossed the wire before were labctl's own questions."""
    if spec.tap and (tap := engine.look(spec.name).tap):
        engine.mark_tap(tap, [(time.time_ns(), READY)])


def _impair(engine: Engine, spec: LabSpec, progress: Progress) -> None:
    """Put the scenario's links in force; where that cannot be, nothing of the lab is left: it would teach something else."""
    links = [of_rule(source, rule) for source, rule in spec.links]
    progress.update("links", "impairing")
    try:
        impair_links(engine, spec.name, links, lambda: tagged(spec.tools_image))
    except BaseException:
        engine.act(spec, plan_down(engine.look(spec.name)), progress)
        raise
    progress.done("links", f"{len(links)} impaired")


def _tools_are_current(engine: Engine, spec: LabSpec) -> bool:
    return engine.images().get(tagged(spec.tools_image)) == source_digest()


def _await_swapped(engine: Engine, spec: LabSpec, progress: Progress, timeout: float) -> None:
    try:
        await_swapped(engine, spec, timeout)
    except BaseException:
        engine.act(spec, plan_down(engine.look(spec.name)), progress)
        raise


def _refuse_taken(spec: LabSpec, found: Found, steps: tuple[Step, ...]) -> None:
    scenarios = {host.scenario for host in found.hosts} - {spec.scenario}
    if scenarios:
        what = f"lab `{spec.name}` exists already, with scenario `{scenarios.pop()}`"
    elif found and is_complete(steps):
        what = f"lab `{spec.name}` is up already"
    else:
        return
    raise LabError(
        what,
        hint=f"`labctl down {spec.name}` takes it down; `labctl up {spec.scenario} --lab NAME` brings another up beside it",
    )


def needs_build(engine: Engine, spec: LabSpec, compose_file: Path, *, everything: bool = False) -> list[str]:
    """Return the services whose image is missing or was built from other sources than those here."""
    own = [host for host in spec.hosts if "build" in host.service]
    if everything:
        return [host.name for host in own]
    there = engine.images()
    source = source_digest(compose_file.parent) if (compose_file.parent / "services").is_dir() else ""
    return [host.name for host in own if not _is_current(host, there.get(tagged(host.image)), source)]


def _is_current(host: HostSpec, found: str | None, source: str) -> bool:
    if found is None:
        return False
    follows = "labctl.source" in host.service["build"].get("labels", {})
    return found == source or not follows


def tagged(image: str) -> str:
    """Return an image's name with its tag, as the engine lists it."""
    return image if ":" in image.rpartition("/")[2] else f"{image}:latest"
