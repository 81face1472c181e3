"""What crossed the wire during each check, as a ladder and as a capture, for a submission's page."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from labctl.commands.trace import see
from labctl.grade.verdict import Picture, Verdict
from labctl.wire.build import build_trace
from labctl.wire.fold import fold
from labctl.wire.ladder import lay_out
from labctl.wire.svg import draw_svg
from labctl.wire.write import write_pcapng

if TYPE_CHECKING:
    from labctl.testing.lab import Lab

ROWS = 60  # of one ladder; the capture holds everything


def take_pictures(lab: "Lab", verdicts: Sequence[Verdict]) -> list[Picture | None]:
    """Return what the lab's tap saw during each of them; None where nothing crossed.

    Raises:
        LabError: the lab has no tap, or it cannot be read.
    """
    seen = see(lab.engine, lab.name)
    pictures: list[Picture | None] = []
    for verdict in verdicts:
        frames = [frame for frame in seen.capture.frames if verdict.began_ns <= frame.time_ns <= verdict.ended_ns]
        part = replace(seen.capture, frames=frames)
        ladder = lay_out(build_trace(part)) if frames else None
        if ladder and ladder.rows:
            pictures.append(Picture(draw_svg(fold(ladder, ROWS), verdict.tried), write_pcapng(part)))
        else:
            pictures.append(None)
    return pictures
