"""From what is wanted and what is found to what to do: pure, so that `--dry-run` prints it and tests read it as a table."""

from collections.abc import Iterable
from dataclasses import dataclass

from labctl.model import SHAPER, SWAPPED, Found, FoundHost, FoundNetwork, FoundVolume, HostSpec, LabSpec, Port, TapSpec

LAB_NETWORK = "lab"


def publish_network(host: str) -> str:
    """Return the key of the second network that carries a host's published ports.

    One a host: on a shared one, hosts would find each other's names there too, and the name would no longer mean the lab's wire.
    """
    return f"publish-{host}"


def asked(host: HostSpec) -> tuple[Port, ...]:
    """Return the ports that readiness is asked of."""
    return host.ports if host.ready is None else host.ready


@dataclass(frozen=True)
class RemoveHost:
    host: FoundHost
    why: str = ""

    def __str__(self) -> str:
        return f"remove host {self.host.name}" + (f" ({self.why})" if self.why else "")


@dataclass(frozen=True)
class CreateNetwork:
    key: str
    internal: bool

    def __str__(self) -> str:
        return f"create network {self.key}" + (" (internal)" if self.internal else " (published on 127.0.0.1)")


@dataclass(frozen=True)
class CreateVolume:
    key: str

    def __str__(self) -> str:
        return f"create volume {self.key}"


@dataclass(frozen=True)
class CreateHost:
    host: HostSpec
    publish: bool = False

    def __str__(self) -> str:
        ports = ", ".join(f"127.0.0.1:{port}" for port in self.host.ports) if self.publish else ""
        return f"create host {self.host.name} from {self.host.image}" + (f", publish {ports}" if ports else "")


@dataclass(frozen=True)
class StartHost:
    name: str

    def __str__(self) -> str:
        return f"start host {self.name}"


@dataclass(frozen=True)
class StartTap:
    """Capture the lab's wire; it listens before any host starts."""

    spec: TapSpec

    def __str__(self) -> str:
        return f"tap network {LAB_NETWORK} ({self.spec})"


@dataclass(frozen=True)
class Wait:
    """Ask from `client`, by name, until every port answers."""

    client: str
    targets: tuple[tuple[str, Port], ...]

    def __str__(self) -> str:
        ports = ", ".join(f"{host}:{port}" for host, port in self.targets)
        return f"wait, asked from {self.client}, for {ports}" if ports else f"wait for {self.client}"


@dataclass(frozen=True)
class RemoveNetwork:
    network: FoundNetwork

    def __str__(self) -> str:
        return f"remove network {self.network.name}"


@dataclass(frozen=True)
class RemoveVolume:
    volume: FoundVolume

    def __str__(self) -> str:
        return f"remove volume {self.volume.name}"


@dataclass(frozen=True)
class RemoveImage:
    """Remove an image that was built for this lab alone, once no host is of it."""

    image: str

    def __str__(self) -> str:
        return f"remove image {self.image}"


Step = (
    RemoveHost
    | CreateNetwork
    | CreateVolume
    | StartTap
    | CreateHost
    | StartHost
    | Wait
    | RemoveNetwork
    | RemoveVolume
    | RemoveImage
)


def plan_up(wanted: LabSpec, found: Found) -> tuple[Step, ...]:
    """Return the steps from what is found to the wanted lab; nothing but a `Wait` where it stands already.

    A host with another definition than wanted, or one that is not wanted, is removed; a stopped one is started again.
    """
    steps: list[Step] = []
    specs = {host.name: host for host in wanted.hosts}
    kept: set[str] = set()
    tapped = False
    for host in found.hosts:
        spec = specs.get(host.name)
        if host.role == SHAPER and host.state == "running":  # it impairs what stays; it goes with its host's namespace
            continue
        if host.role == "tap" and host.state == "running":  # one that nobody asked for now does no harm
            tapped = True
        elif host.role == "desktop" and spec is None:
            continue  # the window that `labctl gui` brought into the lab
        elif host.role != "host" or spec is None:
            steps.append(RemoveHost(host, "not wanted"))
        elif host.digest != spec.digest:
            steps.append(RemoveHost(host, "its definition changed"))
        elif host.state in ("removing", "dead"):
            steps.append(RemoveHost(host, f"it is {host.state}"))
        else:
            kept.add(host.name)
            if host.state != "running":
                steps.append(StartHost(host.name))
    gone = [step.host.image for step in steps if isinstance(step, RemoveHost)]
    steps += swapped_out(set(gone) - {spec.image for spec in wanted.hosts})
    there = {network.key for network in found.networks}
    if LAB_NETWORK not in there:
        steps.append(CreateNetwork(LAB_NETWORK, internal=True))
    missing = [host for host in wanted.hosts if host.name not in kept]
    if wanted.publish:
        keys = [publish_network(host.name) for host in missing if host.ports]
        steps += [CreateNetwork(key, internal=False) for key in keys if key not in there]
    volumes = dict.fromkeys(name for host in missing for name in host.volumes)
    steps += [CreateVolume(name) for name in volumes if name not in {volume.key for volume in found.volumes}]
    if wanted.tap and not tapped:
        steps.append(StartTap(wanted.tap))
    for spec in missing:
        steps += [CreateHost(spec, wanted.publish and bool(spec.ports)), StartHost(spec.name)]
    client = wanted.client or (wanted.hosts[0] if wanted.hosts else None)
    if client:
        targets = tuple((host.name, port) for host in wanted.hosts if host is not client for port in asked(host))
        steps.append(Wait(client.name, targets))
    return tuple(steps)


def plan_desktop(wanted: LabSpec, found: Found) -> tuple[Step, ...]:
    """Return the steps that bring one more container into a lab that is up: the window's."""
    steps: list[Step] = []
    spec = wanted.hosts[0]
    there = next((host for host in found.hosts if host.name == spec.name), None)
    if there and there.state == "running" and there.digest == spec.digest:
        return ()
    if there:
        steps.append(RemoveHost(there, "it does not run" if there.digest == spec.digest else "its definition changed"))
    known = {volume.key for volume in found.volumes}
    steps += [CreateVolume(name) for name in spec.volumes if name not in known]
    return (*steps, CreateHost(spec), StartHost(spec.name))


def is_complete(steps: tuple[Step, ...]) -> bool:
    """Tell whether a plan to bring a lab up finds all of it there."""
    return all(isinstance(step, Wait) for step in steps)


def plan_down(found: Found, *, keep_volumes: bool = False) -> tuple[Step, ...]:
    """Return the steps that remove all that was found: containers first, then what they hold on to."""
    volumes = () if keep_volumes else found.volumes
    return (
        *(RemoveHost(host) for host in found.hosts),
        *(RemoveNetwork(network) for network in found.networks),
        *(RemoveVolume(volume) for volume in volumes),
        *swapped_out(host.image for host in found.hosts),
    )


def swapped_out(images: Iterable[str]) -> tuple[RemoveImage, ...]:
    """Return the steps that remove those of the images that were built of somebody's folder for this lab."""
    return tuple(RemoveImage(image) for image in sorted(set(images)) if image.startswith(f"{SWAPPED}:"))
