"""`down`: take labs down. Imports little: it is to be quicker than what it takes away."""

from collections.abc import Sequence
from dataclasses import dataclass

from labctl.engine.base import Clearing
from labctl.engine.lock import lab_lock
from labctl.errors import UsageError
from labctl.model import Found, LabSpec
from labctl.plan import plan_down
from labctl.progress import Progress
from labctl.words import nearest


@dataclass(frozen=True)
class Downed:
    """What `down` did, or would do."""

    labs: tuple[str, ...]
    steps: tuple[str, ...]


def down(
    engine: Clearing,
    labs: Sequence[str],
    progress: Progress,
    *,
    everything: bool = False,
    keep_volumes: bool = False,
    dry_run: bool = False,
) -> Downed:
    """Take labs down: all that bears their label.

    Args:
        labs: names; none means the only lab there is.
        everything: all labs.

    Raises:
        UsageError: there is no lab of that name, or it is not clear which is meant.
    """
    there = engine.look()
    names = list(there.labs) if everything else list(dict.fromkeys(labs)) or _only(there)
    for name in names:
        if name not in there.labs:
            raise UsageError(
                f"there is no lab `{name}`{nearest(name, there.labs)}", hint="`labctl ls` shows what is up"
            )
    told: list[str] = []
    for name in names:
        with lab_lock(name, progress.note) as waited:
            found = engine.look(name) if waited else there.of(name)
            steps = plan_down(found, keep_volumes=keep_volumes)
            told += map(str, steps)
            if not dry_run:
                scenario = found.hosts[0].scenario if found.hosts else name
                engine.act(LabSpec(name, scenario, ()), steps, progress)
    return Downed(tuple(names), tuple(told))


def _only(there: Found) -> list[str]:
    if len(there.labs) > 1:
        names = ", ".join(f"`{name}`" for name in there.labs)
        raise UsageError(f"several labs are up: {names}", hint="name one, or `labctl down --all`")
    return list(there.labs)
