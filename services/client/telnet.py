"""`lab telnet HOST [PORT]`: a terminal on another host, on telnetlib.

Python's `telnetlib` left the standard library in 3.13 (PEP 594). It lives on as a package, unchanged: `standard-telnetlib` on the package
index, `python3-zombie-telnetlib` in Debian, imported by its old name, as here; `telnetlib3`, on asyncio, is another one. Left alone it
refuses every option; what this client agrees to is in `services/client/telnet_options.py`.
"""

import argparse
import contextlib
import json
import os
import select
import signal
import termios
import tty
from pathlib import Path
from types import FrameType
from typing import Any

from services.client.dial import dial, family_of
from services.client.errors import ClientError, report
from services.client.options import TIMEOUT, add_families, port_number, seconds
from services.client.packaged import packaged
from services.client.telnet_options import Answers, Wire
from services.client.telnet_script import Script, add_script
from services.client.topics import protocol

PORT = protocol("Telnet").port
HANDOUT = Path("/handouts/telnet.json")  # where a lab's telnet-server leaves its password for this host
ESCAPE = b"\x1d"  # Ctrl-], as every telnet client has it


def main(argv: list[str]) -> int:
    """Hold one conversation and return its exit code."""
    options = _parser().parse_args(argv)
    place = f"{options.host}:{options.port}"
    try:
        telnetlib = packaged("telnetlib", "python3-zombie-telnetlib")
        terminal = telnetlib.Telnet()
        conn = dial(options.host, options.port, family_of(options), options.timeout)
        with Wire(conn, octets=options.octets, negotiation=options.options) as wire:
            terminal.sock = wire
            terminal.set_option_negotiation_callback(answers_for(options, terminal))
            script = Script(terminal, options)
            if options.login:
                script.log_in(password_of(options))
            return script.run() if options.script else _talk(terminal, options)
    except (OSError, EOFError, ClientError) as error:
        told = ClientError("the server closed the connection") if isinstance(error, EOFError) else error
        return report(told, place)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("lab telnet", description="A terminal on another host. Ctrl-] leaves.")
    parser.add_argument("host", metavar="HOST")
    parser.add_argument("port", metavar="PORT", type=port_number, nargs="?", default=PORT, help="default %(default)s")
    add_families(parser)
    parser.add_argument(
        "--timeout", type=seconds, default=TIMEOUT, metavar="SECONDS",
        help="for connecting, and for each thing that a script waits for; default %(default)g",
    )  # fmt: skip
    parser.add_argument("--options", action="store_true", help="show the negotiation of options on stderr")
    parser.add_argument("--octets", action="store_true", help="show on stderr all that crosses the wire, both ways")
    parser.add_argument("--term", default=os.environ.get("TERM", "dumb"), metavar="TYPE", help="terminal type to tell")
    parser.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a variable to offer by NEW-ENVIRON (repeatable)",
    )
    add_script(parser)
    return parser


def answers_for(options: argparse.Namespace, terminal: Any) -> Answers:
    """Return what answers the server's negotiation, as the command line wants it."""
    environ = [(name, value) for name, _, value in (word.partition("=") for word in options.env)]
    term = "dumb" if options.script else options.term  # a script wants no colours
    return Answers(terminal, term, environ, terminal_size())


def password_of(options: argparse.Namespace) -> str:
    """Return the password: as given, handed out by the lab's server, or typed.

    Raises:
        ClientError: there is none of these.
    """
    if options.password is not None:
        return str(options.password)
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads(HANDOUT.read_text())[options.login])
    if not os.isatty(0):
        raise ClientError(f"`{options.login}` needs a password", "`--password`; `labctl ps --json` shows it")
    import getpass

    return getpass.getpass(f"Password for {options.login} (it crosses the network in clear): ")


def terminal_size() -> tuple[int, int]:
    """Return columns and rows of this terminal; 80 and 24 where there is none."""
    size = os.get_terminal_size(0) if os.isatty(0) else os.terminal_size((80, 24))
    return size.columns, size.lines


def _talk(terminal: Any, options: argparse.Namespace) -> int:
    """Join stdin and stdout to the server until it closes; on a terminal key by key, from a pipe line by line."""
    if not os.isatty(0):
        return _pump(terminal, raw=False, patience=options.timeout)
    before = termios.tcgetattr(0)

    def resized(_number: int, _frame: FrameType | None) -> None:
        terminal.option_callback.send_size(terminal_size())

    try:
        tty.setraw(0)
        signal.signal(signal.SIGWINCH, resized)
        return _pump(terminal, raw=True, patience=None)
    finally:
        signal.signal(signal.SIGWINCH, signal.SIG_DFL)
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _pump(terminal: Any, *, raw: bool, patience: float | None) -> int:
    """Carry octets both ways.

    Args:
        raw: keys as they are struck: Return is CR NUL, Ctrl-] leaves (RFC 854, the NVT keyboard).
        patience: seconds to wait for the server to close once stdin has ended; None where stdin is a keyboard.
    """
    typing = True
    while True:
        watched = [terminal.sock, *([0] if typing else [])]
        ready, _, _ = select.select(watched, [], [], None if typing else patience)
        if not ready:
            raise ClientError(f"stdin has ended, and the server did not close for {patience:g} s")
        if 0 in ready:
            keys = os.read(0, 4096)
            if not keys or (raw and ESCAPE in keys):
                if raw:
                    return 0
                typing = False
            terminal.write(keys.replace(b"\r", b"\r\0") if raw else keys.replace(b"\n", b"\r\n"))
        if terminal.sock in ready:
            try:
                said = terminal.read_very_eager()
            except EOFError:
                return 0
            os.write(1, said if raw else said.replace(b"\r\n", b"\n"))
