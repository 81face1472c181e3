"""`--via web`: the screen in the container, the gateway here, the browser on either."""

import asyncio
import io
import secrets
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

from labctl.errors import LabError
from labctl.gui.gateway import Gateway

FILES = "/usr/share/novnc"
SCREEN = ("python3", "-S", "-m", "services.desktop.screen")
PIPE = ("python3", "-S", "-m", "services.desktop.pipe")


async def fetch_files(exec_prefix: Sequence[str]) -> dict[str, bytes]:
    """Return noVNC's files, which the image has, as the paths under which the gateway serves them; and our page.

    Raises:
        LabError: the image has none.
    """
    process = await asyncio.create_subprocess_exec(
        *exec_prefix, "tar", "-c", "-C", FILES, "core", "vendor", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    octets, errors = await process.communicate()
    if process.returncode:
        raise LabError(
            "noVNC cannot be read from the desktop's image",
            where=errors.decode(errors="replace").strip()[-300:],
            hint="`labctl build gui-demo` builds the image anew",
        )
    files = {"/": (Path(__file__).parent / "page.html").read_bytes()}
    with tarfile.open(fileobj=io.BytesIO(octets)) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content:
                files[f"/{member.name}"] = content.read()
    return files


async def run_web(
    exec_prefix: Sequence[str], program: Sequence[str], size: str, tell: Callable[[str], None], port: int = 0
) -> int:
    """Show the window on a screen in the container, serve it, and return the window's exit code.

    Args:
        exec_prefix: `docker exec -i CONTAINER`, in words.
        program: the window's, in words.
        tell: called with the address once a browser may connect.

    Raises:
        LabError: the screen does not come up.
    """
    number = secrets.randbelow(9000) + 100  # of the display: several windows may be open at once
    folder = f"/run/labctl/screen-{number}"
    words = [
        *exec_prefix,
        *SCREEN,
        "--size",
        size,
        "--number",
        str(number),
        "--folder",
        folder,
        "--tell",
        "--",
        *program,
    ]
    screen = await asyncio.create_subprocess_exec(
        *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert screen.stdin and screen.stdout  # noqa: S101 - both are pipes
    gateway: Gateway | None = None
    try:
        files, said = await asyncio.gather(fetch_files(exec_prefix), screen.stdout.readline())
        if said != b"ready\n":
            hint = "`labctl logs desktop` and `labctl doctor` may tell why"
            raise LabError("the screen in the container did not come up", hint=hint)
        gateway = Gateway(files, [*exec_prefix, *PIPE, f"{folder}/vnc.sock"], secrets.token_urlsafe(24))
        await gateway.start(port)
        tell(gateway.address)
        return await screen.wait()
    finally:
        if gateway:
            await gateway.stop()
        screen.stdin.close()  # the screen ends when its stdin does
        try:
            await asyncio.wait_for(screen.wait(), 8)
        except TimeoutError:
            screen.kill()
            await screen.wait()
