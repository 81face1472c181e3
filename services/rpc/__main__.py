"""Start the host `rpc-server`, or check it: `python -m services.rpc [--check [PORT]]`."""

import sys


def main(argv: list[str]) -> int:
    """Run until SIGTERM; exits with 0, with 1 where the port cannot be had, with 2 on a wrong command line."""
    if argv[:1] == ["--check"]:
        from xmlrpc.client import ServerProxy

        port = int(argv[1]) if argv[1:] else 8000
        return 0 if ServerProxy(f"http://127.0.0.1:{port}/RPC2").add(2, 2) == 4 else 1
    import argparse
    import os
    from dataclasses import fields, replace

    from services.rpc.server import PORT, Config, RpcServer
    from services.runtime.limits import add_log_format, positive
    from services.runtime.log import Log
    from services.runtime.service import run_service

    parser = argparse.ArgumentParser("services.rpc", description="Procedures called over HTTP, by XML-RPC.")
    parser.add_argument("--port", type=int, default=PORT, help="default %(default)s; 0 lets the system choose")
    parser.add_argument("--host", action="append", metavar="ADDRESS", help="listen on this address alone (repeatable)")
    limits = {"threads": "calls served at once", "waiting": "connections that may wait for a thread",
              "largest": "octets of a request", "timeout": "seconds that a request may take to come"}  # fmt: skip
    defaults = {item.name: item.default for item in fields(Config)}
    for name, text in limits.items():
        variable = f"LAB_RPC_{name.upper()}"
        default = os.environ.get(variable, defaults[name])
        parser.add_argument(f"--{name}", type=positive(type(defaults[name])), default=default, metavar="N",
                            help=f"{text} (default {default}; {variable})")  # fmt: skip
    parser.add_argument("--check", nargs="?", metavar="PORT", help="alone: call the server on 127.0.0.1, and exit")
    add_log_format(parser)
    options = parser.parse_args(argv)
    given = {name: getattr(options, name) for name in limits}
    config = Config(port=options.port, **given)
    if options.host:
        config = replace(config, hosts=tuple(options.host))
    log = Log(options.log_format)
    server = RpcServer(config, log)
    return run_service("rpc-server", log, server.start, server.stop)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
