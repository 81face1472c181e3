"""Start the host `gopher-server`, or check it: `python -m services.gopher [--check [PORT]]`."""

import sys


def main(argv: list[str]) -> int:
    """Run until SIGTERM; exits with 0, with 1 where the port or gophernicus cannot be had, with 2 on a wrong command line."""
    if argv[:1] == ["--check"]:
        from services.runtime.check import check_answer

        return check_answer(
            int(argv[1]) if argv[1:] else 70, b"\r\n", lambda said: b"\t" in said and said.endswith(b".\r\n")
        )
    import argparse
    import os
    from pathlib import Path

    from services.gopher.protocol import PORT
    from services.gopher.server import PROGRAM, ROOT, Config, GopherServer
    from services.runtime.limits import add_log_format, positive
    from services.runtime.log import Log
    from services.runtime.service import run_service
    from services.runtime.sockets import ANY

    parser = argparse.ArgumentParser("services.gopher", description="Gopher by gophernicus, a process a request.")
    parser.add_argument("--root", type=Path, default=ROOT, help="the files (default %(default)s)")
    parser.add_argument("--port", type=int, default=PORT, help="default %(default)s; 0 lets the system choose")
    parser.add_argument("--host", action="append", metavar="ADDRESS", help="listen on this address alone (repeatable)")
    parser.add_argument("--program", default=PROGRAM, help="gophernicus (default %(default)s)")
    for flag, variable, default, text in (
        ("--max-connections", "LAB_MAX_CONNECTIONS", Config.connections, "connections open at once"),
        ("--max-processes", "LAB_MAX_PROCESSES", Config.processes, "answers at once"),
        ("--idle", "LAB_IDLE", Config.idle, "seconds for a request to come, and for a reader to take something"),
        ("--lifetime", "LAB_LIFETIME", Config.lifetime, "seconds for a whole answer"),
    ):
        value = os.environ.get(variable, default)
        parser.add_argument(
            flag, type=positive(type(default)), default=value, metavar="N", help=f"{text} (default {value}; {variable})"
        )
    parser.add_argument(
        "--check", nargs="?", metavar="PORT", help="alone: ask the server on 127.0.0.1 for its menu, and exit"
    )
    add_log_format(parser)
    options = parser.parse_args(argv)
    config = Config(
        root=options.root, port=options.port, hosts=tuple(options.host or ANY), connections=options.max_connections,
        processes=options.max_processes, idle=options.idle, lifetime=options.lifetime,
        program=(options.program,),
    )  # fmt: skip
    log = Log(options.log_format)
    server = GopherServer(config, log)
    return run_service("gopher-server", log, server.start, server.stop)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
