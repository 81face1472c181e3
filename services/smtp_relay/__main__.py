"""Start the host `smtp-relay`, or check it: `python -m services.smtp_relay [--check [PORT]]`."""

import sys


def main(argv: list[str]) -> int:
    """Run until SIGTERM; exits with 0, with 1 where the port or the queue cannot be had, with 2 on a wrong command line."""
    if argv[:1] == ["--check"]:  # each second, in plain Compose: nothing but a socket is imported
        from services.runtime.check import check_dialogue

        return check_dialogue(int(argv[1]) if argv[1:] else 25, (b"", b"220 "), (b"QUIT\r\n", b"221 "))
    import os

    from services.runtime.log import Log
    from services.runtime.service import run_service
    from services.smtp_relay.options import parse_config
    from services.smtp_relay.server import SmtpRelay

    config, style = parse_config(argv, os.environ)
    os.umask(0o077)  # mail is nobody else's
    log = Log(style)
    relay = SmtpRelay(config, log)
    return run_service("smtp-relay", log, relay.start, relay.stop, relay.reload)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
