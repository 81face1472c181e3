"""What happened in a conversation, in sentences: rules on its events, each tied to frames and an RFC; silent where none applies."""

from collections.abc import Iterable, Iterator

from labctl.wire.describe import duration, octets_of
from labctl.wire.dialogue import Dialogue, dialogues_of
from labctl.wire.model import FIN, NS, Call, Conversation, Event, EventKind, Packet, Side, State, Trace
from labctl.wire.oneway import directions, one_ways
from labctl.wire.reasons import PORT_UNREACHABLE, Reason, doubles, lost_of, time_outs_in_a_row, waits, why_reset
from labctl.wire.retell import retell
from labctl.wire.sentence import Sentence, times
from labctl.wire.shaped import Shaped
from labctl.wire.shaped import told as told_of

__all__ = ["Sentence", "explain"]
SHOWN = 4  # events of one kind that are told one by one


def explain(conversation: Conversation, trace: Trace) -> list[Sentence]:
    """Return the account of a conversation, in the order of the events."""
    calls = [call for call in trace.calls if call.conversation == conversation.number]
    if conversation.kind == "TCP":
        dialogue = dialogues_of(trace).of(conversation)
        lost = lost_of(conversation, trace)
        told = [*_Tcp(conversation, calls, dialogue, lost).sentences()]
    elif conversation.kind == "UDP":
        told = [*_udp(conversation, calls, lost_of(conversation, trace))]
    else:
        return []
    return [*told, *_unheard(conversation, trace), *_ways(conversation, trace)]


def _unreachable(conversation: Conversation, calls: Iterable[Call]) -> Iterator[Sentence]:
    """Tell what ICMP said, and which call heard of it."""
    packets = {packet.number: packet for packet in conversation.packets}
    for event in [event for event in conversation.events if event.kind == "unreachable"][:SHOWN]:
        port = packets[event.frame].code in PORT_UNREACHABLE and next(
            (side.port for side in conversation.sides if side.host == event.by), None
        )
        text = (
            f"{event.by} answered with ICMP port unreachable: no socket is open on its port {port}"
            if port
            else event.text
        )
        yield Sentence(f"{text[0].upper() if not port else text[0]}{text[1:]}.", event.frames, event.rfc)
        told = next((call for call in calls if call.error == "ECONNREFUSED" and event.frame in call.frames), None)
        if told:
            yield Sentence(
                f"{told.host}'s {told.name}() returned ECONNREFUSED for it.", (event.frame,), "RFC 1122 section 4.1.3.3"
            )


def _unheard(conversation: Conversation, trace: Trace) -> Iterator[Sentence]:
    """Tell of packets that crossed the bridge during a partition."""
    frames: dict[str, list[int]] = {}
    for packet in conversation.packets:
        if why := trace.unheard.get(packet.number):
            frames.setdefault(why, []).append(packet.number)
    for why, those in frames.items():
        verb = "was dropped where it" if len(those) == 1 else "were dropped where they"
        yield Sentence(f"{times(len(those), 'packet')} {verb} arrived: {why}.", tuple(those))


def _ways(conversation: Conversation, trace: Trace) -> Iterator[Sentence]:
    """Tell how long segments were on their way, where the calls of both ends were seen."""
    if not trace.calls:
        return
    for item in directions(conversation, one_ways(trace)):
        count = len(item.frames)
        span = "" if count == 1 else f", {duration(item.least)} to {duration(item.most)} for {count} of them"
        held = f"; of that {item.sender}'s shaper held it {duration(item.held)}" if item.held else ""
        way = f"From {item.sender}'s call to {item.receiver}'s"
        yield Sentence(f"{way}, octets were on their way for {duration(item.middle)}{span}{held}.", item.frames)


