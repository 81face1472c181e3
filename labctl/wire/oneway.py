"""How long a segment was on its way, where both ends were seen: from the call that sent it, past the bridge, to the call that took it.

    send() called ──▶ [sender's shaper] ──▶ bridge: the frame's time ──▶ recv() returned

All clocks are one machine's: strace's in the hosts, the kernel's at the bridge, the shaper's. strace itself takes its time, some tens of
microseconds a call; and a program that calls recv() late shows so. What is not known is left out, and so is what contradicts itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from labctl.wire.model import NS, Call, Conversation, Packet, Trace
from labctl.wire.shaped import Fates
from labctl.wire.tie import CAUSES, RECEIVE

TAKES = {*RECEIVE, "accept", "accept4", "connect"}  # `connect` returns with the SYN's answer
HELD_NS = 500_000  # less is the shaper's own work, not what it was asked for


@dataclass(frozen=True, slots=True)
class OneWay:
    """One packet's way; times in nanoseconds, None where they are not known.

    Args:
        frame: its number.
        sender, receiver: hosts.
        sent_by, taken_by: names of the calls; empty where unknown.
        to_bridge: from the call's entry until it crossed the bridge, `held` included.
        held: how long its sender's shaper held it.
        from_bridge: from there until the receiver's call returned.
    """

    frame: int
    sender: str
    receiver: str
    sent_by: str = ""
    taken_by: str = ""
    to_bridge: int | None = None
    held: int | None = None
    from_bridge: int | None = None

    @property
    def total(self) -> int | None:
        """From call to call; None where one of them was not seen."""
        return None if self.to_bridge is None or self.from_bridge is None else self.to_bridge + self.from_bridge

    def __str__(self) -> str:
        parts = [f"{self.sent_by}() {_ms(self.to_bridge)} before"] if self.to_bridge is not None else []
        if self.from_bridge is not None:
            parts.append(f"{self.taken_by}() returned it {_ms(self.from_bridge)} after")
        return ", ".join(parts)


def one_ways(trace: Trace, fates: Fates | None = None) -> dict[int, OneWay]:
    """Return what is known of each packet's way, by frame number; nothing without calls or shapers."""
    if not trace.calls and not trace.shaped:
        return {}
    fates = fates or Fates(trace.shaped)
    calls: dict[int, list[Call]] = {}
    for call in trace.calls:
        for frame in call.frames:
            calls.setdefault(frame, []).append(call)
    found = {}
    for conversation in trace.conversations:
        for packet in conversation.packets:
            if packet.kind == conversation.kind:
                way = _of(packet, conversation, calls.get(packet.number, ()), fates)
                if way:
                    found[packet.number] = way
    return found


def _of(packet: Packet, conversation: Conversation, calls: Iterable[Call], fates: Fates) -> OneWay | None:
    sender, receiver = (
        conversation.sides if conversation.from_opener(packet) else (conversation.answerer, conversation.opener)
    )
    # The last call whose octets are in it: it could not leave before. The first that took one of them: it had come by then.
    sent = next((call for call in reversed(list(calls)) if call.host == sender.host and call.name in CAUSES), None)
    took = next(
        (call for call in calls if call.host == receiver.host and call.name in TAKES and call.seconds is not None), None
    )
    fate = fates.of(packet)
    before = packet.time_ns - sent.time_ns if sent else None
    after = took.end_ns - packet.time_ns if took else None
    held = fate.sent_ns - fate.seen_ns if fate and fate.sent_ns else None
    if before is not None and before < (held or 0):
        before, sent = None, None
    if after is not None and after < 0:
        after, took = None, None
    if before is None and after is None and not (held and held >= HELD_NS):
        return None
    names = sent.name if sent else "", took.name if took else ""
    return OneWay(packet.number, sender.host, receiver.host, *names, before, held, after)


@dataclass(frozen=True)
class Direction:
    """The ways of all segments that one end sent, from call to call.

    Args:
        sender, receiver: hosts.
        frames: those whose whole way is known.
        middle, least, most: seconds.
        held: of that, how long the sender's shaper held them, in the middle; 0 for none.
    """

    sender: str
    receiver: str
    frames: tuple[int, ...]
    middle: float
    least: float
    most: float
    held: float


def directions(conversation: Conversation, ways: dict[int, OneWay]) -> list[Direction]:
    """Return a conversation's one-way times, as far as octets were seen from call to call, a direction at a time."""
    found = []
    for side, peer in (conversation.sides, conversation.sides[::-1]):
        known = [
            way
            for packet in conversation.packets
            if packet.payload and (way := ways.get(packet.number)) and way.total is not None
            and conversation.from_opener(packet) == (side is conversation.opener)
        ]  # fmt: skip
        if known:
            totals = [(way.total or 0) / NS for way in known]
            held = median((way.held or 0) / NS for way in known)
            frames = tuple(way.frame for way in known)
            found.append(
                Direction(side.host, peer.host, frames, median(totals), min(totals), max(totals), held if held * NS >= HELD_NS else 0.0)
            )  # fmt: skip
    return found


def median(values: Iterable[float]) -> float:
    """Return the value in the middle; between the two in the middle, where their number is even."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def one_way_facts(way: OneWay) -> dict[str, Any]:
    """Return a way as plain values, in seconds."""

    def seconds(value: int | None) -> float | None:
        return None if value is None else value / NS

    return {
        "sent_by": way.sent_by,
        "to_bridge": seconds(way.to_bridge),
        "held": seconds(way.held),
        "taken_by": way.taken_by,
        "from_bridge": seconds(way.from_bridge),
        "total": seconds(way.total),
    }


def _ms(value: int | None) -> str:
    return f"{(value or 0) / 1e6:.2f} ms"
