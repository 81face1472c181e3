"""One line an event on stdout, as text or JSON; a flood of connections is summed up, not written out.

2026-11-23T11:54:05.123Z closed port=12345 peer=10.213.7.2:41234 seconds=0.001
{"time": "2026-11-23T11:54:05.123Z", "event": "closed", "port": 12345, "peer": "10.213.7.2:41234", "seconds": 0.001}
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

# Lines about single connections a second; above it one line tells how many more there were. A log line costs the engine's
# log driver more than serving a greeting costs us.
LINES_A_SECOND = 200


class Log:
    """Writes events; peers' octets are escaped, so that one event stays one line."""

    def __init__(
        self, style: str = "text", stream: TextIO | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._json = style == "json"
        self._stream = stream or sys.stdout
        self._clock = clock
        self._second = 0
        self._lines: dict[str, int] = {}
        self._unwritten = 0

    def event(self, event: str, **facts: Any) -> None:
        """Write one line, at once."""
        now = self._clock()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
        if self._json:
            line = json.dumps({"time": stamp, "event": event, **facts})
        else:
            line = " ".join([stamp, event, *(f"{key}={_text(value)}" for key, value in facts.items())])
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except OSError:
            pass  # nobody reads the log any more; serving goes on

    def has_room(self, kind: str = "closed") -> bool:
        """Tell whether this second has room for a line about a single connection; if not, count it.

        Args:
            kind: each has room of its own, so that a flood of one does not hide the others: `connected` (never counted, since the
                connection is when it is closed), `closed`, `ended` (for a reason of ours: a limit).
        """
        second = int(self._clock())
        if second != self._second:
            self.sum_up()
            self._second, self._lines = second, {}
        lines = self._lines.get(kind, 0)
        if lines >= LINES_A_SECOND:
            self._unwritten += kind != "connected"
            return False
        self._lines[kind] = lines + 1
        return True

    def sum_up(self) -> None:
        """Tell how many lines were not written since the last time, if any were."""
        if self._unwritten:
            count, self._unwritten = self._unwritten, 0
            self.event("more", lines=count, reason=f"over {LINES_A_SECOND} a second")


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    text = str(value)
    plain = text.isprintable() and text and not any(char in text for char in ' "=')
    return text if plain else json.dumps(text)


def peer_name(peer: Any) -> str:
    """Return an address as `10.0.0.1:80` or `[fe80::1]:80`; `local` for a Unix socket, whose clients have none."""
    if not isinstance(peer, tuple):
        return "local"
    host, port = peer[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
