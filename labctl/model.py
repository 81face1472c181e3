"""What is wanted and what is found, as plain values; nothing here touches an engine.

A lab is wanted as a `LabSpec` (from a scenario and the Compose model) and found as `Found` (from the labels on the engine's objects).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

LAB, SCENARIO, ROLE, VERSION = "labctl.lab", "labctl.scenario", "labctl.role", "labctl.version"
CALLS = "labctl.calls"  # on hosts whose program runs under strace
# On services, for `ps`: commands that print what a user of the host must know (JSON), and how it goes (a line).
CREDENTIALS, SUMMARY = "labctl.credentials", "labctl.summary"
SHAPER = "shaper"  # role of the helper that impairs a host
# Whose lab it is, where it must not outlive a process (`labctl.testing.owner`); how a service goes back to its start without being
# started again: `none` where its process keeps nothing in mind, or the signal that has it start itself anew.
OWNER, RESET = "labctl.owner", "labctl.reset"
# Repository of the images built of somebody's folder: one for each lab and host, which goes with it.
SWAPPED = "labctl-swap"
PROGRAM = (
    "labctl.program"  # on a client that was swapped: the program that its steps mean by `lab`, as a shell calls it
)
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
    role: str = "host"
    ready: tuple[Port, ...] | None = None  # the ports that must answer before the lab counts as ready; None: all

    @property
    def digest(self) -> str:
        """Digest of the service's definition: a found host with another one is out of date."""
        import hashlib  # most commands do without

        return hashlib.sha256(json.dumps(self.service, sort_keys=True).encode()).hexdigest()

    @property
    def volumes(self) -> tuple[str, ...]:
        """The named volumes that it mounts."""
        mounts = self.service.get("volumes", ())
        return tuple(mount["source"] for mount in mounts if mount["type"] == "volume" and mount.get("source"))


@dataclass(frozen=True)
class TapSpec:
    """How a lab's wire is captured.

    Args:
        buffer_kib: the kernel's buffer between the wire and the tap, in KiB; what does not fit is lost, and counted.
        ring_mb: at most so many MB (10⁶ octets) are kept; then the oldest quarter goes.
        snap: octets kept of each frame.
        filter: what is captured, in tcpdump's words; empty for all.
    """

    buffer_kib: int = 32768  # 2 s at 50,000 frames of 256 octets a second
    ring_mb: int = 256
    snap: int = 65550  # the largest IP packet and its Ethernet header
    filter: str = ""

    def __str__(self) -> str:
        return f"keep {self.ring_mb} MB" + (f", only `{self.filter}`" if self.filter else "")


@dataclass(frozen=True)
class Tapped:
    """What a tap has captured so far.

    Args:
        files: pcap files, in the order of time.
        received: frames that passed the filter; more than the files hold where the ring went round.
        dropped: frames that the kernel lost, for want of buffer.
        bridge: where it listens.
        spec: how it was set up.
        marks: what labctl noted beside: (nanoseconds since 1970, text).
    """

    files: tuple[bytes, ...]
    received: int = 0
    dropped: int = 0
    bridge: str = ""
    spec: TapSpec = field(default_factory=TapSpec)
    marks: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class LabSpec:
    """A lab as it is wanted; `tap` where its wire is to be captured, `calls` where its hosts run under strace."""

    name: str
    scenario: str
    hosts: tuple[HostSpec, ...]
    publish: bool = False
    compose_file: str = ""
    tap: TapSpec | None = None
    tools_image: str = ""
    calls: bool = False
    links: tuple[tuple[str, Mapping[str, Any]], ...] = ()  # (sending host, rule of its shaper)
    labels: tuple[tuple[str, str], ...] = ()  # on every object of the lab, beside labctl's own
    any_port: bool = False  # publish at ports of the engine's choice, so that labs do not get in each other's way

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
    mac: str = ""
    traced: bool = False
    published: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class FoundNetwork:
    """A network of a lab; `key` is its name in compose.yaml."""

    id: str
    lab: str
    name: str
    key: str
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class FoundVolume:
    """A named volume of a lab; `key` is its name in compose.yaml."""

    lab: str
    name: str
    key: str
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)


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

    def shaper(self, host: str) -> FoundHost | None:
        """Return the shaper of a host, if it has one; dead or alive."""
        return next((item for item in self.hosts if item.role == SHAPER and item.name == f"shaper-{host}"), None)

    @property
    def shapers(self) -> tuple[FoundHost, ...]:
        """Return all shapers that run."""
        return tuple(item for item in self.hosts if item.role == SHAPER and item.state == "running")

    @property
    def tap(self) -> FoundHost | None:
        """Return the tap of a lab, if it has one; dead or alive."""
        return next((host for host in self.hosts if host.role == "tap"), None)


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
