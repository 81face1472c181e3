"""`DockerEngine`: the life cycle of a lab through the Docker SDK, in a thread pool.

Compose's own `up --wait` spends a process, half-second polls and a health interval; here a lab of two hosts is up in the time that
the engine needs to start two containers.
"""

import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.tls import TLSConfig
from docker.utils.socket import STDERR, STDOUT, frames_iter

from labctl.engine import failures, helpers, taps
from labctl.engine.base import Change
from labctl.engine.endpoint import Endpoint, find_endpoint
from labctl.engine.networks import create_network, network_name
from labctl.engine.peek import look
from labctl.engine.readiness import wait_ready
from labctl.engine.removal import Kind, RefusalError, remove
from labctl.engine.streams import close_stream
from labctl.engine.translate import TRACED, compose_labels, container_body, container_name, trace_calls, volume_name
from labctl.errors import LabError
from labctl.model import SOURCE, Executed, Found, FoundHost, LabSpec, Tapped
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

# Requests at once: starting a container is the engine's CPU, so more only queue there.
POOL = 16
GRACE = 3  # seconds for `timeout` in the host to do its work
FREEZES = 3  # tries to pause a host
TIMED_OUT = (124, 137)  # exit codes of `timeout`: ended by TERM, by KILL

PULL_SILENCE = 25  # seconds without a word from the registry

S = TypeVar("S")


