"""A shell that stays running in a host and is asked by lines: an `exec` costs the engine a tenth of a second, a line much less."""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from docker.errors import APIError

from labctl.engine.failures import not_running
from labctl.engine.streams import Channel
from labctl.errors import LabError

if TYPE_CHECKING:
    from labctl.engine.sdk import DockerEngine
    from labctl.model import FoundHost

STDOUT = 1


class Shell:
    """One shell in one host; it ends with its connection, or with the host."""

    def __init__(self, engine: "DockerEngine", host: "FoundHost", script: str) -> None:
        """Start `bash` with a script that reads lines and answers each with one.

        Raises:
            LabError: the host does not run.
        """
        self.host = host.id
        self._name = host.name
        try:
            started = engine.api.exec_create(host.id, ["bash", "-c", script, "labctl"], stdin=True)["Id"]
            self._channel = Channel(engine.api.exec_start(started, socket=True))
        except APIError as error:
            raise not_running(host, error) from error
        self._frames = self._channel.frames()
        self._rest = b""
        self._lock = threading.Lock()

    def ask(self, words: Sequence[str], timeout: float) -> str:
        """Say a line and return the line that answers it.

        Raises:
            LabError: no answer came in `timeout` s, or the shell has ended; it is closed.
        """
        with self._lock:
            try:
                self._channel.settimeout(timeout)
                self._channel.sendall(" ".join(words).encode() + b"\n")
                while b"\n" not in self._rest:
                    stream, octets = next(self._frames, (STDOUT, b""))
                    if not octets:
                        raise EOFError
                    self._rest += octets if stream == STDOUT else b""
            except (OSError, ValueError, EOFError) as error:
                self.close()
                raise LabError(f"host `{self._name}` does not answer") from error
            line, _, self._rest = self._rest.partition(b"\n")
            return line.decode(errors="replace")

    def close(self) -> None:
        """End it."""
        self._channel.close()
