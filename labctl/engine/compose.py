"""The Compose model of a lab, and the images built from it; life cycle goes through the SDK (`sdk.py`)."""

import hashlib
import json
import os
import re
import subprocess
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from labctl import __version__
from labctl.engine.endpoint import find_endpoint
from labctl.errors import LabError, UsageError
from labctl.paths import cache_folder, lab_root
from labctl.progress import Progress
from labctl.provision.base_image import ImageStore, ensure_base_image
from labctl.provision.compose_tool import ensure_compose

_VARIABLE = re.compile(rb"\$\{?([A-Za-z_][A-Za-z0-9_]*)")
_STAGE = re.compile(r"#\d+ (\[.+?\] .+)")
# Not part of an image, so no reason to build it anew.
_NOT_BUILT = {".md", ".pyc"}
_FOR_LABCTL = "dialogue"  # a folder of `services/` that no host needs


def read_services(compose_file: Path, progress: Progress) -> Mapping[str, Any]:
    """Return the services of a Compose file as `docker compose config` resolves them, whatever their profile.

    Kept in the cache by the digest of all that it depends on: asking Compose costs 0.1 s.

    Raises:
        UsageError: Compose refuses the file.
        LabError: there is no Compose v2, and none can be had.
    """
    kept = _cached_model(compose_file)
    try:
        if kept:
            return dict(json.loads(kept.read_text())["services"])
    except (OSError, ValueError, KeyError):
        pass  # not kept yet, or not readable: asked again
    tool = ensure_compose(progress)
    argv = [*tool.command, "-f", str(compose_file), "--profile", "*", "config", "--format", "json"]
    result = subprocess.run(argv, capture_output=True, text=True, check=False)
    if result.returncode:
        raise UsageError(
            f"Compose does not take the file: {result.stderr.strip() or result.returncode}", where=str(compose_file)
        )
    model = json.loads(result.stdout)
    if kept:
        write_cache(kept, model)
    return dict(model["services"])


def write_cache(path: Path, value: object) -> None:
    """Keep `value` at `path`, whole or not at all; a cache that cannot be written is no error."""
    scratch = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(json.dumps(value))
        scratch.replace(path)
    except OSError:
        scratch.unlink(missing_ok=True)


def _cached_model(compose_file: Path) -> Path | None:
    text = compose_file.read_bytes()
    if re.search(rb"^(include|\s+extends|\s+env_file)\s*:", text, re.MULTILINE):
        return None  # it depends on files that only Compose knows to find
    environment = compose_file.parent / ".env"
    names = sorted(set(_VARIABLE.findall(text)))
    values = [name + b"=" + os.environb.get(name, b"\0") for name in names]
    parts = [__version__.encode(), str(compose_file).encode(), text, *values]
    parts.append(environment.read_bytes() if environment.is_file() else b"")
    return cache_folder() / f"model-{digest(parts)}.json"


def digest(parts: Iterable[bytes]) -> str:
    """Return a SHA-256 over parts, each counted, so that no two lists of parts look alike."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "big") + part)
    return total.hexdigest()


def source_digest(root: Path | None = None) -> str:
    """Return the digest of all that the lab's images are built from; they carry it as label `labctl.source`.

    Args:
        root: the build context; of one without `services/`, such as tshark's, its Dockerfile and compose.yaml count.
    """
    root = root or lab_root()
    own = (root / "Dockerfile", root / "compose.yaml")
    files = sorted(
        path
        for path in ((root / "services").rglob("*") if (root / "services").is_dir() else own)
        if path.suffix not in _NOT_BUILT and path.parent.name != _FOR_LABCTL and path.is_file()
    )
    parts = [os.environb.get(b"BASE_IMAGE", b"")]
    for path in files:
        parts += [path.relative_to(root).as_posix().encode(), path.read_bytes()]
    return digest(parts)[:16]


class ComposeBuilder:
    """Builds a Compose file's images by `docker compose build`, that is by BuildKit."""

    def __init__(self, compose_file: Path, images: ImageStore) -> None:
        self.compose_file = compose_file
        self.images = images

    def build(self, services: Sequence[str], progress: Progress) -> None:
        """Build the images of these services; see `ImageBuilder`."""
        tool = ensure_compose(progress)
        if not os.environ.get("BASE_IMAGE"):
            ensure_base_image(self.images, progress)
        argv = [
            *tool.command,
            "-f",
            str(self.compose_file),
            "--profile",
            "*",
            "--progress",
            "plain",
            "build",
            *services,
        ]
        root = self.compose_file.parent
        env = os.environ | {
            "LABCTL_SOURCE": source_digest(root),
            "DOCKER_BUILDKIT": "1",
            "DOCKER_HOST": find_endpoint().url,
        }
        progress.update("images", "building " + ", ".join(services))
        last: deque[str] = deque(maxlen=25)
        with subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, env=env
        ) as build:
            assert build.stdout is not None  # noqa: S101 - a pipe was asked for
            for line in build.stdout:
                last.append(line.rstrip())
                if stage := _STAGE.match(line):
                    progress.update("images", "building: " + stage[1][:100])
        if build.returncode:
            shown = "\n".join(f"  | {line}" for line in last)
            raise LabError(
                f"the images of {', '.join(f'`{name}`' for name in services)} could not be built:\n{shown}",
                where=str(self.compose_file),
                hint="`labctl doctor` tells what this machine lacks; `labctl build` tries again",
            )
        progress.done("images", "built " + ", ".join(services))
