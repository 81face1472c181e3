"""What a lab shows, as files beside a failed test: each host's log, what the engine says of it, and the wire where there is a tap."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labctl.testing.lab import Lab


WIDTH = 110  # columns of the ladder
SHOWN_ROWS = 60  # of it in the report; the file holds all


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
        if lines and host.role == "host":
            shown.append((f"log of {host.name} ({host.status})", "\n".join(lines[-shown_lines:])))
    return shown + _wire(lab, folder)


def _wire(lab: "Lab", folder: Path) -> list[tuple[str, str]]:
    """Write what the lab's tap captured, where it has one, as pcapng and as a ladder."""
    if lab.engine.look(lab.name).tap is None:
        return []
    from labctl.commands.trace import see
    from labctl.wire.fold import fold
    from labctl.wire.ladder import lay_out
    from labctl.wire.terminal import TextLadder
    from labctl.wire.write import write_pcapng

    seen = see(lab.engine, lab.name)
    (folder / "capture.pcapng").write_bytes(write_pcapng(seen.capture))
    ladder = lay_out(seen.trace, since_ns=max(seen.ready_ns, lab.since_ns))  # what earlier tests did is in the capture
    whole, shown = (
        "\n".join(TextLadder(WIDTH, colour=False).draw(part)) for part in (ladder, fold(ladder, SHOWN_ROWS))
    )
    (folder / "ladder.txt").write_text(whole + "\n")
    return [("ladder", shown)]
