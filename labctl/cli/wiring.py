"""Which engine and which builder the commands get."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labctl.engine.base import Clearing, ImageBuilder
    from labctl.engine.sdk import DockerEngine


def connect() -> "DockerEngine":
    """Return the engine that `docker` would talk to.

    Raises:
        EngineError: there is none.
    """
    from labctl.engine.sdk import DockerEngine

    return DockerEngine()


def connect_to_clear() -> "Clearing":
    """Return the engine for taking labs down: without the SDK where it can be had so.

    Raises:
        EngineError: there is none.
    """
    from labctl.engine.endpoint import find_endpoint
    from labctl.engine.peek import QuickEngine, answers

    path = find_endpoint().socket
    return QuickEngine(path) if path and answers(path) else connect()


def builder_for(engine: "DockerEngine") -> "Callable[[Path], ImageBuilder]":
    """Return what makes the builder of a Compose file's images."""
    from labctl.engine.compose import ComposeBuilder

    return lambda compose_file: ComposeBuilder(compose_file, engine)
