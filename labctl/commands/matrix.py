"""Play a scenario under each fault of a list, each time in a fresh lab."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from labctl.commands.down import down
from labctl.commands.faults import inflict
from labctl.commands.prepare import load
from labctl.commands.run import play, words
from labctl.commands.shapers import Image
from labctl.commands.up import BuilderFor, up
from labctl.engine.base import Engine
from labctl.errors import LabError, UsageError
from labctl.faults.matrix import DEFAULT, NOTHING, Cell, Matrix, Row
from labctl.faults.read import Fault, read_fault
from labctl.faults.state import after
from labctl.progress import Progress
from labctl.scenario.catalog import Entry
from labctl.scenario.schema import Scenario


def matrix(
    engine: Engine,
    builder_for: BuilderFor,
    entry: Entry,
    faults: Sequence[str],
    progress: Progress,
    image: Image,
    *,
    lab: str,
    on_row: Callable[[Row], None] = lambda _: None,
) -> Matrix:
    """Return what a scenario comes to without a fault, and under each.

    Args:
        faults: as a scenario writes them; none for a list that suits any scenario.
        lab: name of the labs that are brought up, one after the other.
        on_row: hears of each row when it is there.

    Raises:
        UsageError: a fault is none, or names a host that takes no part.
        LabError: the scenario cannot be played even without a fault.
    """
    scenario = load(entry)
    wanted = [(text, _read(text, scenario)) for text in faults or [text.format(_near(scenario)) for text in DEFAULT]]

    def row(text: str, fault: Fault | None) -> Row:
        with _lab(engine, builder_for, entry, lab, progress) as name:
            return _row(engine, name, scenario, text, fault, image)

    # Of two, for whatever comes first finds cold caches, and all others are held against it. One that fails is not hidden by the other.
    rows = [min((row(NOTHING, None) for _ in range(2)), key=lambda row: (row.passed, row.seconds))]
    on_row(rows[0])
    for text, fault in wanted:
        try:
            rows.append(row(text, fault))
        except LabError as error:
            rows.append(Row(text, broken=error.what))
        on_row(rows[-1])
    return Matrix(scenario.scenario, scenario.title, tuple(rows))


def _near(scenario: Scenario) -> str:
    return "client" if "client" in scenario.hosts else scenario.hosts[-1]


def _read(text: str, scenario: Scenario) -> Fault:
    try:
        fault = read_fault(text, scenario.hosts)
        after(fault, {}, scenario.hosts)  # what contradicts itself does so before a lab is up
        return fault
    except ValueError as error:
        raise UsageError(
            str(error), where="--fault", hint="it is written as in a scenario: `impair client loss 5%`"
        ) from error


@contextmanager
def _lab(engine: Engine, builder_for: BuilderFor, entry: Entry, lab: str, progress: Progress) -> Iterator[str]:
    upped = up(engine, builder_for, entry, progress, lab=lab)
    try:
        yield upped.lab
    finally:
        down(engine, [upped.lab], progress)


def _row(engine: Engine, lab: str, scenario: Scenario, text: str, fault: Fault | None, image: Image) -> Row:
    if fault:
        inflict(engine, lab, fault, image)
    played = play(engine, lab, scenario, image=image)
    cells = (Cell(words(item.step), item.executed.seconds, item.failures) for item in played.steps)
    return Row(text, tuple(cells))
