"""Compose v2: found where the system has it, else obtained from Debian's or Ubuntu's packages into a folder of our own.

The plugin is a program that also runs by itself, so labctl needs neither the docker CLI nor a place in its plugin folders; the system's
own Docker packages are never touched. Compose has BuildKit's client in itself (tried: 2.26 of Debian 13, 2.40 of Ubuntu 24.04) and
builds by it with no buildx in sight; buildx comes along for versions that look for it.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

from labctl.errors import EngineError
from labctl.progress import Progress
from labctl.provision.private_apt import private_apt
from labctl.provision.sources import Source, archive_of, debian_mirror, system_sources
from labctl.provision.system import is_debian_like, os_release

TASK = "Compose v2"
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
    """Return the version of a Compose v2; None for version 1, and for what does not run."""
    try:
        with path.open("rb") as program:
            start = program.readline(100)
        if start.startswith(b"#!") and b"python" in start:
            return None  # version 1, as Debian 12 has it: half a second to ask
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
        EngineError: no such system, no network, a signature that does not hold, or no room for it.
    """
    sources, packages = wanted_packages(os_release())
    suite = sources[0].suite
    progress.update(TASK, f"fetching the package lists of {suite}", 0.0)
    with private_apt(sources) as apt:
        apt.update(lambda share: progress.update(TASK, f"fetching the package lists of {suite}", share / 2))
        text = f"downloading {', '.join(packages)}"
        debs = apt.download(packages, lambda share: progress.update(TASK, text, 0.5 + share * 0.45))
        progress.update(TASK, "unpacking", 0.95)
        _unpack(debs, suite)
    tool = find_compose()
    if tool is None:
        raise EngineError(
            f"the Compose program of package `{packages[0]}` is no version 2, or does not run here",
            where=str(own_folder()),
            hint="install Docker Compose v2 as its makers say, then try again",
        )
    progress.done(TASK, f"{tool.version}, {tool.origin}")
    return tool


def wanted_packages(
    release: Mapping[str, str], system: Sequence[Source] | None = None
) -> tuple[list[Source], tuple[str, str]]:
    """Return which archives have Compose v2 for a system, and the names of the packages.

    Args:
        release: facts of `/etc/os-release`.
        system: the system's apt sources; read where None.

    Raises:
        EngineError: a system without apt, or whose sources name no such archive.
    """
    debian, ubuntu = ("docker-compose", "docker-buildx"), ("docker-compose-v2", "docker-buildx")
    names = {release.get("ID", ""), *release.get("ID_LIKE", "").split()}
    if release.get("ID") == "debian":
        mirror = debian_mirror(system, release)
        number = release.get("VERSION_ID", "")  # testing and unstable have none
        return [replace(mirror, suite=FIRST_WITH_V2) if number.isdigit() and int(number) < 13 else mirror], debian
    if not is_debian_like(release):
        raise EngineError(
            "Docker Compose v2 is not installed", hint="install this system's package of it, then try again"
        )
    codename = release.get("UBUNTU_CODENAME") or release.get("VERSION_CODENAME", "")
    component, packages = ("universe", ubuntu) if "ubuntu" in names else ("main", debian)
    found = archive_of(system_sources() if system is None else system, codename, component)
    if not found:
        raise EngineError(
            f"Docker Compose v2 is not installed, and the apt sources here have no `{component}` of {codename} to take it from",
            where="/etc/apt/sources.list and sources.list.d",
            hint="`add-apt-repository universe` adds it" if component == "universe" else "install Docker Compose v2",
        )
    return found, packages


def _unpack(debs: Sequence[Path], suite: str) -> None:
    folder = own_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as scratch:
            for deb in debs:
                subprocess.run(["dpkg-deb", "-x", deb, scratch], check=True, capture_output=True, text=True)
            (Path(scratch) / "origin.json").write_text(json.dumps(_facts(debs, suite)) + "\n")
            # Each whole or not at all, Compose last: two labctls may do this at once, and whoever sees Compose has all.
            for name in ("origin.json", *reversed(PLUGINS)):
                for found in [Path(scratch) / name, *Path(scratch).rglob(f"cli-plugins/{name}")]:
                    if found.is_file():
                        found.replace(folder / name)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise EngineError(
            f"Compose v2 could not be unpacked: {said.strip()}",
            where=str(folder),
            hint="is there room, and may you write there? LABCTL_HOME names another folder",
        ) from error


def _facts(debs: Sequence[Path], suite: str) -> Mapping[str, str]:
    for deb in debs:
        package, version, _ = unquote(deb.name).split("_", 2)
        if package.startswith("docker-compose"):
            return {"package": package, "version": version, "suite": suite}
    return {}
