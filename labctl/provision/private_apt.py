"""apt with folders of its own: it downloads and verifies packages without touching the system's, and without being root."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from labctl.errors import EngineError
from labctl.provision.sources import Source

_STATUS = re.compile(r"^(?:dlstatus|pmstatus):[^:]*:([\d.]+):")

CONFIG = """\
Dir::State "{root}/state";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "{root}/cache";
Dir::Log "{root}/log";
{sources}
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-small::DefaultEnabled "false";
Acquire::IndexTargets::deb::CNF::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Acquire::Retries "3";
"""


@contextmanager
def private_apt(source: Source | None) -> Iterator["PrivateApt"]:
    """Give an apt of one's own for as long as it is needed.

    Args:
        source: the only archive that it uses; None for the system's own sources.

    Raises:
        EngineError: this is no system with apt.
    """
    if not shutil.which("apt-get"):
        raise EngineError(
            "this system has no apt-get", hint="install Docker Compose v2 as its makers say, then try again"
        )
    with tempfile.TemporaryDirectory(prefix="labctl-apt-") as folder:
        yield PrivateApt(Path(folder), source)


class PrivateApt:
    """See `private_apt`."""

    def __init__(self, root: Path, source: Source | None) -> None:
        self.root = root
        for name in ("state/lists/partial", "cache/archives/partial", "log", "debs"):
            (root / name).mkdir(parents=True)
        lines = ""
        if source:
            signed = f"[signed-by={source.signed_by}] " if source.signed_by else ""
            (root / "sources.list").write_text(
                f"deb {signed}{source.uri} {source.suite} {' '.join(source.components)}\n"
            )
            lines = f'Dir::Etc::sourcelist "{root}/sources.list";\nDir::Etc::sourceparts "-";'
        (root / "apt.conf").write_text(CONFIG.format(root=root, sources=lines))

    def update(self, tell: Callable[[float], None]) -> None:
        """Fetch the package lists; apt checks their signatures. `tell` hears the share done, 0 to 1.

        Raises:
            EngineError: no network, or a signature that is none of the keyring's.
        """
        # a list that is missing or wrongly signed is an error, not a warning
        self._run(
            ["apt-get", "update", "-o", "APT::Update::Error-Mode=any"], tell, "the package lists could not be fetched"
        )

    def download(self, packages: Sequence[str], tell: Callable[[float], None]) -> list[Path]:
        """Download packages, checked against the signed lists, and return their files.

        Raises:
            EngineError: there is no such package, no network, or the file is not what the list says.
        """
        self._run(
            ["apt-get", "download", *packages],
            tell,
            f"{', '.join(packages)} could not be downloaded",
            self.root / "debs",
        )
        return sorted((self.root / "debs").glob("*.deb"))

    def _run(self, argv: Sequence[str], tell: Callable[[float], None], what: str, cwd: Path | None = None) -> None:
        env = os.environ | {
            "APT_CONFIG": str(self.root / "apt.conf"),
            "LC_ALL": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
        }
        read, write = os.pipe()
        with os.fdopen(read) as status, subprocess.Popen(
            [*argv, "-q", "-o", f"APT::Status-Fd={write}"],
            env=env, cwd=cwd, pass_fds=(write,), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            os.close(write)
            for line in status:
                if match := _STATUS.match(line):
                    tell(float(match[1]) / 100)
            _, said = process.communicate()
        if process.returncode:
            errors = [line for line in said.splitlines() if line.startswith(("E:", "W:"))] or said.splitlines()[-5:]
            lines = "\n".join(f"  | {line}" for line in errors[:8])
            raise EngineError(
                f"{what}:\n{lines}",
                where=" ".join(argv),
                hint="is the network there, and the archive's keyring current?",
            )
