"""Socket calls: hosts and steps run under strace in their own container, and what it wrote is read back from there."""

from collections.abc import Sequence

from labctl.commands.names import names_of
from labctl.engine.base import Engine
from labctl.engine.translate import CALLS_FOLDER, STRACE
from labctl.errors import LabError
from labctl.model import Found
from labctl.wire.model import Call
from labctl.wire.strace import read_strace

BETWEEN = "\x1e"  # ASCII's record separator: strace escapes it, so it stands only between files
# One file after the other, each with its name in front.
GATHER = (
    f'cd {CALLS_FOLDER} 2>/dev/null && for f in *; do [ -f "$f" ] && printf \'\\036%s\\n\' "$f" && cat "$f"; done; true'
)


def under_strace(argv: Sequence[str], name: str) -> list[str]:
    """Return a command that runs another one under strace; its calls are written into the file `name`."""
    return [*STRACE, "-o", f"{CALLS_FOLDER}/{name}", "--", *argv]


def read_calls(engine: Engine, found: Found) -> list[Call]:
    """Return the socket calls of a lab's hosts, by time; none where they do not run under strace."""
    calls: list[Call] = []
    names = names_of(found)
    for host in found.hosts:
        if host.role != "host" or not host.traced or host.state != "running":
            continue
        try:
            told = engine.exec(host, ["sh", "-c", GATHER], timeout=20).stdout.decode(errors="replace")
        except (LabError, TimeoutError):
            continue  # a host that has ended takes its calls with it
        for part in told.split(BETWEEN)[1:]:
            program, _, text = part.partition("\n")
            calls += read_strace(text, host.name, program, names)
    return sorted(calls, key=lambda call: call.time_ns)
