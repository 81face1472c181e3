"""The system's own apt sources: where its Debian mirror is, and which keyring signs for it (sources.list(5))."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from labctl.errors import EngineError
from labctl.provision.system import os_release

APT = Path("/etc/apt")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>.*)$")


@dataclass(frozen=True)
class Source:
    """One line of `sources.list`, or one combination of a deb822 stanza."""

    uri: str
    suite: str
    components: tuple[str, ...] = ("main",)
    signed_by: str = ""


def system_sources(apt: Path = APT) -> list[Source]:
    """Return what apt is told to use on this machine, in its order; what is switched off is left out."""
    one_line = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]
    found: list[Source] = []
    for path in one_line:
        if path.is_file():
            found += read_one_line(path.read_text(encoding="utf-8", errors="replace"))
    for path in sorted((apt / "sources.list.d").glob("*.sources")):
        found += read_deb822(path.read_text(encoding="utf-8", errors="replace"))
    return found


def read_one_line(text: str) -> Iterator[Source]:
    """Read the one-line style: `deb [signed-by=FILE] URI SUITE COMPONENT…`."""
    for line in text.splitlines():
        match = _ONE_LINE.match(line.partition("#")[0].strip())
        if match:
            options = dict(word.partition("=")[::2] for word in (match["options"] or "").split())
            yield Source(match["uri"], match["suite"], tuple(match["components"].split()), options.get("signed-by", ""))


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
                yield Source(uri, suite, tuple(fields.get("components", "").split()), fields.get("signed-by", ""))


def debian_mirror(
    sources: Iterable[Source] | None = None,
    release: Mapping[str, str] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Source:
    """Return the Debian archive that this system uses; its suite is the system's own release.

    `LABCTL_DEBIAN_MIRROR` names another, as systems need that are no Debian.

    Raises:
        EngineError: the system has none.
    """
    if url := environ.get("LABCTL_DEBIAN_MIRROR"):
        return Source(url, "", signed_by=KEYRING)
    release = os_release() if release is None else release
    codename = release.get("VERSION_CODENAME", "")
    if release.get("ID") == "debian":
        for source in system_sources() if sources is None else sources:
            scheme = source.uri.partition(":")[0]
            if source.suite in (codename, "stable", "testing", "unstable", "sid") and "main" in source.components and scheme in (
                "http", "https", "file",
            ):  # fmt: skip
                return Source(
                    source.uri,
                    source.suite,
                    ("main",),
                    source.signed_by if source.signed_by.startswith("/") else KEYRING,
                )
    raise EngineError(
        "this system's apt sources name no Debian archive",
        where="/etc/apt/sources.list and sources.list.d",
        hint="set LABCTL_DEBIAN_MIRROR to the base URL of one (and install the package `debian-archive-keyring`)",
    )
