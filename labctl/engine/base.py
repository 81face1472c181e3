"""What commands need of an engine, and nothing more: `DockerEngine` is one, `FakeEngine` another."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

from labctl.model import Executed, Found, FoundHost, LabSpec, Tapped
from labctl.plan import Step
from labctl.progress import Progress

Change = Literal["kill", "restart", "pause", "unpause"]


class Looking(Protocol):
    """What any question needs."""

    def look(self, lab: str | None = None) -> Found:
        """Report what is there of one lab, or of all labs."""


class Speaking(Looking, Protocol):
    """What running commands in hosts needs."""

    def exec(
        self,
        host: FoundHost,
        argv: Sequence[str],
        *,
        timeout: float | None = None,
        on_output: Callable[[str, bytes], None] | None = None,
    ) -> Executed:
        """Run a command in a host; `on_output` hears (`stdout` or `stderr`, octets) as they come.

        Raises:
            TimeoutError: it ran longer than `timeout` seconds; it has been ended.
            LabError: the host does not run.
        """


class Clearing(Looking, Protocol):
    """What taking labs down needs."""

    def act(self, lab: LabSpec, steps: Sequence[Step], progress: Progress, *, timeout: float = 30) -> None:
        """Do the steps of a plan, side by side where they allow it.

        Raises:
            LabError: a host ended while starting, a name or port is in use, no subnet is free, not ready in `timeout` s.
            KeyboardInterrupt: interrupted; what was made so far stands, labelled.
        """


class Breaking(Looking, Protocol):
    """What faults need."""

    def change(self, host: FoundHost, change: Change) -> None:
        """Kill a host (SIGKILL), start it again whether it runs or not, or stop and resume its programs; done when this returns.

        Raises:
            LabError: the host is gone, or is not in a state for it.
        """

    def is_current(self, image: str, digest: str) -> bool:
        """Tell whether an image is there, built from sources of that digest."""

    def start_helper(self, host: FoundHost, image: str) -> FoundHost:
        """Start the shaper of a host, in its network namespace.

        Raises:
            LabError: the image is missing, the host does not run, or the engine refuses.
        """

    def remove_helper(self, helper: FoundHost) -> None:
        """Remove a shaper; what it did ends with its host's namespace, or is cleared by the next one."""

    def ask_helper(self, helper: FoundHost, request: Mapping[str, Any]) -> dict[str, Any]:
        """Ask a shaper (`do`: `apply`, `state` or `log`) and return its answer.

        Raises:
            LabError: it does not answer, or cannot do it; its words are told.
        """


class Engine(Speaking, Clearing, Breaking, Protocol):
    """A place where labs run; every object in it is found by its labels, never by a file of ours."""

    def images(self) -> Mapping[str, str]:
        """Return the lab's images: tag → digest of the sources they were built from (empty where unknown)."""

    def logs(self, host: FoundHost, *, follow: bool = False, tail: int | None = None) -> Iterator[bytes]:
        """Yield a host's log, a line at a time, without the line's end."""

    def read_tap(self, tap: FoundHost) -> Tapped:
        """Return what a tap has captured up to now; it goes on.

        Raises:
            LabError: it does not run, or nothing can be read.
        """

    def follow_tap(self, tap: FoundHost) -> Iterator[bytes]:
        """Yield a tap's capture as it grows: one pcap file, cut anywhere; nothing, a few times a second, while it does not.

        Closing the iterator ends it.
        """

    def mark_tap(self, tap: FoundHost, marks: Sequence[tuple[int, str]]) -> None:
        """Note beside the capture what happened when: (nanoseconds since 1970, text); earlier notes go."""


class ImageBuilder(Protocol):
    """What builds a lab's images: `docker compose build`."""

    def build(self, services: Sequence[str], progress: Progress) -> None:
        """Build the images of these services.

        Raises:
            LabError: the build failed; its last lines are told.
        """
