"""One question to the engine without the SDK, for `ls` and shell completion: they must answer at once.

HTTP/1.0 over the Unix socket: the reply ends where the connection does, so ten lines are a whole client.
"""

import json
import socket
from typing import Any
from urllib.parse import quote

from labctl.engine.endpoint import find_endpoint
from labctl.model import LAB, ROLE, SCENARIO, FoundHost

SERVICE = "com.docker.compose.service"


def peek(timeout: float = 2.0) -> tuple[FoundHost, ...] | None:
    """Return the containers of all labs, or None where the engine cannot be asked this way."""
    path = find_endpoint().socket
    if path is None:
        return None
    filters = quote(json.dumps({"label": [LAB]}))
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as conn:
            conn.settimeout(timeout)
            conn.connect(path)
            conn.sendall(f"GET /containers/json?all=1&filters={filters} HTTP/1.0\r\nHost: engine\r\n\r\n".encode())
            reply = b"".join(iter(lambda: conn.recv(65536), b""))
        head, _, body = reply.partition(b"\r\n\r\n")
        if head.split(maxsplit=2)[1] != b"200":
            return None
        return tuple(read_container(item) for item in json.loads(body))
    except (OSError, ValueError, IndexError):
        return None


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
        published=tuple(sorted(published)),
    )
