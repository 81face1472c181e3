"""Restart what was swapped whenever its files change."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from labctl.commands.swap import BuilderFor, bring_in, bring_in_all, exchange
from labctl.engine.base import Engine
from labctl.engine.lock import lab_lock
from labctl.errors import LabError
from labctl.model import LabSpec
from labctl.progress import Progress

POLL = 0.2  # seconds between looks
QUIET = 0.1  # seconds without a change, so that a half-written file is not run

Look = tuple[tuple[str, int, int], ...]


def watch_swaps(
    engine: Engine,
    spec: LabSpec,
    programs: Mapping[str, str],
    builder_for: BuilderFor,
    progress: Progress,
    *,
    timeout: float,
) -> Iterator[str]:
    """Yield a line for each restart, for as long as the caller asks on; a program that does not come up is told and waited for.

    Args:
        spec: the lab as the scenario has it, without the programs.
        timeout: seconds until a program must answer.
    """
    places = bring_in_all(programs, spec.name, builder_for, progress)
    seen = {host: look(program) for host, program in programs.items()}
    yield (
        "watching "
        + ", ".join(f"`{program}`" for program in programs.values())
        + "; Ctrl-C ends that, the lab stays up"
    )
    while True:
        time.sleep(POLL)
        for host, program in programs.items():
            now = look(program)
            if now == seen[host] or not now:
                continue
            time.sleep(QUIET)
            if look(program) != now:
                continue  # it is still being written
            seen[host] = now
            began = time.monotonic()
            try:
                places[host] = bring_in(program, host, spec.name, builder_for, progress)
                with lab_lock(spec.name, progress.note):
                    exchange(engine, spec, places, progress, timeout=timeout)
            except LabError as error:
                yield str(error)
            else:
                yield f"`{program}` changed; `{host}` answers again after {time.monotonic() - began:.1f} s"


def look(program: str) -> Look:
    """Return what tells one state of a file or a folder from another; nothing where it is not there."""
    path = Path(program)
    files = sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
    found = []
    for file in files:
        try:
            state = file.stat()
        except OSError:  # an editor puts another in its place
            continue
        found.append((str(file), state.st_mtime_ns, state.st_size))
    return tuple(found)
