"""`trace`: what crossed a lab's wire, from its tap or from a file; and how a picture of it is asked for."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from labctl import __version__
from labctl.commands.names import names_of
from labctl.commands.up import READY
from labctl.engine.base import Engine
from labctl.errors import LabError, UsageError
from labctl.model import SHAPER, Found, FoundHost, LabSpec, TapSpec
from labctl.plan import StartTap
from labctl.progress import Progress
from labctl.wire.build import build_trace
from labctl.wire.capture import Capture
from labctl.wire.cut import Cut, read_cuts
from labctl.wire.deep import Node
from labctl.wire.ladder import Mark
from labctl.wire.model import NS, Call, Trace
from labctl.wire.notes import Notes, NotesError, apply_notes, read_notes, without_secrets
from labctl.wire.read import CaptureError, read_capture
from labctl.wire.shaped import Shaped, read_events
from labctl.words import nearest

CAPTURE = "trace.pcapng"  # in the folder of a report
_UNREAD = "the notes in `{}` (socket calls, steps, what shapers did) are left out"
SETTLE = 0.3  # seconds at most for the last segments of a connection to cross
POLL = 0.03


@dataclass(frozen=True)
class Seen:
    """What was captured, and what it shows.

    Args:
        name: of the lab or the file.
        capture: the frames, to be written again.
        trace: what they show.
        marks: what labctl did meanwhile.
        ready_ns: when the lab was ready; 0 where that is not known.
        summary: what came of a scenario, in a line.
        calls: as strace told them.
        tied: the same, tied to the frames of `trace`.
        faults: (host, what is broken there).
        fields: of frames that tshark was asked about: their layers.
    """

    name: str
    capture: Capture
    trace: Trace
    marks: tuple[Mark, ...] = field(default=())
    ready_ns: int = 0
    summary: str = ""
    calls: tuple[Call, ...] = ()
    tied: tuple[Call, ...] = ()
    faults: tuple[tuple[str, str], ...] = ()
    fields: Mapping[int, tuple[Node, ...]] = field(default_factory=dict)

    @property
    def notes(self) -> Notes:
        """What no pcapng holds of it."""
        frames = self.capture.frames
        first = frames[0].time_ns if frames else 0
        calls = without_secrets(self.trace, self.calls, self.tied)
        shaped, cuts = tuple(self.trace.shaped), self.trace.cuts
        return Notes(
            self.name, self.summary, self.ready_ns, len(frames), first, self.marks, calls, shaped, self.faults, cuts
        )


def _seen(capture: Capture, notes: Notes) -> Seen:
    trace = build_trace(capture, cuts=notes.cuts)
    tied = tuple(apply_notes(trace, notes))
    return Seen(notes.name, capture, trace, notes.marks, notes.ready_ns, notes.summary, notes.calls, tied, notes.faults)


def see(engine: Engine, lab: str | None, *, calls: Callable[[Found], Sequence[Call]] | None = None) -> Seen:
    """Return what a lab's tap has captured up to now.

    Raises:
        UsageError: no such lab, or several and none was named.
        LabError: it has no tap.
    """
    found = choose(engine, lab)
    tap = tap_of(found)
    capture, marks = read_tap(engine, tap, found)
    shaped, cuts = what_shapers_did(engine, found)
    notes = Notes(
        tap.lab,
        ready_ns=next((when for when, text in marks if text == READY), 0),
        marks=tuple(_mark(when, text) for when, text in marks if text != READY),
        calls=tuple(calls(found)) if calls else (),
        shaped=tuple(shaped),
        faults=tuple(what_is_broken(engine, found)),
        cuts=tuple(cuts),
    )
    return _seen(capture, notes)


def _mark(when: int, text: str) -> Mark:
    """Read a note beside the capture: a step, with its verdict in front."""
    passed = {"✓": True, "✗": False}.get(text[:1])
    return Mark(when, text if passed is None else text[2:], passed)


def keep_marks(engine: Engine, seen: Seen, lab: str) -> None:
    """Note the steps beside the capture of a lab that stays up, so that `labctl trace` shows them later."""
    tap = engine.look(lab).tap
    if tap:
        signs = {True: "✓ ", False: "✗ ", None: ""}
        steps = [(mark.time_ns, signs[mark.passed] + mark.text) for mark in seen.marks]
        engine.mark_tap(tap, [(seen.ready_ns, READY), *steps])


def what_shapers_did(engine: Engine, found: Found) -> tuple[list[Shaped], list[Cut]]:
    """Return what the lab's shapers dropped, held and changed, and what they cut off; of one that does not answer, nothing."""
    events: list[Shaped] = []
    cuts: list[Cut] = []
    for helper in found.shapers:
        from labctl.commands.shapers import log_of  # few labs have any

        if log := log_of(engine, helper):
            events += read_events(log["events"])
            cuts += read_cuts(log["cuts"])
    return events, cuts


