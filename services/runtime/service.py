"""A server's process: open sockets, say ready, serve, drain on SIGTERM, exit 0."""

import asyncio
import gc
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable

from services.runtime.log import Log

# Compose gives a lab's hosts 2 s from SIGTERM to SIGKILL; what is not sent by then is dropped by us, in order.
DRAIN = 1.5

Start = Callable[[], Awaitable[None]]
Stop = Callable[[float], Awaitable[None]]


def run_service(name: str, log: Log, start: Start, stop: Stop, reload: Callable[[], None] | None = None) -> int:
    """Run a server until SIGTERM or SIGINT and return its exit code.

    Args:
        start: opens its sockets and begins to serve.
        stop: accepts no more and drains within the seconds given.
        reload: reads its configuration again, on SIGHUP; it may come while `start` is at work.
    """
    try:
        _run(_serve(name, log, start, stop, reload))
    except OSError as error:
        log.event("failed", service=name, reason=error.strerror or str(error))
        return 1
    return 0


def allow_descriptors(wanted: int) -> int:
    """Raise the number of files that this process may have open to `wanted`, or to what it may have; return what is allowed.

    Each connection is one, and many systems start programs with 1,024.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return max(soft, allowed) if soft != resource.RLIM_INFINITY else wanted


async def _serve(name: str, log: Log, start: Start, stop: Stop, reload: Callable[[], None] | None) -> None:
    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    if reload:  # before the start: SIGHUP would end the process
        loop.add_signal_handler(signal.SIGHUP, reload)
    loop.add_signal_handler(signal.SIGUSR1, _start_anew)
    await start()
    gc.freeze()  # what exists now stays: the collector need not walk it again and again
    log.event("ready", service=name, loop=type(loop).__module__.partition(".")[0])
    await ending.wait()
    log.event("stopping", service=name)
    await stop(DRAIN)
    log.event("stopped", service=name)


def _start_anew() -> None:
    """Become the same program once more, on SIGUSR1: connections end, what was remembered is forgotten, the container goes on.

    That takes a third of what starting the container again does; sockets close by themselves (PEP 446).
    """
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606


def _run(main: Awaitable[None]) -> None:
    """Run on uvloop where it is there (it is, in the images), else on asyncio's own loop; `LAB_LOOP=asyncio` asks for that one."""
    factory = None
    if os.environ.get("LAB_LOOP") != "asyncio":
        try:
            import uvloop

            factory = uvloop.new_event_loop
        except ImportError:
            factory = None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)  # type: ignore[arg-type]
