"""What is said on a connection, as lines: readers of the lab's protocols, for whoever has the octets of both directions. Pure.

A reader takes octets (`receive`), gaps (`gap`) and FINs (`eof`) of the client `C` and the server `S`, and returns `Line`s. It uses the
tables and cores that the servers themselves run on, where there are some. No octets make it raise.

Public: `reader_for`, `Reader`, `Line`, `Ftp`, `FtpData`, `Transfer`, `C`, `S`.
"""

from collections.abc import Callable, Mapping

from services.dialogue.file import File
from services.dialogue.ftp import Ftp, FtpData, Transfer
from services.dialogue.gopher import Gopher
from services.dialogue.http import Http
from services.dialogue.imap import Imap
from services.dialogue.line import HIDDEN, By, C, Line, S, cut, octets_of
from services.dialogue.nntp import Nntp
from services.dialogue.pop3 import Pop3
from services.dialogue.reader import Reader
from services.dialogue.small import Chat, Daytime, Statement, Time
from services.dialogue.smtp import Lmtp, Smtp
from services.dialogue.telnet import Telnet
from services.file.grammar import PORT as FILE_PORT
from services.gopher.protocol import PORT as GOPHER_PORT
from services.tcp.protocol import PORTS as SMALL_PORTS


class UnderTls(Reader):
    """TLS from the first octet, whatever is spoken under it."""

    name, rfc = "TLS", "RFC 8446"

    def take_line(self, by: By, line: bytes) -> None:  # noqa: ARG002
        """What is no TLS is not read."""
        self.foreign = True


# The ports that mean a protocol: assigned ones (RFC 6335), those of the lab's hosts, and the usual second ones of HTTP.
PORTS: Mapping[int, Callable[[], Reader]] = {
    25: Smtp, 587: Smtp, 24: Lmtp, 21: Ftp, 110: Pop3, 143: Imap, 119: Nntp, 433: Nntp, 23: Telnet,
    80: Http, 8000: Http, 8080: Http, GOPHER_PORT: Gopher, FILE_PORT: File,
    SMALL_PORTS["greeting"]: Statement, SMALL_PORTS["chat"]: Chat, SMALL_PORTS["daytime"]: Daytime, SMALL_PORTS["time"]: Time,
    443: UnderTls, 465: UnderTls, 563: UnderTls, 853: UnderTls, 990: UnderTls, 993: UnderTls, 995: UnderTls, 8443: UnderTls,
}  # fmt: skip
# Hosts of the lab that speak one protocol, on whatever port; not FTP's, whose other ports are for data.
HOSTS: Mapping[str, Callable[[], Reader]] = {
    "smtp-relay": Smtp, "news-server": Nntp, "telnet-server": Telnet, "web-server": Http, "rpc-server": Http,
    "gopher-server": Gopher, "file-server": File,
}  # fmt: skip

__all__ = [
    "HIDDEN", "HOSTS", "PORTS", "By", "C", "Ftp", "FtpData", "Line", "Reader", "S", "Transfer", "UnderTls", "cut", "octets_of",
    "reader_for",
]  # fmt: skip


def reader_for(port: int, host: str = "") -> Reader | None:
    """Return a reader of what a server says at a port; None where neither port nor host tells of a protocol."""
    make = PORTS.get(port) or HOSTS.get(host)
    return make() if make else None
