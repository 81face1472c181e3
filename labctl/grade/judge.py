"""Judge one submission: its lab, its limits, its checks, its points."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

from labctl.commands.run import play, words
from labctl.commands.swap import await_swapped
from labctl.engine.beside import beside
from labctl.engine.limited import LimitedBuilder, check_context, remove_images
from labctl.engine.sdk import DockerEngine
from labctl.errors import LabError
from labctl.grade.pictures import take_pictures
from labctl.grade.verdict import Grade, Told, Verdict, in_words, readable
from labctl.grade.words import FIRST_START, PIDS, how_it_ended, may_have_ended
from labctl.model import FoundHost, TapSpec
from labctl.scenario.schema import Check, FaultStep, Grading, Scenario
from labctl.testing.host import LabHost, Ran
from labctl.testing.lab import Lab

LOG_MB = 1  # of its output that is kept; the root is read-only and /tmp is of 16 MB
RESTARTED = 5.0  # seconds for a program to listen again
TAP = TapSpec(ring_mb=32, snap=400)
SILENT = 15.0  # seconds for one check, at most
DYING = 1.0  # seconds until the engine knows that a program has ended which broke a connection off, or whose port refuses one


def worth(scenario: Scenario, grading: Grading) -> float:
    """Return the points that a submission can reach."""
    return sum(check.points for check in grading.checks) + grading.steps * _graded_steps(scenario)


def _graded_steps(scenario: Scenario) -> int:
    return sum(not isinstance(step, FaultStep) for step in scenario.steps)


def grade(
    engine: DockerEngine, entry: Path | str, scenario: Scenario, grading: Grading, submission: Path, over: Event
) -> Grade:
    """Bring a lab up with a submission in the host's place, judge it, take the lab down; no check is begun once it is `over`."""
    began = time.monotonic()
    lab = Lab(entry, engine=engine, worker="grade", timeout=20, resets=False).with_tap(TAP)
    made: list[str] = []
    lab.with_swap(grading.host, submission, lambda file: LimitedBuilder(engine, file, grading.build, made))
    lab.with_service(grading.host, {
        "mem_limit": grading.memory_mb << 20, "memswap_limit": grading.memory_mb << 20, "pids_limit": PIDS, "cpus": 1,
        "logging": {"driver": "json-file", "options": {"max-size": f"{LOG_MB}m", "max-file": "1"}},
    })  # fmt: skip
    verdicts: list[Verdict] = []
    problem = hint = log = ""
    try:
        if submission.is_dir():
            check_context(submission, grading.build)
        with lab:
            deadline = time.monotonic() + grading.seconds
            try:
                for verdict in _verdicts(lab, scenario, grading, deadline, over):
                    verdicts.append(verdict)
            finally:
                log = _tail(lab.host(grading.host))
                verdicts = _with_pictures(lab, verdicts)
    except LabError as error:
        problem, hint = error.what, error.hint
    except TimeoutError:
        problem = f"its time of {grading.seconds:g} s was over"
    except OSError as error:  # of this one alone: the others are judged
        problem = f"it could not be judged: {error}"
    finally:
        remove_images(engine, made)
    name, problem, hint = readable(submission.name), readable(problem), readable(hint)
    return Grade(name, tuple(verdicts), problem, time.monotonic() - began, log, hint)


def _with_pictures(lab: Lab, verdicts: list[Verdict]) -> list[Verdict]:
    try:
        pictures = take_pictures(lab, verdicts)
    except LabError:  # the verdicts hold without
        return verdicts
    return [replace(verdict, picture=picture) for verdict, picture in zip(verdicts, pictures, strict=True)]


def _tail(host: LabHost) -> str:
    try:
        return "\n".join(line.decode(errors="replace")[:500] for line in host.lab.engine.logs(host.found, tail=40))
    except LabError:
        return ""


