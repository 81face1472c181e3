"""What a lab shows, as files beside a failed test: each host's log, what the engine says of it, and the wire where there is a tap."""

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.errors import LabError

if TYPE_CHECKING:
    from labctl.testing.lab import Lab


def write_artifacts(lab: "Lab", folder: Path, shown_lines: int) -> list[tuple[str, str]]:
    """Write a lab's logs and state into a folder, and return (title, text) of what is worth showing at once.

    Raises:
        LabError: the engine does not answer.
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shown = []
    for host in lab.engine.look(lab.name).hosts:
        octets = b"".join(line + b"\n" for line in lab.engine.logs(host))
        (folder / f"{host.name}.log").write_bytes(octets)
        inspected = lab.engine.api.inspect_container(host.id)
        (folder / f"{host.name}.json").write_text(json.dumps(inspected, indent=2) + "\n")
        lines = octets.decode(errors="replace").splitlines()
        if lines:
            shown.append((f"log of {host.name} ({host.status})", "\n".join(lines[-shown_lines:])))
    return shown + _wire(lab, folder)


def _wire(lab: "Lab", folder: Path) -> list[tuple[str, str]]:
    """Write what the tap captured, where labctl has taps and the lab has one, as pcapng and as a ladder."""
    try:
        trace = importlib.import_module("labctl.commands.trace")
        seen = trace.see(lab.engine, lab.name)
    except (ModuleNotFoundError, LabError):
        return []
    writer, ladder, terminal = (
        importlib.import_module(f"labctl.wire.{name}") for name in ("write", "ladder", "terminal")
    )
    (folder / "capture.pcapng").write_bytes(writer.write_pcapng(seen.capture))
    text = "\n".join(terminal.TextLadder(110, colour=False).draw(ladder.lay_out(seen.trace)))
    (folder / "ladder.txt").write_text(text + "\n")
    return [("ladder", text)]
