"""The engine without the SDK, for what must answer at once: `ls`, `exec`, `down`, shell completion. Importing the SDK costs 0.15 s.

HTTP/1.0 over the Unix socket: the reply ends where the connection does, so ten lines are a whole client.
"""

import json
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from labctl.engine.endpoint import find_endpoint
from labctl.engine.execs import Speaker, words_of
from labctl.engine.streams import Channel
from labctl.errors import LabError
from labctl.model import CALLS, LAB, ROLE, SCENARIO, Found, FoundHost, FoundNetwork, FoundVolume, LabSpec
from labctl.plan import Step
from labctl.progress import Progress

if TYPE_CHECKING:
    from labctl.engine.base import Change

SERVICE = "com.docker.compose.service"
NETWORK = "com.docker.compose.network"
VOLUME = "com.docker.compose.volume"

# Kind (containers, networks, volumes) and its label filter → what the engine lists.
List = Callable[[str, dict[str, list[str]]], list[dict[str, Any]]]


def request(path: str, method: str, target: str, timeout: float, body: bytes = b"") -> tuple[int, bytes]:
    """Ask the engine at the Unix socket `path`, with a body of JSON where there is one, and return status and body of its reply.

    Raises:
        OSError: nobody answers there, or not in `timeout` seconds.
        ValueError: what answers is no HTTP.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as conn:
        conn.settimeout(timeout)
        conn.connect(path)
        kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if method != "GET" else ""
        conn.sendall(f"{method} {target} HTTP/1.0\r\nHost: engine\r\n{kind}\r\n".encode() + body)
        reply = b"".join(iter(lambda: conn.recv(65536), b""))
    head, _, answer = reply.partition(b"\r\n\r\n")
    _, status, *_ = [*head.split(maxsplit=2), b""]
    return int(status), answer


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


FREEZES = 5  # tries


class QuickEngine(Speaker):
    """Looks, runs commands in hosts, breaks and heals, and takes labs down; all else is `DockerEngine`'s."""

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
            raise RefusalError(status, words_of(body))

    # -- faults -------------------------------------------------------------------------------------------------------

    def call(self, method: str, target: str, body: Mapping[str, Any] | None = None) -> tuple[int, bytes]:
        """Return status and body of the engine's reply; see `Carrier`."""
        try:
            return request(self._path, method, target, self.PATIENCE, json.dumps(body).encode() if body else b"")
        except (OSError, ValueError) as error:
            raise _gone(error) from error

    def attach(self, ident: str) -> Channel:
        """Return a channel to a container's stdin and output; see `Carrier`."""
        return self._converse(f"/containers/{ident}/attach?stream=1&stdin=1&stdout=1")

    def start_exec(self, ident: str) -> Channel:
        """Start a command and return what carries its output; see `Speaker`."""
        return self._converse(f"/exec/{ident}/start", b'{"Detach": false, "Tty": false}')

    def _converse(self, target: str, body: bytes = b"") -> Channel:
        """Have the engine turn a connection over to a process, and return it.

        Raises:
            OSError: it does not answer, or refuses; in its own words, which come in one piece with the reply's head.
        """
        conn = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            conn.settimeout(self.PATIENCE)
            conn.connect(self._path)
            head = f"POST {target} HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            conn.sendall(f"{head}{kind}".encode() + body)
            reply = b""
            while b"\r\n\r\n" not in reply:  # an octet at a time: what follows is the process's
                octet = conn.recv(1)
                reply += octet
                if not octet:
                    raise OSError("the connection ended")
            if not reply.startswith((b"HTTP/1.1 101", b"HTTP/1.1 200")):
                raise OSError(words_of(conn.recv(1 << 16)))
        except OSError:
            conn.close()
            raise
        return Channel(conn)

    def change(self, host: FoundHost, change: "Change") -> None:
        """Kill, restart, pause or unpause a host; see `Engine.change`."""
        query = {"kill": "?signal=SIGKILL", "restart": "?t=3"}.get(change, "")
        for _ in range(FREEZES):  # a busy kernel now and then says "unable to freeze" and means: once more
            status, body = self.call("POST", f"/containers/{host.id}/{change}{query}")
            if status < 300 or change != "pause" or b"freeze" not in body:
                break
        if status >= 300:
            raise LabError(f"host `{host.name}` of lab `{host.lab}`: {change} failed: {words_of(body)}")
        if change == "kill":
            self.call("POST", f"/containers/{host.id}/wait")  # until then its name still resolves

    def is_current(self, image: str, digest: str) -> bool:
        """Tell whether an image is there, built from sources of that digest."""
        from labctl.engine import helpers

        return helpers.is_current(self, image, digest)

    def start_helper(self, host: FoundHost, image: str) -> FoundHost:
        """Start the shaper of a host; see `Breaking`."""
        from labctl.engine import helpers

        return helpers.start(self, host, image)

    def remove_helper(self, helper: FoundHost) -> None:
        """Remove a shaper."""
        from labctl.engine import helpers

        helpers.remove(self, helper)

    def ask_helper(self, helper: FoundHost, request: Mapping[str, Any]) -> dict[str, Any]:
        """Ask a shaper; see `Breaking`."""
        from labctl.engine import helpers

        return helpers.ask(self, helper, request)


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
