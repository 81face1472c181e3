"""One control connection and its data connections: pyftpdlib's, with the lab's rules.

- An active data connection comes from port 20 (RFC 959 section 5.2), and goes to the client's own address alone (RFC 2577 section 3).
- A client that does not read its replies is ended, so that they cannot fill the memory.
- What happens is told as one line an event; a password never is.
"""

import errno
import socket
from typing import Any, ClassVar

from pyftpdlib.handlers import ActiveDTP, DTPHandler, FTPHandler, PassiveDTP

from services.ftp.files import Files
from services.runtime.log import Log, peer_name

GREETING = "lab FTP server ready."
WORDS = f"220 {GREETING}\r\n".encode()  # what a healthcheck waits for
DATA_PORT = 20
REPLIES_UNREAD = 256  # pieces of replies that may wait for a client
# Octets for one sendfile call, as far as the kernel's buffer has room: pyftpdlib's own 64 KiB cost a turn of its loop each.
SEND = 8 << 20
RECEIVE = 256 << 10  # octets for one read


class Active(ActiveDTP):
    """A data connection that we open."""

    socket: Any

    def connect_af_unspecified(self, addr: tuple[str, int], source_address: tuple[str, int] | None = None) -> int:
        """Connect from the data port; from any port where one from there to the same place is still in TIME_WAIT."""
        port = self.cmd_channel.data_port
        source = source_address[0] if source_address else ""
        try:
            return self._connect(addr, (source, port))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL) or not port:
                raise
            return self._connect(addr, (source, 0))

    def _connect(self, addr: tuple[str, int], source: tuple[str, int]) -> int:
        family = socket.AF_INET6 if ":" in addr[0] else socket.AF_INET
        self.create_socket(family, socket.SOCK_STREAM)
        try:
            self.set_reuse_addr()
            self.bind(source)
            self.connect(addr)
        except OSError:
            self.del_channel()
            self.socket.close()
            self.socket = None
            raise
        return family


class Passive(PassiveDTP):
    """A port where we wait for a data connection."""

    backlog = 1


class Data(DTPHandler):
    """An open data connection."""

    ac_out_buffer_size = SEND
    ac_in_buffer_size = RECEIVE


class Session(FTPHandler):
    """One control connection."""

    # set once, by the server
    lab_log: ClassVar[Log]
    data_port: ClassVar[int] = DATA_PORT

    banner = GREETING
    active_dtp = Active
    passive_dtp = Passive
    dtp_handler = Data
    abstracted_fs = Files
    permit_foreign_addresses = False
    permit_privileged_ports = False
    auth_failed_timeout = 1  # seconds: slows guessing, and holds one of an address's connections meanwhile
    commands = 0

    def pre_process_command(self, line: str, cmd: str, arg: str) -> None:
        """Take one command, unless the conversation is over (QUIT may have more behind it), or replies to earlier ones pile up."""
        if self._closed or self._closing or self._quit_pending:
            return
        self.commands += 1
        if len(self.producer_fifo) > REPLIES_UNREAD:
            self.tell("ended", reason="the client does not read its replies")
            self.close()
            return
        super().pre_process_command(line, cmd, arg)

    def add_channel(self, map: object = None, events: int | None = None) -> None:  # noqa: A002 - pyftpdlib's names
        """Let the loop watch this connection.

        After a wrong password pyftpdlib watches it again a second later, even where QUIT behind the password has closed it: then the
        descriptor is nobody's or another's, and the loop would spin.
        """
        if not self._closed:
            super().add_channel(map, events)

    def process_command(self, cmd: str, *args: Any, **kwargs: Any) -> None:
        """Do one command."""
        try:
            super().process_command(cmd, *args, **kwargs)
        except AttributeError:
            if (
                not self._closed
            ):  # a reply that finds the peer gone closes the session in the midst of a method of pyftpdlib's
                raise

    # -- the log ------------------------------------------------------------------------------------------------------

    def tell(self, event: str, **facts: Any) -> None:
        """Write a line about this client, where the second has room for one."""
        if self.remote_ip and self.lab_log.has_room(event):
            self.lab_log.event(event, peer=peer_name((self.remote_ip, self.remote_port)), **facts)

    def log(self, msg: str, logfun: object = None) -> None:
        """Drop pyftpdlib's own words; the lab's are below."""

    def logline(self, msg: str, logfun: object = None) -> None:
        """Drop them here too."""

    def log_exception(self, instance: object) -> None:  # noqa: ARG002 - pyftpdlib's signature
        """Tell of a mistake of ours, or of pyftpdlib's, with its place."""
        import traceback

        self.lab_log.event("error", reason=traceback.format_exc(limit=-3))

    def log_cmd(self, cmd: str, arg: str, respcode: int, respstr: str) -> None:  # noqa: ARG002 - pyftpdlib's
        """Tell a command and its reply code; of PASS and what is no command, without the argument."""
        known = cmd in self.proto_cmds
        if self.fs and arg.startswith(self.fs.root):
            arg = self.fs.fs2ftp(arg)  # as the client knows it
        facts = {"arg": arg} if arg and known and cmd not in ("PASS", "ACCT") else {}
        self.tell("command", command=cmd if known else "?", code=respcode, **facts)

    def log_transfer(self, cmd: str, filename: str, receive: bool, completed: bool, elapsed: float, bytes: int) -> None:  # noqa: A002, ARG002
        """Tell a transfer and what came of it."""
        name = self.fs.fs2ftp(filename) if self.fs else filename
        self.tell(
            "transfer", command=cmd or "?", file=name, octets=bytes, seconds=float(elapsed), whole=bool(completed)
        )

    def on_login(self, username: str) -> None:
        """Tell who logged in."""
        self.tell("login", user=username)

    def on_login_failed(self, username: str, password: str) -> None:  # noqa: ARG002 - not for a log
        """Tell who did not."""
        self.tell("refused", user=username, reason="wrong password")

    def on_disconnect(self) -> None:
        """Tell the end of a connection that said anything: a healthcheck does not."""
        if self.commands:
            self.tell("closed", user=self.username or "-", commands=self.commands)
