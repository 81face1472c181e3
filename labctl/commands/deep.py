"""`trace --deep`: ask tshark, in a container of its own, what it makes of a capture."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from labctl.commands.trace import Seen
from labctl.errors import LabError
from labctl.model import Executed
from labctl.wire.deep import Check, DeepError, Node, cross_check, fields_argv, flags_argv, read_fields
from labctl.wire.write import write_pcapng

MOST = 2000  # frames whose fields are told: 10 to 40 kB each
SECONDS = 60.0  # for tshark to read a capture


class OneShot(Protocol):
    """What runs a program over octets, in a container of its own."""

    def run_once(self, image: str, argv: Sequence[str], octets: bytes, seconds: float) -> Executed:
        """Return what it said; exit code 124: it took too long, 137: it was killed.

        Raises:
            LabError: it could not be run.
        """


@dataclass(frozen=True)
class Deep:
    """What tshark says.

    Args:
        fields: frame number → its layers.
        check: its analysis held against ours.
        left_out: frames that were asked for, beyond `MOST`.
    """

    fields: dict[int, tuple[Node, ...]] = field(default_factory=dict)
    check: Check = field(default_factory=lambda: Check(0))
    left_out: int = 0


def look_deeper(
    engine: OneShot, image: str, seen: Seen, frames: Sequence[int], checked: Sequence[int] | None = None
) -> Deep:
    """Return what tshark says of some frames of a capture.

    Args:
        engine: runs it.
        image: with tshark in it.
        seen: what was captured.
        frames: ascending numbers; their fields are told.
        checked: frames of which its analysis is held against ours; None for the same ones.

    Raises:
        LabError: tshark failed, took too long, or wants more memory than it may have.
    """
    if not frames:
        return Deep()
    octets = write_pcapng(seen.capture)
    chosen = frames[:MOST]
    try:
        fields = read_fields(_ask(engine, image, fields_argv(chosen), octets))
    except DeepError as error:
        raise LabError(str(error), hint="`-c` chooses one conversation") from error
    analysed = _ask(engine, image, flags_argv(), octets)
    return Deep(
        fields, cross_check(seen.trace, analysed, frames if checked is None else checked), len(frames) - len(chosen)
    )


def _ask(engine: OneShot, image: str, argv: Sequence[str], octets: bytes) -> bytes:
    done = engine.run_once(image, argv, octets, SECONDS)
    if done.exit:
        said = " ".join(done.stderr.decode(errors="replace").split())[-300:] or "it said nothing"
        words = {124: f"it took longer than {SECONDS:g} s", 137: "it was killed, for want of memory it seems"}
        raise LabError(
            f"tshark failed: {words.get(done.exit, said)}",
            where=f"a capture of {len(octets):,} octets",
            hint="`--filter` when capturing, or `-c` for one conversation, gives it less to do",
        )
    return done.stdout
