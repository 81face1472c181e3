"""The system's own apt sources: where its Debian or Ubuntu archive is, and which keyring signs for it (sources.list(5))."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from labctl.errors import EngineError
from labctl.provision.system import os_release

APT = Path("/etc/apt")
KEYRINGS = Path("/usr/share/keyrings")
# Debian 13 renames it and keeps the old name as a link.
KEYRING_NAMES = ("debian-archive-keyring.gpg", "debian-archive-keyring.pgp")
ALIASES = ("stable", "testing", "unstable", "sid")
_ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>.*)$")


@dataclass(frozen=True)
class Source:
    """One line of `sources.list`, or one combination of a deb822 stanza; `signed_by` is a path, or nothing."""

    uri: str
    suite: str
    components: tuple[str, ...] = ("main",)
    signed_by: str = ""

    def line(self, arch: str = "") -> str:
        """Return it in the one-line style."""
        options = [f"arch={arch}"] if arch else []
        options += [f"signed-by={self.signed_by}"] if self.signed_by else []
        return " ".join(
            ["deb", *([f"[{' '.join(options)}]"] if options else []), self.uri, self.suite, *self.components]
        )


def system_sources(apt: Path = APT) -> list[Source]:
    """Return what apt is told to use on this machine, in its order; what is switched off is left out."""
    one_line = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]
    found: list[Source] = []
    for path in one_line:
        found += read_one_line(_text(path))
    for path in sorted((apt / "sources.list.d").glob("*.sources")):
        found += read_deb822(_text(path))
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # none, or one with a password that only root may read


def read_one_line(text: str) -> Iterator[Source]:
    """Read the one-line style: `deb [signed-by=FILE] URI SUITE COMPONENT…`."""
    for line in text.splitlines():
        match = _ONE_LINE.match(line.partition("#")[0].strip())
        if match:
            options = dict(word.partition("=")[::2] for word in (match["options"] or "").split())
            yield Source(
                match["uri"], match["suite"], tuple(match["components"].split()), _path(options.get("signed-by", ""))
            )


def read_deb822(text: str) -> Iterator[Source]:
    """Read the deb822 style: stanzas of `Field: value`, continued on lines that begin with a blank."""
    for stanza in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        last = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace():
                fields[last] = f"{fields.get(last, '')} {line.strip()}".strip()
            elif ":" in line:
                last, _, value = line.partition(":")
                last = last.strip().lower()
                fields[last] = value.strip()
        if fields.get("enabled", "yes").lower() in ("no", "false", "0") or "deb" not in fields.get("types", "").split():
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Source(
                    uri, suite, tuple(fields.get("components", "").split()), _path(fields.get("signed-by", ""))
                )


def _path(signed_by: str) -> str:
    """Return a `Signed-By` that is one file; a key that stands in the stanza itself, or its fingerprint, is none."""
    return signed_by if re.fullmatch(r"/[^\s,]+", signed_by) else ""


def debian_mirror(
    sources: Iterable[Source] | None = None,
    release: Mapping[str, str] | None = None,
    environ: Mapping[str, str] = os.environ,
    keyrings: Path = KEYRINGS,
) -> Source:
    """Return the Debian archive that this system uses; its suite is the system's own.

    `LABCTL_DEBIAN_MIRROR` names another, as systems need that are no Debian.

    Raises:
        EngineError: the system has none, or no keyring of Debian's to verify it with.
    """
    release = os_release() if release is None else release
    codename = release.get("VERSION_CODENAME", "")
    is_debian = release.get("ID") == "debian"
    keyring = next((str(keyrings / name) for name in KEYRING_NAMES if (keyrings / name).exists()), "")
    if url := environ.get("LABCTL_DEBIAN_MIRROR"):
        best = [Source(url, codename if is_debian else "stable")]
    elif is_debian:
        found = map(_first_mirror, system_sources() if sources is None else sources)
        best = [source for source in found if _likeness(source, codename)]
        best.sort(key=lambda source: _likeness(source, codename), reverse=True)
    else:
        best = []
    if not best:
        raise EngineError(
            "this system's apt sources name no Debian archive",
            where="/etc/apt/sources.list and sources.list.d",
            hint="set LABCTL_DEBIAN_MIRROR to the base URL of one (and install the package `debian-archive-keyring`)",
        )
    signed_by = best[0].signed_by or keyring
    if not signed_by:
        raise EngineError(
            "there is no keyring to verify Debian's archive with",
            where=str(keyrings),
            hint="`apt-get install debian-archive-keyring` brings it",
        )
    return replace(best[0], components=("main",), signed_by=signed_by)


def _likeness(source: Source, codename: str) -> int:
    """Tell how surely a source is Debian's archive of this release; 0 where it is something else.

    Third parties call their suites `stable` and even by Debian's names; what they have not is Debian's keyring, or `/debian` for a path.
    A wrong guess does no harm: what is fetched is verified.
    """
    if source.suite not in (codename, *ALIASES) or "main" not in source.components:
        return 0
    if source.uri.partition(":")[0] not in ("http", "https"):
        return 0  # a CD, say; an image's apt could not use it either
    likeness = 0
    if source.uri.rstrip("/").endswith("/debian"):
        likeness += 1
    if Path(source.signed_by).name in KEYRING_NAMES:
        likeness += 2
    elif source.suite != codename and source.signed_by:
        return 0
    elif source.suite == codename and not source.signed_by:
        likeness += 1
    return likeness


def _first_mirror(source: Source) -> Source:
    """Return a source with `mirror+file:` resolved, as Debian's images for clouds have it: a file that lists URLs."""
    scheme, _, path = source.uri.partition(":")
    if scheme in ("mirror+file", "mirror"):
        for line in _text(Path("/" + path.lstrip("/"))).splitlines():
            if line.strip().startswith("http"):
                return replace(source, uri=line.split()[0])
    return source


def archive_of(sources: Iterable[Source], codename: str, component: str) -> list[Source]:
    """Return those sources of a release and its updates that have a component, as `universe` of Ubuntu's."""
    suites = (codename, f"{codename}-updates", f"{codename}-security")
    return [
        replace(source, components=(component,))
        for source in sources
        if source.suite in suites and component in source.components
    ]
