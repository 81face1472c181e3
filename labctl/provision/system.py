"""Which system this is, and what to do where it has no engine."""

import os
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labctl.errors import EngineError, LabError
from labctl.progress import Progress

OS_RELEASE = Path("/etc/os-release")
ENGINE_PACKAGE = "docker.io"
SYSTEMD = Path("/run/systemd/system")  # there where systemd is the first process: sd_booted(3)
ENGINE_SOCKET = "/var/run/docker.sock"
START_SECONDS = 30  # a first start makes its networks and storage: 2 to 5 s
NO_ENGINE = "there is no Docker engine on this machine"
# Beside the engine: without them, where the kernel has AppArmor no container starts, and no registry is trusted.
ENGINE_COMPANIONS = ("apparmor", "ca-certificates")


@dataclass(frozen=True)
class Problem:
    """What is wrong with the engine, and how to mend it; `installable` where Debian's package would."""

    what: str
    hint: str
    installable: bool = False


def os_release(path: Path = OS_RELEASE) -> Mapping[str, str]:
    """Return `/etc/os-release` (os-release(5)); nothing where there is none."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {key.strip(): "".join(shlex.split(value)) for key, _, value in pairs}


def is_debian_like(release: Mapping[str, str]) -> bool:
    """Tell whether packages come by apt here."""
    return bool({release.get("ID", ""), *release.get("ID_LIKE", "").split()} & {"debian", "ubuntu"})


def as_root(command: str) -> str:
    """Return a command as this user has to type it."""
    return command if os.geteuid() == 0 else f"sudo {command}"


def engine_problem(
    cause: str, socket_path: str | None, *, has_engine: bool | None = None, release: Mapping[str, str] | None = None
) -> Problem:
    """Return what to say when the engine does not answer.

    Args:
        cause: the connection's error, in small letters.
        socket_path: path of its Unix socket; None where it is elsewhere.
        has_engine: whether the engine's program is installed; looked up where None.
        release: facts of `/etc/os-release`; read where None.
    """
    release = os_release() if release is None else release
    has_engine = (
        bool(shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"))
        if has_engine is None
        else has_engine
    )
    if "permission denied" in cause:
        hint = "`sudo usermod -aG docker $USER`, then log in again; or run this command with `sudo`"
        return Problem("you have no permission on the Docker engine's socket", hint)
    if socket_path is None:
        return Problem(
            f"the Docker engine does not answer: {cause}",
            "is the address right? DOCKER_HOST or `docker context` names it",
        )
    if has_engine:
        start = as_root("systemctl start docker") if SYSTEMD.is_dir() else as_root("service docker start")
        return Problem("the Docker engine is installed but does not run", f"`{start}` starts it")
    if is_debian_like(release):
        command = as_root(f"apt-get install -y {ENGINE_PACKAGE}")
        return Problem(NO_ENGINE, f"`{command}` installs it; so does this command with --yes", True)
    return Problem(NO_ENGINE, "see docs.docker.com/engine/install for this system")


def offer_engine(
    error: LabError,
    *,
    ask: Callable[[str], bool] | None,
    assume_yes: bool,
    progress: Progress,
) -> bool:
    """Install Debian's engine where there is none and the user wants it; tell whether that was done.

    Args:
        ask: puts a yes-or-no question; None where there is no terminal.

    Raises:
        EngineError: the installation failed.
    """
    if error.what != NO_ENGINE or not is_debian_like(os_release()):
        return False
    question = f"There is no Docker engine here. Install the package `{ENGINE_PACKAGE}`?"
    if not (assume_yes or (ask and ask(question))):
        return False
    install_package(ENGINE_PACKAGE, progress, *ENGINE_COMPANIONS)
    if not SYSTEMD.is_dir():
        _must([*_sudo(), "service", "docker", "start"], "the engine could not be started")
    progress.update(ENGINE_PACKAGE, "waiting for the engine to answer")
    if not _answers(ENGINE_SOCKET, START_SECONDS):
        raise EngineError(
            f"the Docker engine was installed and does not answer after {START_SECONDS} s",
            where=ENGINE_SOCKET,
            hint=f"`{as_root('journalctl -u docker')}` or /var/log/docker.log shows why",
        )
    progress.done(ENGINE_PACKAGE, "the engine runs")
    return True


def _answers(path: str, seconds: float) -> bool:
    """Wait until somebody listens on a Unix socket; one that we may not use counts, that is told apart later."""
    end = time.monotonic() + seconds
    while True:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(path)
            except PermissionError:
                return True
            except OSError:
                if time.monotonic() > end:
                    return False
            else:
                return True
        time.sleep(0.1)


def install_package(package: str, progress: Progress, *others: str) -> None:
    """Install a package of the system's own by apt-get, and others with it.

    Raises:
        EngineError: not root, and no way to become it; or apt-get failed.
    """
    if os.geteuid() and not shutil.which("sudo"):
        raise EngineError(
            f"package `{package}` is needed, and only root may install it",
            hint=f"as root: `apt-get install -y {package}`",
        )
    progress.update(package, "installing the package")
    install = [*_apt_get(), "install", package, *others]
    if _run(install).returncode:
        # a machine whose package lists are old or empty
        _must([*_apt_get(), "update"], "the package lists could not be fetched")
        _must(install, f"package `{package}` could not be installed")
    progress.done(package, "installed")


def _sudo() -> list[str]:
    return [] if os.geteuid() == 0 else ["sudo"]


def _apt_get() -> list[str]:
    # by `env`, since sudo passes no environment on; the lock may be held by the updates of a machine just started
    env = ["env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"]
    return [*_sudo(), *env, "apt-get", "-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120"]


def _run(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


def _must(argv: Sequence[str], what: str) -> None:
    result = _run(argv)
    if result.returncode:
        lines = "\n".join(f"  | {line}" for line in result.stdout.splitlines()[-8:])
        raise EngineError(f"{what}:\n{lines}", where=shlex.join(argv), hint="run that command by itself to see more")
