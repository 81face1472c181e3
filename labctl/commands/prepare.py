"""From a word on the command line to a lab that is wanted."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl import __version__
from labctl.engine.compose import digest, read_services, write_cache
from labctl.engine.translate import TRACED, check_service
from labctl.errors import UsageError
from labctl.model import LAB_NAME, HostSpec, LabSpec, Port, TapSpec
from labctl.paths import cache_folder, lab_root
from labctl.progress import Progress
from labctl.scenario.catalog import Entry
from labctl.words import nearest

if TYPE_CHECKING:
    from labctl.scenario.schema import Scenario


def load(entry: Entry) -> "Scenario":
    """Return the whole scenario, validated.

    Raises:
        ScenarioError: the file has problems; all are told at once.
    """
    from labctl.scenario.read import read_scenario  # pydantic: 0.1 s

    return read_scenario(entry.path, host_names(entry.compose_file))


def host_names(compose_file: Path) -> list[str]:
    """Return the names of a Compose file's services, as they stand there.

    Raises:
        UsageError: the file cannot be read as YAML.
    """
    import yaml

    try:
        data = yaml.load(compose_file.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"the Compose file cannot be read: {error}", where=str(compose_file)) from error
    services = data.get("services") if isinstance(data, dict) else None
    return list(services) if isinstance(services, dict) else []


TOOLS = "tools"  # the service whose image the helpers run


def wanted(
    entry: Entry,
    lab: str | None,
    progress: Progress,
    *,
    publish: bool = False,
    tap: TapSpec | None = None,
    calls: bool = False,
) -> LabSpec:
    """Return the lab that a scenario asks for, with a tap on its wire and its hosts under strace where that is wanted.

    Raises:
        UsageError: the lab's name is none, the scenario has problems, or compose.yaml holds what labctl does not honour.
    """
    facts = _facts(entry)
    name = lab or facts["scenario"]
    if not LAB_NAME.fullmatch(name):
        raise UsageError(
            f"`{name}` is not a lab's name", where="--lab", hint="small letters, digits, `-` and `_`; at most 41"
        )
    services = read_services(entry.compose_file, progress)
    hosts = tuple(_host(host, services, entry.compose_file) for host in facts["hosts"])
    if calls:
        hosts = tuple(replace(host, service={**host.service, TRACED: True}) for host in hosts)
    links = tuple((source, rule) for source, rule in facts["links"])
    tools = tools_image(progress) if tap or links else ""
    return LabSpec(name, facts["scenario"], hosts, publish, str(entry.compose_file), tap, tools, calls, links)


def tools_image(progress: Progress) -> str:
    """Return the image of taps: it is labctl's own, whatever Compose file the hosts are in."""
    return str(read_services(lab_root() / "compose.yaml", progress)[TOOLS]["image"])


def _host(name: str, services: Mapping[str, Any], compose_file: Path) -> HostSpec:
    service = services.get(name)
    if service is None:
        raise UsageError(f"there is no service `{name}`{nearest(name, services)}", where=str(compose_file))
    check_service(name, service, str(compose_file))
    ports = tuple(Port.parse(str(port)) for port in service.get("expose", ()))
    return HostSpec(name, service.get("image") or f"labctl/{name}", service, ports)


def _facts(entry: Entry) -> dict[str, Any]:
    """Return a scenario's name and hosts; a file that was found good before is not validated again."""
    try:
        parts = [__version__.encode(), entry.path.read_bytes(), entry.compose_file.read_bytes()]
    except OSError as error:
        raise UsageError(f"the file cannot be read: {error.strerror}", where=str(error.filename)) from error
    kept = cache_folder() / f"lesson-{digest(parts)}.json"
    try:
        return dict(json.loads(kept.read_text()))
    except (OSError, ValueError):
        scenario = load(entry)
        links = [(item.source, item.rule()) for link in scenario.links for item in link.impairments()]
        facts = {"scenario": scenario.scenario, "hosts": scenario.hosts, "links": links}
        write_cache(kept, facts)
        return facts
