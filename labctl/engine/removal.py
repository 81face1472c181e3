"""Taking things away: the same order and the same words, whoever carries the requests to the engine."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from labctl.errors import LabError
from labctl.plan import RemoveHost, RemoveImage, RemoveNetwork, RemoveVolume, Step
from labctl.progress import Progress

# Requests at once. Removing a container is the engine's CPU: more only queue there, and the more leave a network at once,
# the likelier engine 20.10 loses count of its endpoints.
POOL = 4
NOT_FOUND, CONFLICT = 404, 409

Kind = Literal["containers", "networks", "volumes", "images"]
Delete = Callable[[Kind, str], None]


class RefusalError(Exception):
    """The engine did not do it; caught here.

    Args:
        status: HTTP status of its reply.
        words: its own explanation, on one line.
    """

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


def remove(steps: Sequence[Step], delete: Delete, progress: Progress) -> None:
    """Do the removals of a plan: hosts, then networks, volumes and images, each kind side by side. What is gone already is no error.

    Args:
        delete: takes one object away by kind and id; raises `RefusalError`.

    Raises:
        LabError: the engine does not remove a host or a volume.
    """
    with ThreadPoolExecutor(POOL) as pool:
        for kind, removal in (
            (RemoveHost, _host),
            (RemoveNetwork, _network),
            (RemoveVolume, _volume),
            (RemoveImage, _image),
        ):
            chosen = [step for step in steps if isinstance(step, kind)]
            list(pool.map(lambda step, removal=removal: removal(step, delete, progress), chosen))


def _host(step: RemoveHost, delete: Delete, progress: Progress) -> None:
    progress.update(step.host.name, "removing")
    try:
        delete("containers", step.host.id)
    except RefusalError as error:
        if error.status not in (NOT_FOUND, CONFLICT):  # 409: its removal is in progress already
            raise LabError(f"host `{step.host.name}` could not be removed: {error.words}") from error
    progress.done(step.host.name, "removed")


def _network(step: RemoveNetwork, delete: Delete, progress: Progress) -> None:
    try:
        delete("networks", step.network.id)
    except RefusalError as error:
        if error.status != NOT_FOUND:
            # moby#43286: engine 20.10 now and then counts an endpoint that is gone; only its restart mends that.
            # Labs take fresh network names, so it stands in nobody's way.
            progress.note(f"warning: network `{step.network.name}` is still held by the engine: {error.words}")


def _volume(step: RemoveVolume, delete: Delete, progress: Progress) -> None:  # noqa: ARG001 - as the others
    try:
        delete("volumes", step.volume.name)
    except RefusalError as error:
        if error.status != NOT_FOUND:
            raise LabError(f"volume `{step.volume.name}` could not be removed: {error.words}") from error


def _image(step: RemoveImage, delete: Delete, progress: Progress) -> None:
    try:
        delete("images", step.image)
    except RefusalError as error:
        if error.status not in (NOT_FOUND, CONFLICT):  # 409: a container is of it
            progress.note(f"warning: image `{step.image}` could not be removed: {error.words}")
