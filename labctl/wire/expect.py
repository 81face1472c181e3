"""Expectations of the wire: one vocabulary for scenario files, for Python and for grading. Each is a predicate on the model.

An expectation that is not met says what was seen instead, with the numbers of the frames that show it.
"""

from labctl.wire.model import Trace
from labctl.wire.rules import Judge
from labctl.wire.verdict import SAME, Count, Expectation, Verdict, cited, expectation_of

__all__ = ["SAME", "Count", "Expectation", "Verdict", "expectation_of", "judge"]


def judge(expectation: Expectation, trace: Trace, since_ns: int = 0, until_ns: int | None = None) -> Verdict:
    """Return whether a stretch of time shows what is expected: its conversations are those that begin in it.

    Args:
        expectation: what must be seen.
        trace: what was seen.
        since_ns, until_ns: the stretch; until the end where None.
    """
    verdict = Judge(trace, since_ns, until_ns).judge(expectation)
    for other, earlier in ((expectation.after, True), (expectation.before, False)):
        if other is None or not verdict.met:
            continue
        second = judge(other, trace, since_ns, until_ns)
        if not second.met:
            return Verdict(expectation, False, f"there is nothing to compare with: {second.said}", verdict.frames)
        mine, theirs = _time(verdict, trace), _time(second, trace)
        if (mine <= theirs) if earlier else (mine >= theirs):
            word = "before" if earlier else "after"
            return Verdict(expectation, False, f"it came {word} {other}{cited(second.frames)}", verdict.frames)
    return verdict


def _time(verdict: Verdict, trace: Trace) -> int:
    if verdict.calls:
        return verdict.calls[0].time_ns
    packet = trace.packet(verdict.frames[0]) if verdict.frames else None
    return packet.time_ns if packet else 0
