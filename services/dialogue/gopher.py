"""Gopher as it crosses the wire: RFC 1436; one request line, one answer, close.

C: /texts/about.txt        S: text, from "About this lab"; 834 octets in all
"""

from services.dialogue.line import By, C, Line, S, cut, octets_of, shown
from services.dialogue.reader import Reader
from services.gopher.protocol import error_of, read_item
from services.wire.errors import RemoteProtocolError


class Gopher(Reader):
    """RFC 1436; what kind of answer comes shows in its first line."""

    name, rfc = "Gopher", "RFC 1436"
    plain = True

    def __init__(self) -> None:
        super().__init__()
        self._what = ""

    def take_line(self, by: By, line: bytes) -> None:
        """Take the request, or the answer's first line; the rest of it is counted."""
        if by == C:
            self._request(line)
            return
        if self._what:  # an error's lone dot
            return
        kind, beginning = _kind(line)
        self._what = kind
        text = beginning if kind == "error" else f"{kind}, from {cut(beginning, 70)}"
        self.reply(text, kind, beginning, to=self.waiting(), said=[shown(line)])
        if kind != "error" and line != b".":
            self.body_name = f"of a {kind}"
            self.halves[S].rest()
            self.halves[S].body = len(line) + 2

    def _request(self, line: bytes) -> None:
        if self.waiting():
            self.tell(Line(C, shown(line), kind="text"))  # a server reads one request
            return
        selector, tab, words = line.partition(b"\t")
        text = f"{shown(selector)}{f', search for {shown(words)}' if tab else ''}" or "(an empty line: the main menu)"
        self._asked.append(self.tell(Line(C, text, "SEARCH" if tab else "GET", shown(selector), said=(shown(line),))))

    def ended(self, by: By) -> None:
        """The server's FIN ends the answer."""
        half = self.halves[S]
        if by == S and self._what and half.mode.name == "REST":
            self.counted(S, f"{self._what}, {octets_of(half.body)}", to=self.waiting())


def _kind(line: bytes) -> tuple[str, str]:
    if error := error_of(line):
        return "error", f"error: {shown(error.removeprefix('Error: ').encode())}"
    try:
        if line.count(b"\t") >= 2:
            item = read_item(line)
            return "menu", f'"{shown(item.title.encode())}"'
    except RemoteProtocolError:
        pass
    return "document", f'"{shown(line)}"'
