"""The vocabulary of the wire: each word is a method of `Judge`, a predicate on the model that brings its evidence."""

from collections.abc import Callable

from labctl.wire.counting import EVENTS, Counting
from labctl.wire.describe import duration, octets_of, preview
from labctl.wire.dialogue import Said, dialogues_of
from labctl.wire.model import FIN, Call, Conversation, Side, State
from labctl.wire.parties import (
    carriers,
    first,
    holds,
    is_line,
    is_meant,
    is_named,
    last,
    showing,
    side_of,
    split_place,
)  # fmt: skip
from labctl.wire.sentence import listed, times
from labctl.wire.verdict import AT_LEAST_ONE, Count, Expectation, Verdict, several


class Judge(Counting):
    """Looks for what is expected in a stretch of a trace."""

    def judge(self, wanted: Expectation) -> Verdict:
        rule = RULES.get(wanted.what)
        if rule is None:
            raise ValueError(f"`{wanted.what}` is no expectation of the wire; known: {', '.join(RULES)}")
        return rule(self, wanted)

    # -- words ------------------------------------------------------------------------------------------------------------

    def handshake(self, wanted: Expectation) -> Verdict:
        """A TCP connection opens: the source sends the SYN (RFC 9293 section 3.5)."""
        tried = [
            item
            for item in self.conversations(wanted, "TCP")
            if is_meant(item.opener, wanted.source) and is_meant(item.answerer, wanted.target)
        ]
        opened = [event for item in tried for event in item.events if event.kind == "handshake"]
        if wanted.count:
            frames = tuple(frame for event in opened for frame in event.frames)
            said = times(len(opened), "connection opened", "connections opened")
            return Verdict(wanted, wanted.count.takes(len(opened)), said, frames)
        if opened:
            return Verdict(wanted, True, opened[0].text, opened[0].frames)
        if not tried:
            return self.none(wanted, "connection")
        why = next((event for event in tried[0].events if event.kind in ("refused", "unanswered", "unreachable")), None)
        return Verdict(
            wanted, False, why.text if why else "the connection never opened", why.frames if why else first(tried[0])
        )

    def data(self, wanted: Expectation) -> Verdict:
        """Octets cross, from the source: in whatever segments, those of one conversation hold the texts, and none what they lack."""
        seen: list[tuple[Conversation, Side, bytes]] = []
        for item in self.conversations(wanted):
            for near, far in (item.sides, item.sides[::-1]):
                if near.octets and is_meant(near, wanted.source) and is_meant(far, wanted.target):
                    seen.append((item, near, item.stream(near)))
        if not seen:
            who = wanted.source or "anybody"
            there = bool(self.conversations(wanted))
            return Verdict(wanted, False, f"{who} sent no octets") if there else self.none(wanted, "conversation")
        for item, side, octets in seen:
            wrong = next((text for text in several(wanted.lacks) if text.encode() in octets), None)
            if wrong is not None:
                frames = showing(item, side, (wrong,)) or carriers(item, side)
                return Verdict(wanted, False, f"{side.name} sent {wrong!r}", frames)
        for item, side, octets in seen:
            if holds(octets, wanted.contains):
                frames = showing(item, side, wanted.contains) or carriers(item, side)
                return Verdict(wanted, True, f"{side.name} sent {octets_of(side.octets)}", frames)
        item, side, octets = seen[0]
        said = f"{side.name} sent {octets_of(len(octets))}: {preview(octets, 80) or octets[:24].hex(' ')}"
        return Verdict(wanted, False, said, carriers(item, side))

    def line(self, wanted: Expectation) -> Verdict:
        """The source says a line of its protocol: a command, a reply, a line of text."""
        seen: list[Said] = []
        found: list[Said] = []
        items = self.conversations(wanted)
        dialogues = dialogues_of(self.trace)
        known = [dialogue for item in items if (dialogue := dialogues.of(item))]
        for dialogue in known:
            one, other = dialogue.conversation.sides
            for said in dialogue.said:
                near, far = (one, other) if said.line.by == "C" else (other, one)
                if said.line.kind != "remark" and is_meant(near, wanted.source) and is_meant(far, wanted.target):
                    seen.append(said)
                    if is_line(said.line, wanted):
                        found.append(said)
        if not items:
            return self.none(wanted, "conversation")
        if not known:
            return Verdict(wanted, False, "no protocol is known there whose lines could be read", first(items[0]))
        if (wanted.count or AT_LEAST_ONE).takes(len(found)):
            shown = f"{found[0].host} said {found[0].line.text!r}" if len(found) == 1 else f"{len(found)} lines"
            return Verdict(wanted, True, shown, tuple(dict.fromkeys(said.frame for said in found)))
        shown = listed([repr(said.line.text) for said in found or seen], 4) or "nothing"
        frames = tuple(dict.fromkeys(said.frame for said in found or seen))
        return Verdict(wanted, False, f"{times(len(found), 'such line')}; there was {shown}", frames)

    def close(self, wanted: Expectation) -> Verdict:
        """A TCP connection is closed in order, by FINs; `source` is the end that closes first."""
        items = [
            item
            for item in self.conversations(Expectation("", target=wanted.target, transport="TCP"))
            if self.touches(item, wanted)
        ]
        if not items:
            return self.none(wanted, "connection")
        failure: Verdict | None = None
        for item in items:
            first = next((event for event in item.events if event.kind == "half-close"), None)
            closed = next((event for event in item.events if event.kind == "closed"), None)
            if first is None:
                reset = next((event for event in item.events if event.kind in ("reset", "refused")), None)
                said = reset.text if reset else "nobody closed it"
                failure = failure or Verdict(wanted, False, said, reset.frames if reset else last(item))
            elif wanted.source and not is_meant(side_of(item, first), wanted.source):
                failure = failure or Verdict(wanted, False, f"{first.by} closed first", first.frames)
            elif closed is None:
                reset = next((event for event in item.events if event.kind == "reset"), None)
                said = reset.text if reset else "the other end did not close"
                failure = failure or Verdict(wanted, False, said, (*first.frames, *(reset.frames if reset else ())))
            else:
                fins = tuple(packet.number for packet in item.packets if packet.flags & FIN)
                return Verdict(wanted, True, f"{first.by} closed first", (*fins, closed.frame))
        return failure or self.none(wanted, "connection")

    def touches(self, item: Conversation, wanted: Expectation) -> bool:
        """Tell whether the end that is to act is one of a conversation's."""
        return any(is_meant(side, wanted.source) for side in item.sides)

    def refused(self, wanted: Expectation) -> Verdict:
        """A SYN of the source's is answered by a RST: nobody listens there."""
        for item in self.conversations(wanted):
            event = next((event for event in item.events if event.kind == "refused"), None)
            if event and is_meant(item.opener, wanted.source) and is_meant(item.answerer, wanted.target):
                return Verdict(wanted, True, event.text, event.frames)
        return (
            Verdict(wanted, False, "no connection was refused")
            if self.conversations(wanted)
            else self.none(wanted, "connection")
        )

    def unreachable(self, wanted: Expectation) -> Verdict:
        """ICMP says that what the source sent could not be delivered (RFC 792, RFC 4443)."""
        for item in self.conversations(wanted):
            event = next((event for event in item.events if event.kind == "unreachable"), None)
            if event:
                return Verdict(wanted, True, event.text, event.frames)
        return (
            Verdict(wanted, False, "no ICMP message said so")
            if self.conversations(wanted)
            else self.none(wanted, "conversation")
        )

    def duration(self, wanted: Expectation) -> Verdict:
        """A conversation takes so long, in seconds, from its first to its last packet."""
        items = self.conversations(wanted)
        if not items:
            return self.none(wanted, "conversation")
        fitting = next((item for item in items if (wanted.count or Count()).takes(item.seconds)), None)
        item = fitting or items[0]
        return Verdict(wanted, fitting is not None, f"it took {duration(item.seconds)}", (*first(item), *last(item)))

    def state(self, wanted: Expectation) -> Verdict:
        """The source reaches a TCP state."""
        items = self.conversations(wanted, "TCP")
        if not items:
            return self.none(wanted, "connection")
        goal = State(wanted.state)
        reached: list[str] = []
        for item in items:
            for side, far in (item.sides, item.sides[::-1]):
                if is_meant(side, wanted.source) and is_meant(far, wanted.target):
                    frame = next((frame for frame, state in side.states if state is goal), None)
                    if frame is not None:
                        return Verdict(wanted, True, f"{side.name} was in {goal.value}", (frame,) if frame else ())
                    reached.append(f"{side.name} by {' → '.join(state.value for _, state in side.states)}")
        return Verdict(wanted, False, f"it was never reached; there was {listed(reached, 4)}", last(items[0]))

    def call(self, wanted: Expectation) -> Verdict:
        """A host makes a system call; `error` is what it must fail with."""
        calls = [
            call
            for call in self.trace.calls
            if call.name == wanted.call and self.is_in_time(call.time_ns) and _is_made(call, wanted)
        ]
        if not self.trace.calls:
            return Verdict(wanted, False, "no calls were recorded; `--calls` records them")
        fitting = (
            [call for call in calls if call.error == wanted.error]
            if wanted.error
            else [call for call in calls if not call.error]
        )
        count = wanted.count or AT_LEAST_ONE
        frames = tuple(frame for call in fitting for frame in call.frames)
        if count.takes(len(fitting)):
            return Verdict(wanted, True, times(len(fitting), "such call"), frames, tuple(fitting))
        others = "; ".join(f"{call.host}: {call.name}({call.text}) = {call.error or call.result}" for call in calls[:3])
        return Verdict(
            wanted,
            False,
            times(len(fitting), "such call") + (f"; there was {others}" if others else ""),
            frames,
            tuple(calls),
        )


def _is_made(call: Call, wanted: Expectation) -> bool:
    """Tell whether a call is made by the host that is meant, on a socket to the end that is meant."""
    to = not wanted.target or call.peer == wanted.target or is_named(wanted.target, *split_place(call.peer))
    return to and is_named(wanted.source, call.host, "")


WORDS = ("handshake", "data", "line", "close", "reset", "refused", "unreachable", "no_retransmission", "segments", "datagrams",
         "packets", "octets", "round_trips", "duration", "state", "call")  # fmt: skip
RULES: dict[str, Callable[[Judge, Expectation], Verdict]] = {name: getattr(Judge, name) for name in WORDS}
RULES |= dict.fromkeys(EVENTS, Judge.event)
