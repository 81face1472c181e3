"""ftplib's `FTP`, with what a learner wants to see: the dialogue, and where each data connection runs."""

import ftplib
import socket
import sys

from services.client.dial import dial


class Session(ftplib.FTP):
    """One control connection.

    Args:
        show: print the dialogue on stderr, passwords masked.
    """

    extended = False  # EPSV and EPRT on IPv4 too

    def __init__(self, show: bool) -> None:
        super().__init__(encoding="utf-8")
        self.show = show
        self.data_name = ""

    @property
    def active(self) -> bool:
        """Whether the server opens the data connections."""
        return not self.passiveserver

    @active.setter
    def active(self, active: bool) -> None:
        self.set_pasv(not active)

    def open(self, host: str, port: int, family: socket.AddressFamily, timeout: float) -> None:
        """Connect in the family asked for (ftplib's own `connect` takes the resolver's first), and read the greeting.

        Raises:
            OSError: no address takes the connection.
        """
        self.host, self.port, self.timeout = host, port, timeout
        self.sock = dial(host, port, family, timeout)
        self.af = self.sock.family
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()

    def putline(self, line: str) -> None:
        """Send a command."""
        if self.show:
            said = "PASS ****" if line[:5].upper() == "PASS " else line
            sys.stderr.write(f"C: {said}\n")
        super().putline(line)

    def getline(self) -> str:
        """Read a line of a reply."""
        line = super().getline()
        if self.show:
            sys.stderr.write(f"S: {line}\n")
        return line

    def makepasv(self) -> tuple[str, int]:
        """Ask for a port of the server's: EPSV on IPv6 and where it is wanted, else PASV."""
        if self.extended and self.af == socket.AF_INET and self.sock:
            return ftplib.parse229(self.sendcmd("EPSV"), self.sock.getpeername())  # noqa: S321 - FTP is the lesson
        return super().makepasv()

    def sendeprt(self, host: str, port: int) -> str:
        """Name a port of ours, the extended way."""
        return str(self.sendcmd(f"EPRT |{2 if self.af == socket.AF_INET6 else 1}|{host}|{port}|"))

    def sendport(self, host: str, port: int) -> str:
        """Name a port of ours: ftplib calls this on IPv4."""
        return self.sendeprt(host, port) if self.extended else str(super().sendport(host, port))

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        """Open a data connection for a command, and remember where it runs."""
        conn, size = super().ntransfercmd(cmd, rest)
        ours, theirs = conn.getsockname()[1], conn.getpeername()[1]
        self.data_name = (
            f"active, {self.host}:{theirs} to our {ours}"
            if self.active
            else f"passive, our {ours} to {self.host}:{theirs}"
        )
        if self.show:
            sys.stderr.write(f"   data connection: {self.data_name}\n")
        return conn, size
