"""The end of a stream from the engine, which the SDK leaves to the garbage collector: with warnings as errors that fails tests."""

from contextlib import suppress
from typing import Any


def close_stream(stream: Any) -> None:
    """Close a stream's connection; the SDK's own `close` leaves a file of the socket open."""
    response: Any = getattr(stream, "_response", None)
    with suppress(AttributeError, OSError):  # at its end there is none any more
        file = response.raw._fp.fp
        wire = file.raw._sock
        file.close()
        wire.close()
    with suppress(Exception):
        response.close()
