"""A picture of the window for a file: drawn on a screen inside the container, so that no display is needed here."""

import os
import secrets
import subprocess
from collections.abc import Sequence

from labctl.errors import LabError

PLAY = ("python3", "-m", "services.desktop.play", "--picture")


def take_picture(exec_prefix: Sequence[str], size: str, arguments: Sequence[str]) -> tuple[bytes, str]:
    """Return the window as a PNG file, and what went wrong in it, in words: mostly nothing.

    Args:
        exec_prefix: `docker exec -i CONTAINER`, in words.
        size: of the screen, such as `1100x750`.
        arguments: of `services.desktop.play`: options, and the buttons to press before.

    Raises:
        LabError: there is no picture.
    """
    number = secrets.randbelow(9000) + 10_000  # of the display: beside those of `--via web`
    screen = ["python3", "-m", "services.desktop.screen", "--size", size, "--number", str(number)]
    argv = [*exec_prefix, *screen, "--folder", f"/run/labctl/screen-{number}", "--", *PLAY, *arguments]
    theirs, ours = os.pipe()  # the screen ends with its stdin, and so with us
    try:
        done = subprocess.run(argv, stdin=theirs, capture_output=True, check=False)
    finally:
        os.close(theirs)
        os.close(ours)
    said = done.stderr.decode(errors="replace").strip()[-600:]
    if not done.stdout.startswith(b"\x89PNG"):
        raise LabError(
            "no picture came from the window", where=said, hint="`labctl build gui-demo` builds its image anew"
        )
    return done.stdout, said if done.returncode else ""
