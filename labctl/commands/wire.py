"""Judges the `wire:` expectations of a played scenario, and marks its steps on the ladder."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from labctl.commands.run import AnyStep, RunResult, StepResult, words
from labctl.commands.trace import Seen
from labctl.scenario.schema import Scenario, Step
from labctl.scenario.wire import Bounds, WireItem
from labctl.wire import expect
from labctl.wire.expect import Expectation, Verdict, judge
from labctl.wire.ladder import Mark

MARGIN_NS = 1_000_000  # a step's own clock reading against the kernel's time stamps


@dataclass(frozen=True)
class WireVerdict:
    """A step's expectation of the wire, judged.

    Args:
        step: number of the step, from 1; 0 for all of them together.
        verdict: what came of it.
    """

    step: int
    verdict: Verdict


def expectation_of(item: WireItem) -> Expectation:
    """Return an entry of a scenario file as the model's expectation."""
    said = getattr(item, item.word)
    return expect.expectation_of(item.word, **{name: _plain(value) for name, value in said if value is not None})


def _plain(value: object) -> object:
    if isinstance(value, WireItem):
        return expectation_of(value)
    return value.model_dump() if isinstance(value, Bounds) else value


def wire_of(step: AnyStep) -> tuple[WireItem, ...]:
    """Return what a step expects of the wire; one that breaks something expects nothing."""
    return step.wire if isinstance(step, Step) else ()


def all_wire(scenario: Scenario) -> Iterator[WireItem]:
    """Yield all that a scenario expects of the wire."""
    yield from (item for step in scenario.steps for item in wire_of(step))
    yield from scenario.wire


def expects_wire(scenario: Scenario) -> bool:
    """Tell whether a scenario expects something of the wire."""
    return any(all_wire(scenario))


def expects_calls(scenario: Scenario) -> bool:
    """Tell whether a scenario expects socket calls, which only a run under strace shows."""
    return any(item.word == "call" for item in all_wire(scenario))


def judge_wire(result: RunResult, seen: Seen) -> tuple[RunResult, tuple[WireVerdict, ...]]:
    """Return the result with what the wire showed of each step, and every verdict.

    A step's conversations are those that begin between its start and the next one's; of a step in the background, until its end.
    """
    verdicts: list[WireVerdict] = []
    steps: list[StepResult] = []
    for number, step in enumerate(result.steps, 1):
        since, until = stretch(result.steps, number)
        judged = [judge(expectation_of(item), seen.trace, since, until) for item in wire_of(step.step)]
        verdicts += [WireVerdict(number, verdict) for verdict in judged]
        steps.append(replace(step, failures=step.failures + _missed(judged)))
    since = min((step.began_ns for step in steps if step.began_ns), default=MARGIN_NS) - MARGIN_NS
    judged = [judge(expectation_of(item), seen.trace, since) for item in result.scenario.wire]
    verdicts += [WireVerdict(0, verdict) for verdict in judged]
    return replace(result, steps=tuple(steps), failures=_missed(judged)), tuple(verdicts)


def _missed(verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    return tuple(f"on the wire: {verdict}" for verdict in verdicts if not verdict.met)


def stretch(steps: Sequence[StepResult], number: int) -> tuple[int, int | None]:
    """Return when a step's time on the wire begins and ends, in nanoseconds; None for no end."""
    step = steps[number - 1]
    if step.in_background:
        return step.began_ns - MARGIN_NS, step.ended_ns + MARGIN_NS
    later = next((item.began_ns for item in steps[number:] if item.began_ns), None)
    return step.began_ns - MARGIN_NS, later - MARGIN_NS if later else None


def mark_steps(result: RunResult, seen: Seen) -> Seen:
    """Return what was seen with a mark for each step, which tells its verdict."""
    marks = [
        Mark(step.began_ns - MARGIN_NS, f"{number}. {words(step.step)}", step.passed, number, step.failures)
        for number, step in enumerate(result.steps, 1)
    ]
    begin = min((mark.time_ns for mark in marks), default=seen.ready_ns)
    passed = sum(step.passed for step in result.steps)
    summary = f"{result.scenario.title}: {passed} of {len(result.steps)} steps as expected"
    return replace(seen, name=result.scenario.scenario, summary=summary, marks=tuple(marks), ready_ns=begin)
