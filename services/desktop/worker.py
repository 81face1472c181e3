"""The thread that owns the network: asyncio in it, events out of it. Tk is woken by an octet through a socketpair, never polled.

    Tk's thread   ── start, cancel ──▶  run_coroutine_threadsafe   ──▶ the loop's thread
    Tk's thread   ◀── file handler ◀── one octet ◀── SimpleQueue ◀──── Job.say, learn, progress

Nothing else crosses. A wake-up takes 0.16 ms in the median, and an idle window costs no CPU (a poll every 20 ms: 10 ms, 1.6 %).
"""

import gc
import queue
import socket
import threading
import tkinter as tk
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from services.desktop.model import Began, Cancelled, Ended, Event, Failed, Learned, Line, Progressed, Said, printable

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from concurrent.futures import Future

AT_ONCE = 500  # events handed over before Tk gets its turn again
GARBAGE = 5000  # new objects after which Tk's thread looks for rings of them that nobody needs
CROWDED = 2000  # events that may wait before a job is to pause: the peer then feels TCP's window
SHOWN_MS = 400  # after which the window is there, and the network's thread may take its share of the processor
T = TypeVar("T")


class CancelledWorkError(Exception):
    """Raised inside blocking work whose job was cancelled, where it next tells its progress."""


class Job:
    """One piece of work; its methods may be called from any thread.

    Args:
        place: `host:port` or an address, for error messages.
    """

    def __init__(self, worker: "Worker", topic: str, number: int, place: str) -> None:
        self.topic = topic
        self.number = number
        self.place = place
        self.future: Future[None] | None = None
        self._worker = worker
        self._cancelled = threading.Event()

    def say(self, kind: str, *texts: str) -> None:
        """Write lines into the topic's log."""
        lines = tuple(Line(kind, printable(line)) for text in texts for line in text.split("\n"))
        self._worker.post(Said(self.topic, self.number, lines))

    def learn(self, name: str, value: Any) -> None:
        """Hand over a fact."""
        self._worker.post(Learned(self.topic, self.number, name, value))

    def progress(self, done: int, total: int | None) -> None:
        """Tell how far it is; the moment at which cancelled work in a thread ends.

        Raises:
            CancelledWorkError: it is not wanted any more.
        """
        if self._cancelled.is_set():
            raise CancelledWorkError
        self._worker.post(Progressed(self.topic, self.number, done, total))

    def cancel(self) -> None:
        """Ask it to end."""
        self._cancelled.set()
        if self.future:
            self.future.cancel()

    async def pause_where_crowded(self) -> None:
        """Wait until Tk has kept up."""
        from asyncio import sleep

        while self._worker.waiting > CROWDED:
            await sleep(0.01)


Work = Callable[[Job], Awaitable[str]]


