"""A ladder, before it is drawn: hosts are lanes, packets are rungs, calls stand at their lane. Renderers read rows and nothing else."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, overload

from labctl.wire.describe import call_text, detail, duration, is_noise, label
from labctl.wire.dialogue import dialogues_of
from labctl.wire.model import Call, Conversation, Packet, Trace
from labctl.wire.oneway import OneWay, one_ways
from labctl.wire.pause import no_collection
from labctl.wire.shaped import Fates, told
from labctl.wire.strace import WAITS
from labctl.wire.tcp import Way

Tone = Literal["plain", "note", "bad"]
BAD = {"retransmission", "fast retransmission", "spurious retransmission", "lost segment", "reset", "refused", "unreachable", "unanswered",
       "zero window", "cut short", "out of order"}  # fmt: skip
LOOSE_NS = 5_000_000_000  # what was dropped so long before the first packet, or after the last, belongs to them
ALWAYS = 1 << 63
NEAR_NS = 1_000_000  # a wait ends this soon after the packet that it was for
NOISE = "housekeeping of the network"
EVERYONE = ""  # the lane of a group or of all hosts


@dataclass(frozen=True, slots=True)
class Mark:
    """Something labctl did, between packets: a step of the scenario; `passed` where it was judged, `notes` what came of it."""

    time_ns: int
    text: str
    passed: bool | None = None
    step: int = 0
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Row:
    """One line of a ladder.

    Args:
        kind: packet, call, conversation (its first sight), mark, or gap (rows that were left out here).
        time_ns: when.
        text: what it is, in a few words.
        source, target: lanes; of a call only the source. `EVERYONE` is a group.
        frame: its number; 0 for what is no packet.
        conversation: its number, 0 for none.
        protocol: how it is coloured: TCP, UDP, ICMP, ARP, DNS.
        detail: what the text leaves out.
        notes: events and changes of state.
        states: (lane, state) that it led to.
        end_ns: when a call returned.
        sent_ns: when its host sent it, where a shaper held it; else 0.
        lost: a fault dropped it; one without a frame never crossed the wire, the others were dropped where they arrived.
    """

    kind: Literal["packet", "call", "conversation", "mark", "gap"]
    time_ns: int
    text: str
    source: str = ""
    target: str = ""
    frame: int = 0
    conversation: int = 0
    protocol: str = ""
    detail: str = ""
    notes: list[str] = field(default_factory=list)
    states: list[tuple[str, str]] = field(default_factory=list)
    tone: Tone = "plain"
    end_ns: int = 0
    frames: tuple[int, ...] = ()
    passed: bool | None = None
    sent_ns: int = 0
    lost: bool = False


class Rows(Sequence[Row]):
    """A ladder's rows; a packet's is made when somebody asks for it, since of a long ladder most are never looked at.

    Args:
        entries: rows, and packets that are to become rows.
        make: makes a packet's row.
        is_plain: tells whether a packet is a segment of TCP that its octets and its direction tell all about.
    """

    def __init__(
        self,
        entries: list[Row | Packet],
        make: Callable[[Packet], Row],
        is_plain: Callable[[Packet], bool],
    ) -> None:
        self.entries, self.make, self.is_plain = entries, make, is_plain
        self._made: dict[int, Row] = {}

    def __len__(self) -> int:
        return len(self.entries)

    @overload
    def __getitem__(self, place: int) -> Row: ...

    @overload
    def __getitem__(self, place: slice) -> list[Row]: ...

    def __getitem__(self, place: int | slice) -> Row | list[Row]:
        if isinstance(place, slice):
            return [self[index] for index in range(*place.indices(len(self.entries)))]
        entry = self.entries[place]
        if isinstance(entry, Row):
            return entry
        index = place % len(self.entries)
        if index not in self._made:
            self._made[index] = self.make(entry)
        return self._made[index]

    def __iter__(self) -> Iterator[Row]:
        return (self[index] for index in range(len(self.entries)))


@dataclass(slots=True)
class Ladder:
    """What is to be drawn.

    Args:
        lanes: hosts, from left to right.
        rows: in the order of time.
        begin_ns: the time that is called 0.
        left_out: packets of the trace that are not in it, and why.
        problems: what is amiss with the capture.
    """

    lanes: list[str]
    rows: Sequence[Row]
    begin_ns: int
    left_out: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def lay_out(
    trace: Trace,
    *,
    marks: Sequence[Mark] = (),
    since_ns: int = 0,
    until_ns: int | None = None,
    conversations: Iterable[int] | None = None,
    frames: Iterable[int] | None = None,
    everything: bool = False,
) -> Ladder:
    """Return the ladder of a trace, or of a part of it.

    Args:
        trace: what was seen.
        marks: what labctl did meanwhile.
        since_ns: leave out what was before.
        until_ns: leave out what was after.
        conversations: only these.
        frames: only these; as a `range`, what is new in a live ladder, with all that shapers are said to have dropped.
        everything: the network's housekeeping too.
    """
    with no_collection():
        return _Layout(trace).build(marks, since_ns, until_ns, conversations, frames, everything)


class _Layout:
    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.by_number = {item.number: item for item in trace.conversations}
        self.notes: dict[int, list[str]] = {}
        self.bad: set[int] = set()
        self.states: dict[int, list[tuple[str, str]]] = {}
        self.early: set[int] = set()
        self.fates = Fates(trace.shaped)
        self.dialogues = dialogues_of(trace)
        self.ways: dict[int, OneWay] = {}
        self.only: set[int] | None = None
        self.live = False
        self.silent: dict[Way, bool] = {}  # whether no protocol is known there, so that octets are shown as they are

    def build(
        self,
        marks: Sequence[Mark],
        since_ns: int,
        until_ns: int | None,
        conversations: Iterable[int] | None,
        frames: Iterable[int] | None,
        everything: bool,
    ) -> Ladder:
        only = None if conversations is None else set(conversations)
        wanted = None if frames is None else set(frames)
        left_out: dict[str, int] = {}
        if (
            since_ns and only is None
        ):  # what was asked before is not this lesson's, though its last segments may be late
            self.early = {
                item.number
                for item in self.by_number.values()
                if item.kind == "TCP" and item.packets[0].time_ns < since_ns
            }
        self.only, self.live = only, isinstance(frames, range)
        if not self.live:  # to look at all that was before would take longer each time
            self.ways = one_ways(self.trace, self.fates)
        all_of = self.trace.packets
        if isinstance(frames, range) and all_of and all_of[-1].number == len(all_of):
            all_of = all_of[max(0, frames.start - 1) : frames.stop - 1]
        if since_ns or until_ns is not None or only is not None or wanted is not None:
            whys = [self.why_not(packet, since_ns, until_ns, only, wanted, everything) for packet in all_of]
        else:
            whys = ["" if packet.way or everything or not is_noise(packet) else NOISE for packet in all_of]
        packets = [packet for packet, why in zip(all_of, whys, strict=True) if not why]
        for why in filter(None, whys):
            left_out[why] = left_out.get(why, 0) + 1
        seen = {self.trace.of.get(packet.number, 0) for packet in packets}
        for number in seen:
            if number:
                self.read(self.by_number[number])
        calls = [call for call in self.trace.calls if self.takes(call, since_ns, until_ns, only, wanted, seen)]
        if not everything:
            told = len(calls)
            times = [packet.time_ns for packet in packets] if calls else []
            calls = [call for call in calls if not is_idle(call, times)]
            if told > len(calls):
                left_out["calls that have nothing to do with the wire"] = told - len(calls)
        rows = self.rows(
            packets, calls, [mark for mark in marks if mark.time_ns >= since_ns and only is None and wanted is None]
        )
        begin = min((entry.time_ns for entry in rows.entries), default=0)
        return Ladder(self.lanes(rows), rows, begin, left_out, list(self.trace.doubts))

    def why_not(
        self,
        packet: Packet,
        since_ns: int,
        until_ns: int | None,
        only: set[int] | None,
        wanted: set[int] | None,
        everything: bool,
    ) -> str:
        if wanted is not None and packet.number not in wanted:
            return "not asked for"
        if wanted is not None and not self.live:
            return ""
        if packet.time_ns < since_ns or self.trace.of.get(packet.number) in self.early:
            return "before the lab was ready"
        if until_ns is not None and packet.time_ns > until_ns:
            return "later"
        if only is not None and self.trace.of.get(packet.number) not in only:
            return "of other conversations"
        return NOISE if not everything and is_noise(packet) else ""

    def takes(
        self,
        call: Call,
        since_ns: int,
        until_ns: int | None,
        only: set[int] | None,
        wanted: set[int] | None,
        seen: set[int],
    ) -> bool:
        if wanted is not None:
            return bool(wanted.intersection(call.frames))
        if only is not None:
            return call.conversation in only
        if call.conversation and call.conversation not in seen:
            return False
        return call.time_ns >= since_ns and (until_ns is None or call.time_ns <= until_ns)

    def read(self, conversation: Conversation) -> None:
        """Note what a conversation's events and states have to say beside its packets."""
        for event in conversation.events:
            self.notes.setdefault(event.frame, []).append(
                event.text if event.kind != "retransmission" else f"retransmission: {event.text}"
            )
            if event.kind in BAD:
                self.bad.add(event.frame)
        for side in conversation.sides:
            for frame, state in side.states:
                if frame:
                    self.states.setdefault(frame, []).append((side.host, state.value))

    def rows(self, packets: Sequence[Packet], calls: Sequence[Call], marks: Sequence[Mark]) -> Rows:
        rows: list[Row | Packet] = []
        begun: set[int] = set()
        for packet in packets:
            number = self.trace.of.get(packet.number, 0)
            if number and number not in begun:
                begun.add(number)
                conversation = self.by_number[number]
                fate = self.fates.of(packet)
                rows.append(
                    Row(
                        "conversation",
                        fate.seen_ns if fate else packet.time_ns,
                        conversation.title,
                        conversation=number,
                        protocol=self.protocol(packet, conversation),
                    )
                )
            rows.append(packet)
        others: list[Row | Packet] = [self.call_row(call) for call in calls]
        others += self.lost_rows(packets)
        others += [Row("mark", mark.time_ns, mark.text, notes=list(mark.notes), passed=mark.passed) for mark in marks]
        if others:
            # a mark or call goes before a packet of the same instant: it was the cause
            order = {"mark": 0, "conversation": 1, "call": 2, "packet": 3}
            rows = sorted(
                rows + others, key=lambda row: (row.time_ns, order["packet" if isinstance(row, Packet) else row.kind])
            )
        return Rows(rows, self.row_of, self.is_plain)

    def row_of(self, packet: Packet) -> Row:
        return self.packet_row(packet, self.by_number.get(self.trace.of.get(packet.number, 0)))

    def is_plain(self, packet: Packet) -> bool:
        if (
            packet.way is None
            or packet.note
            or packet.problem
            or packet.comment
            or self.trace.shaped
            or self.trace.cuts
        ):
            return False
        if packet.number in self.notes or packet.number in self.states or packet.number in self.ways:
            return False
        if packet.way not in self.silent:
            self.silent[packet.way] = self.dialogues.of(packet.way.conversation) is None
        return self.silent[packet.way]

    def packet_row(self, packet: Packet, conversation: Conversation | None) -> Row:
        source, target = self.ends(packet, conversation)
        notes = list(self.notes.get(packet.number, ()))
        if packet.comment:
            notes.append(packet.comment)
        fate = self.fates.of(packet)
        if fate and (words := told(fate)):
            notes.append(words)
        unheard = self.trace.unheard.get(packet.number, "")
        if unheard:
            notes.append(f"dropped where it arrived: {unheard}")
        dialogue = self.dialogues.of(conversation)
        if dialogue and (answers := dialogue.note(packet.number)):
            notes.append(answers)
        return Row(
            "packet",
            packet.time_ns,
            label(packet, conversation, dialogue.text(packet) if dialogue else ""),
            source,
            target,
            packet.number,
            conversation.number if conversation else 0,
            self.protocol(packet, conversation),
            "; ".join(filter(None, (detail(packet, conversation), str(self.ways.get(packet.number, ""))))),
            notes,
            self.states.get(packet.number, []),
            "bad" if packet.number in self.bad or packet.problem or unheard else "note" if notes else "plain",
            sent_ns=fate.seen_ns if fate else 0,
            lost=bool(unheard),
        )

    def lost_rows(self, packets: Sequence[Packet]) -> list[Row]:
        """Return rows for what shapers dropped while these packets crossed: a tap cannot see it, but it was sent."""
        if not self.fates.never or not (packets or self.live):
            return []
        first, last = (packets[0].time_ns - LOOSE_NS, packets[-1].time_ns + LOOSE_NS) if not self.live else (0, ALWAYS)
        rows = []
        for item in self.fates.never:
            packet = item.packet
            if not first <= item.seen_ns <= last or is_noise(packet):
                continue
            conversation = self.conversation_of(packet)
            if self.only is not None and (conversation is None or conversation.number not in self.only):
                continue
            source, target = self.ends(packet, conversation)
            rows.append(
                Row(
                    "packet",
                    item.seen_ns,
                    label(packet, conversation, self.dialogues.text(packet, conversation)),
                    source,
                    target,
                    conversation=conversation.number if conversation else 0,
                    protocol=self.protocol(packet, conversation),
                    notes=[told(item)],
                    tone="bad",
                    lost=True,
                )
            )
        return rows

    def conversation_of(self, packet: Packet) -> Conversation | None:
        """Return the conversation of a packet that was not captured: the last one between its ends that had begun."""
        ends = {(packet.source, packet.source_port), (packet.target, packet.target_port)}
        fitting = [
            item
            for item in self.trace.conversations
            if item.kind == packet.kind and {(side.address, side.port) for side in item.sides} == ends
        ]
        begun = [item for item in fitting if item.packets and item.packets[0].time_ns <= packet.time_ns]
        return next(reversed(begun or fitting), None)

    def ends(self, packet: Packet, conversation: Conversation | None) -> tuple[str, str]:
        if conversation:
            for near, far in (conversation.sides, conversation.sides[::-1]):
                if near.address == packet.source and (
                    near.port == packet.source_port or packet.kind != conversation.kind
                ):
                    return near.host, EVERYONE if is_group(far.address) else far.host
        target = EVERYONE if is_group(packet.target) else self.trace.name(packet.target)
        return self.trace.name(packet.source), target

    def call_row(self, call: Call) -> Row:
        notes, text = [duration(call.seconds)], call_text(call, self.dialogues.hides(call))
        return Row(
            "call", call.time_ns, text, call.host, "", 0, call.conversation, call.transport, call.program, notes, [],
            "bad" if call.error and call.error not in ("EAGAIN", "EINPROGRESS") else "plain", call.end_ns, call.frames,
        )  # fmt: skip

    @staticmethod
    def protocol(packet: Packet, conversation: Conversation | None) -> str:
        return conversation.topic or packet.kind if conversation and packet.kind == conversation.kind else packet.kind

    def lanes(self, rows: Rows) -> list[str]:
        """Return the lanes: whoever opens conversations to the left, so that most first arrows point right."""
        found: dict[str, int] = {}
        everyone = False
        ways: set[Way] = set()
        for entry in rows.entries:
            if isinstance(entry, Packet):
                if entry.way in ways:
                    continue
                if entry.way is not None:
                    ways.add(entry.way)
                ends: Sequence[str] = self.ends(entry, self.by_number.get(self.trace.of.get(entry.number, 0)))
            elif entry.kind in ("packet", "call"):
                ends = (entry.source, entry.target) if entry.kind == "packet" else (entry.source,)
            else:
                continue
            everyone = everyone or EVERYONE in ends[1:]
            for end in (*ends[:1], *(end for end in ends[1:] if end != EVERYONE)):
                found.setdefault(end, 0)
        for conversation in self.by_number.values():
            if conversation.kind in ("TCP", "UDP") and conversation.opener.host in found:
                found[conversation.opener.host] += 1
                if conversation.answerer.host in found:
                    found[conversation.answerer.host] -= 1
        lanes = sorted(found, key=lambda name: -found[name])
        return [*lanes, EVERYONE] if everyone else lanes


