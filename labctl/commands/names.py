"""Which address is whose."""

from labctl.model import Found
from labctl.wire.build import link_local


def names_of(found: Found) -> dict[str, str]:
    """Return address → host for all hosts of a lab, their link-local addresses too."""
    names: dict[str, str] = {}
    for host in found.hosts:
        if host.role == "host":
            names |= dict.fromkeys((*host.addresses, *filter(None, [link_local(host.mac)])), host.name)
    return names
