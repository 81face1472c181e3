"""What all readers share: octets of both directions in, lines out. Pure, and never an exception, whatever the octets are.

Public: `Reader`.
"""

from collections import deque
from collections.abc import Iterable

from services.dialogue.half import Body, Half
from services.dialogue.line import HIDDEN, By, C, Line, S, cut, octets_of, shown
from services.dialogue.tls import HANDSHAKE, Tls

PENDING = 10_000  # commands at most that wait for their replies; more are not tied


class Reader:
    """Reads one conversation. What a protocol adds: `take_line`, and `body_ended` where it has bodies.

    Attributes:
        name: of the protocol.
        rfc: the document that defines it.
        foreign: what came is not this protocol: nothing more is read.
        body: octets of bodies in the last call of `receive`; `body_of` says what they are.
    """

    name = ""
    rfc = ""
    plain = False  # nothing in it is secret: pieces of lines may be shown as they are
    one_way = False  # there are no client and server, only octets

    def __init__(self) -> None:
        self.halves: dict[By, Half] = {C: Half(), S: Half()}
        self.foreign = False
        self.body = 0
        self.body_name = "of body"
        self.tls: Tls | None = None
        self._told: list[Line] = []
        self._count = 0
        self._asked: deque[Line] = deque(maxlen=PENDING)

    # -- doors --------------------------------------------------------------------------------------------------------

    def receive(self, by: By, data: bytes) -> list[Line]:
        """Take octets, cut anywhere, and return the lines that they complete."""
        self.body = 0
        if self.foreign or not data:
            return []
        half = self.halves[by]
        if half.counts(data):
            self.body = len(data)
            return []
        if half.fresh and data[0] == HANDSHAKE and not self.tls:  # no line begins so
            self.start_tls()
        half.add(data)
        self._read(by)
        return self._flush()

    def gap(self, by: By, octets: int) -> list[Line]:
        """Step over octets that were not captured; reading goes on with the next line, or behind a counted body."""
        self.body = 0
        if self.foreign or octets <= 0:
            return []
        self.tell(Line(by, f"{octets_of(octets)} were not captured", kind="remark", octets=octets))
        half = self.halves[by]
        half.fresh = False
        while octets and not self.tls:
            piece, octets = half.skip(octets)
            if piece:
                self.take_body(by, piece)
            if not piece or not piece.octets:
                break
        if self.tls:
            self.tls.gap(by)
        return self._flush()

    def eof(self, by: By) -> list[Line]:
        """Take a FIN: no more comes from this end."""
        self.body = 0
        if not self.foreign and not self.tls:
            self.ended(by)
        return self._flush()

    def midway(self) -> None:
        """Begin in the middle: the connection was open before the capture began. To be called before all else."""
        for half in self.halves.values():
            half.torn, half.fresh = True, False

    def body_of(self) -> str:
        """Return what the counted octets are, to be said behind their number."""
        return self.body_name

    def partial(self, by: By, octets: int) -> str:  # noqa: ARG002
        """Return what a segment is that neither completes a line nor carries a part of a body; empty: its octets may be shown."""
        if self.plain and not self.tls:
            return ""
        return f"{octets_of(octets)} of a {'TLS record' if self.tls else 'line'}"

    def left(self, by: By) -> str:  # noqa: ARG002
        """Return what the last octets held behind a whole line, where that can be told: a prompt."""
        return ""

    # -- of protocols -------------------------------------------------------------------------------------------------

    def take_line(self, by: By, line: bytes) -> None:
        """Take a line, without its end."""
        raise NotImplementedError

    def body_ended(self, by: By) -> None:
        """Take the end of a body; `halves[by].body` has its octets."""

    def ended(self, by: By) -> None:
        """Take the end of a stream."""

    # -- for protocols ------------------------------------------------------------------------------------------------

    def tell(self, line: Line) -> Line:
        """Note a line; it gets its number."""
        self._count += 1
        line.number = self._count
        self._told.append(line)
        return line

    def command(self, line: bytes, word: str, *, hide_from: int | None = None, text: str = "") -> Line:
        """Note a command of the client's that waits for a reply.

        Args:
            line: as it crossed.
            word: its verb.
            hide_from: words of the line (parted by spaces) that are shown; the others are a secret.
            text: as it is shown, where it is not as it crossed.
        """
        told, secret = shown(line), False
        if hide_from is not None:
            parts = line.split(b" ")
            secret = len(parts) > hide_from
            told = " ".join([*(shown(part) for part in parts[:hide_from]), *([HIDDEN] if secret else [])])
        rest = told.partition(" ")[2]
        asked = self.tell(Line(C, cut(text or told), word.upper(), rest, said=(told,), secret=secret))
        self._asked.append(asked)
        return asked

    def secret(self) -> Line:
        """Note a line of the client's that is nothing but a secret."""
        return self.tell(Line(C, HIDDEN, kind="text", said=(HIDDEN,), secret=True))

    def reply(
        self, text: str, word: str, rest: str, *, to: Line | None, said: Iterable[str] = (), octets: int = 0
    ) -> Line:
        """Note a reply of the server's, and which line it answers."""
        number = to.number if to else 0
        return self.tell(
            Line(S, cut(text), word, rest, "reply", answers=number, octets=octets, said=tuple(said) or (text,))
        )

    def counted(self, by: By, text: str, *, known: bool = False, to: Line | None = None, word: str = "") -> Line:
        """Note the end of a body that was counted."""
        octets = self.halves[by].body
        return self.tell(Line(by, text, word, "", "body", answers=to.number if to else 0, octets=octets, known=known))

    def answered(self) -> Line | None:
        """Take the command that was asked first and not answered yet."""
        return self._asked.popleft() if self._asked else None

    def waiting(self) -> Line | None:
        """Return the command that was asked first and not answered yet."""
        return self._asked[0] if self._asked else None

    def start_tls(self) -> None:
        """Go on under TLS: what waits unread in either direction is TLS already."""
        self.tls = Tls()
        for by, half in self.halves.items():
            if left := half.all():
                self._read_tls(by, left)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _read(self, by: By) -> None:
        half = self.halves[by]
        while not self.foreign:
            if self.tls:
                self._read_tls(by, half.all())
                return
            piece = half.take()
            if piece is None:
                return
            if isinstance(piece, Body):
                self.take_body(by, piece)
            else:
                self.take_line(by, piece)

    def take_body(self, by: By, piece: Body) -> None:
        """Count a part of a body."""
        self.body += piece.octets
        if piece.ended:
            self.halves[by].lines()
            self.body_ended(by)

    def _read_tls(self, by: By, data: bytes) -> None:
        if not data or not self.tls:
            return
        for word, rest in self.tls.receive(by, data):
            self.tell(Line(by, cut(f"TLS {word}{rest}"), word.upper(), rest.strip(" ,"), "text"))
        self.body += self.tls.encrypted
        self.body_name = "under TLS, encrypted"
        if self.tls.broken:
            self.foreign = True

    def _flush(self) -> list[Line]:
        told, self._told = self._told, []
        return told
