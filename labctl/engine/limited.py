"""Build the image of a submission, which is somebody else's program as much as what it builds: within limits, and one at a time.

BuildKit runs a build in a place that no request can limit; the engine's own builder runs each `RUN` in a container, with limits and
without a network. What `FROM` names is the engine's to have or to pull.
"""

import io
import json
import os
import queue
import re
import stat
import tarfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from docker.errors import APIError

from labctl.engine.failures import explain
from labctl.errors import LabError
from labctl.progress import Progress

if TYPE_CHECKING:
    from labctl.engine.sdk import DockerEngine

MIB = 1 << 20
FILES = 2000  # in one context
LOOK = 0.5  # seconds between looks at what a build has written
SHOWN_LINES, KEPT_LINES = 15, 200
GRACE = 10.0  # seconds for a build to end once its step was ended
_one_at_a_time = threading.Lock()
_CONTAINER = re.compile(r" ---> Running in ([0-9a-f]{12})")
_IMAGE = re.compile(r"^ ---> ([0-9a-f]{12})$")


class Limits(Protocol):
    """What a build may take: seconds, and MiB of a step's memory, of the context, and of what is written."""

    @property
    def seconds(self) -> float: ...
    @property
    def memory_mb(self) -> int: ...
    @property
    def context_mb(self) -> int: ...
    @property
    def image_mb(self) -> int: ...


def check_context(folder: Path, limits: Limits) -> None:
    """Refuse a folder that is too large to be read.

    Raises:
        LabError: its files are too many, or too large together.
    """
    octets = files = 0
    for place, _, names in os.walk(folder):
        for name in names:
            state = (Path(place) / name).lstat()
            files += 1
            octets += state.st_size if stat.S_ISREG(state.st_mode) else 0
            if files > FILES or octets > limits.context_mb * MIB:
                raise LabError(
                    f"`{folder.name}` is too large to be built: at most {FILES} files of {limits.context_mb} MiB together"
                )


class LimitedBuilder:
    """Builds what a Compose file's services are built from, as `ComposeBuilder` does, within limits.

    Args:
        made: takes the images that come about, steps' and failed builds' too, for `remove_images`.
    """

    def __init__(self, engine: "DockerEngine", compose_file: Path, limits: Limits, made: list[str]) -> None:
        self._engine = engine
        self._file = compose_file
        self._limits = limits
        self._made = made

    def build(self, services: Sequence[str], progress: Progress) -> None:  # noqa: ARG002 - nobody looks on
        """Build; see `ImageBuilder`.

        Raises:
            LabError: it failed, or a limit was reached.
        """
        model = json.loads(self._file.read_text())["services"]
        for name in services:
            folder = Path(model[name]["build"]["context"])
            check_context(folder, self._limits)
            with _one_at_a_time:
                self._build(folder, model[name]["image"], model[name]["build"]["labels"])

    def _build(self, folder: Path, tag: str, labels: dict[str, str]) -> None:
        memory = self._limits.memory_mb * MIB
        before = {ident.removeprefix("sha256:")[:12] for ident in self._engine.api.images(all=True, quiet=True)}
        stream = self._engine.api.build(
            fileobj=_pack(folder), custom_context=True, tag=tag, labels=labels, rm=True, forcerm=True, decode=True,
            network_mode="none", container_limits={"memory": memory, "memswap": memory},
        )  # fmt: skip
        said = self._listen(stream, before)
        self._made.append(tag)
        size = int(self._engine.api.inspect_image(tag)["Size"])  # type: ignore[no-untyped-call]
        if size > self._limits.image_mb * MIB:
            raise _failed(f"its image has {size // MIB} MiB, at most {self._limits.image_mb} are allowed", said)

    def _listen(self, stream: Any, before: set[str]) -> list[str]:
        """Follow a build to its end; return what it said. An image that was there `before` is none that it made."""
        news: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()

        def read() -> None:
            try:
                for item in stream:
                    news.put(item)
            except (APIError, OSError) as error:
                news.put({"error": explain(error) if isinstance(error, APIError) else str(error)})
            news.put(None)

        threading.Thread(target=read, daemon=True).start()
        deadline = time.monotonic() + self._limits.seconds
        said: list[str] = []
        container = over = ""
        while True:
            try:
                item = news.get(timeout=LOOK)
            except queue.Empty:
                item = {}
            if item is None:
                return said
            lines = item.get("stream", item.get("error", "")).splitlines()
            said = [*said, *lines][-KEPT_LINES:]
            self._made += [found[1] for line in lines if (found := _IMAGE.match(line)) and found[1] not in before]
            if "error" in item:
                raise _failed(over or "it failed", said)
            if found := _CONTAINER.search(item.get("stream", "")):
                container = found[1]
            over = over or self._what_is_over(deadline, container)
            if over:
                self._end(container)  # which ends the build: the next item is its error
                if time.monotonic() > deadline + GRACE:
                    raise _failed(over, said)

    def _what_is_over(self, deadline: float, container: str) -> str:
        if time.monotonic() > deadline:
            return f"it was not through after {self._limits.seconds:g} s"
        if container and self._written(container) > self._limits.image_mb * MIB:
            return f"it wrote more than {self._limits.image_mb} MiB"
        return ""

    def _written(self, container: str) -> int:
        """Return how many octets a step's container has written."""
        with suppress(APIError):
            for item in self._engine.api.containers(filters={"id": container}, size=True):
                return int(item.get("SizeRw") or 0)
        return 0

    def _end(self, container: str) -> None:
        if container:
            with suppress(APIError):
                self._engine.api.remove_container(container, force=True, v=True)


def remove_images(engine: "DockerEngine", made: Sequence[str]) -> None:
    """Remove what builds have made, the last first; what has got a name since, or is part of another image, is another build's too."""
    with _one_at_a_time:
        for image in reversed(made):
            with suppress(APIError):  # it went with the one it was part of, or another is made of it
                if ":" in image or not engine.api.inspect_image(image)["RepoTags"]:  # type: ignore[no-untyped-call]
                    engine.api.remove_image(image)


def _pack(folder: Path) -> io.BytesIO:
    """Return a folder as a tar file: links as links, and nothing but files, folders and links."""
    packed = io.BytesIO()

    def take(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        entry.uid = entry.gid = 0
        return entry if entry.isreg() or entry.isdir() or entry.issym() or entry.islnk() else None

    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(folder, ".", filter=take)
    packed.seek(0)
    return packed


def _failed(what: str, said: Sequence[str]) -> LabError:
    shown = "\n".join(f"  | {line[:200]}" for line in said[-SHOWN_LINES:])
    return LabError(f"the submission's image was not built: {what}\n{shown}")
