"""Start the host `udp-server`, or check it: `python -m services.udp [--check [PORT]]`."""

import sys


def main(argv: list[str]) -> int:
    """Run until SIGTERM; exits with 0, with 1 where a port cannot be had, with 2 on a wrong command line."""
    if argv[:1] == ["--check"]:  # each second, in plain Compose: nothing but a socket is imported
        from services.runtime.check import check_datagram
        from services.wire.small import GREETING

        return check_datagram(int(argv[1]) if argv[1:] else 12345, GREETING)
    import argparse

    from services.runtime.limits import add_log_format, parse_ports
    from services.runtime.log import Log
    from services.runtime.service import run_service
    from services.udp.protocol import PORTS
    from services.udp.server import Config, UdpServer

    parser = argparse.ArgumentParser(
        "services.udp", description="Greeting, echo, discard, daytime, chargen, time over UDP."
    )
    parser.add_argument(
        "--port", action="append", default=[], metavar="NAME=PORT", help=f"another port for {', '.join(PORTS)}"
    )
    parser.add_argument("--host", action="append", metavar="ADDRESS", help="listen on this address alone (repeatable)")
    parser.add_argument(
        "--check", nargs="?", metavar="PORT", help="alone: ask the server on 127.0.0.1 for its greeting, and exit"
    )
    add_log_format(parser)
    options = parser.parse_args(argv)
    try:
        ports = parse_ports(options.port, PORTS)
    except ValueError as error:
        parser.error(str(error))
    hosts = {"hosts": tuple(options.host)} if options.host else {}
    log = Log(options.log_format)
    config = Config(ports=ports, **hosts)
    server = UdpServer(config, log)
    return run_service("udp-server", log, server.start, server.stop, anew=lambda: UdpServer(config, log))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
