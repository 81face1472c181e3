"""`DockerEngine`: the life cycle of a lab through the Docker SDK, in a thread pool.

Compose's own `up --wait` spends a process, half-second polls and a health interval; here a lab of two hosts is up in the time that
the engine needs to start two containers.
"""

import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, DockerException, NotFound
from docker.tls import TLSConfig
from docker.utils.socket import STDERR, STDOUT

from labctl.engine import failures, helpers, oneshot, taps
from labctl.engine.action import POOL, Action
from labctl.engine.base import Change
from labctl.engine.endpoint import Endpoint, find_endpoint
from labctl.engine.execs import Speaker
from labctl.engine.peek import look, read_container
from labctl.engine.ssh import Tunnel
from labctl.engine.streams import Channel, close_stream
from labctl.errors import LabError
from labctl.model import LAB, SOURCE, Executed, Found, FoundHost, LabSpec, Tapped
from labctl.plan import Step
from labctl.progress import Progress

GRACE = 3  # seconds for a host to end before it is started again
FREEZES = 3  # tries to pause a host
PULL_SILENCE = 25  # seconds without a word from the registry


class DockerEngine(Speaker):
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
        url = self.endpoint.url
        try:
            if url.startswith("ssh://"):
                url = f"unix://{Tunnel(url).path}"
            # `auto`: newer engines refuse old versions, older ones do not know new ones
            self.api = docker.APIClient(
                base_url=url, version="auto", timeout=120, tls=tls or False, max_pool_size=POOL * 2
            )
        except (DockerException, OSError, ValueError) as error:
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

    def hosts(self, lab: str) -> tuple[FoundHost, ...]:
        """Report a lab's containers alone: a third of what `look` costs."""
        items = self.api.containers(all=True, filters={"label": [f"{LAB}={lab}"]})
        return tuple(sorted(map(read_container, items), key=lambda host: host.name))

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
        Action(self, lab, progress).run(steps, timeout)

    # -- inside a host ------------------------------------------------------------------------------------------------

    def start_exec(self, ident: str) -> Channel:
        """Start a command and return what carries its output; see `Speaker`."""
        try:
            return Channel(self.api.exec_start(ident, socket=True))
        except APIError as error:
            raise OSError(failures.explain(error)) from error

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

    def attach(self, ident: str) -> Channel:
        """Return a channel to a container's stdin and output; see `Carrier`."""
        try:
            return Channel(self.api.attach_socket(ident, params={"stdin": 1, "stdout": 1, "stream": 1}))
        except APIError as error:
            raise LabError(f"the helper does not run: {failures.explain(error)}") from error

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
            channel = Channel(self.api.exec_start(started, socket=True))
        except APIError as error:
            raise failures.not_running(host, error) from error
        output = {STDOUT: bytearray(), STDERR: bytearray()}
        with channel:
            sender = threading.Thread(target=channel.sendall, args=(octets,), daemon=True)
            sender.start()  # beside the reading, or two full pipes wait for each other
            for stream, part in channel.frames():
                output[stream] += part
        code = self.api.exec_inspect(started)["ExitCode"]
        return Executed(code or 0, bytes(output[STDOUT]), bytes(output[STDERR]), time.monotonic() - began)

    def run_once(self, image: str, argv: Sequence[str], octets: bytes, seconds: float) -> Executed:
        """Run a program over octets in a container of its own; see `oneshot.run`."""
        return oneshot.run(self.api, image, argv, octets, seconds)

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
        return taps.read(self.api, self, tap)

    def follow_tap(self, tap: FoundHost) -> Iterator[bytes]:
        """Yield a tap's capture as it grows; see `Engine.follow_tap`."""
        return taps.follow(self.api, tap)

    def mark_tap(self, tap: FoundHost, marks: Sequence[tuple[int, str]]) -> None:
        """Note beside the capture what happened when; see `Engine.mark_tap`."""
        taps.mark(self, tap, marks)
