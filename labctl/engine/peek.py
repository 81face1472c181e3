"""The engine without the SDK, for what must answer at once: `ls`, shell completion, `down`. Importing the SDK costs 0.15 s.

HTTP/1.0 over the Unix socket: the reply ends where the connection does, so ten lines are a whole client.
"""

import json
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from labctl.engine.endpoint import find_endpoint
from labctl.errors import LabError
from labctl.model import CALLS, LAB, ROLE, SCENARIO, Found, FoundHost, FoundNetwork, FoundVolume, LabSpec
from labctl.plan import Step
from labctl.progress import Progress

SERVICE = "com.docker.compose.service"
NETWORK = "com.docker.compose.network"
VOLUME = "com.docker.compose.volume"

# Kind (containers, networks, volumes) and its label filter → what the engine lists.
List = Callable[[str, dict[str, list[str]]], list[dict[str, Any]]]


def request(path: str, method: str, target: str, timeout: float) -> tuple[int, bytes]:
    """Ask the engine at the Unix socket `path`, and return status and body of its reply.

    Raises:
        OSError: nobody answers there, or not in `timeout` seconds.
        ValueError: what answers is no HTTP.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as conn:
        conn.settimeout(timeout)
        conn.connect(path)
        conn.sendall(f"{method} {target} HTTP/1.0\r\nHost: engine\r\n\r\n".encode())
        reply = b"".join(iter(lambda: conn.recv(65536), b""))
    head, _, body = reply.partition(b"\r\n\r\n")
    _, status, *_ = [*head.split(maxsplit=2), b""]
    return int(status), body


def peek(timeout: float = 2.0) -> tuple[FoundHost, ...] | None:
    """Return the containers of all labs, or None where the engine cannot be asked this way."""
    path = find_endpoint().socket
    if path is None:
        return None
    try:
        return tuple(read_container(item) for item in _lister(path, timeout)("containers", {"label": [LAB]}))
    except (OSError, ValueError):
        return None


def answers(path: str) -> bool:
    """Tell whether an engine that lets us in answers at a Unix socket."""
    try:
        return request(path, "GET", "/_ping", 2.0)[0] == 200
    except (OSError, ValueError):
        return False


def _lister(path: str, timeout: float) -> List:
    def ask(kind: str, filters: dict[str, list[str]]) -> list[dict[str, Any]]:
        place = "containers/json?all=1&" if kind == "containers" else f"{kind}?"
        status, body = request(path, "GET", f"/{place}filters={quote(json.dumps(filters))}", timeout)
        if status != 200:
            raise OSError(f"status {status}")
        listed = json.loads(body)
        return list((listed["Volumes"] if kind == "volumes" else listed) or ())

    return ask


def look(ask: List, lab: str | None = None) -> Found:
    """Report what is there of one lab, or of all labs."""
    filters = {"label": [f"{LAB}={lab}" if lab else LAB]}
    hosts = sorted(
        (read_container(item) for item in ask("containers", filters)), key=lambda host: (host.lab, host.name)
    )
    networks = (
        FoundNetwork(
            item["Id"], item["Labels"][LAB], item["Name"], item["Labels"].get(NETWORK, ""), _ours(item["Labels"])
        )
        for item in ask("networks", filters)
    )
    volumes = (
        FoundVolume(item["Labels"][LAB], item["Name"], item["Labels"].get(VOLUME, ""), _ours(item["Labels"]))
        for item in ask("volumes", filters)
    )
    return Found(tuple(hosts), tuple(networks), tuple(volumes))


class QuickEngine:
    """Looks, and takes labs down; all else is `DockerEngine`'s."""

    PATIENCE = 120  # seconds, as the SDK's

    def __init__(self, path: str) -> None:
        """Speak to the engine at the Unix socket `path`; nothing is asked yet."""
        self._path = path

    def look(self, lab: str | None = None) -> Found:
        """Report what is there of one lab, or of all labs."""
        try:
            return look(_lister(self._path, self.PATIENCE), lab)
        except (OSError, ValueError) as error:
            raise _gone(error) from error

    def act(self, lab: LabSpec, steps: Sequence[Step], progress: Progress, *, timeout: float = 30) -> None:  # noqa: ARG002
        """Do the removals of a plan; see `Engine.act`."""
        from labctl.engine.removal import remove

        remove(steps, self._delete, progress)

    def _delete(self, kind: str, ident: str) -> None:
        from labctl.engine.removal import RefusalError

        target = f"/{kind}/{quote(ident, safe='')}" + ("?force=1&v=1" if kind == "containers" else "")
        try:
            status, body = request(self._path, "DELETE", target, self.PATIENCE)
        except (OSError, ValueError) as error:
            raise _gone(error) from error
        if status >= 300:
            raise RefusalError(status, " ".join(str(json.loads(body).get("message", status)).split()))


def _gone(error: Exception) -> LabError:
    return LabError(f"the engine does not answer: {error}", hint="`docker info` shows why")


def read_container(item: dict[str, Any]) -> FoundHost:
    """Read one entry of the engine's container list (API 1.41, `GET /containers/json`)."""
    labels = item["Labels"]
    networks = item.get("NetworkSettings", {}).get("Networks") or {}
    lab: dict[str, Any] = next((net for key, net in sorted(networks.items()) if "_publish-" not in key), {})
    published = (
        f"{port['IP']}:{port['PublicPort']}->{port['PrivatePort']}/{port['Type']}"
        for port in item.get("Ports") or ()
        if port.get("PublicPort") and port.get("IP")
    )
    return FoundHost(
        id=item["Id"],
        lab=labels[LAB],
        name=labels.get(SERVICE, item["Names"][0].removeprefix("/")),
        scenario=labels.get(SCENARIO, ""),
        role=labels.get(ROLE, "host"),
        state=item["State"],
        status=item["Status"],
        image=item["Image"],
        digest=labels.get("com.docker.compose.config-hash", ""),
        image_id=item["ImageID"],
        addresses=tuple(a for a in (lab.get("IPAddress"), lab.get("GlobalIPv6Address")) if a),
        mac=lab.get("MacAddress") or "",
        traced=CALLS in labels,
        published=tuple(sorted(published)),
        labels=_ours(labels),
    )


def _ours(labels: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in labels.items() if key.startswith("labctl.")}
