"""Judge one submission: its lab, its limits, its checks, its points."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labctl.commands.run import play, words
from labctl.commands.swap import await_swapped
from labctl.engine.sdk import DockerEngine
from labctl.errors import LabError
from labctl.grade.words import WORDS
from labctl.scenario.schema import Check, FaultStep, Grading, Scenario
from labctl.testing.host import LabHost
from labctl.testing.lab import Lab

PIDS = 64  # a submission that forks ends there, and harms nobody
LOG_MB = 1  # of its output that is kept; the root is read-only and /tmp is of 16 MB
RESTARTED = 5.0  # seconds for a program to listen again
SILENT = 15.0  # seconds for one check, at most
RESTART = r"""
p=$1 port=$2; shift 2
start() { "$@" >/tmp/restart.log 2>&1 & pid=$!; lab wait --timeout 3 "127.0.0.1:$port" >/dev/null 2>&1; }
start "$@" "$p" || { tail -n 3 /tmp/restart.log; kill -9 $pid 2>/dev/null; exit 2; }
python3 -c 'import socket, sys; c = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 3); c.settimeout(3)
while c.recv(1000): pass' "$port" 2>/dev/null
kill -9 $pid; wait $pid 2>/dev/null
start "$@" "$p"; code=$?
kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null
[ $code = 0 ] || tail -n 3 /tmp/restart.log
exit $code
"""


@dataclass(frozen=True)
class Verdict:
    """What one check or one step came to."""

    name: str
    tried: str
    passed: bool
    points: float
    worth: float
    said: str
    ladder: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Grade:
    """What a submission came to."""

    name: str
    verdicts: tuple[Verdict, ...] = ()
    problem: str = ""
    seconds: float = 0.0
    log: str = field(default="")

    @property
    def points(self) -> float:
        """Points reached."""
        return sum(verdict.points for verdict in self.verdicts)

    def facts(self) -> dict[str, Any]:
        """Return it as plain values."""
        verdicts = [vars(verdict) | {"ladder": list(verdict.ladder)} for verdict in self.verdicts]
        return {
            "name": self.name,
            "points": self.points,
            "problem": self.problem,
            "seconds": round(self.seconds, 2),
            "verdicts": verdicts,
        }


def worth(scenario: Scenario, grading: Grading) -> float:
    """Return the points that a submission can reach."""
    return sum(check.points for check in grading.checks) + grading.steps * _graded_steps(scenario)


def _graded_steps(scenario: Scenario) -> int:
    return sum(not isinstance(step, FaultStep) for step in scenario.steps)


def grade(engine: DockerEngine, entry: Path | str, scenario: Scenario, grading: Grading, submission: Path) -> Grade:
    """Bring a lab up with a submission in the host's place, judge it, take the lab down."""
    began = time.monotonic()
    lab = Lab(entry, engine=engine, worker="grade", timeout=10).with_swap(grading.host, submission)
    lab.with_service(grading.host, {
        "mem_limit": grading.memory_mb << 20, "memswap_limit": grading.memory_mb << 20, "pids_limit": PIDS, "cpus": 1,
        "logging": {"driver": "json-file", "options": {"max-size": f"{LOG_MB}m", "max-file": "1"}},
    })  # fmt: skip
    verdicts: list[Verdict] = []
    problem = log = ""
    try:
        with lab:
            deadline = time.monotonic() + grading.seconds
            try:
                for verdict in _verdicts(lab, scenario, grading, submission, deadline):
                    verdicts.append(verdict)
            finally:
                log = _tail(lab.host(grading.host))
    except LabError as error:
        problem = error.what
    except TimeoutError:
        problem = f"its time of {grading.seconds:g} s was over"
    return Grade(submission.name, tuple(verdicts), problem, time.monotonic() - began, log)


def _tail(host: LabHost) -> str:
    try:
        return "\n".join(line.decode(errors="replace")[:500] for line in host.lab.engine.logs(host.found, tail=40))
    except LabError:
        return ""


def _verdicts(lab: Lab, scenario: Scenario, grading: Grading, submission: Path, deadline: float) -> Iterator[Verdict]:
    if grading.steps:
        for result in play(lab.engine, lab.name, scenario).steps:
            if isinstance(result.step, FaultStep):
                continue
            points = float(grading.steps) * result.passed
            said = "As expected." if result.passed else "; ".join(result.failures)
            yield Verdict(
                "step", words(result.step), result.passed, points, grading.steps, said, (), result.executed.seconds
            )
    # Last what runs the submission beside the client's own programs: no other verdict can be touched by it.
    for check in sorted(grading.checks, key=lambda check: check.check == "restart"):
        if time.monotonic() > deadline:
            raise TimeoutError
        yield _restart(lab, check, submission) if check.check == "restart" else _probe(lab, grading, check)


def _probe(lab: Lab, grading: Grading, check: Check) -> Verdict:
    """Play one check; a program that the last one ended is started again, so that each is judged by itself."""
    if lab.host(grading.host).status != "running":
        lab.engine.change(lab.find(grading.host), "restart")
        await_swapped(lab.engine, lab.spec, RESTARTED, only=(grading.host,))
    script = (Path(__file__).parent / "probe.py").read_text()
    argv = ["python3", "-c", script, grading.host, str(check.port), check.talk, grading.greeting, check.check]
    told: dict[str, Any]
    try:
        ran = lab.host("client").run(argv, timeout=SILENT)
        told = json.loads(ran.stdout) if ran.ok else {"passed": False, "seen": ran.stderr[-300:]}
    except TimeoutError:
        told = {"passed": False, "seen": f"it was not through after {SILENT:g} s"}
    if not told["passed"] and lab.host(grading.host).status != "running":
        last = _tail(lab.host(grading.host)).strip().rpartition("\n")[2][:200]
        told["seen"] = f"your program has ended, with the last line `{last}`"
    return _told(check, told["passed"], told["seen"], told.get("ladder", ()), told.get("seconds", SILENT))


def _restart(lab: Lab, check: Check, submission: Path) -> Verdict:
    """Start the program in the client's container, twice: a container that is started again has a network without a past."""
    if not submission.is_file():
        return _told(check, False, "only a submission that is a file can be started twice in one place")
    client = lab.host("client")
    target = f"/tmp/again-{submission.name}"  # noqa: S108 - the container's own tmpfs
    client.put(submission, target, mode=0o755)
    argv = [
        "sh",
        "-c",
        RESTART,
        "restart",
        target,
        str(check.port),
        *(["python3"] if submission.suffix == ".py" else ["sh"]),
    ]
    try:
        ran = client.run(argv, timeout=SILENT)
    except TimeoutError:
        return _told(check, False, f"it was not through after {SILENT:g} s")
    return _told(check, ran.ok, ran.stdout.strip()[-300:], (), ran.seconds)


def _told(check: Check, passed: bool, seen: str, ladder: Sequence[str] = (), seconds: float = 0.0) -> Verdict:
    text = WORDS[check.check]
    said = text.good if passed else f"{seen[:1].upper()}{seen[1:]}. {text.advice}" if seen else text.advice
    name = f"{check.check}:{check.port}"
    return Verdict(name, text.tried, passed, check.points * passed, check.points, said, tuple(ladder), seconds)
