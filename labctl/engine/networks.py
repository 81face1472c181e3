"""A lab's networks: subnets of our own choice, fresh names, labelled as Compose labels them."""

import hashlib
import ipaddress
import secrets
from pathlib import Path

from docker import APIClient
from docker.errors import APIError
from docker.types import IPAMConfig, IPAMPool

from labctl.engine.failures import explain, refused
from labctl.engine.subnets import IPNetwork, candidates, own_range, routed_here
from labctl.engine.translate import compose_labels
from labctl.errors import LabError
from labctl.model import LAB, LabSpec

BRIDGE = "com.docker.network.bridge.name"


def network_name(lab: LabSpec, key: str) -> str:
    """Return a fresh name: engine 20.10 can keep a removed network half alive (moby#43286), and then its name is spoilt."""
    return f"{lab.project}_{key}_{secrets.token_hex(2)}"


def bridge_name(network: str) -> str:
    """Return the name of a network's bridge, known before it exists: a tap waits for it. Linux takes 15 octets."""
    return f"lab-{hashlib.sha256(network.encode()).hexdigest()[:10]}"


def create_network(api: APIClient, lab: LabSpec, key: str, name: str, *, internal: bool) -> None:
    """Create a network of a lab; the lab's wire has IPv4 and IPv6.

    Raises:
        LabError: no subnet of ours is free, or the engine refuses.
    """
    labels = compose_labels(lab, network=key)
    range4 = own_range()
    ipv6 = internal
    for subnet4, subnet6 in candidates(f"{lab.name}/{key}", _taken(api), range4):
        pools = [IPAMPool(subnet4), *([IPAMPool(subnet6)] if ipv6 else [])]
        try:
            api.create_network(
                name,
                "bridge",
                ipam=IPAMConfig(pool_configs=pools),
                options={BRIDGE: bridge_name(name)},
                labels=labels,
                internal=internal,
                enable_ipv6=ipv6,
            )
        except APIError as error:
            text = explain(error).lower()
            if "overlap" in text:  # taken since we looked, by a lab that comes up beside this one
                continue
            if ipv6 and "ipv6" in text:
                create_ipv4_only(api, name, subnet4, labels)
                return
            raise refused(f"network `{name}` could not be created", error) from error
        return
    raise LabError(
        f"no subnet is left for lab `{lab.name}` in {range4}{_holders(api)}",
        hint="`labctl down --all` frees those of labs; the variable LABCTL_SUBNETS names another range",
    )


def create_ipv4_only(api: APIClient, name: str, subnet: str, labels: dict[str, str]) -> None:
    """Create the lab's network on an engine whose kernel has no IPv6."""
    pools = IPAMConfig(pool_configs=[IPAMPool(subnet)])
    options = {BRIDGE: bridge_name(name)}
    api.create_network(name, "bridge", ipam=pools, options=options, labels=labels, internal=True)


def _taken(api: APIClient) -> list[IPNetwork]:
    found: list[IPNetwork] = []
    for network in api.networks():
        for pool in (network.get("IPAM") or {}).get("Config") or ():
            if subnet := pool.get("Subnet"):
                found.append(ipaddress.ip_network(subnet, strict=False))
    routes = Path("/proc/net/route")
    return found + (routed_here(routes.read_text()) if routes.is_file() else [])


def _holders(api: APIClient) -> str:
    labs = {label for item in api.networks() if (label := (item.get("Labels") or {}).get(LAB))}
    return f"; labs {', '.join(f'`{lab}`' for lab in sorted(labs))} hold some" if labs else ""
