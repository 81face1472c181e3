"""An engine that is reached by ssh (`DOCKER_HOST=ssh://user@host`, or a context): this machine's own `ssh`, as the docker CLI does it.

The SDK knows Unix sockets well and ssh badly (by another package, or with a login for each request). So it gets a Unix socket here. Each
connection to it becomes `ssh … docker system dial-stdio`, whose stdin and stdout are that very connection; all of them share one login.
"""

import atexit
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

DIAL = "docker system dial-stdio"


def ssh_words(url: str) -> list[str]:
    """Return the ssh command that logs in where a URL says, without what is to be run there.

    Raises:
        ValueError: it names no host; or a path, which `docker` does not take everywhere.
    """
    parts = urlsplit(url)
    if not parts.hostname or parts.password is not None or parts.path.strip("/"):
        raise ValueError(f"`{url}` is no address such as ssh://user@host:22")
    words = ["ssh", "-o", "ConnectTimeout=30", "-T"]
    words += ["-l", parts.username] if parts.username else []
    words += ["-p", str(parts.port)] if parts.port else []
    return [*words, "--", parts.hostname]


class Tunnel:
    """A Unix socket of our own that leads to the engine, as long as this process runs."""

    def __init__(self, url: str) -> None:
        """Log in, and listen; a question for a passphrase or about an unknown host is asked by ssh now.

        Raises:
            ValueError: the URL is none.
            OSError: there is no `ssh`, or it does not get in; in its own words.
        """
        ssh, *self._words = ssh_words(url)
        self._folder = tempfile.TemporaryDirectory(prefix="labctl-ssh-")  # only we may enter it
        self._ssh = [ssh, "-o", f"ControlPath={self._folder.name}/login"]
        self._login = self._log_in()
        self.path = str(Path(self._folder.name) / "engine.sock")
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(self.path)
        self._listening.listen(64)
        self._dialled: list[subprocess.Popen[bytes]] = []
        atexit.register(self.close)
        threading.Thread(target=self._serve, name="engine by ssh", daemon=True).start()

    def _log_in(self) -> "subprocess.Popen[bytes]":
        """Start the login that all connections share; it ends with our end of its stdin, however we end."""
        argv = [*self._ssh, "-o", "ControlMaster=yes", *self._words, "echo in; exec cat"]
        with tempfile.TemporaryFile() as said:
            with _without_ctrl_c():
                login = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said)
            assert login.stdout  # noqa: S101 - a pipe
            if login.stdout.readline() != b"in\n":
                login.kill()
                login.communicate()
                self._folder.cleanup()
                said.seek(0)
                told = said.read().decode(errors="replace").strip().splitlines()
                raise OSError(f"ssh gets not in: {told[-1] if told else 'it says nothing'}")
        return login

    def _serve(self) -> None:
        argv = [*self._ssh, "-o", "ControlMaster=no", *self._words, DIAL]
        with suppress(OSError):  # closed
            while True:
                conn, _ = self._listening.accept()
                with conn:
                    dialled = subprocess.Popen(
                        argv,
                        stdin=conn.fileno(),
                        stdout=conn.fileno(),
                        stderr=subprocess.DEVNULL,
                        start_new_session=True,
                    )
                self._dialled = [process for process in [*self._dialled, dialled] if process.poll() is None]

    def close(self) -> None:
        """Log out."""
        self._listening.close()
        try:
            self._login.communicate(timeout=3)  # closes its stdin
        except subprocess.TimeoutExpired:  # a connection is still open
            self._login.kill()
            self._login.communicate()
        for process in self._dialled:  # they end with the login
            process.terminate()
            process.wait()
        with suppress(OSError):
            self._folder.cleanup()


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Let what is started here ignore Ctrl-C, for labctl clears up then; in a session of its own ssh could ask for no passphrase."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
