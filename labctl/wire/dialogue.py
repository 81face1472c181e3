"""What the ends of TCP connections said, tied to the frames that carried it: octets in order go to the readers of `services/dialogue`.

Read when somebody asks, conversation by conversation, and no further than the packets that are there: a live trace is read on.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from labctl.cores import dialogue as load_readers
from labctl.wire.model import ACK, FIN, RST, SYN, Call, Conversation, Packet, Trace
from labctl.wire.stream import MOST, WHOLE

if TYPE_CHECKING:
    from services.dialogue import By, Line, Reader, Transfer

AHEAD = 1 << 22  # octets that wait for earlier ones, of one direction: more mean that those were not captured
FTP = 21  # the port of its control connection
FEW = 4  # lines of one frame that are told one by one


class Said(NamedTuple):
    """A line, with where it crossed.

    Args:
        line: what was said; see `services/dialogue/line.py`.
        frame: the frame that completed it.
        host: who said it.
        answers: the frame of the line that it answers; 0 for none.
    """

    line: "Line"
    frame: int
    host: str
    answers: int = 0


@dataclass(slots=True)
class _Direction:
    by: "By"
    next: int = 0  # octets that were handed on
    ahead: dict[int, tuple[bytes, int, int]] = field(
        default_factory=dict
    )  # place → (octets captured, octets sent, frame)
    waiting: int = 0
    closed: bool = False
    fin: int | None = None  # place of the FIN


class Dialogue:
    """What was said in one conversation.

    Attributes:
        conversation: whose packets are read.
        reader: how.
        said: the lines, in the order in which they were read.
        parent: of an FTP data connection, the one that agreed on it.
    """

    def __init__(self, conversation: Conversation, reader: "Reader", parent: Conversation | None = None) -> None:
        self.conversation = conversation
        self.parent = parent
        self.reader = reader
        self.said: list[Said] = []
        self._of_frame: dict[int, list[Said]] = {}
        self._parts: dict[int, str] = {}  # what frames without a line of their own are
        self._bodies: dict[int, tuple[int, str]] = {}
        self._opener = (conversation.opener.address, conversation.opener.port)
        self._frames: dict[int, int] = {}  # number of a line → its frame
        self._asked_last: dict[int, int] = {}  # frame of replies → the client's last frame before it
        self._last = 0
        self._done = 0
        self._ends = (_Direction("C"), _Direction("S"))
        if not (conversation.packets and conversation.packets[0].flags & SYN):
            reader.midway()

    @property
    def protocol(self) -> str:
        """The protocol's name."""
        return self.reader.name

    def catch_up(self) -> "Dialogue":
        """Read the packets that came since the last time."""
        packets = self.conversation.packets
        while self._done < len(packets):
            packet = packets[self._done]
            self._done += 1
            if packet.kind == "TCP" and packet.source_port is not None and not packet.problem:
                self._take(packet)
        return self

    def at(self, frame: int) -> list[Said]:
        """Return the lines that a frame completed."""
        return self._of_frame.get(frame, [])

    def text(self, packet: Packet) -> str:
        """Return what a segment is, in the protocol's words; empty where it says nothing, or its octets may be shown as they are."""
        frame = packet.number
        if not frame and packet.payload:  # a shaper dropped it; the segment that was sent again tells what it was
            frame = self._sent_again(packet)
        lines = self._of_frame.get(frame)
        if lines is None:
            return self._piece(packet, frame)
        shown = [said.line for said in lines if not said.line.known or len(lines) == 1] or [said.line for said in lines]
        texts = [line.text for line in shown]
        if len(texts) > FEW:
            texts = [*texts[:2], f"… {len(texts) - 3} more …", texts[-1]]
        counted = any(line.kind == "body" for line in shown) or any(said.line.known for said in lines)
        if frame in self._bodies and not counted:
            texts.append(_counted(*self._bodies[frame]))
        if part := self._parts.get(frame, ""):
            texts.append(part)
        return self._from(packet, " | ".join(texts))

    def _piece(self, packet: Packet, frame: int) -> str:
        """Return what a segment is that completes no line."""
        if body := self._bodies.get(frame):
            return self._from(packet, _counted(*body))
        if part := self._parts.get(frame, ""):
            return self._from(packet, part)
        # of what a shaper dropped for good nothing is known that could be shown
        return f"{packet.payload:,} octets" if packet.payload and not frame and not self.reader.foreign else ""

    def _from(self, packet: Packet, text: str) -> str:
        return text if self.reader.one_way else f"{self._by(packet)}: {text}"

    def answers(self, frame: int) -> list[int]:
        """Return the frames whose commands the replies in a frame answer."""
        return list(
            dict.fromkeys(said.answers for said in self.at(frame) if said.answers and said.line.kind == "reply")
        )

    def note(self, frame: int) -> str:
        """Return which frames a frame answers, where these are not simply what the other end said last."""
        frames = self.answers(frame)
        if not frames or frames == [self._asked_last.get(frame)]:
            return ""
        return f"answers frame{'s' if len(frames) > 1 else ''} {', '.join(map(str, frames))}"

    def frame_of(self, number: int) -> int:
        """Return the frame that completed a line."""
        return self._frames.get(number, 0)

    def is_secret(self, frames: Iterable[int]) -> bool:
        """Tell whether frames carry something that is hidden."""
        return any(said.line.secret for frame in frames for said in self.at(frame)) or any(
            "hidden" in self._parts.get(frame, "") for frame in frames
        )

    # -- octets -------------------------------------------------------------------------------------------------------

    def _by(self, packet: Packet) -> "By":
        return "C" if (packet.source, packet.source_port) == self._opener else "S"

    def _sent_again(self, lost: Packet) -> int:
        """Return the frame that brought what a segment that never crossed should have brought; 0 where none did."""
        fitting = (
            item.number
            for item in self.conversation.packets
            if item.seq == lost.seq
            and item.payload
            and (item.source, item.source_port) == (lost.source, lost.source_port)
        )
        return next(fitting, 0)

    def _place(self, direction: _Direction, number: int) -> int:
        """Return a sequence number's place in the stream; before what was handed on, or behind it, by the shorter way."""
        first = (self.conversation.opener if direction.by == "C" else self.conversation.answerer).first_seq or 0
        if number == (first + 1 + direction.next & WHOLE):
            return direction.next
        return direction.next + (number - first - 1 - direction.next + MOST & WHOLE) - MOST

    def _take(self, packet: Packet) -> None:
        one, other = self._ends
        mine, theirs = (one, other) if (packet.source, packet.source_port) == self._opener else (other, one)
        if packet.flags & ACK and theirs.ahead:
            self._skip_to_acknowledged(packet, theirs)
        place = self._place(mine, packet.seq + bool(packet.flags & SYN))
        if packet.payload:
            self._take_octets(packet, mine, place)
        if packet.flags & FIN and mine.fin is None:
            mine.fin = place + packet.payload
        if packet.flags & RST or (mine.fin is not None and mine.next >= mine.fin):
            self._close(mine, packet.number)

    def _take_octets(self, packet: Packet, mine: _Direction, place: int) -> None:
        length, frame = packet.payload, packet.number
        if place + length <= mine.next:
            self._say(frame, f"{length:,} octet{'s' if length > 1 else ''}, seen before")
            return
        if place <= mine.next:
            self._hand_on(mine, place, packet.data, length, frame)
            if mine.ahead:
                self._hand_on_what_waited(mine)
            return
        if place not in mine.ahead:
            mine.ahead[place] = (packet.data, length, frame)
            mine.waiting += length
            self._say(frame, f"{length:,} octet{'s' if length > 1 else ''}, before others that belong in front")
        if mine.waiting > AHEAD:
            self._skip(mine, min(mine.ahead))

    def _say(self, frame: int, part: str) -> None:
        """Note what a frame without a line of its own is."""
        if part and not self.reader.foreign:
            self._parts[frame] = part
        else:
            self._parts.pop(frame, None)

    def _hand_on(self, mine: _Direction, place: int, data: bytes, length: int, frame: int) -> None:
        """Give octets to the reader, each once; what the capture cut off is a gap."""
        known = mine.next - place
        mine.next = place + length
        fresh = data[known:] if known else data
        lines, body = self.reader.receive(mine.by, fresh), self.reader.body
        if missing := length - max(known, len(data)):
            lines = lines + self.reader.gap(mine.by, missing)
            body += self.reader.body
        if body:
            self._bodies[frame] = (body, self.reader.body_of())
        if lines:
            self._note(lines, frame)
        self._say(frame, self.reader.left(mine.by) if lines or body else self.reader.partial(mine.by, len(fresh)))

    def _hand_on_what_waited(self, mine: _Direction) -> None:
        while mine.ahead and (place := min(mine.ahead)) <= mine.next:
            data, length, frame = mine.ahead.pop(place)
            mine.waiting -= length
            if place + length > mine.next:
                self._hand_on(mine, place, data, length, frame)

    def _skip_to_acknowledged(self, packet: Packet, theirs: _Direction) -> None:
        """An ACK of octets that never crossed here says that the capture lost them."""
        place = self._place(theirs, packet.ack)
        while theirs.ahead and theirs.next < min(theirs.ahead) <= place:
            self._skip(theirs, min(theirs.ahead))

    def _skip(self, mine: _Direction, place: int) -> None:
        frame = mine.ahead[place][2]
        self._note(self.reader.gap(mine.by, place - mine.next), frame)
        mine.next = place
        self._hand_on_what_waited(mine)

    def _close(self, mine: _Direction, frame: int) -> None:
        if not mine.closed:
            mine.closed = True
            self._note(self.reader.eof(mine.by), frame)

    def _note(self, lines: "Iterable[Line]", frame: int) -> None:
        for line in lines:
            host = (self.conversation.opener if line.by == "C" else self.conversation.answerer).host
            said = Said(line, frame, host, self._frames.get(line.answers, 0) if line.answers else 0)
            self._frames[line.number] = frame
            if line.by == "C" and line.kind != "remark":
                self._last = frame
            elif line.answers:
                self._asked_last[frame] = self._last
            self.said.append(said)
            self._of_frame.setdefault(frame, []).append(said)


