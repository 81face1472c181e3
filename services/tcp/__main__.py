"""Start the host `tcp-server`, or check it: `python -m services.tcp [--check [PORT]]`."""

import sys


def main(argv: list[str]) -> int:
    """Run until SIGTERM; exits with 0, with 1 where a port cannot be had, with 2 on a wrong command line."""
    if argv[:1] == ["--check"]:  # each second, in plain Compose: nothing but a socket is imported
        from services.runtime.check import check_stream
        from services.wire.small import GREETING

        return check_stream(int(argv[1]) if argv[1:] else 12345, GREETING)
    import argparse
    import os
    from pathlib import Path

    from services.runtime.limits import add_arguments, add_log_format, parse_ports, read_limits
    from services.runtime.log import Log
    from services.runtime.service import run_service
    from services.tcp.protocol import PORTS
    from services.tcp.server import OPERATOR_SOCKET, Config, TcpServer

    parser = argparse.ArgumentParser(
        "services.tcp", description="Greeting, chat, echo, discard, daytime, chargen, time over TCP."
    )
    parser.add_argument(
        "--port", action="append", default=[], metavar="NAME=PORT", help=f"another port for {', '.join(PORTS)}"
    )
    parser.add_argument("--host", action="append", metavar="ADDRESS", help="listen on this address alone (repeatable)")
    parser.add_argument("--operator", default=os.environ.get("LAB_CHAT_SOCKET", str(OPERATOR_SOCKET)), metavar="PATH",
                        help="Unix socket of the chat's operator (LAB_CHAT_SOCKET); empty for none")  # fmt: skip
    parser.add_argument(
        "--check", nargs="?", metavar="PORT", help="alone: ask the server on 127.0.0.1 for its greeting, and exit"
    )
    add_arguments(parser)
    add_log_format(parser)
    options = parser.parse_args(argv)
    try:
        ports = parse_ports(options.port, PORTS)
    except ValueError as error:
        parser.error(str(error))
    hosts = {"hosts": tuple(options.host)} if options.host else {}
    operator = Path(options.operator) if options.operator else None
    config = Config(ports=ports, operator=operator, limits=read_limits(options), **hosts)
    log = Log(options.log_format)
    server = TcpServer(config, log)
    return run_service("tcp-server", log, server.start, server.stop, anew=lambda: TcpServer(config, log))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
