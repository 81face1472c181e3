"""Where the engine listens: `DOCKER_HOST`, `DOCKER_CONTEXT`, the CLI's current context, or the default socket.

The SDK reads `DOCKER_HOST` alone; people who use contexts would find their labs on another engine than their `docker ps`.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEFAULT = "unix:///var/run/docker.sock"


@dataclass(frozen=True)
class Endpoint:
    """An engine's address and who named it."""

    url: str
    origin: str
    tls: Path | None = None

    @property
    def socket(self) -> str | None:
        """Path of the Unix socket, where it is one."""
        return self.url.removeprefix("unix://") if self.url.startswith("unix://") else None


def find_endpoint() -> Endpoint:
    """Return the engine that `docker` would talk to.

    Falls back to the default socket where a named context has no readable description; connecting then says what is wrong.
    """
    if url := os.environ.get("DOCKER_HOST"):
        tls = os.environ.get("DOCKER_CERT_PATH") if os.environ.get("DOCKER_TLS_VERIFY") else None
        return Endpoint(url, "DOCKER_HOST", Path(tls) if tls else None)
    config = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    name = os.environ.get("DOCKER_CONTEXT") or _read(config / "config.json").get("currentContext")
    if not name or name == "default":
        return Endpoint(DEFAULT, "default")
    key = hashlib.sha256(name.encode()).hexdigest()
    endpoint = _read(config / "contexts" / "meta" / key / "meta.json").get("Endpoints", {}).get("docker", {})
    tls_folder = config / "contexts" / "tls" / key / "docker"
    return Endpoint(endpoint.get("Host") or DEFAULT, f"context `{name}`", tls_folder if tls_folder.is_dir() else None)


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
