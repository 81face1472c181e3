"""Shapers: helper containers, each in one host's network namespace, that do what `impair` and `partition` ask.

A helper is asked by lines on its stdin, which the engine's API carries (`attach`): no process is started for a question, no port is open.
It has NET_ADMIN and NET_RAW in that host's namespace alone; the host has neither, so nothing in a host can lift a fault.
"""

import json
import os
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import quote

from labctl.engine.execs import words_of
from labctl.engine.streams import Channel
from labctl.engine.translate import compose_labels, container_name
from labctl.errors import LabError
from labctl.model import ROLE, SHAPER, SOURCE, FoundHost, LabSpec

ANSWERS = 15.0  # seconds for a helper to answer; the first answer waits for its start
PROGRAM = ("python3", "-m", "services.tools.shaper")


class Carrier(Protocol):
    """What carries requests to the engine."""

    def call(self, method: str, target: str, body: Mapping[str, Any] | None = None) -> tuple[int, bytes]:
        """Return status and body of the reply.

        Raises:
            LabError: the engine does not answer.
        """

    def attach(self, ident: str) -> Channel:
        """Return what carries a container's stdin and, in frames, its output.

        Raises:
            LabError: it does not run.
        """


def helper_name(host: str) -> str:
    """Return the name of a host's shaper among the containers of its lab."""
    return f"shaper-{host}"


def helper_body(host: FoundHost, image: str) -> dict[str, Any]:
    """Return the body of the create request for the shaper of a host."""
    lab = LabSpec(host.lab, host.scenario, ())
    labels = compose_labels(lab, service=helper_name(host.name), container_number="1", oneoff="False")
    return {
        "Image": image,
        "User": "root",  # in a user's hands a capability is void under no-new-privileges
        "Entrypoint": list(PROGRAM),
        "Cmd": [host.name, *host.addresses],
        "OpenStdin": True,
        "Labels": labels | {ROLE: SHAPER},
        "HostConfig": {
            "NetworkMode": f"container:{host.id}",
            "CapDrop": ["ALL"],
            "CapAdd": ["NET_ADMIN", "NET_RAW"],
            "SecurityOpt": ["no-new-privileges:true"],
            "ReadonlyRootfs": True,
            "PidsLimit": 32,
            "Memory": 512 << 20,  # 50,000 frames of 9,000 octets are held at most
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
        },
    }


def is_current(carrier: Carrier, image: str, digest: str) -> bool:
    """Tell whether an image is there, built from sources of that digest."""
    status, body = carrier.call("GET", f"/images/{quote(image, safe='')}/json")
    return status == 200 and (json.loads(body)["Config"].get("Labels") or {}).get(SOURCE) == digest


def start(carrier: Carrier, host: FoundHost, image: str) -> FoundHost:
    """Start the shaper of a host.

    Raises:
        LabError: the image is missing, the host does not run, or it is not allowed.
    """
    name = container_name(LabSpec(host.lab, host.scenario, ()), helper_name(host.name))
    status, body = carrier.call("POST", f"/containers/create?name={quote(name)}", helper_body(host, image))
    if status == 404:
        raise LabError(f"image `{image}` is not there", hint="`labctl build` builds it")
    if status >= 300:
        raise _refused(f"the shaper of `{host.name}` could not be made", body)
    ident = json.loads(body)["Id"]
    status, body = carrier.call("POST", f"/containers/{ident}/start")
    if status >= 300:
        carrier.call("DELETE", f"/containers/{ident}?force=1&v=1")
        raise _refused(f"the shaper of `{host.name}` could not be started", body)
    return FoundHost(ident, host.lab, helper_name(host.name), host.scenario, role=SHAPER, image=image)


def remove(carrier: Carrier, helper: FoundHost) -> None:
    """Remove a shaper; that it is gone already is no error."""
    status, body = carrier.call("DELETE", f"/containers/{helper.id}?force=1&v=1")
    if status >= 300 and status not in (404, 409):
        raise _refused(f"`{helper.name}` could not be removed", body)


def ask(carrier: Carrier, helper: FoundHost, request: Mapping[str, Any]) -> dict[str, Any]:
    """Ask a shaper and return its answer.

    Raises:
        LabError: it does not answer in `ANSWERS` s, or tells an error.
    """
    ident = f"{os.getpid()}-{time.monotonic_ns()}"
    try:
        with carrier.attach(helper.id) as conn:
            conn.sendall(json.dumps({**request, "id": ident}).encode() + b"\n")
            answer = _answer(conn, ident)
    except (OSError, EOFError, TimeoutError) as error:
        raise LabError(
            f"`{helper.name}` of lab `{helper.lab}` does not answer: {error or 'it has ended'}",
            hint=f"`labctl heal --lab {helper.lab}` starts it anew",
        ) from error
    if "error" in answer:
        raise LabError(
            f"`{helper.name}`: {answer['error']}", hint="`labctl doctor --impair` shows what this kernel can do"
        )
    return answer


def _answer(conn: Channel, ident: str) -> dict[str, Any]:
    """Read the engine's frames (type, three zeros, length, octets) until the line that answers; others are other askers'."""
    deadline = time.monotonic() + ANSWERS
    octets, text = b"", b""
    while True:
        conn.settimeout(max(0.01, deadline - time.monotonic()))
        part = conn.recv(1 << 16)
        if not part:
            raise EOFError
        octets += part
        while len(octets) >= 8 and len(octets) >= 8 + struct.unpack_from("!xxxxI", octets)[0]:
            (length,) = struct.unpack_from("!xxxxI", octets)
            text += octets[8 : 8 + length] if octets[0] == 1 else b""
            octets = octets[8 + length :]
        *lines, text = text.split(b"\n")
        for line in lines:
            with suppress(ValueError):
                answer = json.loads(line)
                if answer.get("id", ident) == ident:
                    return dict(answer)


def _refused(what: str, body: bytes) -> LabError:
    return LabError(f"{what}: {words_of(body)}")
