"""A plan's steps carried out by the Docker SDK, in a thread pool; where one fails, what this run made is taken back."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from docker.errors import APIError, ImageNotFound

from labctl.engine import failures, taps
from labctl.engine.networks import create_network, network_name
from labctl.engine.readiness import wait_ready
from labctl.engine.removal import Kind, RefusalError, remove
from labctl.engine.translate import TRACED, compose_labels, container_body, container_name, trace_calls, volume_name
from labctl.model import LabSpec
from labctl.plan import (
    LAB_NETWORK,
    CreateHost,
    CreateNetwork,
    CreateVolume,
    StartHost,
    StartTap,
    Step,
    Wait,
    publish_network,
)
from labctl.progress import Progress

if TYPE_CHECKING:
    from labctl.engine.sdk import DockerEngine

# Requests at once: starting a container is the engine's CPU, so more only queue there.
POOL = 16

S = TypeVar("S")


class Action:
    """One run of a plan's steps against the engine."""

    def __init__(self, engine: "DockerEngine", lab: LabSpec, progress: Progress) -> None:
        self.engine = engine
        self.api = engine.api
        self.lab = lab
        self.progress = progress
        self.networks: dict[str, str] = {}  # key → name
        self.made_hosts: list[str] = []
        self.made_networks: list[str] = []

    def run(self, steps: Sequence[Step], timeout: float) -> None:
        """Do all steps; where one fails or the user interrupts, take back what this run made: never half a lab."""
        with ThreadPoolExecutor(POOL) as pool:
            try:
                self._run(steps, timeout, pool)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                self.take_back()
                raise

    def take_back(self) -> None:
        def discard(kind: Kind, ident: str) -> None:
            with suppress(RefusalError):  # what was not made yet, or not finished
                self.delete(kind, ident)

        with ThreadPoolExecutor(POOL) as pool:
            list(pool.map(lambda name: discard("containers", name), self.made_hosts))
        for network in self.made_networks:
            discard("networks", network)

    def _run(self, steps: Sequence[Step], timeout: float, pool: ThreadPoolExecutor) -> None:
        remove(steps, self.delete, self.progress)
        creations = _of(steps, CreateHost)
        starts = _of(steps, StartHost)
        if not starts and not _of(steps, Wait) and not _of(steps, StartTap):
            return
        with failures.Watch(self.api, self.lab.name) as watch:
            for network in self.engine.look(self.lab.name).networks:
                self.networks[network.key] = network.name
            for step in _of(steps, CreateNetwork):
                self.networks[step.key] = network_name(self.lab, step.key)
            # The tap comes first: it needs nothing but its network's name, and every host waits for it.
            listening = [pool.submit(self.start_tap, step) for step in _of(steps, StartTap)]
            networks = [pool.submit(self.create_network, step) for step in _of(steps, CreateNetwork)]
            self._each(pool, self.create_volume, _of(steps, CreateVolume))
            # A container needs its networks when it starts, not when it is created.
            created = [pool.submit(self.create_host, step) for step in creations]
            _all([*created, *networks, *listening])
            publishing = {step.host.name for step in creations if step.publish}
            _all([pool.submit(self.start_host, step.name, step.name in publishing) for step in starts])
            for waiting in _of(steps, Wait):
                wait_ready(self.engine, self.lab, waiting, watch, self.progress, timeout)

    def _each(self, pool: ThreadPoolExecutor, do: Callable[[Any], None], steps: Sequence[Any]) -> None:
        _all([pool.submit(do, step) for step in steps])

    def delete(self, kind: Kind, ident: str) -> None:
        """Take one object away; see `removal`."""
        try:
            if kind == "containers":
                self.api.remove_container(ident, force=True, v=True)
            elif kind == "networks":
                self.api.remove_network(ident)
            elif kind == "volumes":
                self.api.remove_volume(ident)
            else:
                self.api.remove_image(ident)
        except APIError as error:
            raise RefusalError(error.status_code or 0, failures.explain(error)) from error

    def create_volume(self, step: CreateVolume) -> None:
        labels = compose_labels(self.lab, volume=step.key)
        self.api.create_volume(volume_name(self.lab, step.key), labels=labels)

    def create_network(self, step: CreateNetwork) -> None:
        create_network(self.api, self.lab, step.key, self.networks[step.key], internal=step.internal)
        self.made_networks.append(self.networks[step.key])

    def create_host(self, step: CreateHost) -> None:
        name, container = step.host.name, container_name(self.lab, step.host.name)
        self.progress.update(name, "creating")
        body = container_body(self.lab, step.host, self.networks[LAB_NETWORK], publish=step.publish)
        try:
            if step.host.service.get(TRACED):
                image = self.api.inspect_image(step.host.image)  # type: ignore[no-untyped-call]
                trace_calls(body, image["Config"])
            self.api.create_container_from_config(body, container)  # type: ignore[no-untyped-call]
        except ImageNotFound as error:
            raise failures.no_image(step.host.image) from error
        except APIError as error:
            raise failures.not_started(self.api, self.lab, name, error) from error
        self.made_hosts.append(container)

    def start_tap(self, step: StartTap) -> None:
        """Start a tap beside the making of its network; it waits for the bridge, and hosts wait for it."""
        self.progress.update("tap", "starting")
        self.made_hosts.append(taps.container_of(self.lab))
        taps.start(self.api, self.lab, step.spec, self.networks[LAB_NETWORK])
        self.progress.done("tap", "listening")

    def start_host(self, name: str, publish: bool) -> None:
        container = container_name(self.lab, name)
        self.progress.update(name, "starting")
        try:
            if publish:
                self.api.connect_container_to_network(container, self.networks[publish_network(name)])
            self.api.start(container)
        except APIError as error:
            raise failures.not_started(self.api, self.lab, name, error) from error


def _of(steps: Sequence[Step], kind: type[S]) -> list[S]:
    return [step for step in steps if isinstance(step, kind)]


def _all(futures: Sequence[Future[None]]) -> None:
    """Wait for all; raise the first error as soon as there is one."""
    done, _ = wait(futures, return_when=FIRST_EXCEPTION)
    for future in done:
        future.result()