def _counted(octets: int, what: str) -> str:
    return f"{octets:,} octet{'' if octets == 1 else 's'} {what}"


class Dialogues:
    """All dialogues of a trace; each is begun when it is asked for."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self._known: dict[int, Dialogue | None] = {}
        self._controls: list[Conversation] = []  # FTP's, among the first so many conversations
        self._looked = 0

    def of(self, conversation: Conversation | None) -> Dialogue | None:
        """Return what was said in a conversation, up to now; None where no protocol is known there."""
        if conversation is None:
            return None
        number = conversation.number
        if number not in self._known:
            self._known[number] = self._begin(conversation)
        dialogue = self._known[number]
        return dialogue.catch_up() if dialogue else None

    def text(self, packet: Packet, conversation: Conversation | None) -> str:
        """Return what a segment says in its protocol; empty where its octets may be shown as they are."""
        dialogue = self.of(conversation)
        return dialogue.text(packet) if dialogue else ""

    def hides(self, call: Call) -> bool:
        """Tell whether a call sent or received something that is hidden."""
        dialogue = self.of(self.trace.conversation(call.conversation)) if call.conversation else None
        return dialogue is not None and dialogue.is_secret(call.frames)

    def _begin(self, conversation: Conversation) -> Dialogue | None:
        if conversation.kind != "TCP" or not conversation.packets:
            return None
        readers = load_readers()
        server = conversation.answerer
        if server.port not in readers.PORTS and (found := self._transfer(conversation)):
            return Dialogue(conversation, readers.FtpData(found[0]), found[1])
        reader = readers.reader_for(server.port or 0, server.host)
        return Dialogue(conversation, reader) if reader else None

    def _transfer(self, data: Conversation) -> "tuple[Transfer, Conversation] | None":
        """Return the FTP transfer that a conversation carries, and the control connection of the same hosts that agreed on it before."""
        for item in self.trace.conversations[self._looked :]:
            if item.answerer.port == FTP:
                self._controls.append(item)
        self._looked = len(self.trace.conversations)
        hosts, began = {side.host for side in data.sides}, data.packets[0].number
        for item in reversed(self._controls):
            if (
                item.packets[0].number > began
                or {side.host for side in item.sides} != hosts
                or not (control := self.of(item))
            ):
                continue
            for transfer in reversed(getattr(control.reader, "transfers", ())):
                teller = item.opener if transfer.by == "C" else item.answerer
                if (transfer.port, teller.host) == (data.answerer.port, data.answerer.host) and control.frame_of(
                    transfer.agreed
                ) < began:
                    return transfer, item
        return None


def dialogues_of(trace: Trace) -> Dialogues:
    """Return the dialogues of a trace; the same each time."""
    if trace.dialogues is None:
        trace.dialogues = Dialogues(trace)
    return trace.dialogues
