"""Taps: helper containers in the engine's own network namespace that capture on a lab's bridge.

A bridge exists before any host is on it, so a tap that listens there misses nothing from the first ARP on, and no host needs a privilege.
The tap itself has NET_RAW and NET_ADMIN (to open the socket, and to see what is not addressed to the bridge), and nothing else.
"""

import io
import json
import shlex
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from docker import APIClient
from docker.errors import APIError, ImageNotFound

from labctl.engine import failures, helpers
from labctl.engine.networks import bridge_name
from labctl.engine.streams import Channel
from labctl.engine.translate import compose_labels, container_name
from labctl.errors import LabError
from labctl.model import ROLE, FoundHost, LabSpec, Tapped, TapSpec

NAME = "tap"
FOLDER, STEM = "/capture", "lab.pcap"
SPEC = "labctl.tap"  # label with what the tap was told
STARTED = 10  # seconds; the bridge is there within one
_LISTENING = b"listening on"


def container_of(lab: LabSpec) -> str:
    """Return the name of a lab's tap."""
    return container_name(lab, NAME)


def start(api: APIClient, lab: LabSpec, spec: TapSpec, network: str) -> None:
    """Start a lab's tap and return once it listens.

    Raises:
        LabError: it ended, it does not listen after `STARTED` s, or its image is missing.
    """
    name = container_of(lab)
    body = tap_body(lab, spec, bridge_name(network))
    said = b""
    try:
        api.create_container_from_config(body, name)  # type: ignore[no-untyped-call]
        # before it starts, so that none of its words is missed
        with Channel(api.attach_socket(name, params={"stderr": 1, "stream": 1})) as words, suppress(TimeoutError):
            api.start(name)
            words.settimeout(STARTED)
            for _, part in words.frames():
                said += part
                if _LISTENING in said:
                    return
    except ImageNotFound as error:
        raise failures.no_image(body["Image"]) from error
    except APIError as error:
        raise failures.not_started(api, lab, NAME, error) from error
    lines = said.decode(errors="replace").strip() or "(it said nothing)"
    hint = "the filter is written as for tcpdump (`man pcap-filter`)" if spec.filter else ""
    raise LabError(f"the tap of lab `{lab.name}` does not listen: {lines}", where=f"container {name}", hint=hint)


def tap_body(lab: LabSpec, spec: TapSpec, bridge: str) -> dict[str, Any]:
    """Return the body of the create request for a lab's tap."""
    labels = compose_labels(lab, service=NAME, container_number="1", oneoff="False") | {ROLE: "tap"}
    said = {
        "bridge": bridge,
        "buffer_kib": spec.buffer_kib,
        "ring_mb": spec.ring_mb,
        "snap": spec.snap,
        "filter": spec.filter,
    }
    volume = {"Type": "volume", "Target": FOLDER, "VolumeOptions": {"Labels": compose_labels(lab)}}
    return {
        "Image": lab.tools_image,
        "User": "root",  # in a user's hands a capability is void under no-new-privileges
        "Entrypoint": program(spec, bridge),
        "OpenStdin": True,  # it is asked there
        "Labels": labels | {SPEC: json.dumps(said)},
        "HostConfig": {
            "NetworkMode": "host",
            "CapDrop": ["ALL"],
            "CapAdd": ["NET_RAW", "NET_ADMIN"],
            "SecurityOpt": ["no-new-privileges:true"],
            "ReadonlyRootfs": True,
            "PidsLimit": 16,
            "Mounts": [volume],
        },
    }


def program(spec: TapSpec, bridge: str) -> list[str]:
    """Return the command that captures (`services/tools/tap.py`); it waits for its bridge."""
    said = {
        "bridge": bridge,
        "stem": f"{FOLDER}/{STEM}",
        "buffer_kib": spec.buffer_kib,
        "ring_mb": spec.ring_mb,
        "snap": spec.snap,
    }
    return ["python3", "-E", "-S", "-m", "services.tools.tap", json.dumps(said | {"filter": shlex.split(spec.filter)})]


def read(api: APIClient, carrier: helpers.Carrier, tap: FoundHost) -> Tapped:
    """Return what a tap has captured up to now; see `Engine.read_tap`."""
    told: dict[str, Any] = {}
    with suppress(LabError):  # of one that has ended there is the capture still
        told = helpers.ask(carrier, tap, {"do": "tell"})
    try:
        stream, _ = api.get_archive(tap.id, FOLDER)
        octets = b"".join(stream)
        labels = api.inspect_container(tap.id)["Config"]["Labels"]
    except APIError as error:
        raise failures.not_running(tap, error) from error
    with tarfile.open(fileobj=io.BytesIO(octets)) as archive:
        files = [content.read() for member in archive if (content := archive.extractfile(member))]
    # The first frame's seconds and nanoseconds, behind a header of 24 octets, tell the order of a ring's files.
    files.sort(key=lambda file: (int.from_bytes(file[24:28], "little"), int.from_bytes(file[28:32], "little")))
    said = json.loads(labels.get(SPEC, "{}"))
    bridge = said.pop("bridge", "")
    marks = tuple((int(when), str(text)) for when, text in told.get("marks", ()))
    whole = tuple(file for file in files if len(file) > 24)
    return Tapped(whole, told.get("received", 0), told.get("dropped", 0), bridge, TapSpec(**said), marks)


def follow(api: APIClient, tap: FoundHost) -> Iterator[bytes]:
    """Yield a tap's capture as it grows; see `Engine.follow_tap`."""
    try:
        argv = ["python3", "-m", "services.tools.follow", f"{FOLDER}/{STEM}"]
        started = api.exec_create(tap.id, argv, stdin=True)["Id"]
        channel = Channel(api.exec_start(started, socket=True))
    except APIError as error:
        raise failures.not_running(tap, error) from error
    with channel:  # at its end stdin ends, and with it the program in the tap
        for stream, part in channel.frames():
            yield part if stream == 1 else b""


def mark(carrier: helpers.Carrier, tap: FoundHost, marks: Sequence[tuple[int, str]]) -> None:
    """Have a tap keep the marks; see `Engine.mark_tap`."""
    with suppress(LabError):  # a ladder without marks is a ladder still
        helpers.ask(carrier, tap, {"do": "mark", "marks": list(marks)})