class DockerEngine:
    """Labs as containers of one Docker engine; see `Engine` for what the verbs promise."""

    def __init__(self, endpoint: Endpoint | None = None) -> None:
        """Connect.

        Raises:
            EngineError: no engine answers there, or it does not let us in.
        """
        self.endpoint = endpoint or find_endpoint()
        folder = self.endpoint.tls
        tls = None
        if folder:
            pair = (str(folder / "cert.pem"), str(folder / "key.pem"))
            tls = TLSConfig(client_cert=pair, ca_cert=str(folder / "ca.pem"), verify=True)
        try:
            # `auto`: newer engines refuse old versions, older ones do not know new ones
            self.api = docker.APIClient(
                base_url=self.endpoint.url, version="auto", timeout=120, tls=tls or False, max_pool_size=POOL * 2
            )
        except DockerException as error:
            raise failures.no_engine(self.endpoint, error) from error

    # -- look ---------------------------------------------------------------------------------------------------------

    def look(self, lab: str | None = None) -> Found:
        """Report what is there of one lab, or of all labs."""

        def ask(kind: str, filters: dict[str, list[str]]) -> list[dict[str, Any]]:
            if kind == "containers":
                return list(self.api.containers(all=True, filters=filters))
            return list(
                self.api.networks(filters=filters)
                if kind == "networks"
                else self.api.volumes(filters=filters)["Volumes"] or ()
            )

        return look(ask, lab)

    def images(self) -> Mapping[str, str]:
        """Return all images: tag → digest of the sources they were built from."""
        return {
            tag: (item.get("Labels") or {}).get(SOURCE, "")
            for item in self.api.images()
            for tag in item.get("RepoTags") or ()
        }

    def has_image(self, ref: str) -> bool:
        """Tell whether an image is there."""
        return ref in self.images()

    def pull(self, ref: str, progress: Progress) -> None:
        """Pull an image from its registry.

        Raises:
            LabError: no registry answers within `PULL_SILENCE` seconds, or it has no such image.
        """
        repository, _, tag = ref.rpartition(":")
        news: queue.SimpleQueue[dict[str, Any] | Exception | None] = queue.SimpleQueue()

        def work() -> None:
            try:
                for item in self.api.pull(repository, tag=tag, stream=True, decode=True):
                    news.put(item)
                news.put(None)
            except (APIError, OSError) as error:
                news.put(error)

        # a thread of its own: behind some firewalls nothing answers at all
        threading.Thread(target=work, daemon=True).start()
        while True:
            try:
                item = news.get(timeout=PULL_SILENCE)
            except queue.Empty:
                raise LabError(f"image `{ref}` could not be pulled: no answer for {PULL_SILENCE} s") from None
            if isinstance(item, Exception):
                raise LabError(f"image `{ref}` could not be pulled: {item}") from item
            if item is None:
                return
            if "error" in item:
                raise LabError(f"image `{ref}` could not be pulled: {item['error']}")
            done = item.get("progressDetail") or {}
            share = done["current"] / done["total"] if done.get("total") else None
            progress.update("base image", f"pulling {ref}", share)

    def import_image(self, tar: Path, ref: str, changes: Sequence[str] = ()) -> None:
        """Make an image of a file system in a tar file, as `docker import` does."""
        repository, _, tag = ref.rpartition(":")
        with tar.open("rb") as stream:
            self.api.import_image_from_data(stream, repository=repository, tag=tag, changes=list(changes))

    def facts(self) -> Mapping[str, Any]:
        """Return what `docker info` and `docker version` say, for `labctl doctor`."""
        return {**self.api.info(), "ApiVersion": self.api.api_version}

    # -- act ----------------------------------------------------------------------------------------------------------

    def act(self, lab: LabSpec, steps: Sequence[Step], progress: Progress, *, timeout: float = 30) -> None:
        """Do the steps of a plan; see `Engine.act`."""
        _Action(self, lab, progress).run(steps, timeout)

    # -- inside a host ------------------------------------------------------------------------------------------------

    def exec(
        self,
        host: FoundHost,
        argv: Sequence[str],
        *,
        timeout: float | None = None,
        on_output: Callable[[str, bytes], None] | None = None,
    ) -> Executed:
        """Run a command in a host; see `Engine.exec`."""
        began = time.monotonic()
        if timeout is not None:  # the engine cannot end an exec; `timeout` in the host can
            argv = ["timeout", "-k", "1", f"{timeout:g}", *argv]
        try:
            started = self.api.exec_create(host.id, list(argv))["Id"]
            stream = self.api.exec_start(started, stream=True, demux=True)
        except APIError as error:
            raise failures.not_running(host, error) from error
        parts: queue.SimpleQueue[tuple[bytes | None, bytes | None] | None] = queue.SimpleQueue()

        def read() -> None:
            with suppress(Exception):  # a closed stream ends like one that is through
                for part in stream:
                    parts.put(part)
            parts.put(None)
            close_stream(stream)

        # a thread of its own: the stream has no time-out, and a command may be silent for as long as it runs
        threading.Thread(target=read, daemon=True).start()
        output = {"stdout": bytearray(), "stderr": bytearray()}
        while True:
            left = None if timeout is None else max(0.0, began + timeout + GRACE - time.monotonic())
            try:
                part = parts.get(timeout=left)
            except queue.Empty:
                raise TimeoutError(f"still running after {timeout:g} s") from None
            if part is None:
                break
            for name, octets in zip(output, part, strict=True):
                if octets:
                    output[name] += octets
                    if on_output:
                        on_output(name, octets)
        code = self.api.exec_inspect(started)["ExitCode"]
        seconds = time.monotonic() - began
        if timeout is not None and code in TIMED_OUT and seconds >= timeout:
            raise TimeoutError(f"ended after {timeout:g} s")
        return Executed(code if code is not None else 1, bytes(output["stdout"]), bytes(output["stderr"]), seconds)

    def change(self, host: FoundHost, change: Change) -> None:
        """Kill, restart, pause or unpause a host; see `Engine.change`."""
        try:
            match change:
                case "kill":
                    self.api.kill(host.id, "SIGKILL")
                    self.api.wait(host.id)  # until then its name still resolves
                case "restart":
                    self.api.restart(host.id, timeout=GRACE)
                case "pause":
                    self._pause(host)
                case "unpause":
                    self.api.unpause(host.id)
        except APIError as error:
            raise failures.refused(f"host `{host.name}` of lab `{host.lab}`: {change} failed", error) from error

    def _pause(self, host: FoundHost) -> None:
        """Freeze a host's processes; a busy kernel now and then says "unable to freeze" and means: once more."""
        for left in reversed(range(FREEZES)):
            try:
                return self.api.pause(host.id)
            except APIError as error:
                if not left or "freeze" not in failures.explain(error):
                    raise
        return None

    def call(self, method: str, target: str, body: Mapping[str, Any] | None = None) -> tuple[int, bytes]:
        """Return status and body of the engine's reply; see `Carrier`."""
        reply = self.api.request(method, f"{self.api.base_url}/v{self.api.api_version}{target}", json=body, timeout=120)
        return reply.status_code, reply.content

    def attach(self, ident: str) -> socket.socket:
        """Return a socket to a container's stdin and output; see `Carrier`."""
        try:
            conn = self.api.attach_socket(ident, params={"stdin": 1, "stdout": 1, "stream": 1})
        except APIError as error:
            raise LabError(f"the helper does not run: {failures.explain(error)}") from error
        wire: socket.socket = getattr(conn, "_sock", conn)
        try:
            own = wire.dup()
        except (AttributeError, NotImplementedError):  # TLS and ssh have no second handle
            return wire
        conn.close()  # the SDK's own handles go at once, not when the collector finds them
        wire.close()
        close_stream(conn)
        return own

    def is_current(self, image: str, digest: str) -> bool:
        """Tell whether an image is there, built from sources of that digest."""
        return helpers.is_current(self, image, digest)

    def start_helper(self, host: FoundHost, image: str) -> FoundHost:
        """Start the shaper of a host; see `Breaking`."""
        return helpers.start(self, host, image)

    def remove_helper(self, helper: FoundHost) -> None:
        """Remove a shaper."""
        helpers.remove(self, helper)

    def ask_helper(self, helper: FoundHost, request: Mapping[str, Any]) -> dict[str, Any]:
        """Ask a shaper; see `Breaking`."""
        return helpers.ask(self, helper, request)

    def feed(self, host: FoundHost, argv: Sequence[str], octets: bytes) -> Executed:
        """Run a command that reads so many octets from its stdin, and no more: not every way to the engine has an end of input.

        Raises:
            LabError: the host does not run.
        """
        began = time.monotonic()
        try:
            started = self.api.exec_create(host.id, list(argv), stdin=True)["Id"]
            stream = self.api.exec_start(started, socket=True)
        except APIError as error:
            raise failures.not_running(host, error) from error
        output = {STDOUT: bytearray(), STDERR: bytearray()}
        wire: Any = getattr(stream, "_sock", stream)
        try:
            sender = threading.Thread(target=wire.sendall, args=(octets,), daemon=True)
            sender.start()  # beside the reading, or two full pipes wait for each other
            for kind, part in frames_iter(stream, tty=False):  # type: ignore[no-untyped-call]
                output[kind] += part
        finally:
            with suppress(OSError):
                wire.close()
            close_stream(stream)
        code = self.api.exec_inspect(started)["ExitCode"]
        return Executed(code or 0, bytes(output[STDOUT]), bytes(output[STDERR]), time.monotonic() - began)

    def signal(self, host: FoundHost, name: str) -> None:
        """Send a signal to a host's first process, which hands it on.

        Raises:
            LabError: the host does not run.
        """
        try:
            self.api.kill(host.id, name)
        except APIError as error:
            raise failures.not_running(host, error) from error

    def processes(self, host: FoundHost) -> int:
        """Return how many processes a host has; 0 where it does not run."""
        try:
            return len(self.api.top(host.id)["Processes"] or ())
        except APIError:
            return 0

    def output(self, host: FoundHost) -> tuple[bytes, bytes]:
        """Return what a host has written to stdout and to stderr.

        Raises:
            LabError: the host is gone.
        """
        try:
            out, err = (self.api.logs(host.id, stdout=want, stderr=not want) for want in (True, False))
        except APIError as error:
            raise failures.not_running(host, error) from error
        return out, err

    def guests(self, network: str) -> tuple[str, ...]:
        """Return the ids of all containers on a network that run."""
        try:
            return tuple(self.api.inspect_network(network).get("Containers") or ())
        except NotFound:
            return ()

    def send_away(self, network: str, guests: Sequence[str], *, made_by: str) -> None:
        """Take containers off a network, so that it can be removed; those that bear the label `made_by` are removed themselves."""
        for guest in guests:
            with suppress(APIError):
                labels = self.api.inspect_container(guest)["Config"].get("Labels") or {}
                if made_by in labels:
                    self.api.remove_container(guest, force=True, v=True)
                else:
                    self.api.disconnect_container_from_network(guest, network, force=True)

    def client(self) -> docker.DockerClient:
        """Return the SDK's object-like client over the same connections, with the version that was agreed on."""
        client = docker.DockerClient.__new__(docker.DockerClient)
        client.api = self.api
        return client

    def close(self) -> None:
        """Close all connections to the engine."""
        self.api.close()

    def logs(self, host: FoundHost, *, follow: bool = False, tail: int | None = None) -> Iterator[bytes]:
        """Yield a host's log, a line at a time."""
        rest = b""
        try:
            stream = self.api.logs(host.id, stream=True, follow=follow, tail="all" if tail is None else tail)
        except NotFound as error:
            raise failures.not_running(host, error) from error
        try:
            for part in stream:
                *lines, rest = (rest + part).split(b"\n")
                yield from lines
            if rest:
                yield rest
        finally:
            close_stream(stream)

    # -- the wire -----------------------------------------------------------------------------------------------------

    def read_tap(self, tap: FoundHost) -> Tapped:
        """Return what a tap has captured up to now; see `Engine.read_tap`."""
        return taps.read(self.api, tap)

    def follow_tap(self, tap: FoundHost) -> Iterator[bytes]:
        """Yield a tap's capture as it grows; see `Engine.follow_tap`."""
        return taps.follow(self.api, tap)

    def mark_tap(self, tap: FoundHost, marks: Sequence[tuple[int, str]]) -> None:
        """Note beside the capture what happened when; see `Engine.mark_tap`."""
        taps.mark(self.api, tap, marks)


