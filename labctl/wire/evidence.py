"""The part of a ladder that shows why an expectation was not met."""

from labctl.wire.ladder import Ladder, lay_out
from labctl.wire.model import Trace
from labctl.wire.verdict import Verdict

AROUND = 3  # frames of a conversation before and after one that is evidence
MOST = 24  # frames that are shown


def evidence(verdict: Verdict, trace: Trace) -> Ladder | None:
    """Return the ladder around a verdict's frames; None where it has none."""
    shown: set[int] = set()
    for number in {trace.of.get(frame, 0) for frame in verdict.frames}:
        found = trace.conversation(number)
        packets = [packet.number for packet in found.packets] if found else []
        for place in (packets.index(frame) for frame in verdict.frames if frame in packets):
            shown.update(packets[max(0, place - AROUND) : place + AROUND + 1])
    return lay_out(trace, frames=sorted(shown)[:MOST]) if shown else None
