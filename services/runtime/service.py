"""A server's process: open sockets, say ready, serve, drain on SIGTERM, exit 0."""

import asyncio
import gc
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import NoReturn, Protocol

from services.runtime.log import Log

# Compose gives a lab's hosts 2 s from SIGTERM to SIGKILL; what is not sent by then is dropped by us, in order.
DRAIN = 1.5

Start = Callable[[], Awaitable[None]]
Stop = Callable[[float], Awaitable[None]]


class Server(Protocol):
    """What a service's `server.py` gives."""

    async def start(self) -> None:
        """Open its sockets and begin to serve."""

    async def stop(self, seconds: float) -> None:
        """Accept no more, and drain within the seconds given."""


def run_service(
    name: str,
    log: Log,
    start: Start,
    stop: Stop,
    reload: Callable[[], None] | None = None,
    *,
    anew: Callable[[], Server] | None = None,
) -> int:
    """Run a server until SIGTERM or SIGINT and return its exit code.

    On SIGUSR1 it starts itself anew: connections end, what was remembered is forgotten, the container goes on.

    Args:
        start: opens its sockets and begins to serve.
        stop: accepts no more and drains within the seconds given.
        reload: reads its configuration again, on SIGHUP; it may come while `start` is at work.
        anew: makes the server once more, where all that it remembers is in that object: a hundredth of what another start of the
            program costs, which is the way otherwise.
    """
    try:
        _run(_serve(name, log, start, stop, reload, anew))
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


async def _serve(
    name: str,
    log: Log,
    start: Start,
    stop: Stop,
    reload: Callable[[], None] | None,
    anew: Callable[[], Server] | None,
) -> None:
    loop = asyncio.get_running_loop()
    ending, called = asyncio.Event(), asyncio.Event()  # called: by any signal

    def end() -> None:
        ending.set()
        called.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    if reload:  # before the start: SIGHUP would end the process
        loop.add_signal_handler(signal.SIGHUP, reload)
    loop.add_signal_handler(signal.SIGUSR1, called.set if anew else _begin_program)
    await start()
    gc.freeze()  # what exists now stays: the collector need not walk it again and again
    log.event("ready", service=name, loop=type(loop).__module__.partition(".")[0])
    times = 0
    while await called.wait() and anew and not ending.is_set():
        called.clear()
        times += 1
        await stop(0)
        start, stop = await _start_again(anew())
        log.event("ready", service=name, anew=times)
    log.event("stopping", service=name)
    await stop(DRAIN)
    log.event("stopped", service=name)


async def _start_again(server: Server) -> tuple[Start, Stop]:
    """Start a server at the ports that the last one has just given up; its sockets may take a turn of the loop to close."""
    await asyncio.sleep(0)
    try:
        await server.start()
    except OSError:
        _begin_program()
    return server.start, server.stop


def _begin_program() -> NoReturn:
    """Become the same program once more: a third of what another start of the container takes. Sockets close by themselves (PEP 446)."""
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
