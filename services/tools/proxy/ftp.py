"""FTP: the control connection, and what it tells of data connections. Pure.

    C: RETR big.bin      S: 150 …   S: 426 …      the data connection is closed in between (RFC 959 section 5.4)

RFC 959 section 4.2, RFC 2428.
"""

import re

from services.tools.proxy.conversation import Awaited, Choose, Conversation, Data, Reset, ToClient, ToServer
from services.tools.proxy.lines import Lines, line_of
from services.tools.proxy.rules import Act


class Ftp(Lines):
    """FTP's control connection; what it says of data connections is kept for `DataConnection`."""

    DECIDE = SECURES = ("AUTH",)
    DOWN = ("RETR", "LIST", "NLST", "MLSD")
    MOVES = (*DOWN, "STOR", "STOU", "APPE")
    WHILE_IT_MOVES = (b"425", b"426", b"451", b"551", b"552")  # replies that come after a 150 (RFC 959 section 5.4)

    def __init__(self, choose: Choose) -> None:
        self.cut: Act | None = None  # the transfer that is under way breaks off
        self.stall: Act | None = None  # … or rests
        self._passive = False
        super().__init__(choose)

    def _instead(self, verb: str, line: bytes, act: Act) -> None:
        own = line_of(act)
        # Without a passive connection there is nothing to cut: the server would open one that we cannot see.
        if verb in self.MOVES and self._passive and own.startswith(self.WHILE_IT_MOVES):
            self.cut, self.stall = act, None
            self.awaited.append(Awaited(verb, act, instead=own))
            self._say(ToServer(line))
        else:
            super()._instead(verb, line, act)

    def _asks(self, verb: str, line: bytes) -> None:  # noqa: ARG002 - as its base
        if verb not in self.MOVES:
            return
        self.cut = self.stall = None
        act = self.awaited[-1].act
        if act and act.stall and verb in self.DOWN:
            self.stall, self.awaited[-1].act = act, None

    def _preliminary(self, code: bytes) -> bool:
        return code[:1] == b"1"

    def _reply_line(self, line: bytes) -> None:
        if line[:3] in (b"227", b"229"):
            self._announced(line)
        super()._reply_line(line)

    def _announced(self, line: bytes) -> None:
        """Read the port of a data connection: `227 … (h1,h2,h3,h4,p1,p2)`, `229 … (|||port|)` (RFC 959 section 4.2, RFC 2428)."""
        numbers = [int(number) for number in re.findall(rb"\d+", line[3:])]
        if line[:3] == b"229" and numbers:
            port = numbers[-1]
        elif len(numbers) >= 6:
            port = numbers[-2] * 256 + numbers[-1]
        else:
            return
        self._passive = True
        self._say(Data(port))

    def _after(self, verb: str, code: bytes) -> None:
        super()._after(verb, code)
        if verb in ("PORT", "EPRT") and code[:1] == b"2":
            self._passive = False


class DataConnection(Conversation):
    """FTP's data connection: what becomes of it, the control connection knows."""

    def __init__(self, control: Ftp) -> None:
        """Begin the data connection of a control connection."""
        self._control = control
        self._moved = 0
        super().__init__(lambda _verb: None)

    def _client(self, octets: bytes) -> None:
        self._move(octets, ToServer)

    def _server(self, octets: bytes) -> None:
        stall = self._control.stall
        if stall:
            self.awaited[0].act = stall
            self._pass(octets)
        else:
            self._move(octets, ToClient)

    def _move(self, octets: bytes, to: type[ToServer] | type[ToClient]) -> None:
        cut = self._control.cut
        if not cut:
            self._say(to(octets))
            return
        left = cut.after - self._moved
        self._moved += len(octets)
        if left > 0:
            self._say(to(octets[:left]))
        if self._moved > cut.after:
            self._say(Reset())
