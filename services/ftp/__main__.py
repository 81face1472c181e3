"""Start the host `ftp-server`, check it, or show its credentials: `python -m services.ftp [--check [PORT] | --credentials]`."""

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
        "--home", type=Path, default=home, help="folder of files and password (default %(default)s; LAB_FTP_HOME)"
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
        "--credentials", action="store_true", help="print the accounts with a password as JSON, and exit"
    )
    parser.add_argument(
        "--check", nargs="?", metavar="PORT", help="alone: ask the server on 127.0.0.1 for its greeting, and exit"
    )
    add_log_format(parser)
    options = parser.parse_args(argv)
    if options.credentials:
        return show_credentials(options.home / "password")
    from services.ftp.server import Config, FtpServer

    hosts = {"hosts": tuple(options.host)} if options.host else {}
    config = Config(
        home=options.home, port=options.port, data_port=options.data_port, sockets=options.max_sockets,
        per_address=options.max_per_address, idle=options.idle, accept=options.accept, **hosts,
    )  # fmt: skip
    return FtpServer(config, Log(options.log_format)).run()


def show_credentials(path: "object") -> int:
    """Print the credentials; 1 where there are none yet."""
    from pathlib import Path

    from services.ftp.accounts import as_json

    try:
        sys.stdout.write(as_json(Path(str(path))) + "\n")
    except OSError as error:
        sys.stderr.write(f"error: no credentials yet: {error.strerror}\n  at {path}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
