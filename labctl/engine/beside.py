"""A host's program once more, in another host's network namespace: there it finds what is left of itself when it is started again.

A container that is started again has a network without a past. Here the namespace stays, and with it a connection in TIME_WAIT.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from docker import APIClient
from docker.errors import APIError

from labctl.engine import failures
from labctl.engine.translate import compose_labels, container_body, container_name
from labctl.errors import LabError
from labctl.model import ROLE, FoundHost, HostSpec, LabSpec

# These are the namespace's own.
OF_A_NETWORK = ("Dns", "DnsOptions", "DnsSearch", "ExtraHosts", "Sysctls", "PortBindings")


def body(lab: LabSpec, host: HostSpec, place: FoundHost) -> dict[str, Any]:
    """Return the body of the create request: the host's own, less what a container has that has a network of its own."""
    whole = container_body(lab, host, f"container:{place.id}", publish=False)
    grants = {key: value for key, value in whole["HostConfig"].items() if key not in OF_A_NETWORK}
    labels = compose_labels(lab, service=_name(host), container_number="1", oneoff="False") | {ROLE: "beside"}
    kept = {key: value for key, value in whole.items() if key not in ("Hostname", "ExposedPorts", "NetworkingConfig")}
    return kept | {"HostConfig": grants, "Labels": labels}


@contextmanager
def beside(api: APIClient, lab: LabSpec, host: HostSpec, place: FoundHost) -> Iterator[FoundHost]:
    """Have a host's program run in the network namespace of `place` as long as the block; then it is killed, and gone.

    Raises:
        LabError: it cannot be started.
    """
    ident = ""
    try:
        try:
            made = api.create_container_from_config(body(lab, host, place), container_name(lab, _name(host)))  # type: ignore[no-untyped-call]
            ident = made["Id"]
            api.start(ident)
        except APIError as error:
            raise LabError(
                f"`{host.name}` cannot be started beside `{place.name}`: {failures.explain(error)}"
            ) from error
        yield FoundHost(ident, lab.name, _name(host), lab.scenario, role="beside", image=host.image)
    finally:
        if ident:
            with suppress(APIError):
                api.remove_container(ident, force=True, v=True)


def _name(host: HostSpec) -> str:
    return f"again-{host.name}"
