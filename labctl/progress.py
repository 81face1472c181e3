"""What long work tells its caller while it lasts; how that looks is the caller's affair (`cli/`)."""

from typing import Protocol


class Progress(Protocol):
    """Takes news of tasks; a task is named by a short stable key (`base image`, `tcp-server`)."""

    def update(self, task: str, text: str, fraction: float | None = None) -> None:
        """Say where `task` stands now; `fraction` (0 to 1) where the share done is known."""

    def done(self, task: str, text: str) -> None:
        """Say that `task` ended well."""

    def note(self, text: str) -> None:
        """Say something that belongs to no task."""


class Silent:
    """The progress of `--quiet` and of tests."""

    def update(self, task: str, text: str, fraction: float | None = None) -> None: ...

    def done(self, task: str, text: str) -> None: ...

    def note(self, text: str) -> None: ...
