"""What tshark makes of a capture: each frame's fields as a tree, and its own opinion of what went wrong, held against ours. Pure: who runs
tshark hands its output in.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from xml.etree import ElementTree

from labctl.wire.model import Trace

READ = ("tshark", "-n", "-r", "-")
FLAGS = {  # tshark's field → our events that mean the same
    "retransmission": {"retransmission", "fast retransmission", "spurious retransmission"},
    "duplicate_ack": {"duplicate ack"},
    "out_of_order": {"out of order"},
    "zero_window": {"zero window"},
    "keep_alive": {"keep-alive", "zero window probe"},
    "window_full": {"window full"},
}
SKIPPED = {"geninfo", "frame"}  # what tshark tells of the capture, not of what crossed
DEEPEST = 40


class Node(NamedTuple):
    """A layer or a field: what it says, where its octets are in the frame, and what is in it."""

    text: str
    at: int
    length: int
    inner: "tuple[Node, ...]" = ()


class DeepError(ValueError):
    """tshark's output cannot be read."""


def fields_argv(frames: Sequence[int]) -> list[str]:
    """Return the command that tells the fields of some frames; ascending numbers."""
    spans: list[list[int]] = []
    for frame in frames:
        if spans and spans[-1][1] == frame - 1:
            spans[-1][1] = frame
        else:
            spans.append([frame, frame])
    wanted = ",".join(f"{first}..{last}" if first < last else str(first) for first, last in spans)
    return [*READ, "-T", "pdml", "-Y", f"frame.number in {{{wanted}}}"]


def flags_argv() -> list[str]:
    """Return the command that tells tshark's analysis of every frame."""
    names = ["frame.number", *(f"tcp.analysis.{name}" for name in FLAGS)]
    return [*READ, "-Y", "tcp.analysis.flags", "-T", "fields", *(part for name in names for part in ("-e", name))]


def read_fields(octets: bytes) -> dict[int, tuple[Node, ...]]:
    """Return frame number → its layers, of tshark's PDML.

    Raises:
        DeepError: it is broken off, or no PDML.
    """
    found: dict[int, tuple[Node, ...]] = {}
    parser: Any = ElementTree.XMLPullParser(("end",))  # tshark wrote it, and expat refuses entities that grow
    try:
        for at in range(0, len(octets), 1 << 20):
            parser.feed(octets[at : at + (1 << 20)])
            for _, element in parser.read_events():
                if element.tag == "packet":
                    number = int(element.find("proto[@name='geninfo']/field[@name='num']").get("show", ""))
                    found[number] = tuple(_nodes(proto for proto in element if proto.get("name") not in SKIPPED))
                    element.clear()
        parser.close()
    except (ElementTree.ParseError, AttributeError, LookupError, ValueError) as error:
        raise DeepError(f"what tshark says cannot be read: {error}") from error
    return found


def _nodes(elements: Iterable[ElementTree.Element], depth: int = 0) -> Iterator[Node]:
    for element in elements:
        if element.get("hide") == "yes" or depth > DEEPEST:
            continue
        text = element.get("showname") or element.get("show") or element.get("name") or ""
        inner = tuple(_nodes(element, depth + 1))
        if text or inner:
            yield Node(text, _number(element.get("pos")), _number(element.get("size")), inner)


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0


@dataclass(frozen=True)
class Disagreement:
    """A frame that one of the two marks, and the other does not, or otherwise."""

    frame: int
    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    why: str = ""

    def facts(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"frame": self.frame, "labctl": list(self.ours), "tshark": list(self.theirs), "why": self.why}

    def __str__(self) -> str:
        ours, theirs = (" and ".join(kinds).replace("_", " ") or "nothing" for kinds in (self.ours, self.theirs))
        return f"frame {self.frame}: labctl says {ours}, tshark {theirs}{f' ({self.why})' if self.why else ''}"


@dataclass(frozen=True)
class Check:
    """tshark's analysis held against ours.

    Args:
        marked: frames that either of the two marks.
        disagreements: those on which they differ.
    """

    marked: int
    disagreements: tuple[Disagreement, ...] = ()

    def __str__(self) -> str:
        if not self.marked:
            return "tshark finds nothing wrong with these segments, and neither does labctl"
        if not self.disagreements:
            return f"tshark agrees on all {self.marked} marked frames"
        return f"tshark and labctl differ on {len(self.disagreements)} of {self.marked} marked frames"


def cross_check(trace: Trace, output: bytes, frames: Iterable[int]) -> Check:
    """Hold tshark's analysis of some frames against ours; see `flags_argv`."""
    wanted = set(frames)
    theirs: dict[int, set[str]] = {}
    for line in output.decode(errors="replace").splitlines():
        number, *cells = line.split("\t")
        said = {name for name, cell in zip(FLAGS, cells, strict=False) if cell}
        if said and number.isdecimal():
            theirs[int(number)] = said
    ours: dict[int, set[str]] = {}
    told: dict[int, str] = {}
    for item in trace.conversations:
        for event in item.events:
            for name, kinds in FLAGS.items():
                if event.kind in kinds:
                    ours.setdefault(event.frame, set()).add(name)
                    told[event.frame] = told.get(event.frame, "") + event.text
    marked = sorted((ours.keys() | theirs.keys()) & wanted)
    differing = [
        Disagreement(
            frame, tuple(sorted(ours.get(frame, ()))), tuple(sorted(theirs.get(frame, ()))), _why(told.get(frame, ""))
        )
        for frame in marked
        if ours.get(frame) != theirs.get(frame)
    ]
    return Check(len(marked), tuple(differing))


def _why(text: str) -> str:
    return "labctl has the shaper's log, tshark only what crossed the bridge" if "shaper" in text else ""


def node_lines(nodes: Iterable[Node], depth: int = 0) -> Iterator[str]:
    """Yield a tree as lines, set in by depth."""
    for node in nodes:
        yield "  " * depth + node.text
        yield from node_lines(node.inner, depth + 1)


def node_facts(nodes: Iterable[Node]) -> list[Any]:
    """Return a tree as plain values: `[text, first octet, octets, [inner]]`."""
    return [[node.text, node.at, node.length, node_facts(node.inner)] for node in nodes]


def deep_facts(fields: Mapping[int, tuple[Node, ...]]) -> dict[str, Any]:
    """Return frame number → tree, as plain values."""
    return {str(number): node_facts(nodes) for number, nodes in fields.items()}
