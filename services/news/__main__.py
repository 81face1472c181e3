"""Start the host `news-server`, or check it: `python -m services.news [--check [PORT]]`."""

import sys

INND = "/usr/lib/news/bin/innd"


def check(port: int) -> int:
    """Return 0 where INN at 127.0.0.1 greets with 200 or 201 (RFC 3977 section 5.1), else 1."""
    import socket

    try:
        with socket.create_connection(("127.0.0.1", port), 1.5) as conn:
            said = conn.recv(512)
            conn.sendall(b"QUIT\r\n")
    except OSError as error:
        said = str(error).encode()
    if said[:3] in (b"200", b"201"):
        return 0
    sys.stderr.write(f"not healthy: {said!r}\n")
    return 1


def main(argv: list[str]) -> int:
    """Make the spool where it is missing, then become innd."""
    if argv[:1] == ["--check"]:
        return check(int(argv[1]) if argv[1:] else 119)
    import os
    import subprocess
    import time
    from pathlib import Path

    from services.news.seed import seed, write_database

    Path("/tmp/news/scratch").mkdir(parents=True, exist_ok=True)  # noqa: S108 - the container's own tmpfs; inn.conf names it
    try:
        if seed(time.time()):
            write_database()
    except (OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"error: the news spool could not be made: {error}\n")
        return 1
    # -d: in the foreground, news log to stdout; -c 0: articles of any age are taken.
    return os.execv(INND, [INND, "-d", "-c", "0"])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