class _Action:
    """One run of a plan's steps against the engine."""

    def __init__(self, engine: DockerEngine, lab: LabSpec, progress: Progress) -> None:
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
        with suppress(APIError):
            with ThreadPoolExecutor(POOL) as pool:
                list(pool.map(lambda name: self.api.remove_container(name, force=True, v=True), self.made_hosts))
            for network in self.made_networks:
                self.api.remove_network(network)

    def _run(self, steps: Sequence[Step], timeout: float, pool: ThreadPoolExecutor) -> None:
        remove(steps, self.delete, self.progress)
        creations = _of(steps, CreateHost)
        starts = _of(steps, StartHost)
        if not starts and not _of(steps, Wait) and not _of(steps, StartTap):
            return
        with failures.Watch(self.api, self.lab.name) as watch:
            for network in self.engine.look(self.lab.name).networks:
                self.networks[network.key] = network.name
            self._each(pool, self.create_volume, _of(steps, CreateVolume))
            for step in _of(steps, CreateNetwork):
                self.networks[step.key] = network_name(self.lab, step.key)
            # A container needs its networks when it starts, not when it is created.
            created = [pool.submit(self.create_host, step) for step in creations]
            networks = [pool.submit(self.create_network, step) for step in _of(steps, CreateNetwork)]
            listening = [pool.submit(self.start_tap, step) for step in _of(steps, StartTap)]
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
            else:
                self.api.remove_volume(ident)
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
