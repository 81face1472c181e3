"""What is wanted and what is found, as plain values; nothing here touches an engine.

A lab is wanted as a `LabSpec` (from a scenario and the Compose model) and found as `Found` (from the labels on the engine's objects).
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

LAB, SCENARIO, ROLE, VERSION = "labctl.lab", "labctl.scenario", "labctl.role", "labctl.version"
# On services, for `ps`: commands that print what a user of the host must know (JSON), and how it goes (a line).
CREDENTIALS, SUMMARY = "labctl.credentials", "labctl.summary"
SOURCE = "labctl.source"  # on images: digest of what they were built from

_CLIENT_IMAGE = re.compile(r"(^|/)client(:|$)")  # wherever it came from: `LAB_IMAGES` names another registry
# What Compose accepts as a project name, less one: `lab-` goes in front.
LAB_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")


@dataclass(frozen=True, order=True)
class Port:
    """A port that a host listens on."""

    number: int
    transport: Literal["tcp", "udp"] = "tcp"

    @classmethod
    def parse(cls, text: str) -> "Port":
        """Read Compose's `12345` or `12345/udp`.

        Raises:
            ValueError: it is neither.
        """
        number, _, transport = text.partition("/")
        if transport not in ("", "tcp", "udp"):
            raise ValueError(f"`{text}` is not a port")
        return cls(int(number), "udp" if transport == "udp" else "tcp")

    def __str__(self) -> str:
        return f"{self.number}/{self.transport}"


@dataclass(frozen=True)
class HostSpec:
    """A host as it is wanted: a Compose service, read."""

    name: str
    image: str
    service: Mapping[str, Any]
    ports: tuple[Port, ...] = ()

    @property
    def digest(self) -> str:
        """Digest of the service's definition: a found host with another one is out of date."""
        return hashlib.sha256(json.dumps(self.service, sort_keys=True).encode()).hexdigest()

    @property
    def volumes(self) -> tuple[str, ...]:
        """The named volumes that it mounts."""
        mounts = self.service.get("volumes", ())
        return tuple(mount["source"] for mount in mounts if mount["type"] == "volume" and mount.get("source"))


@dataclass(frozen=True)
class LabSpec:
    """A lab as it is wanted."""

    name: str
    scenario: str
    hosts: tuple[HostSpec, ...]
    publish: bool = False
    compose_file: str = ""

    @property
    def project(self) -> str:
        """The Compose project that the lab is."""
        return f"lab-{self.name}"

    @property
    def client(self) -> HostSpec | None:
        """The host from whose side readiness is asked: `client`, or another that runs the client's image."""
        return next((host for host in self.hosts if host.name == "client" or _CLIENT_IMAGE.search(host.image)), None)


@dataclass(frozen=True)
class FoundHost:
    """A container of a lab, as the engine reports it; of its labels, labctl's own."""

    id: str
    lab: str
    name: str
    scenario: str = ""
    role: str = "host"
    state: str = "running"
    status: str = ""
    image: str = ""
    digest: str = ""
    image_id: str = ""
    addresses: tuple[str, ...] = ()
    published: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class FoundNetwork:
    """A network of a lab; `key` is its name in compose.yaml."""

    id: str
    lab: str
    name: str
    key: str


@dataclass(frozen=True)
class FoundVolume:
    """A named volume of a lab; `key` is its name in compose.yaml."""

    lab: str
    name: str
    key: str


@dataclass(frozen=True)
class Found:
    """All that the engine holds of one lab, or of all labs."""

    hosts: tuple[FoundHost, ...] = ()
    networks: tuple[FoundNetwork, ...] = ()
    volumes: tuple[FoundVolume, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.hosts or self.networks or self.volumes)

    @property
    def labs(self) -> tuple[str, ...]:
        """Names of the labs that any of it belongs to."""
        named: tuple[FoundHost | FoundNetwork | FoundVolume, ...] = (*self.hosts, *self.networks, *self.volumes)
        return tuple(sorted({item.lab for item in named}))

    def of(self, lab: str) -> "Found":
        """Return what belongs to one lab."""
        return Found(
            tuple(host for host in self.hosts if host.lab == lab),
            tuple(network for network in self.networks if network.lab == lab),
            tuple(volume for volume in self.volumes if volume.lab == lab),
        )

    def host(self, name: str) -> FoundHost | None:
        """Return the host of that name, if it is there."""
        return next((host for host in self.hosts if host.name == name and host.role == "host"), None)


@dataclass(frozen=True)
class Executed:
    """What a command in a host did."""

    exit: int
    stdout: bytes = b""
    stderr: bytes = b""
    seconds: float = 0.0


@dataclass(frozen=True)
class StartFailure:
    """A host that ended while its lab was coming up."""

    host: str
    exit: int
    log: tuple[str, ...] = field(default=())