def _verdicts(lab: Lab, scenario: Scenario, grading: Grading, deadline: float, over: Event) -> Iterator[Verdict]:
    if grading.steps:
        results = play(lab.engine, lab.name, scenario).steps
        ended = [_how_it_ended(lab, grading)] if lab.host(grading.host).status != "running" else []
        for result in results:
            if isinstance(result.step, FaultStep):
                continue
            points = float(grading.steps) * result.passed
            said = "As expected." if result.passed else "; ".join([*result.failures, *ended])
            yield Verdict(
                "step", words(result.step), result.passed, points, grading.steps, said, (), result.executed.seconds,
                result.began_ns, result.ended_ns,
            )  # fmt: skip
    plain: dict[int, str] = {}  # by port, what a plain talk came to there; empty where it went well
    for check in grading.checks:
        if over.is_set() or time.monotonic() > deadline:
            raise TimeoutError
        if check.port not in plain and check.check != "talk":
            plain[check.port] = _seen(_probe(lab, grading, check.model_copy(update={"check": "talk"})))
        began_ns = time.time_ns()
        told = _restart(lab, grading, check) if check.check == "restart" else _probe(lab, grading, check)
        plain.setdefault(check.port, _seen(told))
        verdict = in_words(check, told, plain[check.port] if check.check != "talk" else "")
        if check.check != "restart":  # which stays within the client: nothing of it crosses the wire
            verdict = replace(verdict, began_ns=began_ns, ended_ns=time.time_ns())
        yield verdict


def _seen(told: Told) -> str:
    return "" if told["passed"] else str(told["seen"])


def _probe(lab: Lab, grading: Grading, check: Check) -> Told:
    """Play one check; a program that the last one ended is started again, so that each is judged by itself."""
    if lab.host(grading.host).status != "running":
        lab.engine.change(lab.find(grading.host), "restart")
        await_swapped(lab.engine, lab.spec, RESTARTED, only=(grading.host,))
    told = _ask(lab, grading, check)
    if not told["passed"] and _has_ended(lab.host(grading.host), may_have_ended(str(told["seen"]))):
        told["seen"] = _how_it_ended(lab, grading)
    return told


def _ask(lab: Lab, grading: Grading, check: Check) -> Told:
    script = (Path(__file__).parent / "probe.py").read_text()
    argv = ["python3", "-c", script, grading.host, str(check.port), check.talk, grading.greeting, check.check]
    told: Told
    try:
        ran = lab.host("client").run(argv, timeout=SILENT)
        told = json.loads(ran.stdout) if ran.ok else {"passed": False, "seen": _failed(ran)}
    except TimeoutError:
        told = {"passed": False, "seen": f"it was not through after {SILENT:g} s", "seconds": SILENT}
    return told


def _failed(ran: Ran) -> str:
    return ran.stderr[-300:].strip() or f"the client that asked came to its own end, with exit code {ran.exit}"


def _how_it_ended(lab: Lab, grading: Grading) -> str:
    """Tell how a program came to its end."""
    host = lab.host(grading.host)
    state = host.get_container_info()["State"]
    return how_it_ended(state["ExitCode"], _last_line(lab, host.found), grading.memory_mb * state["OOMKilled"])


def _has_ended(host: LabHost, may_be_about_to: bool) -> bool:
    """Tell whether a program has ended; the engine hears of it a little later than a client does."""
    deadline = time.monotonic() + (DYING if may_be_about_to else 0.0)
    while host.status == "running":
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.1)
    return True


def _restart(lab: Lab, grading: Grading, check: Check) -> Told:
    """Start the program in the client's network namespace, twice: a container that is started again has a network without a past."""
    ladder: list[str] = []
    place, spec = lab.find("client"), lab.spec_of(grading.host)
    for word, told_of in (("start", FIRST_START), ("start again", "started again")):
        with beside(lab.engine.api, lab.spec, spec, place) as program:
            told = _ask_or_end(lab, grading, check, program)
            ladder += [f"{'':7}  {word}", *told.get("ladder", ()), f"{'':7}  kill -9"]
            if not told["passed"]:
                last = _last_line(lab, program)
                told["seen"] = f"{told_of}: {told['seen']}" + f"; its last line: {last}" * bool(last)
                break
    return told | {"ladder": ladder}


def _ask_or_end(lab: Lab, grading: Grading, check: Check, program: FoundHost) -> Told:
    """Play a check, unless the program that it is about ends meanwhile: the probe would wait for it in vain."""
    pool = ThreadPoolExecutor(2)
    asked: Future[Told] = pool.submit(_ask, lab, grading, check)
    ended: Future[Any] = pool.submit(lab.engine.api.wait, program.id)
    wait([asked, ended], return_when=FIRST_COMPLETED)
    pool.shutdown(wait=False)
    if asked.done():
        return asked.result()
    return {"passed": False, "seen": f"it ended with exit code {ended.result()['StatusCode']}"}


def _last_line(lab: Lab, host: FoundHost) -> str:
    try:
        lines = list(lab.engine.logs(host, tail=1))
    except LabError:
        return ""
    return b"".join(lines).decode(errors="replace").strip()[:200]