def what_is_broken(engine: Engine, found: Found) -> Iterator[tuple[str, str]]:
    """Yield (host, what is broken there) as of now."""
    for helper in found.hosts:
        if helper.role == SHAPER or (helper.role == "host" and helper.state != "running"):
            from labctl.commands.faults import faults  # few labs have any

            for item in faults(engine, found.labs[0]):
                yield item.host, f"{item.kind}{f' to {item.to}' if item.to else ''}: {item.told}"
            return


def see_place(engine: Callable[[], Engine], word: str | None) -> Seen:
    """Return what a word names: a capture file, the folder of a report, or a lab that is up, with its socket calls.

    Args:
        engine: connects to it, where a lab is meant.
        word: None for the only lab that is up.

    Raises:
        UsageError: no such file or lab, or no capture in it.
        LabError: the lab has no tap.
    """
    if word is not None and is_file(word):
        return see_file(Path(word))
    from labctl.commands.calls import read_calls

    connected = engine()
    return see(connected, word, calls=lambda found: read_calls(connected, found))


def is_file(word: str) -> bool:
    """Tell whether a word names a capture file or a report's folder rather than a lab."""
    path = Path(word)
    return "/" in word or path.suffix in (".pcapng", ".pcap", ".cap") or (path / CAPTURE).is_file()


def see_file(path: Path) -> Seen:
    """Return what a capture file holds, or that of a report's folder; with the notes beside it, where there are any.

    Raises:
        UsageError: it cannot be read, or is no capture file.
    """
    if path.is_dir():
        path /= CAPTURE
    try:
        capture = read_capture(path.read_bytes())
    except OSError as error:
        raise UsageError(f"the capture cannot be read: {error.strerror}", where=str(path)) from error
    except CaptureError as error:
        raise UsageError(f"this is no capture: {error}", where=str(path), hint="pcapng and pcap are read") from error
    notes, problem = read_beside(path, capture)
    seen = _seen(capture, replace(notes, name=notes.name or path.name))
    if problem:
        seen.trace.problems.append(problem)
    return seen


def notes_file(path: Path) -> Path:
    """Return where the notes of a capture are kept."""
    return path.with_suffix(".json")


def read_beside(path: Path, capture: Capture) -> tuple[Notes, str]:
    """Return the notes beside a capture file, empty where there are none; and what is wrong with them, in words."""
    beside = notes_file(path)
    try:
        octets = beside.read_bytes()
    except FileNotFoundError:
        return Notes(), ""
    except OSError as error:
        return Notes(), f"{_UNREAD.format(beside.name)}: {error.strerror}"
    try:
        notes = read_notes(octets)
    except NotesError as error:
        return Notes(), f"{_UNREAD.format(beside.name)}: {error}"
    if not notes.belong_to(capture):
        return Notes(), f"{_UNREAD.format(beside.name)}: they were taken beside another capture"
    return notes, ""


