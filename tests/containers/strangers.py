"""Other people's clients (tin, slrnpull, inetutils telnet, …) on a lab's network, in a container that is no host of the lab."""

import os
import subprocess
from contextlib import closing, contextmanager
from pathlib import Path

import docker

from labctl.progress import Silent
from labctl.provision.compose_tool import ensure_compose

HERE = Path(__file__).parent
IMAGE = f"{os.environ.get('LAB_IMAGES', 'labctl')}/strangers"


def build():
    """Build the image; what is up to date costs next to nothing."""
    tool = ensure_compose(Silent())
    env = os.environ | {"DOCKER_BUILDKIT": "1"}
    subprocess.run(
        [*tool.command, "-f", str(HERE / "strangers.yaml"), "--progress", "quiet", "build"],
        check=True,
        env=env,
        timeout=600,
    )


class Stranger:
    """Runs shell lines in the container."""

    def __init__(self, container):
        self.container = container

    def __call__(self, script, code=0, seconds=60):
        """Return what a script says, both streams in one."""
        done = self.container.exec_run(["timeout", str(seconds), "bash", "-c", script])
        said = done.output.decode(errors="replace")
        assert code is None or done.exit_code == code, f"{script}: {done.exit_code}\n{said}"
        return said


@contextmanager
def stranger(lab):
    """Put a container with other people's clients on the network of a lab that is up."""
    build()
    with closing(docker.from_env()) as engine:
        (network,) = engine.networks.list(filters={"label": f"labctl.lab={lab}"})
        container = engine.containers.run(
            IMAGE,
            ["sleep", "infinity"],
            detach=True,
            init=True,
            network=network.name,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            volumes={f"lab-{lab}_handouts": {"bind": "/handouts", "mode": "ro"}},
            environment={"TERM": "vt100"},
        )
        try:
            yield Stranger(container)
        finally:
            container.remove(force=True)
