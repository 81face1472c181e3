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

# Read by `-c`, that is after the system's own settings: proxies and credentials hold, and nothing of it can switch checks off or run hooks.
# Without the `IndexTargets` apt fetches 5 MB more where appstream is installed.
CONFIG = """\
Dir::State "{root}/state";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "{root}/cache";
Dir::Log "{root}/log";
Dir::Etc::sourcelist "{root}/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Default-Release "";
APT::Sandbox::User "";
APT::Get::AllowUnauthenticated "false";
APT::Update::Error-Mode "any";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-small::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-hidpi::DefaultEnabled "false";
Acquire::IndexTargets::deb::CNF::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Acquire::Retries "2";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
"""

# (what apt says, what to do about it), the first that fits
HINTS = (
    ("NO_PUBKEY", "the archive's keys are newer than the keyring here: `apt-get install debian-archive-keyring` brings them"),
    ("is not signed", "that archive is not what it says, or a proxy changes it; nothing of it is used"),
    ("signature", "that archive is not what it says, or a proxy changes it; nothing of it is used"),
    ("Hash Sum mismatch", "a proxy or a mirror in the middle of an update changes files: try again in a while"),
    ("No space left", "make room in the folder of temporary files, or name another by TMPDIR"),
    ("enough free space", "make room in the folder of temporary files, or name another by TMPDIR"),
    ("not valid yet", "the clock of this machine is wrong: `date` shows it"),
    ("Release file", "is the mirror in the system's apt sources right? LABCTL_DEBIAN_MIRROR names another"),
    ("Unable to locate package", "the archive lacks it: LABCTL_DEBIAN_MIRROR names another"),
)  # fmt: skip
NO_NETWORK = "is the network there? apt takes a proxy from http_proxy or from apt.conf; LABCTL_DEBIAN_MIRROR names another mirror"


def hint_for(said: str) -> str:
    """Return what to do about what apt said."""
    return next((hint for words, hint in HINTS if words in said), NO_NETWORK)


@contextmanager
def private_apt(sources: Sequence[Source]) -> Iterator["PrivateApt"]:
    """Give an apt of one's own, with these archives only, for as long as it is needed.

    Raises:
        EngineError: this is no system with apt.
    """
    if not shutil.which("apt-get"):
        raise EngineError(
            "this system has no apt-get", hint="install Docker Compose v2 as its makers say, then try again"
        )
    with tempfile.TemporaryDirectory(prefix="labctl-apt-") as folder:
        yield PrivateApt(Path(folder), sources)


class PrivateApt:
    """See `private_apt`."""

    def __init__(self, root: Path, sources: Sequence[Source]) -> None:
        self.root = root
        for name in ("state/lists/partial", "cache/archives/partial", "log", "debs"):
            (root / name).mkdir(parents=True)
        asked = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=False)
        arch = asked.stdout.strip()  # only this one, though dpkg may know of more
        (root / "sources.list").write_text("".join(f"{source.line(arch)}\n" for source in sources))
        (root / "apt.conf").write_text(CONFIG.format(root=root))

    def update(self, tell: Callable[[float], None]) -> None:
        """Fetch the package lists; apt checks their signatures. `tell` hears the share done, 0 to 1.

        Raises:
            EngineError: no network, or a signature that is none of the keyring's.
        """
        self._run(["update"], tell, "the package lists could not be fetched")

    def download(self, packages: Sequence[str], tell: Callable[[float], None]) -> list[Path]:
        """Download packages, checked against the signed lists, and return their files.

        Raises:
            EngineError: there is no such package, no network, or the file is not what the list says.
        """
        self._run(["download", *packages], tell, f"{', '.join(packages)} could not be downloaded")
        return sorted((self.root / "debs").glob("*.deb"))

    def _run(self, words: Sequence[str], tell: Callable[[float], None], what: str) -> None:
        env = os.environ | {"LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
        read, write = os.pipe()
        with os.fdopen(read) as status, subprocess.Popen(
            ["apt-get", "-c", self.root / "apt.conf", "-q", "-o", f"APT::Status-Fd={write}", *words],
            env=env, cwd=self.root / "debs", pass_fds=(write,), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
        ) as process:  # fmt: skip
            os.close(write)
            for line in status:
                if match := _STATUS.match(line):
                    tell(float(match[1]) / 100)
            _, said = process.communicate()
        if process.returncode:
            errors = [line for line in said.splitlines() if line.startswith(("E:", "W:"))] or said.splitlines()[-5:]
            lines = "\n".join(f"  | {line}" for line in errors[:8])
            raise EngineError(f"{what}:\n{lines}", where=f"apt-get {' '.join(words)}", hint=hint_for(said))