def check_conversation(seen: Seen, number: int) -> None:
    """Refuse the number of a conversation that there is not.

    Raises:
        UsageError: there is no such conversation.
    """
    if seen.trace.conversation(number) is None:
        count = len(seen.trace.conversations)
        hint = f"they are numbered from 1 to {count}" if count else "there is none in it"
        raise UsageError(f"there is no conversation {number}", where=seen.name, hint=hint)


def choose(engine: Engine, lab: str | None) -> Found:
    """Return all that there is of the lab that is meant; see `see` for what it raises."""
    there = engine.look()
    if lab is None and len(there.labs) > 1:
        names = ", ".join(f"`{name}`" for name in there.labs)
        raise UsageError(f"several labs are up: {names}", hint="say which: `labctl trace LAB`")
    if not there.labs:
        raise LabError("no lab is up", hint="`labctl up tcp-demo --tap` brings one up and captures its wire")
    if lab is not None and lab not in there.labs:
        raise UsageError(f"there is no lab `{lab}`{nearest(lab, there.labs)}", hint="`labctl ls` shows what is up")
    return there.of(lab or there.labs[0])


def tap_of(found: Found) -> FoundHost:
    """Return a lab's tap.

    Raises:
        LabError: it has none.
    """
    if found.tap is None:
        lab, scenario = found.labs[0], found.hosts[0].scenario if found.hosts else "SCENARIO"
        raise LabError(
            f"lab `{lab}` has no tap",
            hint=f"`labctl up {scenario} --tap` captures from the first frame; `labctl trace {lab} --follow` from now on",
        )
    return found.tap


def read_tap(engine: Engine, tap: FoundHost, found: Found) -> tuple[Capture, tuple[tuple[int, str], ...]]:
    """Return a tap's capture with its hosts' names, and what labctl noted beside it."""
    tapped = engine.read_tap(tap)
    whole = Capture(names=names_of(found), dropped=tapped.dropped, application=f"labctl {__version__}")
    whole.comments.append(f"lab {tap.lab}, scenario {tap.scenario}")
    for octets in tapped.files:
        part = read_capture(octets)
        whole.frames += part.frames
        for interface in part.interfaces:
            interface.name, interface.filter = tapped.bridge, tapped.spec.filter
        whole.interfaces = whole.interfaces or part.interfaces
        # A last record that is not whole is being written at this moment; anywhere else it is a loss.
        if part.problem and octets is not tapped.files[-1]:
            whole.problem = part.problem
    gone = tapped.received - len(whole.frames)
    if len(tapped.files) > 1 and gone > 0:
        whole.problem = f"the ring of {tapped.spec.ring_mb} MB went round: the first {gone} frames are gone"
    return whole, tapped.marks


def see_settled(
    engine: Engine, lab: str, since_ns: int, read_calls: Callable[[Found], Sequence[Call]] | None = None
) -> Seen:
    """Return what was seen, once the connections begun since then are closed, or were given the time for it.

    It waits for `SETTLE` s, and as long as shapers hold packets. Reading may take long on a busy machine: what counts is when it began.
    """
    began = time.monotonic()
    while True:
        asked = time.monotonic()
        seen = see(engine, lab, calls=read_calls)
        late = [item for item in seen.trace.conversations if item.kind == "TCP" and item.packets[0].time_ns >= since_ns]
        held = max((item.sent_ns - item.seen_ns for item in seen.trace.shaped if item.sent_ns), default=0) / NS
        if asked > began + SETTLE + held or all(item.answerer.packets == 0 or _is_over(item) for item in late):
            return seen
        time.sleep(POLL)


def _is_over(conversation: object) -> bool:
    events = getattr(conversation, "events", ())
    return any(event.kind in ("closed", "reset", "refused") for event in events)


def start_tap(engine: Engine, found: Found, image: str, spec: TapSpec, progress: Progress) -> FoundHost:
    """Start a tap on a lab that runs already, and return it."""
    lab = found.labs[0]
    scenario = found.hosts[0].scenario if found.hosts else lab
    engine.act(LabSpec(lab, scenario, (), tap=spec, tools_image=image), (StartTap(spec),), progress)
    return tap_of(engine.look(lab))
