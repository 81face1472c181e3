"""Start the host `ftp-server`, or check it: `python -m services.ftp [--check [PORT]]`."""

import sys


def main(argv: list[str]) -> int:
    """Run until SIGTERM; exits with 0, with 1 where a port or the folder cannot be had, with 2 on a wrong command line."""
    if argv[:1] == ["--check"]:  # each second, in plain Compose: pyftpdlib is not imported
        from services.runtime.check import check_stream

        return check_stream(int(argv[1]) if argv[1:] else 21, b"220 lab FTP server ready.\r\n")
    import argparse
    import os
    from pathlib import Path

    from services.runtime.limits import add_log_format, positive
    from services.runtime.log import Log

    home = os.environ.get("LAB_FTP_HOME", "/srv/ftp")
    parser = argparse.ArgumentParser("services.ftp", description="FTP by pyftpdlib, with the lab's rules.")
    parser.add_argument(
        "--home", type=Path, default=home, help="folder of files and credentials (default %(default)s; LAB_FTP_HOME)"
    )
    parser.add_argument("--port", type=int, default=21, help="of control connections (default %(default)s)")
    parser.add_argument(
        "--data-port", type=int, default=20, help="of active data connections (default %(default)s; 0: any)"
    )
    parser.add_argument("--host", action="append", metavar="ADDRESS", help="listen on this address alone (repeatable)")
    for flag, variable, default, text in (
        ("--max-sockets", "LAB_MAX_SOCKETS", 512, "control and data connections open at once"),
        ("--max-per-address", "LAB_MAX_PER_ADDRESS", 64, "control connections of one address"),
        ("--idle", "LAB_IDLE", 300.0, "seconds of silence after which a connection is closed"),
        ("--accept", "LAB_ACCEPT", 30.0, "seconds to open a data connection that was asked for"),
    ):
        value = os.environ.get(variable, default)
        parser.add_argument(
            flag, type=positive(type(default)), default=value, metavar="N", help=f"{text} (default {value}; {variable})"
        )
    parser.add_argument(
        "--check", nargs="?", metavar="PORT", help="alone: ask the server on 127.0.0.1 for its greeting, and exit"
    )
    add_log_format(parser)
    options = parser.parse_args(argv)
    from services.ftp.server import Config, FtpServer
    from services.runtime.sockets import ANY

    config = Config(
        home=options.home, port=options.port, data_port=options.data_port, hosts=tuple(options.host or ANY),
        sockets=options.max_sockets, per_address=options.max_per_address, idle=options.idle, accept=options.accept,
    )  # fmt: skip
    return FtpServer(config, Log(options.log_format)).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
