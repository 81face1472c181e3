"""The lab's file protocol as it crosses the wire, by the grammar of the lab's own server.

C: GET notes.txt        S: OK 26 26, then 26 octets
C: PUT a.txt 5 2cf2…    then 5 octets        S: OK 2cf2…
"""

from services.dialogue.line import By, C, Line, S, octets_of, shown
from services.dialogue.reader import Reader
from services.file.grammar import Get, List, Put, RefusalError, Request, number, parse_request

VERBS = {b"LIST", b"STAT", b"GET", b"PUT", b"HASH", b"DELETE", b"QUIT"}


class File(Reader):
    """Requests in lines, replies in their order, bodies counted."""

    name = "file protocol"

    def __init__(self) -> None:
        super().__init__()
        self._requests: dict[int, Request] = {}
        self._of: dict[By, Line | None] = {C: None, S: None}
        self._begun = False

    def take_line(self, by: By, line: bytes) -> None:
        """Take a request or a reply."""
        if by == C:
            self._request(line)
        else:
            self._reply(line)

    def _request(self, line: bytes) -> None:
        word = line.partition(b" ")[0].upper()
        if not self._begun and b"\0" in line:
            self.foreign = True
            return
        asked = self.command(line, word.decode("ascii", "replace"))
        try:
            request = parse_request(line)
        except RefusalError:
            return
        if len(self._requests) < 10_000:
            self._requests[asked.number] = request
        if isinstance(request, Put):
            asked.text = _short(asked.text, request)
            if request.octets:
                self._of[C] = asked
                self.body_name = "of file"
                self.halves[C].count(request.octets)

    def _reply(self, line: bytes) -> None:
        word, _, rest = line.partition(b" ")
        if not self._begun and word not in (b"OK", b"ERR"):
            self.foreign = True
            return
        self._begun = True
        asked = self.answered()
        request = self._requests.pop(asked.number, None) if asked else None
        text = shown(line)
        self._of[S] = self.reply(text, shown(word), shown(rest), to=asked)
        if word == b"OK" and isinstance(request, Get | List):
            try:
                octets = number(rest.partition(b" ")[0])
            except RefusalError:
                return
            if octets:
                self.body_name = "of file" if isinstance(request, Get) else "of list"
                self.halves[S].count(octets)

    def body_ended(self, by: By) -> None:
        """A body has as many octets as its line told."""
        what = "list" if self.body_name == "of list" else "file"
        self.counted(by, f"{octets_of(self.halves[by].body)} of {what}", known=True, to=self._of[by])


def _short(text: str, request: Put) -> str:
    """Return a PUT with the beginning of its digest."""
    return text.replace(request.digest, f"{request.digest[:8]}…")
