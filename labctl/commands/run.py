"""`run`: play a scenario's steps and judge them."""

import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from labctl.commands.faults import inflict, no_image
from labctl.commands.shapers import Image
from labctl.commands.swap import through
from labctl.engine.base import Engine
from labctl.errors import LabError
from labctl.faults.read import read_fault
from labctl.model import Executed, Found
from labctl.scenario.schema import Expect, FaultStep, Scenario, Step, Text

AnyStep = Step | FaultStep


@dataclass(frozen=True)
class StepResult:
    """What a step came to; it passed where `failures` is empty."""

    step: AnyStep
    executed: Executed
    failures: tuple[str, ...] = ()
    began_ns: int = 0
    ended_ns: int = 0

    @property
    def in_background(self) -> bool:
        """Whether later steps were played while it went on."""
        return isinstance(self.step, Step) and self.step.background is not None

    def facts(self) -> dict[str, object]:
        """Return it as plain values, for reports."""
        verdict = {"passed": self.passed, "failures": list(self.failures)}
        seconds = {"seconds": round(self.executed.seconds, 3)}
        if isinstance(self.step, FaultStep):
            return {"say": words(self.step), "fault": self.step.fault, **verdict, **seconds}
        output = {name: getattr(self.executed, name).decode(errors="replace") for name in ("stdout", "stderr")}
        run = {"say": self.step.say, "on": self.step.on, "run": self.step.run}
        return {**run, **verdict, "exit": self.executed.exit, **output, **seconds}

    @property
    def passed(self) -> bool:
        """Whether all that was expected was seen."""
        return not self.failures


@dataclass(frozen=True)
class RunResult:
    """What a scenario came to; `failures` are of what is expected of all steps together."""

    lab: str
    scenario: Scenario
    steps: tuple[StepResult, ...] = field(default=())
    failures: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every step passed, and all of them together."""
        return not self.failures and all(step.passed for step in self.steps)

    def facts(self) -> list[dict[str, object]]:
        """Return the steps as plain values, for reports."""
        return [item.facts() for item in self.steps]


def play(
    engine: Engine,
    lab: str,
    scenario: Scenario,
    on_begin: Callable[[AnyStep], None] = lambda _step: None,
    on_end: Callable[[StepResult], None] = lambda _result: None,
    *,
    calls: bool = False,
    image: Image = no_image,
) -> RunResult:
    """Play the steps in their order; later ones are played though an earlier one failed, so that a report is whole.

    Args:
        engine: where the lab is.
        lab: its name.
        scenario: what is played.
        on_begin: hears of a step before it is played.
        on_end: hears of its result.
        calls: play each step under strace.
        image: of shapers that have to be started.

    Raises:
        LabError: a host of the scenario is gone.
    """
    futures: list[Future[StepResult]] = []
    there = engine.look(lab)
    for number, step in enumerate(scenario.steps, 1):
        on_begin(step)
        argv = _argv(step, number, there, calls=calls)
        if isinstance(step, Step) and step.background:
            futures.append(_in_background(engine, lab, step, argv))
        else:
            done = _break(engine, lab, step, image) if isinstance(step, FaultStep) else _play(engine, lab, step, argv)
            futures.append(Future())
            futures[-1].set_result(done)
            on_end(done)
    results = tuple(future.result() for future in futures)
    for result in results:
        if result.in_background:
            on_end(result)
    return RunResult(lab, scenario, results)


def _argv(step: AnyStep, number: int, there: Found, *, calls: bool) -> list[str]:
    host = there.host(step.on) if isinstance(step, Step) else None
    argv = ["sh", "-c", through(host, step.run) if host else step.run] if isinstance(step, Step) else []
    if calls:
        from labctl.commands.calls import under_strace  # and with it all that reads the wire

        return under_strace(argv, f"step-{number}")
    return argv


def words(step: AnyStep) -> str:
    """Return what a step does, for a reader."""
    return step.say or read_fault(step.fault).told if isinstance(step, FaultStep) else step.say


def _break(engine: Engine, lab: str, step: FaultStep, image: Image) -> StepResult:
    began, began_ns = time.monotonic(), time.time_ns()
    try:
        inflict(engine, lab, read_fault(step.fault), image)
    except LabError as error:
        return StepResult(step, Executed(1, seconds=time.monotonic() - began), (error.what,), began_ns, time.time_ns())
    return StepResult(step, Executed(0, seconds=time.monotonic() - began), (), began_ns, time.time_ns())


def _play(
    engine: Engine, lab: str, step: Step, argv: Sequence[str], on_output: Callable[[str, bytes], None] | None = None
) -> StepResult:
    host = engine.look(lab).host(step.on)
    if host is None:
        raise LabError(f"host `{step.on}` is not in lab `{lab}`")
    began, began_ns = time.monotonic(), time.time_ns()
    try:
        executed = engine.exec(host, argv, timeout=step.expect.within, on_output=on_output)
        failures = judge(step.expect, executed)
    except TimeoutError:
        failures = (f"it was not through within {step.expect.within:g} s",)
        executed = Executed(124, seconds=time.monotonic() - began)
    return StepResult(step, executed, failures, began_ns, time.time_ns())


def _in_background(engine: Engine, lab: str, step: Step, argv: Sequence[str]) -> Future[StepResult]:
    """Start a step and return once it shows its `ready` text, has ended, or has had its time."""
    future: Future[StepResult] = Future()
    ready = threading.Event()
    wanted = (step.background.ready if step.background else None) or ""
    seen = bytearray()

    def hear(stream: str, octets: bytes) -> None:
        if stream == "stdout":
            seen.extend(octets)
            if wanted.encode() in seen:
                ready.set()

    def work() -> None:
        try:
            future.set_result(_play(engine, lab, step, argv, hear))
        except BaseException as error:
            future.set_exception(error)
        finally:
            ready.set()

    threading.Thread(target=work, daemon=True).start()
    if wanted:
        ready.wait(step.expect.within)
    return future


def judge(expect: Expect, executed: Executed) -> tuple[str, ...]:
    """Return what was expected and not seen, in words."""
    failures = []
    if executed.exit != expect.exit:
        failures.append(f"exit code {expect.exit} was expected, it was {executed.exit}")
    for name, text, octets in (
        ("stdout", expect.stdout, executed.stdout),
        ("stderr", expect.stderr, executed.stderr),
    ):
        if text:
            failures += [f"{name} {said}" for said in _compare(text, octets.decode(errors="replace"))]
    return tuple(failures)


def _compare(text: Text, seen: str) -> list[str]:
    found = []
    if text.equals is not None and seen != text.equals:
        found.append(f"was to equal {text.equals!r}, it was {cut(seen)}")
    found += [f"was to contain {part!r}, it was {cut(seen)}" for part in _several(text.contains) if part not in seen]
    found += [f"was not to contain {part!r}, it was {cut(seen)}" for part in _several(text.lacks) if part in seen]
    if text.matches is not None and not re.search(text.matches, seen):
        found.append(f"was to match {text.matches!r}, it was {cut(seen)}")
    return found


def _several(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value


def cut(text: str, limit: int = 300) -> str:
    """Return a text quoted, its middle left out where it is long."""
    half = limit // 2
    return repr(text if len(text) <= limit else f"{text[:half]} … {text[-half:]}")
