"""Compose v2: found where the system has it, else obtained from Debian's or Ubuntu's packages into a folder of our own.

The plugin is a program that also runs by itself, so labctl needs neither the docker CLI nor a place in its plugin folders; the system's
own Docker packages are never touched.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from labctl.errors import EngineError
from labctl.progress import Progress
from labctl.provision.private_apt import private_apt
from labctl.provision.sources import Source, debian_mirror
from labctl.provision.system import is_debian_like, os_release

PLUGINS = ("docker-compose", "docker-buildx")
# The first Debian release whose package is Compose v2; older systems take theirs from it. Its programs need libc 2.34, so Debian 12 does.
FIRST_WITH_V2 = "trixie"
CLI_FOLDERS = ("/usr/local/lib/docker", "/usr/local/libexec/docker", "/usr/lib/docker", "/usr/libexec/docker")


@dataclass(frozen=True)
class ComposeTool:
    """A Compose v2 that can be run: `[*command, "-f", FILE, "build"]`."""

    command: tuple[str, ...]
    version: str
    origin: str


def own_folder() -> Path:
    """Return the plugin folder of our own: `$LABCTL_HOME/cli-plugins`, by default in the user's data folder."""
    home = os.environ.get("LABCTL_HOME")
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return (Path(home) if home else Path(data) / "labctl") / "cli-plugins"


def find_compose() -> ComposeTool | None:
    """Return the Compose v2 that is here: our own, then the CLI's plugins, then a `docker-compose` on PATH; no network is asked."""
    for path, origin in _candidates():
        if os.access(path, os.X_OK) and path.is_file() and (version := _version(path)):
            return ComposeTool((str(path),), version, origin)
    return None


def _candidates() -> Iterator[tuple[Path, str]]:
    own = own_folder()
    yield own / PLUGINS[0], _own_origin(own)
    config = os.environ.get("DOCKER_CONFIG")
    folders = [Path(config) if config else Path.home() / ".docker", *map(Path, CLI_FOLDERS)]
    for folder in folders:
        yield folder / "cli-plugins" / PLUGINS[0], "the docker CLI's plugin"
    if on_path := shutil.which(PLUGINS[0]):
        yield Path(on_path), "the program on PATH"


def _own_origin(folder: Path) -> str:
    try:
        facts = json.loads((folder / "origin.json").read_text())
        return f"from package {facts['package']} {facts['version']} of {facts['suite']}"
    except (OSError, ValueError, KeyError):
        return "labctl's own"


def _version(path: Path) -> str | None:
    """Return the version of a Compose v2; None for version 1, which is a Python script, and for what does not run."""
    with path.open("rb") as program:
        if program.read(2) == b"#!":
            return None
    try:
        said = subprocess.run([path, "version", "--short"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = said.stdout.strip().removeprefix("v")
    return version if said.returncode == 0 and version[:1].isdigit() and not version.startswith("1.") else None


def ensure_compose(progress: Progress) -> ComposeTool:
    """Return a Compose v2, obtained first where there is none.

    Raises:
        EngineError: it cannot be had here; says what to install.
    """
    return find_compose() or obtain_compose(progress)


def obtain_compose(progress: Progress) -> ComposeTool:
    """Unpack the system's own packages of Compose v2 and buildx into our folder, verified by apt's signatures.

    Raises:
        EngineError: no such system, no network, or a signature that does not hold.
    """
    release = os_release()
    if not is_debian_like(release):
        raise EngineError(
            "Docker Compose v2 is not installed", hint="install this system's package of it, then try again"
        )
    source, packages = wanted_packages(release)
    suite = source.suite if source else release.get("VERSION_CODENAME", "this system")
    task = "Compose v2"
    progress.update(task, f"fetching the package lists of {suite}", 0.0)
    with private_apt(source) as apt:
        apt.update(lambda share: progress.update(task, f"fetching the package lists of {suite}", share / 2))
        debs = apt.download(
            packages, lambda share: progress.update(task, f"downloading {', '.join(packages)}", 0.5 + share / 2)
        )
        _unpack(debs, suite)
    tool = find_compose()
    if tool is None:
        raise EngineError("the Compose program that was downloaded does not run here", where=str(own_folder()))
    progress.done(task, f"{tool.version}, {tool.origin}")
    return tool


def wanted_packages(release: Mapping[str, str]) -> tuple[Source | None, tuple[str, str]]:
    """Return where Compose v2 comes from on a system (None: its own sources) and the names of the packages.

    Raises:
        EngineError: a Debian too old to have it, whose sources name no mirror.
    """
    if release.get("ID") == "debian":
        number = release.get("VERSION_ID", "")
        if number.isdigit() and int(number) < 13:
            mirror = debian_mirror(release=release)
            return Source(mirror.uri, FIRST_WITH_V2, ("main",), mirror.signed_by), ("docker-compose", "docker-buildx")
        return None, ("docker-compose", "docker-buildx")
    return None, ("docker-compose-v2", "docker-buildx")


def _unpack(debs: list[Path], suite: str) -> None:
    folder = own_folder()
    folder.mkdir(parents=True, exist_ok=True)
    for deb in debs:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as scratch:
            subprocess.run(["dpkg-deb", "-x", deb, scratch], check=True, capture_output=True)
            for name in PLUGINS:
                for program in Path(scratch).rglob(f"cli-plugins/{name}"):
                    program.replace(folder / name)  # whole or not at all: two labctls may do this at once
        if deb.name.startswith("docker-compose"):
            package, version, _ = deb.name.split("_", 2)
            facts = {"package": package, "version": version.replace("%3a", ":"), "suite": suite}
            (folder / "origin.json").write_text(json.dumps(facts) + "\n")
