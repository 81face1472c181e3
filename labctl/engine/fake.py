"""`FakeEngine`: an engine in memory, so that commands are tested without one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from labctl.engine.base import Change
from labctl.engine.translate import volume_name
from labctl.errors import LabError
from labctl.model import SHAPER, Executed, Found, FoundHost, FoundNetwork, FoundVolume, LabSpec, Tapped
from labctl.plan import (
    CreateHost,
    CreateNetwork,
    CreateVolume,
    RemoveHost,
    RemoveNetwork,
    RemoveVolume,
    StartHost,
    StartTap,
    Step,
)
from labctl.progress import Progress

AFTER: dict[Change, str] = {"kill": "exited", "restart": "running", "pause": "paused", "unpause": "running"}


@dataclass
class FakeEngine:
    """Does at once what it is told, and remembers it.

    Args:
        found: what is there.
        tags: the images: tag → digest of their sources.
        answers: what a command does: its text → what came of it.
        failing: the host whose start fails.
        tapped: what a tap has captured.
    """

    found: Found = field(default_factory=Found)
    tags: dict[str, str] = field(default_factory=dict)
    answers: dict[str, Executed | Exception] = field(default_factory=dict)
    failing: str = ""
    acted: list[str] = field(default_factory=list)
    log: tuple[bytes, ...] = (b"listening",)
    tapped: Tapped = field(default_factory=lambda: Tapped(()))
    marks: list[tuple[int, str]] = field(default_factory=list)
    shapers: dict[str, dict[str, Any]] = field(default_factory=dict)

    def look(self, lab: str | None = None) -> Found:
        """Report what is there."""
        return self.found.of(lab) if lab else self.found

    def images(self) -> Mapping[str, str]:
        """Return the images that the test put there."""
        return self.tags

    def act(self, lab: LabSpec, steps: Sequence[Step], progress: Progress, *, timeout: float = 30) -> None:  # noqa: ARG002
        """Do the steps in their order.

        Raises:
            LabError: the step starts the host that is to fail.
        """
        for step in steps:
            self.acted.append(str(step))
            self.found = self._after(lab, step)
            progress.done(getattr(step, "name", "step"), str(step))

    def _after(self, lab: LabSpec, step: Step) -> Found:
        found = self.found
        match step:
            case CreateHost(host):
                made = FoundHost(
                    f"id-{host.name}", lab.name, host.name, lab.scenario, state="created", digest=host.digest
                )
                return replace(found, hosts=(*found.hosts, made))
            case StartHost(name):
                if name == self.failing:
                    raise LabError(f"host `{name}` could not be started")
                started = (
                    replace(h, state="running") if (h.lab, h.name) == (lab.name, name) else h for h in found.hosts
                )
                return replace(found, hosts=tuple(started))
            case StartTap():
                tap = FoundHost("id-tap", lab.name, "tap", lab.scenario, role="tap")
                return replace(found, hosts=(*found.hosts, tap))
            case CreateNetwork(key):
                network = FoundNetwork(f"id-{key}", lab.name, f"{lab.project}_{key}", key)
                return replace(found, networks=(*found.networks, network))
            case CreateVolume(key):
                return replace(found, volumes=(*found.volumes, FoundVolume(lab.name, volume_name(lab, key), key)))
            case RemoveHost(host):
                return replace(found, hosts=tuple(other for other in found.hosts if other != host))
            case RemoveNetwork(network):
                return replace(found, networks=tuple(other for other in found.networks if other != network))
            case RemoveVolume(volume):
                return replace(found, volumes=tuple(other for other in found.volumes if other != volume))
        return found

    def exec(
        self,
        host: FoundHost,
        argv: Sequence[str],
        *,
        timeout: float | None = None,  # noqa: ARG002
        on_output: Callable[[str, bytes], None] | None = None,
    ) -> Executed:
        """Give the answer that the test laid down for a command (the last word of `argv`)."""
        answer = self.answers.get(argv[-1], Executed(0))
        if isinstance(answer, Exception):
            raise answer
        if on_output:
            on_output("stdout", answer.stdout)
        self.acted.append(f"{host.name}$ {argv[-1]}")
        return answer

    def change(self, host: FoundHost, change: Change) -> None:
        """Put the host into the state that the change leads to.

        Raises:
            LabError: the host is not there.
        """
        if host.id not in {other.id for other in self.found.hosts}:
            raise LabError(f"host `{host.name}` is gone")
        self.acted.append(f"{change} {host.name}")
        state = AFTER[change]
        hosts = (replace(other, state=state) if other.id == host.id else other for other in self.found.hosts)
        self.found = replace(self.found, hosts=tuple(hosts))

    def is_current(self, image: str, digest: str) -> bool:
        """Tell whether the test put such an image there."""
        return self.tags.get(image) == digest

    def start_helper(self, host: FoundHost, image: str) -> FoundHost:
        """Put a shaper there, that does nothing yet."""
        self.acted.append(f"start shaper-{host.name}")
        helper = FoundHost(
            f"id-shaper-{host.name}-{len(self.acted)}", host.lab, f"shaper-{host.name}", role=SHAPER, image=image
        )
        self.found = replace(self.found, hosts=(*self.found.hosts, helper))
        self.shapers[helper.id] = {"host": host.name, "backend": "shaper", "rules": [], "cut": {}, "stale": False}
        return helper

    def remove_helper(self, helper: FoundHost) -> None:
        """Take it away."""
        self.acted.append(f"remove {helper.name}")
        self.shapers.pop(helper.id, None)
        self.found = replace(self.found, hosts=tuple(other for other in self.found.hosts if other.id != helper.id))

    def ask_helper(self, helper: FoundHost, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do as a shaper does, without a network.

        Raises:
            LabError: it is not there, or the test had it die.
        """
        if helper.id not in self.shapers:
            raise LabError(f"`{helper.name}` does not answer")
        told = self.shapers[helper.id]
        if request["do"] == "apply":
            self.acted.append(f"apply {helper.name}")
            told |= {name: request[name] for name in ("rules", "cut", "hosts", "log") if name in request}
        if request["do"] != "log":
            return dict(told)
        log: dict[str, Any] = told.get("log", {"events": [], "cuts": []})
        return log | {"events": [event for event in log["events"] if event[-1] > request.get("after", 0)]}

    def logs(self, host: FoundHost, *, follow: bool = False, tail: int | None = None) -> Iterator[bytes]:  # noqa: ARG002
        """Yield the log that the test laid down."""
        yield from self.log if tail is None else self.log[len(self.log) - tail :]

    def read_tap(self, tap: FoundHost) -> Tapped:  # noqa: ARG002
        """Return the capture that the test laid down."""
        return self.tapped

    def follow_tap(self, tap: FoundHost) -> Iterator[bytes]:  # noqa: ARG002
        """Yield the capture that the test laid down, file by file."""
        yield from self.tapped.files

    def mark_tap(self, tap: FoundHost, marks: Sequence[tuple[int, str]]) -> None:  # noqa: ARG002
        """Remember what was noted."""
        self.marks = list(marks)
