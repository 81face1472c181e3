"""The lab's small protocols as they cross the wire: greeting, chat, daytime (RFC 867), time (RFC 868).

S: Thank you for connecting        S: * you are guest1        C: /name ana        S: 4,004,000,000 seconds since 1900
"""

from services.dialogue.line import By, C, Line, S, shown
from services.dialogue.reader import Reader
from services.wire.small import GREETING, SECONDS_1900_TO_1970

KEPT = 512  # octets of a statement


class Chat(Reader):
    """Lines between people; what begins with `/` is a command, with `* ` the server's own word."""

    name = "chat"
    plain = True

    def take_line(self, by: By, line: bytes) -> None:
        """Take a line."""
        text = shown(line)
        if by == C and text.startswith("/"):
            word, _, rest = text[1:].partition(" ")
            self.tell(Line(C, text, word.upper(), rest))
        else:
            self.tell(Line(by, text, kind="text"))


class Statement(Reader):
    """A server says one thing and closes: greeting and daytime; with a line's end or without."""

    name = "greeting"
    plain = True

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[By, bytes] = {C: b"", S: b""}
        self._whole = False

    def receive(self, by: By, data: bytes) -> list[Line]:
        """Take octets; the greeting is known by its words, all else by the end of its line or of the stream."""
        self.body = 0
        if by == S and not self._whole:
            said = self._said[S] = (self._said[S] + data)[:KEPT]
            if said == GREETING or b"\n" in said:
                self._tell(said.partition(b"\n")[0].rstrip(b"\r"))
        return self._flush()

    def gap(self, by: By, octets: int) -> list[Line]:  # noqa: ARG002
        """What is left cannot be told from the beginning."""
        self._whole = self._whole or by == S
        return []

    def ended(self, by: By) -> None:
        """The server's FIN ends what it says."""
        if by == S and self._said[S] and not self._whole:
            self._tell(self._said[S])

    def _tell(self, said: bytes) -> None:
        self._whole = True
        self.tell(Line(S, shown(said), kind="text"))


class Daytime(Statement):
    """RFC 867."""

    name, rfc = "daytime", "RFC 867"


class Time(Statement):
    """RFC 868: four octets."""

    name, rfc = "time", "RFC 868"

    def receive(self, by: By, data: bytes) -> list[Line]:
        """Take octets until there are four."""
        self.body = 0
        if by == S and not self._whole:
            said = self._said[S] = (self._said[S] + data)[:4]
            if len(said) == 4:
                self._whole = True
                seconds = int.from_bytes(said, "big")
                since = (seconds - SECONDS_1900_TO_1970) % 2**32
                self.tell(
                    Line(S, f"{seconds:,} seconds since 1900: {since:,} since 1970", kind="text", said=(str(seconds),))
                )
        return self._flush()

    def ended(self, by: By) -> None:
        """Fewer than four octets are no time."""
