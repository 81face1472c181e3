"""Which engine and which builder the commands get."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labctl.commands.shapers import Image
    from labctl.engine.base import Breaking, Clearing, ImageBuilder
    from labctl.engine.peek import QuickEngine
    from labctl.engine.sdk import DockerEngine


def connect() -> "DockerEngine":
    """Return the engine that `docker` would talk to.

    Raises:
        EngineError: there is none.
    """
    from labctl.engine.sdk import DockerEngine

    return DockerEngine()


def connect_to_clear() -> "Clearing":
    """Return the engine for taking labs down; see `connect_quickly`."""
    return connect_quickly()


def connect_to_break() -> "Breaking":
    """Return the engine for breaking and healing; see `connect_quickly`."""
    return connect_quickly()


def connect_quickly() -> "QuickEngine | DockerEngine":
    """Return the engine for all but bringing up: without the SDK where it can be had so.

    Raises:
        EngineError: there is none.
    """
    from labctl.engine.endpoint import find_endpoint
    from labctl.engine.peek import QuickEngine, answers

    path = find_endpoint().socket
    return QuickEngine(path) if path and answers(path) else connect()


def helpers_image(engine: "Breaking") -> "Image":
    """Return what tells the helpers' image, and builds it first where it is missing or old."""

    def image() -> str:
        from labctl.cli.progress import show_progress
        from labctl.commands.prepare import TOOLS, tools_image
        from labctl.commands.up import tagged
        from labctl.engine.compose import source_digest
        from labctl.paths import lab_root

        with show_progress(quiet=False) as progress:
            ref = tagged(tools_image(progress))
            if not engine.is_current(ref, source_digest()):
                builder_for(connect())(lab_root() / "compose.yaml").build([TOOLS], progress)
        return ref

    return image


def tshark_image(engine: "DockerEngine") -> str:
    """Return the image with tshark in it; it is built when it is first asked for, which takes a minute.

    Raises:
        LabError: it cannot be built.
    """
    from labctl.cli.progress import show_progress
    from labctl.commands.up import tagged
    from labctl.engine.compose import read_services, source_digest
    from labctl.paths import tshark_folder

    folder = tshark_folder()
    with show_progress(quiet=False) as progress:
        ref = tagged(str(read_services(folder / "compose.yaml", progress)["tshark"]["image"]))
        if not engine.is_current(ref, source_digest(folder)):
            builder_for(engine)(folder / "compose.yaml").build(["tshark"], progress)
    return ref


def builder_for(engine: "DockerEngine") -> "Callable[[Path], ImageBuilder]":
    """Return what makes the builder of a Compose file's images."""
    from labctl.engine.compose import ComposeBuilder

    return lambda compose_file: ComposeBuilder(compose_file, engine)
