"""Commands in hosts: the engine starts them, and carries their output in frames."""

import json
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from labctl.errors import LabError
from labctl.model import Executed, FoundHost

if TYPE_CHECKING:
    from labctl.engine.streams import Channel

STDOUT, STDERR = 1, 2  # streams, as the engine numbers them
GRACE = 3  # seconds for `timeout` in the host to do its work
TIMED_OUT = (124, 137)  # exit codes of `timeout`: ended by TERM, by KILL


class Speaker:
    """What an engine has that runs commands in hosts, however it carries requests and a command's output."""

    def call(self, method: str, target: str, body: Mapping[str, Any] | None = None) -> tuple[int, bytes]:
        """Return status and body of the reply; see `Carrier`."""
        raise NotImplementedError

    def start_exec(self, ident: str) -> "Channel":
        """Start a command that was created, and return what carries its output.

        Raises:
            OSError: it does not start; in the engine's words.
        """
        raise NotImplementedError

    def exec(
        self,
        host: FoundHost,
        argv: Sequence[str],
        *,
        timeout: float | None = None,
        on_output: Callable[[str, bytes], None] | None = None,
    ) -> Executed:
        """Run a command in a host; see `Speaking.exec`."""
        began = time.monotonic()
        if timeout is not None:  # the engine cannot end an exec; `timeout` in the host can
            argv = ["timeout", "-k", "1", f"{timeout:g}", *argv]
        wanted = {"AttachStdout": True, "AttachStderr": True, "Cmd": list(argv)}
        status, body = self.call("POST", f"/containers/{host.id}/exec", wanted)
        if status >= 300:
            raise not_running(host, words_of(body))
        ident = json.loads(body)["Id"]
        try:
            channel = self.start_exec(ident)
        except OSError as error:
            raise not_running(host, str(error)) from error
        parts: queue.SimpleQueue[tuple[int, bytes] | None] = queue.SimpleQueue()

        def read() -> None:
            with channel, suppress(Exception):  # a closed channel ends like one that is through
                for part in channel.frames():
                    parts.put(part)
            parts.put(None)

        # a thread of its own: the channel has no time-out, and a command may be silent for as long as it runs
        threading.Thread(target=read, daemon=True).start()
        output = {STDOUT: bytearray(), STDERR: bytearray()}
        while True:
            left = None if timeout is None else max(0.0, began + timeout + GRACE - time.monotonic())
            try:
                part = parts.get(timeout=left)
            except queue.Empty:
                raise TimeoutError(f"still running after {timeout:g} s") from None
            if part is None:
                break
            stream, octets = part
            output[stream] += octets
            if on_output:
                on_output("stdout" if stream == STDOUT else "stderr", octets)
        code = json.loads(self.call("GET", f"/exec/{ident}/json")[1]).get("ExitCode")
        seconds = time.monotonic() - began
        if timeout is not None and code in TIMED_OUT and seconds >= timeout:
            raise TimeoutError(f"ended after {timeout:g} s")
        return Executed(code if code is not None else 1, bytes(output[STDOUT]), bytes(output[STDERR]), seconds)


def words_of(body: bytes) -> str:
    """Return the engine's own words of a refusal, on one line."""
    try:
        words = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError):
        words = body.decode(errors="replace")
    return " ".join(str(words).split())


def not_running(host: FoundHost, words: str) -> LabError:
    """Tell that a host cannot be spoken to; `words` are the engine's."""
    if host.state != "running":
        return LabError(
            f"host `{host.name}` is {host.state}",
            where=f"lab `{host.lab}`",
            hint=f"`labctl logs {host.name}` shows why",
        )
    return LabError(f"host `{host.name}` of lab `{host.lab}` did not take it: {words}")
