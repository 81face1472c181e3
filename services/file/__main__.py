"""Start the host `file-server`, or check it: `python -m services.file [--check [PORT]]`."""

import sys


def main(argv: list[str]) -> int:
    """Run until SIGTERM; exits with 0, with 1 where the port or the folder cannot be had, with 2 on a wrong command line."""
    if argv[:1] == ["--check"]:  # each second, in plain Compose: nothing but a socket is imported
        from services.runtime.check import ask_stream

        return ask_stream(int(argv[1]) if argv[1:] else 9000, b"QUIT\r\n", b"OK goodbye\r\n")
    import argparse
    import os
    from dataclasses import fields
    from pathlib import Path

    from services.file.room import Room
    from services.file.server import ROOT, Config, FileServer
    from services.runtime.limits import add_arguments, add_log_format, positive, read_limits
    from services.runtime.log import Log
    from services.runtime.service import run_service

    parser = argparse.ArgumentParser("services.file", description="Files over the lab's own protocol.")
    parser.add_argument("--port", type=int, default=Config.port, help="default %(default)s; 0 lets the system choose")
    parser.add_argument("--host", action="append", metavar="ADDRESS", help="listen on this address alone (repeatable)")
    parser.add_argument("--root", type=Path, default=Path(os.environ.get("LAB_ROOT", ROOT)), metavar="FOLDER",
                        help="with `files` and `uploads` in it (default %(default)s; LAB_ROOT)")  # fmt: skip
    words = {"octets": "of all files together", "files": "how many files", "largest": "octets of one file"}
    for item in fields(Room):
        variable = f"LAB_ROOM_{item.name.upper()}"
        default = os.environ.get(variable, item.default)
        parser.add_argument(f"--room-{item.name}", type=positive(int), default=default, metavar="N",
                            help=f"{words[item.name]} (default {default}; {variable})")  # fmt: skip
    parser.add_argument("--check", nargs="?", metavar="PORT", help="alone: ask the server on 127.0.0.1, and exit")
    add_arguments(parser, defaults=Config().limits)
    add_log_format(parser)
    options = parser.parse_args(argv)
    room = Room(**{item.name: getattr(options, f"room_{item.name}") for item in fields(Room)})
    hosts = {"hosts": tuple(options.host)} if options.host else {}
    config = Config(port=options.port, root=options.root, room=room, limits=read_limits(options), **hosts)
    log = Log(options.log_format)
    server = FileServer(config, log)
    return run_service("file-server", log, server.start, server.stop)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
