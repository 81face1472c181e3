"""Taps: helper containers in the engine's own network namespace that capture on a lab's bridge.

A bridge exists before any host is on it, so a tap that listens there misses nothing from the first ARP on, and no host needs a privilege.
The tap itself has NET_RAW and NET_ADMIN (to open the socket, and to see what is not addressed to the bridge), and nothing else.
"""

import io
import json
import re
import shlex
import tarfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from docker import APIClient
from docker.errors import APIError, ImageNotFound, NotFound
from docker.utils.socket import frames_iter

from labctl.engine import failures
from labctl.engine.networks import bridge_name
from labctl.engine.streams import close_stream
from labctl.engine.translate import compose_labels, container_name
from labctl.errors import LabError
from labctl.model import ROLE, FoundHost, LabSpec, Tapped, TapSpec

NAME = "tap"
FOLDER, STEM, MARKS = "/capture", "lab.pcap", "marks.json"
SPEC = "labctl.tap"  # label with what the tap was told
STARTED = 10  # seconds; the bridge is there within one
COUNTED = 2  # seconds for the tap to answer SIGUSR1
_COUNTS = re.compile(rb"(\d+) packets? captured, (\d+) packets? received by filter, (\d+) packets? dropped by kernel")
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
    try:
        api.create_container_from_config(body, name)  # type: ignore[no-untyped-call]
        api.start(name)
    except ImageNotFound as error:
        raise failures.no_image(body["Image"]) from error
    except APIError as error:
        raise failures.not_started(api, lab, NAME, error) from error
    deadline = time.monotonic() + STARTED
    said = b""
    stream = api.logs(name, stream=True, follow=True)
    try:
        for part in stream:
            said += part
            if _LISTENING in said:
                return
            if time.monotonic() > deadline:
                break
    finally:
        close_stream(stream)
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


def read(api: APIClient, tap: FoundHost) -> Tapped:
    """Return what a tap has captured up to now; see `Engine.read_tap`."""
    received, dropped = _counts(api, tap)
    try:
        stream, _ = api.get_archive(tap.id, FOLDER)
        octets = b"".join(stream)
        labels = api.inspect_container(tap.id)["Config"]["Labels"]
    except APIError as error:
        raise failures.not_running(tap, error) from error
    files: list[bytes] = []
    marks: tuple[tuple[int, str], ...] = ()
    with tarfile.open(fileobj=io.BytesIO(octets)) as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is None:
                continue
            if member.name.endswith(MARKS):
                marks = tuple((int(when), str(text)) for when, text in json.load(content))
            else:
                files.append(content.read())
    # The first frame's seconds and nanoseconds, behind a header of 24 octets, tell the order of a ring's files.
    files.sort(key=lambda file: (int.from_bytes(file[24:28], "little"), int.from_bytes(file[28:32], "little")))
    said = json.loads(labels.get(SPEC, "{}"))
    bridge = said.pop("bridge", "")
    return Tapped(tuple(file for file in files if len(file) > 24), received, dropped, bridge, TapSpec(**said), marks)


def _counts(api: APIClient, tap: FoundHost) -> tuple[int, int]:
    """Have it tell how many frames it received, and how many the kernel dropped; (0, 0) where it does not run."""
    asked = len(_COUNTS.findall(_log(api, tap)))
    with suppress(APIError):
        api.kill(tap.id, "USR1")
        deadline = time.monotonic() + COUNTED
        while time.monotonic() < deadline:
            told = _COUNTS.findall(_log(api, tap))
            if len(told) > asked:
                return int(told[-1][1]), int(told[-1][2])
            time.sleep(0.005)
    told = _COUNTS.findall(_log(api, tap))
    return (int(told[-1][1]), int(told[-1][2])) if told else (0, 0)


def _log(api: APIClient, tap: FoundHost) -> bytes:
    try:
        return bytes(api.logs(tap.id))
    except NotFound as error:
        raise failures.not_running(tap, error) from error


def follow(api: APIClient, tap: FoundHost) -> Iterator[bytes]:
    """Yield a tap's capture as it grows; see `Engine.follow_tap`."""
    try:
        argv = ["python3", "-m", "services.tools.follow", f"{FOLDER}/{STEM}"]
        started = api.exec_create(tap.id, argv, stdin=True)["Id"]
        conn = api.exec_start(started, socket=True)
    except APIError as error:
        raise failures.not_running(tap, error) from error
    try:
        for stream, part in frames_iter(conn, tty=False):  # type: ignore[no-untyped-call]
            if stream == 1:
                yield part
    finally:
        conn.close()  # its stdin ends, and with it the program in the tap


def mark(api: APIClient, tap: FoundHost, marks: Sequence[tuple[int, str]]) -> None:
    """Put the marks beside the capture; see `Engine.mark_tap`."""
    content = json.dumps(list(marks)).encode()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo(MARKS)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    with suppress(APIError):  # a ladder without marks is a ladder still
        api.put_archive(tap.id, FOLDER, archive.getvalue())
