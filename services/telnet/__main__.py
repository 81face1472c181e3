"""Start the host `telnet-server`, or check it: `python -m services.telnet [--check [PORT]]`."""

import sys


def check(port: int) -> int:
    """Return 0 where telnetd at 127.0.0.1 begins with a negotiation (IAC DO or IAC WILL), else 1."""
    import socket

    from services.telnet.protocol import DO, IAC, WILL

    said = b""
    try:
        with socket.create_connection(("127.0.0.1", port), 1.5) as conn:
            while len(said) < 2 and (octets := conn.recv(2 - len(said))):
                said += octets
    except OSError as error:
        said = str(error).encode()
    if said in (bytes((IAC, DO)), bytes((IAC, WILL))):
        return 0
    sys.stderr.write(f"not healthy: {said!r}\n")
    return 1


def main(argv: list[str]) -> int:
    """Run until SIGTERM; exits with 0, with 1 where the port cannot be had, with 2 on a wrong command line."""
    if argv[:1] == ["--check"]:
        return check(int(argv[1]) if argv[1:] else 23)
    import argparse
    import os

    from services.runtime.limits import add_log_format, positive
    from services.runtime.log import Log
    from services.runtime.sockets import ANY
    from services.telnet.accounts import write_accounts
    from services.telnet.server import Config, TelnetServer

    parser = argparse.ArgumentParser("services.telnet", description="A launcher of telnetd and login.")
    parser.add_argument("--port", type=int, default=23, metavar="PORT", help="TCP port; 0 lets the system choose")
    parser.add_argument("--host", action="append", metavar="ADDRESS", help="listen on this address alone (repeatable)")
    parser.add_argument(
        "--max-sessions", type=positive(int), default=os.environ.get("LAB_MAX_SESSIONS", 10), metavar="N",
        help="sessions at once (default %(default)s; LAB_MAX_SESSIONS)",
    )  # fmt: skip
    parser.add_argument("--check", nargs="?", metavar="PORT", help="alone: see whether telnetd answers, and exit")
    add_log_format(parser)
    options = parser.parse_args(argv)
    try:
        write_accounts(os.environ.pop("LAB_TELNET_PASSWORD", ""))  # out of the environment of all that runs below
    except (OSError, ValueError) as error:
        parser.error(f"the account could not be made: {error}")
    hosts = tuple(options.host) if options.host else ANY
    config = Config(options.port, hosts, int(options.max_sessions))
    return TelnetServer(config, Log(options.log_format)).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
