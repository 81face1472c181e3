"""A container for one question: octets in, octets out, and it is gone. No network, no privilege, a small /tmp to write to."""

import shlex
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from docker import APIClient
from docker.errors import APIError, ImageNotFound
from docker.utils.socket import STDERR, STDOUT

from labctl.engine import failures
from labctl.engine.streams import Channel
from labctl.errors import LabError
from labctl.model import ROLE, Executed

NOBODY = "65534:65534"
MEMORY = 768 << 20  # octets; tshark takes some 0.5 GB for a capture of 100,000 frames
PIDS = 64
MOST = 256 << 20  # octets of output
GRACE = 15.0  # seconds beyond the program's own limit: until the container runs, and for its octets to come
_CODE = b"\x1eexit "  # ASCII's record separator, in front of the exit code, at the end of stderr


def body(image: str, argv: Sequence[str], length: int, seconds: float) -> dict[str, Any]:
    """Return the body of the create request.

    Not every way to an engine has an end of input, so the program is given so many octets, and no more; `timeout` ends it from within,
    so that it is gone even where labctl was killed.
    """
    inner = f"head -c {length} | timeout -k 1 {seconds:g} {shlex.join(argv)}; printf '\\036exit %s' $? >&2"
    return {
        "Image": image,
        "User": NOBODY,
        "Entrypoint": ["sh", "-c", inner],
        "Env": ["HOME=/tmp"],
        "WorkingDir": "/tmp",  # noqa: S108 - the container's own
        "OpenStdin": True,
        "StdinOnce": True,  # where labctl is gone, input ends
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Labels": {ROLE: "oneshot"},
        "HostConfig": {
            "NetworkMode": "none",
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "ReadonlyRootfs": True,
            "Tmpfs": {"/tmp": "size=16m,mode=1777"},  # noqa: S108 - the container's own
            "PidsLimit": PIDS,
            "Memory": MEMORY,
            "MemorySwap": MEMORY,
            "AutoRemove": True,
            "LogConfig": {"Type": "none"},
        },
    }


def run(api: APIClient, image: str, argv: Sequence[str], octets: bytes, seconds: float) -> Executed:
    """Run a program over octets in a container of its own.

    Returns:
        Its output; the exit code is 124 where it took too long, 137 where it was killed (for want of memory).

    Raises:
        LabError: the image is not there, the engine refuses, it was silent for too long, or it said too much.
    """
    try:
        made = api.create_container_from_config(body(image, argv, len(octets), seconds))["Id"]  # type: ignore[no-untyped-call]
    except ImageNotFound as error:
        raise failures.no_image(image) from error
    except APIError as error:
        raise LabError(f"`{argv[0]}` could not be started: {failures.explain(error)}") from error
    try:
        with Channel(api.attach_socket(made, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})) as channel:
            api.start(made)
            channel.settimeout(seconds + GRACE)
            return _talk(channel, argv[0], octets)
    except APIError as error:
        raise LabError(f"`{argv[0]}` could not be started: {failures.explain(error)}") from error
    except (OSError, TimeoutError) as error:
        raise LabError(f"`{argv[0]}` was silent for {seconds + GRACE:g} s", hint="give it less to read") from error
    finally:
        with suppress(APIError):
            api.remove_container(made, force=True, v=True)


def _talk(channel: Channel, name: str, octets: bytes) -> Executed:
    output = {STDOUT: bytearray(), STDERR: bytearray()}

    def send() -> None:
        with suppress(OSError):  # it ended before it had read all
            channel.sendall(octets)

    threading.Thread(target=send, daemon=True).start()  # beside the reading, or two full pipes wait for each other
    for stream, part in channel.frames():
        output[stream] += part
        if sum(map(len, output.values())) > MOST:
            raise LabError(f"`{name}` says more than {MOST >> 20} MiB", hint="give it less to read")
    said, mark, code = bytes(output[STDERR]).rpartition(_CODE)
    if not mark:
        return Executed(137, bytes(output[STDOUT]), bytes(output[STDERR]))
    return Executed(int(code or b"137"), bytes(output[STDOUT]), said)
