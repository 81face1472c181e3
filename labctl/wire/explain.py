"""What happened in a conversation, in sentences: rules on its events, each tied to frames and an RFC; silent where none applies."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from labctl.wire.describe import duration, octets_of
from labctl.wire.model import FIN, NS, Call, Conversation, Event, EventKind, Packet, Side, Trace

SHOWN = 4  # events of one kind that are told one by one


@dataclass(frozen=True)
class Sentence:
    """One thing that happened.

    Args:
        text: the sentence.
        frames: numbers of the frames that show it.
        rfc: the section that speaks of it; empty where it is plain counting.
    """

    text: str
    frames: tuple[int, ...] = ()
    rfc: str = ""

    def __str__(self) -> str:
        word = "frame" if len(self.frames) == 1 else "frames"
        shown = ", ".join(map(str, self.frames[:6])) + (" …" if len(self.frames) > 6 else "")
        source = "; ".join(part for part in (f"{word} {shown}" if self.frames else "", self.rfc) if part)
        return f"{self.text} ({source})" if source else self.text


def explain(conversation: Conversation, trace: Trace) -> list[Sentence]:
    """Return the account of a conversation, in the order of the events."""
    calls = [call for call in trace.calls if call.conversation == conversation.number]
    if conversation.kind == "TCP":
        return list(_Tcp(conversation, calls).sentences())
    if conversation.kind == "UDP":
        return list(_udp(conversation))
    return []


class _Tcp:
    def __init__(self, conversation: Conversation, calls: list[Call]) -> None:
        self.it = conversation
        self.calls = calls
        self.packets = {packet.number: packet for packet in conversation.packets}

    def events(self, *kinds: EventKind) -> list[Event]:
        return [event for event in self.it.events if event.kind in kinds]

    def sentences(self) -> Iterator[Sentence]:
        yield from self.opening()
        yield from self.octets()
        yield from self.trouble()
        yield from self.closing()

    def opening(self) -> Iterator[Sentence]:
        it = self.it
        for event in self.events("handshake"):
            yield Sentence(
                f"{it.opener.host} opened a connection to {it.answerer.name} by the three-way handshake, in {duration(self.span(event))}.",
                event.frames, event.rfc,
            )  # fmt: skip
        connect = next((call for call in self.calls if call.name == "connect"), None)
        if connect and connect.seconds is not None and connect.frames:
            how = (
                "did not wait for it"
                if connect.error == "EINPROGRESS"
                else f"returned {connect.error or connect.result}"
            )
            yield Sentence(f"{connect.host}'s connect() {how}, after {duration(connect.seconds)}.", connect.frames)
        for event in self.events("refused"):
            yield Sentence(
                f"{it.answerer.host} refused: nobody listens on port {it.answerer.port} there.", event.frames, event.rfc
            )
        for event in self.events("unanswered"):
            yield Sentence(
                f"Nobody answered: {it.opener.host} sent its SYN {len(event.frames)} times.", event.frames, event.rfc
            )
        for event in self.events("unreachable"):
            yield Sentence(f"{event.text[0].upper()}{event.text[1:]}.", event.frames, event.rfc)

    def octets(self) -> Iterator[Sentence]:
        told = []
        for side in self.it.sides:
            segments = [packet for packet in self.it.packets if packet.payload and self.sender(packet) is side]
            if segments:
                count = f"{len(segments)} segment{'' if len(segments) == 1 else 's'}"
                told.append(f"{side.host} sent {octets_of(side.octets)} in {count}")
        if told:
            yield Sentence("; ".join(told) + ".")

    def trouble(self) -> Iterator[Sentence]:
        yield from self.several(("retransmission",), "{by} had no acknowledgment in time, so it sent {what}")
        yield from self.several(
            ("fast retransmission",),
            "{by} did not wait for its timer: the other end's ACKs showed a gap, so it sent {what}",
        )
        yield from self.several(("spurious retransmission",), "{by} sent {what}: needless")
        yield from self.several(("out of order",), "Segments overtook each other: {what}")
        closed = self.events("zero window")
        if closed:
            opened = next((event for event in self.events("window update") if event.frame > closed[0].frame), None)
            text = f"{closed[0].by} had no room left and closed its window"
            if opened:
                text += f"; it opened it again after {duration(self.between(closed[0].frame, opened.frame))}"
            yield Sentence(
                f"{text}.", tuple(event.frame for event in closed) + ((opened.frame,) if opened else ()), closed[0].rfc
            )
        yield from self.several(("delayed ack",), "{by} waited before it acknowledged: {what}")
        yield from self.several(("nagle",), "{by}'s small segment was {what}")
        alive = self.events("keep-alive")
        if alive:
            yield Sentence(
                f"{alive[0].by} asked {len(alive)} times whether the other end is still there.",
                tuple(e.frame for e in alive),
                alive[0].rfc,
            )

    def closing(self) -> Iterator[Sentence]:
        it = self.it
        first = next(iter(self.events("half-close")), None)
        closed = next(iter(self.events("closed")), None)
        if first:
            fins = tuple(packet.number for packet in it.packets if packet.flags & FIN)
            yield Sentence(f"{first.by} closed first, by a FIN.", fins[:1] or first.frames, first.rfc)
        if closed and closed.by:
            text = f"Both ends closed in order; {closed.by} keeps TIME-WAIT, for stray segments and in case its last ACK is lost."
            yield Sentence(text, closed.frames, "RFC 9293 section 3.6.1")
        for event in self.events("reset"):
            packet = self.packets[event.frame]
            yield Sentence(f"{event.by} reset the connection{self.why_reset(packet)}.", event.frames, event.rfc)

    def why_reset(self, packet: Packet) -> str:
        """Return why a RST was sent, where the segments before show it."""
        sender = self.sender(packet)
        before = [item for item in self.it.packets if item.number < packet.number]
        finished = any(item.flags & FIN and self.sender(item) is sender for item in before)
        late = before and before[-1].payload and self.sender(before[-1]) is not sender
        return ": octets came after it had closed" if finished and late else ""

    def several(self, kinds: tuple[EventKind, ...], form: str) -> Iterator[Sentence]:
        """Tell a few events one by one, and many as a number."""
        events = self.events(*kinds)
        if len(events) > SHOWN:
            by = ", ".join(dict.fromkeys(event.by for event in events))
            yield Sentence(
                f"{kinds[0].capitalize()}: {len(events)} times, by {by}.",
                tuple(event.frame for event in events),
                events[0].rfc,
            )
            return
        for event in events:
            yield Sentence(form.format(by=event.by, what=event.text) + ".", event.frames, event.rfc)

    def sender(self, packet: Packet) -> Side:
        return self.it.opener if self.it.from_opener(packet) else self.it.answerer

    def span(self, event: Event) -> float:
        return self.between(event.frames[0], event.frames[-1])

    def between(self, first: int, last: int) -> float:
        return (self.packets[last].time_ns - self.packets[first].time_ns) / NS


def _udp(conversation: Conversation) -> Iterable[Sentence]:
    told = [f"{side.host} sent {_datagrams(side)}" for side in conversation.sides if side.packets]
    yield Sentence(
        f"No connection: {', '.join(told)}.", tuple(packet.number for packet in conversation.packets[:6]), "RFC 768"
    )
    unreachable = [event for event in conversation.events if event.kind == "unreachable"]
    for event in unreachable[:1]:
        yield Sentence(f"{event.text[0].upper()}{event.text[1:]}.", event.frames, event.rfc)
    if not conversation.answerer.packets and not unreachable:
        yield Sentence(f"Nothing came back, so {conversation.opener.host} cannot know what became of it.")
    for event in conversation.events:
        if event.kind == "fragments":
            yield Sentence(f"A datagram was too large for one packet: {event.text}.", event.frames, event.rfc)


def _datagrams(side: Side) -> str:
    return f"{side.packets} datagram{'' if side.packets == 1 else 's'} with {octets_of(side.octets)}"
