"""The base image `debian:trixie-slim`: there, or pulled, or made with mmdebstrap from the system's own Debian mirror."""

import os
import re
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from labctl.errors import EngineError, LabError
from labctl.progress import Progress
from labctl.provision.sources import debian_mirror
from labctl.provision.system import as_root, install_package, is_debian_like, os_release

BASE_REF = "debian:trixie-slim"
SUITE = "trixie"
MADE_LABEL = "labctl.source"
MADE_HERE = "mmdebstrap"
TASK = "base image"

# Debian's slim images leave these out too: 124 MB of tar become 78.
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/lintian/*")
KEPT = ("/usr/share/doc/*/copyright", "/usr/share/locale/locale.alias")
_STAGES = {"I: running apt-get update": 0.1, "I: downloading packages": 0.3, "I: extracting archives": 0.5,
           "I: installing essential packages": 0.6, "I: installing remaining packages": 0.75, "I: cleaning": 0.9}  # fmt: skip


class ImageStore(Protocol):
    """What is needed of an engine to have an image."""

    def has_image(self, ref: str) -> bool:
        """Tell whether an image is there."""

    def pull(self, ref: str, progress: Progress) -> None:
        """Pull it from its registry; raises LabError where that cannot be."""

    def import_image(self, tar: Path, ref: str, changes: Sequence[str] = ()) -> None:
        """Make an image of a file system in a tar file."""


def describe_base(source: str) -> str:
    """Return in words where the base image came from, by its label."""
    return "made here with mmdebstrap" if source == MADE_HERE else "from a registry"


def ensure_base_image(images: ImageStore, progress: Progress) -> None:
    """Have the base image.

    Raises:
        EngineError: it can be neither pulled nor made; says the one command to run.
    """
    if images.has_image(BASE_REF):
        return
    try:
        progress.update(TASK, f"pulling {BASE_REF}")
        images.pull(BASE_REF, progress)
        progress.done(TASK, f"{BASE_REF} pulled")
    except LabError as error:
        progress.update(TASK, "no registry answers; making it from the Debian mirror of this system")
        _make(images, progress, error)
        progress.done(TASK, f"{BASE_REF} made with mmdebstrap")


def _make(images: ImageStore, progress: Progress, pull_error: LabError) -> None:
    if not is_debian_like(os_release()):
        raise EngineError(
            f"image `{BASE_REF}` cannot be pulled, and this system cannot make it: {pull_error.what}",
            hint=f"`docker load` a copy of {BASE_REF} made elsewhere, or set BASE_IMAGE to an image with apt that is here",
        )
    mirror = debian_mirror()
    if not shutil.which("mmdebstrap"):
        if os.geteuid():
            raise EngineError(
                f"image `{BASE_REF}` cannot be pulled, and making it needs the package `mmdebstrap`",
                hint=f"`{as_root('apt-get install -y mmdebstrap')}`, then try again",
            ) from pull_error
        install_package("mmdebstrap", progress)
    with tempfile.TemporaryDirectory(prefix="labctl-base-") as folder:
        tar = Path(folder) / "base.tar"
        _bootstrap(tar, f"deb [signed-by={mirror.signed_by}] {mirror.uri} {SUITE} main", progress)
        progress.update(TASK, "importing", 0.95)
        images.import_image(tar, BASE_REF, ['CMD ["bash"]', f"LABEL {MADE_LABEL}={MADE_HERE}"])


def bootstrap_command(tar: Path, source: str) -> list[str]:
    """Return the command that makes the image's file system."""
    excludes = [f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT]
    includes = [f"--dpkgopt=path-include={path}" for path in KEPT]
    mode = "root" if os.geteuid() == 0 else "unshare"
    return [
        "mmdebstrap",
        "--variant=minbase",
        f"--mode={mode}",
        "--format=tar",
        *excludes,
        *includes,
        SUITE,
        str(tar),
        source,
    ]


def _bootstrap(tar: Path, source: str, progress: Progress) -> None:
    argv = bootstrap_command(tar, source)
    last: deque[str] = deque(maxlen=12)
    with subprocess.Popen(
        argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stderr is not None  # noqa: S101 - a pipe was asked for
        for line in process.stderr:
            line = re.sub(r"\x1b\[[0-9;]*[A-Za-z]|\r", "", line).rstrip()
            if line:
                last.append(line)
            for stage, share in _STAGES.items():
                if line.startswith(stage):
                    progress.update(TASK, stage.removeprefix("I: "), share)
    if process.returncode:
        lines = "\n".join(f"  | {line}" for line in last)
        raise EngineError(
            f"the base image could not be made:\n{lines}", where=" ".join(argv[:2]), hint="is the mirror in reach?"
        )
