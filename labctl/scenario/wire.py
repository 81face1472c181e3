"""The `wire:` part of a step: what its packets and calls must show. Each entry is one word of the vocabulary with its particulars."""

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from labctl.scenario.parts import Part, Seconds

PLACE = r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?)?(:\d{1,5})?$"
Place = Annotated[str, Field(pattern=PLACE, min_length=1, description="`host`, `host:port` or `:port`")]
Texts = str | tuple[str, ...]
STATES = (
    "CLOSED",
    "LISTEN",
    "SYN-SENT",
    "SYN-RECEIVED",
    "ESTABLISHED",
    "FIN-WAIT-1",
    "FIN-WAIT-2",
    "CLOSE-WAIT",
    "CLOSING",
    "LAST-ACK",
    "TIME-WAIT",
)


def _bounds(value: object) -> object:
    """Read a bare number as both bounds."""
    return {"least": value, "most": value} if isinstance(value, int) and not isinstance(value, bool) else value


class Bounds(Part):
    """How many; a bare number means exactly so many."""

    least: int = Field(0, ge=0)
    most: int | None = Field(None, ge=0)


Counted = Annotated[Bounds, BeforeValidator(_bounds, json_schema_input_type=int | Bounds)]


class Between(Part):
    """Between which ends: `from` does it, `to` is the other."""

    source: Place | None = Field(None, alias="from")
    target: Place | None = Field(None, alias="to")
    before: "WireItem | None" = Field(None, description="another expectation whose evidence comes later")
    after: "WireItem | None" = Field(None, description="another expectation whose evidence comes earlier")


class Octets(Between):
    """Octets that cross; all conditions given must be met."""

    contains: Texts = Field((), description="text that is in them")
    lacks: Texts = Field((), description="text that is not")


class Line(Between):
    """A line of a protocol that labctl reads, passwords hidden; all conditions given must be met."""

    equals: str = Field("", description="the whole of it; of a reply of several lines, one of them")
    contains: Texts = Field((), description="text that is in it")
    matches: str = Field("", description="a regular expression (Python's), searched in it")
    lacks: Texts = Field((), description="text that is not")
    count: Counted | None = Field(None, description="how many such lines; at least one where it is not given")

    @model_validator(mode="after")
    def _is_expression(self) -> "Line":
        try:
            re.compile(self.matches)
        except re.error as error:
            raise ValueError(f"`matches` is not a regular expression: {error}") from error
        return self


class Close(Part):
    """An orderly end of a connection."""

    first: Place | None = Field(None, description="the end that closes first, and keeps TIME-WAIT")
    target: Place | None = Field(None, alias="to")
    before: "WireItem | None" = None
    after: "WireItem | None" = None


class Number(Between):
    """Something that is counted; at least one where no count is given."""

    count: Counted | None = None


class Packets(Number):
    """Packets of any kind, each counted where it crosses, whenever its conversation began."""

    kind: Literal["TCP", "UDP", "ICMP", "ARP", "DNS"] | None = None
    contains: Texts = Field((), description="text that the ladder's label of it holds, such as `echo reply`")


class Span(Between):
    """How long a conversation takes."""

    least: Seconds = 0.0
    most: Seconds | None = None


class Reach(Between):
    """A TCP state that an end reaches."""

    is_: Literal[STATES] = Field(alias="is")  # type: ignore[valid-type]


class SystemCall(Part):
    """A socket call of a host; needs `labctl run --calls`."""

    name: str = Field(pattern=r"^[a-z_0-9]+$")
    on: Place | None = Field(None, description="the host that makes it")
    target: Place | None = Field(None, alias="to", description="the other end of its socket")
    error: str | None = Field(None, pattern=r"^E[A-Z0-9]+$", description="the errno that it fails with")
    count: Counted | None = None
    before: "WireItem | None" = None
    after: "WireItem | None" = None


class WireItem(Part):
    """One expectation: exactly one of these words."""

    handshake: Number | None = Field(None, description="a TCP connection opens; `from` sends the SYN")
    data: Octets | None = Field(None, description="octets come from `from`, in whatever segments")
    line: Line | None = Field(None, description="`from` says a line of its protocol: a command, a reply")
    close: Close | None = Field(None, description="both ends close in order")
    reset: Number | None = Field(None, description="`from` sends a RST")
    refused: Between | None = Field(None, description="a SYN of `from` is answered by a RST")
    unreachable: Between | None = Field(None, description="ICMP says that what `from` sent could not be delivered")
    retransmission: Number | None = Field(None, description="`from` sends something again")
    retransmissions: Number | None = Field(None, description="the same word, for several")
    fast_retransmission: Number | None = Field(
        None, description="it does so because ACKs showed a gap, not by time-out"
    )
    duplicate_ack: Number | None = Field(
        None, description="`from` acknowledges the same again: octets before are missing"
    )
    keep_alive: Number | None = Field(
        None, description="`from` asks over an idle connection whether the other is there"
    )
    zero_window: Number | None = Field(None, description="`from` says that it can take nothing more")
    window_probe: Number | None = Field(None, description="`from` asks whether a closed window has opened")
    no_retransmission: Between | None = Field(None, description="nothing is sent twice")
    segments: Number | None = Field(None, description="TCP segments with octets from `from`")
    datagrams: Number | None = Field(None, description="UDP datagrams from `from`")
    packets: Packets | None = Field(None, description="packets of any kind, in the step's time")
    octets: Number | None = Field(None, description="octets of payload from `from`, each counted once")
    round_trips: Number | None = Field(None, description="how often `from` waited for an answer")
    duration: Span | None = Field(None, description="from the first packet of a conversation to its last")
    state: Reach | None = Field(None, description="`from` reaches a TCP state (RFC 9293 section 3.3.2)")
    call: SystemCall | None = Field(None, description="a host makes a socket call")

    @model_validator(mode="after")
    def _is_one_word(self) -> "WireItem":
        if len(self.model_fields_set) != 1:
            raise ValueError(f"say exactly one of {', '.join(f'`{name}`' for name in type(self).model_fields)}")
        return self

    @property
    def word(self) -> str:
        """Return which word it is."""
        return next(iter(self.model_fields_set))


for _model in (Between, Octets, Line, Close, Number, Packets, Span, Reach, SystemCall, WireItem):
    _model.model_rebuild()