class _Tcp:
    def __init__(
        self, conversation: Conversation, calls: list[Call], dialogue: Dialogue | None, lost: list[Shaped]
    ) -> None:
        self.it = conversation
        self.dialogue = dialogue
        self.lost = lost
        self.calls = calls
        self.packets = {packet.number: packet for packet in conversation.packets}

    def events(self, *kinds: EventKind) -> list[Event]:
        return [event for event in self.it.events if event.kind in kinds]

    def sentences(self) -> Iterator[Sentence]:
        yield from self.opening()
        yield from self.octets()
        if self.dialogue:
            yield from retell(self.dialogue)
        yield from self.trouble()
        yield from self.closing()

    def opening(self) -> Iterator[Sentence]:
        it = self.it
        for event in self.events("handshake"):
            asked = min(self.packets[frame].time_ns for frame in event.frames)
            before = (asked - it.packets[0].time_ns) / NS  # SYNs that were not answered
            took = duration(before + self.span(event))
            since = f", {duration(self.span(event))} after the SYN that was answered" if before else ""
            yield Sentence(
                f"{it.opener.host} opened a connection to {it.answerer.name} by the three-way handshake, in {took}{since}.",
                event.frames, event.rfc,
            )  # fmt: skip
        connect = next((call for call in self.calls if call.name == "connect"), None)
        if connect and connect.seconds is not None and connect.frames:
            how = (
                f"did not wait for the answer: EINPROGRESS after {duration(connect.seconds)}"
                if connect.error == "EINPROGRESS"
                else f"returned {connect.error or connect.result}, after {duration(connect.seconds)}"
            )
            yield Sentence(f"{connect.host}'s connect() {how}.", connect.frames)
        for event in self.events("refused"):
            yield Sentence(
                f"{it.answerer.host} refused: nobody listens on port {it.answerer.port} there.", event.frames, event.rfc
            )
        for event in self.events("unanswered"):
            yield Sentence(
                f"Nobody answered: {it.opener.host} sent its SYN {len(event.frames)} times.", event.frames, event.rfc
            )
        yield from _unreachable(it, self.calls)

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
        yield from self.black_hole()
        yield from self.repeated()
        yield from self.several(
            self.events("fast retransmission"),
            "{by} did not wait for its timer: the other end's ACKs showed a gap, so it sent {what}",
        )
        yield from self.several(self.events("spurious retransmission"), "{by} sent {what}: needless")
        yield from self.several(self.events("out of order"), "Segments overtook each other: {what}")
        closed = self.events("zero window")
        if closed:
            opened = next((event for event in self.events("window update") if event.frame > closed[0].frame), None)
            text = f"{closed[0].by} had no room left and closed its window"
            if opened:
                text += f"; it opened it again after {duration(self.between(closed[0].frame, opened.frame))}"
            yield Sentence(
                f"{text}.", tuple(event.frame for event in closed) + ((opened.frame,) if opened else ()), closed[0].rfc
            )
        yield from self.several(self.events("delayed ack"), "{by} waited before it acknowledged: {what}")
        yield from self.several(self.events("nagle"), "{by}'s small segment was {what}")
        yield from self.asked("keep-alive", "whether the other end is still there", "RFC 1122 section 4.2.3.6")
        yield from self.asked("zero window probe", "whether the closed window has opened", "RFC 9293 section 3.8.6.1")

    def asked(self, kind: EventKind, what: str, rfc: str) -> Iterator[Sentence]:
        """Tell of an end's probes, all in one."""
        for side in self.it.sides:
            frames = tuple(event.frame for event in self.events(kind) if event.by == side.host)
            if frames:
                often = "once" if len(frames) == 1 else f"{len(frames)} times"
                yield Sentence(f"{side.host} asked {often} {what}.", frames, rfc)

    def black_hole(self) -> Iterator[Sentence]:
        """Tell of segments that were too long for the path, where nobody told their sender."""
        gone = [item for item in self.lost if item.verdict == "too long"]
        if gone and not self.events("unreachable"):
            host = next(side.host for side in self.it.sides if side.address == gone[0].packet.source)
            count = "a segment" if len(gone) == 1 else f"{len(gone)} segments"
            text = f"{count[0].upper()}{count[1:]} of {host}'s were too long for the path and vanished, and no ICMP told {host}"
            yield Sentence(f"{text}.", rfc="RFC 2923 section 2.1")

    def repeated(self) -> Iterator[Sentence]:
        """Tell of what was sent again: for want of an ACK, as a probe, or for no reason that shows."""
        rows = time_outs_in_a_row(self.it)
        for row in rows:
            gaps = waits(self.it, row)
            spans = ", ".join(f"{gap:.2g}" for gap in gaps[:6]) + (", …" if len(gaps) > 6 else "")
            how = ": its time-out doubles each time" if doubles(gaps) else ""
            text = f"{row[0].by} had no acknowledgment in time and sent the same {len(row)} times again, {spans} s apart{how}"
            yield Sentence(
                f"{text}.", tuple(event.frame for event in row), "RFC 6298 section 5.5" if how else row[0].rfc
            )
        told = {event.frame for row in rows for event in row}
        rest = [event for event in self.events("retransmission") if event.frame not in told]
        timed = "{by} had no acknowledgment in time, so it sent {what}"
        for rfc in dict.fromkeys(event.rfc for event in rest):
            form = timed if rfc == "RFC 6298 section 5" else "{by} sent {what}"
            yield from self.several([event for event in rest if event.rfc == rfc], form)

    def closing(self) -> Iterator[Sentence]:
        it = self.it
        first = next(iter(self.events("half-close")), None)
        closed = next(iter(self.events("closed")), None)
        if first:
            fins = tuple(packet.number for packet in it.packets if packet.flags & FIN)
            yield Sentence(f"{first.by} closed first, by a FIN.", fins[:1] or first.frames, first.rfc)
        waiting = [side.host for side in it.sides if side.state is State.TIME_WAIT]
        if closed and len(waiting) == 2:
            text = "Both ends closed at once, their FINs crossing; both keep TIME-WAIT."
            yield Sentence(text, closed.frames, "RFC 9293 section 3.6")
        elif closed and closed.by:
            text = f"Both ends closed in order; {closed.by} keeps TIME-WAIT, for stray segments and in case its last ACK is lost."
            yield Sentence(text, closed.frames, "RFC 9293 section 3.6.1")
        for event in self.events("reset"):
            reason = why_reset(it, self.packets[event.frame], self.calls) or Reason("", (), event.rfc)
            frames = tuple(dict.fromkeys((*reason.frames, *event.frames)))
            yield Sentence(f"{event.by} reset the connection{reason.words}.", frames, reason.rfc)

    def several(self, events: list[Event], form: str) -> Iterator[Sentence]:
        """Tell a few events one by one, and many as a number."""
        if len(events) > SHOWN:
            by = ", ".join(dict.fromkeys(event.by for event in events))
            yield Sentence(
                f"{events[0].kind.capitalize()}: {len(events)} times, by {by}.",
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


def _udp(conversation: Conversation, calls: list[Call], lost: list[Shaped]) -> Iterable[Sentence]:
    told = [f"{side.host} sent {_datagrams(side, conversation)}" for side in conversation.sides if side.packets]
    yield Sentence(
        f"No connection: {', '.join(told)}.", tuple(packet.number for packet in conversation.packets[:6]), "RFC 768"
    )
    unreachable = [event for event in conversation.events if event.kind == "unreachable"]
    yield from _unreachable(conversation, calls)
    for side in conversation.sides:
        gone = [item for item in lost if item.packet.source == side.address]
        if gone:
            count = f"{len(gone)} datagram{'' if len(gone) == 1 else 's'}"
            yield Sentence(f"{count} more of {side.host}'s never crossed: {told_of(gone[0])}.")
    if not conversation.answerer.packets and not unreachable:
        yield Sentence(f"Nothing came back, so {conversation.opener.host} cannot know what became of it.")
    for event in conversation.events:
        if event.kind == "fragments":
            yield Sentence(f"A datagram was too large for one packet: {event.text}.", event.frames, event.rfc)


def _datagrams(side: Side, conversation: Conversation) -> str:
    parts = sum(packet.is_continued and packet.source == side.address for packet in conversation.packets)
    return f"{times(side.packets - parts, 'datagram')} with {octets_of(side.octets)}"
