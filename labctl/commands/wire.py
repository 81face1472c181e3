"""Judges the `wire:` expectations of a played scenario, and marks its steps on the ladder."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from labctl.commands.run import AnyStep, RunResult, StepResult, words
from labctl.commands.trace import Seen
from labctl.scenario.schema import Scenario, Step
from labctl.scenario.wire import WireItem
from labctl.wire.expect import Count, Expectation, Verdict, judge
from labctl.wire.ladder import Mark

SAME = {"retransmissions": "retransmission"}
MARGIN_NS = 1_000_000  # a step's own clock reading against the kernel's time stamps


@dataclass(frozen=True)
class WireVerdict:
    """A step's expectation of the wire, judged.

    Args:
        step: number of the step, from 1.
        verdict: what came of it.
    """

    step: int
    verdict: Verdict


def expectation_of(item: WireItem) -> Expectation:
    """Return an entry of a scenario file as the model's expectation."""
    word = item.word
    said = getattr(item, word)
    told: dict[str, Any] = {
        "what": SAME.get(word, word),
        "source": _own(said, "source", "first", "on"),
        "target": _own(said, "target"),
    }
    told["contains"], told["lacks"] = getattr(said, "contains", ()), getattr(said, "lacks", ())
    told["before"] = expectation_of(said.before) if said.before else None
    told["after"] = expectation_of(said.after) if said.after else None
    if count := getattr(said, "count", None):
        told["count"] = Count(count.least, count.most)
    if word == "duration":
        told["count"] = Count(said.least, said.most)
    elif word == "state":
        told["state"] = said.is_
    elif word == "call":
        told["call"], told["error"] = said.name, said.error or ""
    return Expectation(**told)


def _own(said: object, *names: str) -> str:
    return next((value for name in names if (value := getattr(said, name, None))), "")


def wire_of(step: AnyStep) -> tuple[WireItem, ...]:
    """Return what a step expects of the wire; one that breaks something expects nothing."""
    return step.wire if isinstance(step, Step) else ()


def expects_wire(scenario: Scenario) -> bool:
    """Tell whether a scenario expects something of the wire."""
    return any(wire_of(step) for step in scenario.steps)


def expects_calls(scenario: Scenario) -> bool:
    """Tell whether a scenario expects socket calls, which only a run under strace shows."""
    return any(item.word == "call" for step in scenario.steps for item in wire_of(step))


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
        missed = tuple(f"on the wire: {verdict}" for verdict in judged if not verdict.met)
        steps.append(replace(step, failures=step.failures + missed))
    return replace(result, steps=tuple(steps)), tuple(verdicts)


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
        Mark(step.began_ns - MARGIN_NS, f"{number}. {words(step.step)}", step.passed, number)
        for number, step in enumerate(result.steps, 1)
    ]
    begin = min((mark.time_ns for mark in marks), default=seen.ready_ns)
    passed = sum(step.passed for step in result.steps)
    summary = f"{result.scenario.title}: {passed} of {len(result.steps)} steps as expected"
    return replace(seen, name=result.scenario.scenario, summary=summary, marks=tuple(marks), ready_ns=begin)