class Worker:
    """Runs jobs, one a topic.

    Args:
        handle: called in Tk's thread with each event.
    """

    def __init__(self, root: tk.Misc, handle: Callable[[Event], None]) -> None:
        self._root = root
        self._handle = handle
        self._inbox: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._jobs: dict[str, Job] = {}
        self._count = 0
        self._woken, self._waking = socket.socketpair()
        self._woken.setblocking(False)
        self._waking.setblocking(False)
        root.tk.createfilehandler(self._woken, tk.READABLE, self._drain)
        # A Tk variable that dies calls Tk. Were it collected in the network's thread, that would wait for Tk's: only Tk's thread collects.
        gc.disable()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="network", daemon=True)
        root.after(SHOWN_MS, self._start_thread)

    @property
    def waiting(self) -> int:
        """Events that Tk has not taken yet."""
        return self._inbox.qsize()

    # -- from Tk's thread -----------------------------------------------------------------------------------------------

    def start(self, topic: str, what: str, work: Work, place: str = "") -> Job:
        """Start a job; one that runs on the topic is cancelled."""
        self.cancel(topic)
        self._count += 1
        job = self._jobs[topic] = Job(self, topic, self._count, place)
        self._handle(Began(topic, job.number, what))
        loop = self._begin()
        job.future = submit(self._run(job, work), loop)
        return job

    def cancel(self, topic: str) -> None:
        """Cancel what runs on a topic, if anything does; the window is free at once, whatever the job is waiting for."""
        job = self._jobs.pop(topic, None)
        if job:
            job.cancel()
            self._handle(Cancelled(topic, job.number))

    def _begin(self) -> "AbstractEventLoop":
        """Start the network's thread, where it does not run yet, and return its loop."""
        self._start_thread()
        self._begun.wait()
        return self._loop

    def _start_thread(self) -> None:
        if not self._thread.ident:
            self._thread.start()

    def call(self, function: Callable[..., object], *args: object) -> None:
        """Call a function in the loop's thread: to speak into a conversation that is open."""
        self._begin().call_soon_threadsafe(function, *args)

    def close(self) -> None:
        """End all jobs, the loop and its thread."""
        self._root.tk.deletefilehandler(self._woken)
        if self._thread.ident:  # else it was never needed
            loop = self._begin()
            submit(self._stop(), loop)
            self._thread.join(2)
            if not self._thread.is_alive():
                loop.close()
        self._woken.close()
        self._waking.close()

    def _drain(self, *_: object) -> None:
        with suppress(BlockingIOError):
            self._woken.recv(65536)
        if gc.get_count()[0] > GARBAGE:
            gc.collect(1)
        for _count in range(AT_ONCE):
            try:
                event = self._inbox.get_nowait()
            except queue.Empty:
                return
            job = self._jobs.get(event.topic)
            if job and job.number == event.job and isinstance(event, Ended | Failed | Cancelled):
                del self._jobs[event.topic]
            self._handle(event)
        self._root.after(1, self._drain)

    # -- from any thread ------------------------------------------------------------------------------------------------

    def post(self, event: Event) -> None:
        """Hand an event to Tk's thread."""
        self._inbox.put(event)
        with suppress(OSError):  # full: wake-ups enough are on their way; closed: nobody listens any more
            self._waking.send(b"\0")

    # -- in the loop's thread -------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        """Run the loop. asyncio is imported here: that takes as long as all that a first picture needs."""
        from asyncio import new_event_loop

        self._loop = new_event_loop()
        self._begun.set()
        self._loop.run_forever()

    async def _run(self, job: Job, work: Work) -> None:
        import asyncio

        from services.client.errors import LocalError, explain

        try:
            text = await work(job)
        except (asyncio.CancelledError, CancelledWorkError):
            self.post(Cancelled(job.topic, job.number))
        except Exception as error:  # whatever it is, the user is told, and the window lives on
            told = explain(error, job.place)
            text = str(told).removesuffix(".") or type(error).__name__
            at = f", at {job.place}" if job.place and job.place not in text and not isinstance(told, LocalError) else ""
            self.post(Failed(job.topic, job.number, printable(text + at), told.hint))
        else:
            self.post(Ended(job.topic, job.number, text))

    async def _stop(self) -> None:
        import asyncio

        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.wait(others, timeout=1) if others else None
        self._loop.stop()


def submit(work: Coroutine[Any, Any, None], loop: "AbstractEventLoop") -> "Future[None]":
    """Have a coroutine run in the loop's thread."""
    from asyncio import run_coroutine_threadsafe

    return run_coroutine_threadsafe(work, loop)


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """Run blocking work in a thread of its own and return what it returns.

    A daemon thread, unlike those of `asyncio.to_thread`: a window that is closed waits for no server's time-out.
    """
    from asyncio import get_running_loop

    loop = get_running_loop()
    done = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if not done.done():
            done.set_exception(error) if error else done.set_result(result)

    def run() -> None:
        result: T | None = None
        failed: BaseException | None = None
        try:
            result = function(*args)
        except BaseException as error:
            failed = error
        with suppress(RuntimeError):  # the loop is closed: the window is gone
            loop.call_soon_threadsafe(settle, result, failed)

    threading.Thread(target=run, daemon=True).start()
    result: T = await done
    return result
