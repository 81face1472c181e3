"""The engine's refusals in words a user can act on."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from docker import APIClient
from docker.errors import APIError, DockerException

from labctl.engine import execs
from labctl.engine.endpoint import Endpoint
from labctl.engine.peek import SERVICE
from labctl.engine.translate import container_name
from labctl.errors import EngineError, LabError
from labctl.model import LAB, FoundHost, LabSpec
from labctl.provision.system import engine_problem

LOG_LINES = 15


class NoEngineError(EngineError):
    """No engine answers; caught by the CLI, which may offer to install one."""


def no_engine(endpoint: Endpoint, error: DockerException | OSError | ValueError) -> NoEngineError:
    """Tell why the engine cannot be used: not installed, not running, no permission, or ssh does not get there."""
    if endpoint.url.startswith("ssh://") and not isinstance(error, DockerException):
        host = endpoint.url.removeprefix("ssh://")
        hint = f"`docker -H {endpoint.url} version` has to work: a key that ssh finds, a known host, `docker` on {host}"
        return NoEngineError(str(error), where=f"{endpoint.url} ({endpoint.origin})", hint=hint)
    cause = str(error).lower()
    problem = engine_problem(cause, endpoint.socket)
    return NoEngineError(problem.what, where=f"{endpoint.url} ({endpoint.origin})", hint=problem.hint)


def refused(what: str, error: APIError, hint: str = "") -> LabError:
    """Pass on what the engine said, for want of better words."""
    return LabError(f"{what}: {explain(error)}", hint=hint)


def explain(error: APIError) -> str:
    """Return the engine's own words, on one line."""
    return " ".join(str(error.explanation or error).split())


def not_running(host: FoundHost, error: APIError) -> LabError:
    """Tell that a host cannot be spoken to."""
    return execs.not_running(host, explain(error))


def no_image(image: str) -> LabError:
    """Tell that an image is missing."""
    return LabError(
        f"image `{image}` is not there",
        hint="`labctl build` builds the lab's own images; another must be pulled or loaded first (`docker pull`, `docker load`)",
    )


def not_started(api: APIClient, lab: LabSpec, host: str, error: APIError) -> LabError:
    """Tell why a host could not be created or started."""
    text = explain(error)
    name = container_name(lab, host)
    if error.status_code == 409 and "name" in text:
        owner = next((item for item in api.containers(all=True) if f"/{name}" in item["Names"]), None)
        if owner and LAB not in owner["Labels"]:
            return LabError(
                f"a container named `{name}` is in the way, and labctl did not make it",
                hint=f"`docker rm -f {name}` removes it; `labctl up --lab NAME` takes another name",
            )
        return LabError(
            f"somebody else is bringing lab `{lab.name}` up at this moment",
            hint="`labctl ps` shows it; `labctl up --lab NAME` takes another name",
        )
    if "port is already allocated" in text or "address already in use" in text:
        ports = ", ".join(f"127.0.0.1:{port}" for spec in lab.hosts if spec.name == host for port in spec.ports)
        holders = _who_publishes(api, text)
        return LabError(
            f"a port of host `{host}` cannot be published, it is in use{holders}: {text.rsplit('failed:')[-1].strip()}",
            where=f"--publish, {ports}",
            hint="end what listens there (`ss -ltnp` shows it), or leave out --publish",
        )
    return refused(f"host `{host}` could not be started", error)


def _who_publishes(api: APIClient, text: str) -> str:
    for item in api.containers():
        for port in item.get("Ports") or ():
            if port.get("PublicPort") and f":{port['PublicPort']}" in text:
                lab = item["Labels"].get(LAB)
                return f" by lab `{lab}`" if lab else f" by container `{item['Names'][0].lstrip('/')}`"
    return ""


def died(api: APIClient, host: str, container: str, code: int) -> LabError:
    """Tell that a host ended while starting, with its last lines."""
    return LabError(
        f"host `{host}` ended while starting, exit code {code}; its last lines:\n{last_lines(api, container)}",
        hint="mend what they say; `docker run --rm -it IMAGE` starts it alone",
    )


def last_lines(api: APIClient, container: str) -> str:
    """Return the end of a container's log, set off to be read beside our own words."""
    try:
        log = api.logs(container, tail=LOG_LINES).decode(errors="replace").rstrip()
    except APIError:
        log = ""
    return "\n".join(f"  | {line}" for line in log.splitlines()) or "  | (it said nothing)"


class Watch:
    """Hears of a lab's hosts that end, while it is entered; asks the engine's event stream, not a poll."""

    def __init__(self, api: APIClient, lab: str) -> None:
        self._api = api
        self._filters = {"label": [f"{LAB}={lab}"], "type": ["container"], "event": ["die"]}
        self._told: Callable[[str, str, int], None] | None = None
        self._missed: list[tuple[str, str, int]] = []
        self._lock = threading.Lock()
        self._stream: Any = None

    def tell(self, on_death: Callable[[str, str, int], None]) -> None:
        """Have `on_death` called with (host, container id, exit code), for deaths before this call too."""
        with self._lock:
            self._told = on_death
            missed, self._missed = self._missed, []
        for death in missed:
            on_death(*death)

    def __enter__(self) -> "Watch":
        self._stream = self._api.events(decode=True, filters=self._filters)
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def _read(self) -> None:
        try:
            for event in self._stream:
                actor = event["Actor"]
                death = (
                    actor["Attributes"].get(SERVICE, "?"),
                    actor["ID"],
                    int(actor["Attributes"].get("exitCode", -1)),
                )
                with self._lock:
                    told = self._told
                    if told is None:
                        self._missed.append(death)
                if told:
                    told(*death)
        except Exception:  # noqa: S110 - closing the stream is how the thread ends, and shows as several kinds of error
            pass
