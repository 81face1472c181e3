"""Options of a tap, which `up`, `run` and `trace` share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from labctl.model import TapSpec

F = TypeVar("F", bound=Callable[..., Any])
DEFAULT = TapSpec()


def tap_options(command: F) -> F:
    """Add what a tap is told: `--snap`, `--ring`, `--buffer`, `--filter`."""
    for option in (
        click.option("--filter", "capture_filter", default="", metavar="EXPRESSION",
                     help="Capture only this, as for tcpdump: 'tcp port 25'."),
        click.option("--buffer", "buffer_kib", type=click.IntRange(64, 1 << 20), default=DEFAULT.buffer_kib, show_default=True,
                     help="The kernel's buffer before the tap, in KiB."),
        click.option("--ring", "ring_mb", type=click.IntRange(4, 100_000), default=DEFAULT.ring_mb, show_default=True,
                     help="Keep at most so many MB; then the oldest quarter goes."),
        click.option("--snap", type=click.IntRange(64, 262144), default=DEFAULT.snap, show_default=True,
                     help="Octets kept of each frame."),
    ):  # fmt: skip
        command = option(command)
    return command


def tap_spec(capture_filter: str, buffer_kib: int, ring_mb: int, snap: int) -> TapSpec:
    """Return what the options ask for."""
    return TapSpec(buffer_kib, ring_mb, snap, capture_filter)
