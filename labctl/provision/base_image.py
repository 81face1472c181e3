"""The base image `debian:trixie-slim`: there, or pulled, or made with mmdebstrap from the system's own Debian mirror."""

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from labctl.errors import EngineError, LabError
from labctl.progress import Progress
from labctl.provision.private_apt import hint_for
from labctl.provision.sources import KEYRINGS, debian_mirror
from labctl.provision.system import as_root, install_package, is_debian_like, os_release

BASE_REF = "debian:trixie-slim"
SUITE = "trixie"
MADE_LABEL = "labctl.source"
MADE_HERE = "mmdebstrap"
TASK = "base image"

# Debian's slim images leave these out too: 124 MB of tar become 81. It takes 20 s.
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/lintian/*")
KEPT = ("/usr/share/doc/*/copyright", "/usr/share/locale/locale.alias")
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|\r")
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
    try:
        mirror = debian_mirror()
    except EngineError as error:
        what = f"image `{BASE_REF}` cannot be pulled ({pull_error.what}), nor made here: {error.what}"
        raise EngineError(what, where=error.where, hint=error.hint) from pull_error
    if not shutil.which("mmdebstrap"):
        if os.geteuid():
            raise EngineError(
                f"image `{BASE_REF}` cannot be pulled, and making it needs the package `mmdebstrap`",
                hint=f"`{as_root('apt-get install -y mmdebstrap uidmap')}`, then try again",
            ) from pull_error
        install_package("mmdebstrap", progress)
    with tempfile.TemporaryDirectory(prefix="labctl-base-") as folder:
        tar = Path(folder) / "base.tar"
        _bootstrap(bootstrap_command(tar, mirror.uri, mirror.signed_by), progress)
        progress.update(TASK, "importing", 0.95)
        images.import_image(tar, BASE_REF, ['CMD ["bash"]', f"LABEL {MADE_LABEL}={MADE_HERE}"])


def bootstrap_command(tar: Path, uri: str, keyring: str) -> list[str]:
    """Return the command that makes the image's file system: as root directly, else in a user namespace."""
    excludes = [f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT]
    includes = [f"--dpkgopt=path-include={path}" for path in KEPT]
    hooks = []
    if not keyring.startswith(f"{KEYRINGS}/debian-archive-"):  # the image's apt needs it too
        folder = shlex.quote(str(Path(keyring).parent))
        hooks = [
            f'--customize-hook=mkdir -p "$1"{folder}',
            f"--customize-hook=upload {shlex.quote(keyring)} {shlex.quote(keyring)}",
        ]
    return [
        "mmdebstrap",
        "--variant=minbase",
        f"--mode={'unshare' if os.geteuid() else 'root'}",
        "--format=tar",
        *excludes,
        *includes,
        *hooks,
        SUITE,
        str(tar),
        f"deb [signed-by={keyring}] {uri} {SUITE} main",
    ]


def _environment() -> Mapping[str, str]:
    """Return the environment with apt's proxies, which mmdebstrap would not read: its apt has the new system's settings."""
    proxies = {}
    for scheme in ("http", "https"):
        said = subprocess.run(
            ["apt-config", "shell", "proxy", f"Acquire::{scheme}::Proxy"], capture_output=True, text=True, check=False
        ).stdout
        value = "".join(shlex.split(said.partition("=")[2]))
        if value and value != "DIRECT":
            proxies[f"{scheme}_proxy"] = value
    return proxies | os.environ


def _bootstrap(argv: Sequence[str], progress: Progress) -> None:
    last: deque[str] = deque(maxlen=12)
    with subprocess.Popen(
        argv, env=_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, errors="replace",
    ) as process:  # fmt: skip
        assert process.stderr is not None  # noqa: S101 - a pipe was asked for
        for line in process.stderr:
            line = _CONTROL.sub("", line).rstrip()
            if line:
                last.append(line)
            for stage, share in _STAGES.items():
                if line.startswith(stage):
                    progress.update(TASK, stage.removeprefix("I: "), share)
    if process.returncode:
        lines = "\n".join(f"  | {line}" for line in last)
        said = "\n".join(last)
        hint = (
            "user namespaces are closed here: run this command as root once, or `docker load` a copy of the image"
            if "unshare" in said
            else hint_for(said)
        )
        raise EngineError(f"the base image could not be made:\n{lines}", where=" ".join(argv[:3]), hint=hint)