def is_idle(call: Call, times: Sequence[int]) -> bool:
    """Tell whether a call has nothing to do with the wire: a wait during which nothing crossed, or a host that speaks to itself.

    Args:
        call: the call.
        times: when packets crossed, in nanoseconds, ascending.
    """
    if any(place.startswith(("127.", "[::1]")) for place in (call.local, call.peer)):
        return True
    if call.conversation:
        return False
    if call.name not in WAITS:
        return (
            call.transport == "UDP"
        )  # asked only which of its own addresses it would use (RFC 6724); nothing was sent
    if call.result == 0:
        return True
    return bisect_left(times, call.time_ns - NEAR_NS) == bisect_right(times, call.end_ns + NEAR_NS)


@lru_cache(4096)
def is_group(address: str) -> bool:
    """Tell whether an address means several hosts: broadcast, or a multicast group (RFC 5771, RFC 4291 section 2.7)."""
    if ":" in address:
        return (address.startswith("ff") and len(address.split(":")[0]) == 4) or _is_group_mac(address)
    first, _, rest = address.partition(".")
    return first.isdigit() and (224 <= int(first) < 240 or address == "255.255.255.255" or rest.endswith("255.255"))


def _is_group_mac(address: str) -> bool:
    parts = address.split(":")
    return len(parts) == 6 and all(len(part) == 2 for part in parts) and bool(int(parts[0], 16) & 1)
