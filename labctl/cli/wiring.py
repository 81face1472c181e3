"""Which engine and which builder the commands get."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labctl.engine.base import ImageBuilder
    from labctl.engine.sdk import DockerEngine


def connect() -> "DockerEngine":
    """Return the engine that `docker` would talk to.

    Raises:
        EngineError: there is none.
    """
    from labctl.engine.sdk import DockerEngine

    return DockerEngine()


def builder_for(engine: "DockerEngine") -> "Callable[[Path], ImageBuilder]":
    """Return what makes the builder of a Compose file's images."""
    from labctl.engine.compose import ComposeBuilder

    return lambda compose_file: ComposeBuilder(compose_file, engine)
