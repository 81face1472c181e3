"""`doctor`: what this machine has for labs, what it lacks, and how to mend it."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from labctl import __version__
from labctl.engine.base import Engine
from labctl.engine.compose import source_digest
from labctl.engine.subnets import own_range
from labctl.errors import LabError
from labctl.model import Found
from labctl.paths import lab_root
from labctl.provision.base_image import BASE_REF, describe_base
from labctl.provision.compose_tool import find_compose

Status = Literal["ok", "note", "lacking"]
LITTLE_DISK = 2 << 30  # octets; all images together take less


@dataclass(frozen=True)
class Row:
    """One thing looked at; `hint` says how to mend it, or what will be done about it."""

    topic: str
    status: Status
    text: str
    hint: str = ""


def this_machine() -> Iterator[Row]:
    """Look at what needs no engine."""
    version = ".".join(map(str, sys.version_info[:3]))
    place = "a checkout" if (lab_root() / "bin" / "labctl").exists() else "an installed package"
    yield Row("labctl", "ok", f"{__version__} from {place}, Python {version}")
    others = _other_labctls()
    if others:
        yield Row(
            "labctl", "note", f"another `labctl` is on PATH: {others[0]}", "`python -m labctl` is always this one"
        )
    tool = find_compose()
    if tool:
        yield Row("Compose", "ok", f"{tool.version}, {tool.origin} ({tool.command[0]})")
    else:
        hint = "the first `labctl up` gets Debian's package into a folder of its own"
        yield Row("Compose", "note", "no Compose v2 here", hint)
    free = shutil.disk_usage(Path.home()).free
    status: Status = "ok" if free > LITTLE_DISK else "lacking"
    yield Row(
        "disk",
        status,
        f"{free / (1 << 30):.1f} GiB free",
        "" if status == "ok" else "the lab's images take about 1 GiB",
    )


def _other_labctls() -> list[str]:
    own = {
        Path(sys.argv[0]).resolve(),
        (lab_root() / "bin" / "labctl").resolve(),
        Path(sys.prefix).resolve() / "bin" / "labctl",
    }
    folders = (Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder)
    found = (folder / "labctl" for folder in folders)
    return [str(path) for path in found if path.is_file() and path.resolve() not in own]


def this_engine(engine: Engine, facts: Mapping[str, Any], where: str) -> Iterator[Row]:
    """Look at the engine and what labs need of it."""
    version = f"{facts.get('ServerVersion')} (API {facts.get('ApiVersion')}) at {where}"
    yield Row("engine", "ok", f"{version}, {facts.get('Driver')}, cgroup v{facts.get('CgroupVersion', '1')}")
    images = engine.images()
    if BASE_REF in images:
        yield Row("base image", "ok", f"{BASE_REF}, {describe_base(images[BASE_REF])}")
    else:
        yield Row("base image", "note", f"no {BASE_REF} yet", "the first build pulls it, or makes it with mmdebstrap")
    yield from _lab_images(images)
    found = engine.look()
    yield from _networks(found)


def _lab_images(images: Mapping[str, str]) -> Iterator[Row]:
    source = source_digest()
    services = yaml.safe_load((lab_root() / "compose.yaml").read_text())["services"]
    # other images have sources of their own
    wanted = {f"labctl/{name}:latest" for name in services}
    own = {tag: digest for tag, digest in images.items() if tag in wanted}
    stale = sorted(tag for tag, digest in own.items() if digest != source)
    if not own:
        yield Row("images", "note", "none built yet", "`labctl build` builds all; `labctl up` what it needs")
    elif stale:
        yield Row(
            "images",
            "note",
            f"{len(own)} built, from other sources: {', '.join(stale)}",
            "the next `labctl up` builds them anew",
        )
    else:
        yield Row("images", "ok", f"{len(own)} built from these sources")


def _networks(found: Found) -> Iterator[Row]:
    labs = f"{len(found.labs)} labs up" + (f": {', '.join(found.labs)}" if found.labs else "")
    try:
        yield Row("networks", "ok", f"labs take /24 subnets of {own_range()}; {labs}")
    except LabError as error:
        yield Row("networks", "lacking", error.what, error.hint)
    stranded = [network.name for network in found.networks if not any(host.lab == network.lab for host in found.hosts)]
    if stranded:
        hint = (
            "`labctl down --all` removes them; one that stays is held by the engine until it is restarted (moby#43286)"
        )
        yield Row("networks", "note", f"without a host: {', '.join(stranded)}", hint)
