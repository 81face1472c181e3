"""The wire of a lab under test, where labctl has taps and the lab has one."""

import importlib
from typing import TYPE_CHECKING, Any

from labctl.errors import LabError

if TYPE_CHECKING:
    from labctl.engine.sdk import DockerEngine


def tap_options() -> dict[str, Any]:
    """Return what `up` has to be told so that the lab's wire is captured from its first frame.

    Raises:
        LabError: this labctl has no taps.
    """
    kind = getattr(importlib.import_module("labctl.model"), "TapSpec", None)
    if kind is None:
        raise LabError("this labctl cannot capture")
    return {"tap": kind()}


def read_wire(engine: "DockerEngine", lab: str) -> Any:
    """Return what crossed a lab's wire, ready to be asked.

    Raises:
        LabError: this labctl has no taps, or the lab has none.
    """
    try:
        trace = importlib.import_module("labctl.commands.trace")
        ask = importlib.import_module("labctl.wire.ask")
    except ModuleNotFoundError as error:
        raise LabError("this labctl cannot capture") from error
    return ask.Wire(trace.see(engine, lab).trace)
