"""A lab's network, as testcontainers' users hand it on: `DockerContainer(image).with_network(lab.network)`.

testcontainers reads `name` alone, and its own clean-up takes the container away before or after the lab goes: whoever is still on
the network when the lab goes is taken off it, and removed where testcontainers made it for this process.
"""

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labctl.engine.sdk import DockerEngine

GUEST = "org.testcontainers"


class LabNetwork:
    """The wire of a lab, as a user's own containers join it."""

    def __init__(self, engine: "DockerEngine", name: str, ident: str) -> None:
        self._engine = engine
        self.name = name
        self.id = ident

    def connect(self, container_id: str, network_aliases: list[str] | None = None) -> None:
        """Put a container on the network that runs already."""
        self._engine.api.connect_container_to_network(container_id, self.id, aliases=network_aliases)

    def guests(self, hosts: frozenset[str]) -> list[str]:
        """Return the ids of the containers on the network that are none of the lab's hosts."""
        return [item for item in self._engine.guests(self.id) if item not in hosts]


def do_without_ryuk(engine: "DockerEngine") -> None:
    """Have testcontainers do without its reaper where the engine has no image of it; then every `start()` would try to pull it.

    What it would clean up, containers on a lab's network, the lab's own finalizer and reaper do. A user's own word counts for more.
    """
    if "TESTCONTAINERS_RYUK_DISABLED" in os.environ or (config := _config()) is None:
        return
    if not config.ryuk_disabled and not engine.has_image(config.ryuk_image):
        config.ryuk_disabled = True


def _config() -> Any:
    """Return testcontainers' configuration, where that package is in use."""
    module = sys.modules.get("testcontainers.core.config")
    return getattr(module, "testcontainers_config", None)
