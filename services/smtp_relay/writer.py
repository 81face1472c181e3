"""Group commit: one thread writes the queue, and one sync of the disk serves all sessions that wait for it.

While a commit is on its way to the disk, whatever else is to be written gathers; it is the next commit.

Public: `Writer`.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable

from services.smtp_relay.store import Change, Store

# Changes after which no more are gathered for a commit: a flood gets its answers in portions.
AT_MOST = 500
LOOK = 0.5  # seconds between two looks whether `lab-queue` changed something

Done = Callable[[Exception | None], None]


class Writer:
    """The thread, and the door to it.

    Args:
        on_outside_change: called in the loop when another process has changed the queue.
    """

    def __init__(self, store: Store, on_outside_change: Callable[[], None]) -> None:
        self._store = store
        self._on_outside_change = on_outside_change
        self._loop = asyncio.get_running_loop()
        self._gathered: list[
            tuple[Change, Done]
        ] = []  # in this turn of the loop: waking the thread costs more than a change
        self._waiting: queue.SimpleQueue[list[tuple[Change, Done]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def submit(self, change: Change, done: Done) -> None:
        """Have a change written; `done` is called in the loop, with the error if it could not be."""
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._gathered.append((change, done))

    def _hand_over(self) -> None:
        gathered, self._gathered = self._gathered, []
        if gathered:
            self._waiting.put(gathered)

    async def stop(self) -> None:
        """Write what waits, and end."""
        self._hand_over()
        self._waiting.put(None)
        await self._loop.run_in_executor(None, self._thread.join)

    def _run(self) -> None:
        version = self._store.outside_changes()
        going_on = True
        while going_on:
            batch, going_on = self._gather()
            if batch:
                self._tell(batch, self._commit([change for change, _ in batch]))
            if len(batch) < AT_MOST:
                before, version = version, self._store.outside_changes()
                if before != version:
                    self._loop.call_soon_threadsafe(self._on_outside_change)

    def _gather(self) -> tuple[list[tuple[Change, Done]], bool]:
        batch: list[tuple[Change, Done]] = []
        try:
            some = self._waiting.get(timeout=LOOK)
            while some is not None:
                batch += some
                if len(batch) >= AT_MOST:
                    return batch, True
                some = self._waiting.get_nowait()
        except queue.Empty:
            return batch, True
        return batch, False

    def _commit(self, changes: list[Change]) -> Exception | None:
        try:
            self._store.commit(changes)
        except (sqlite3.Error, OSError) as error:
            return error
        return None

    def _tell(self, batch: list[tuple[Change, Done]], error: Exception | None) -> None:
        self._loop.call_soon_threadsafe(_tell, [done for _, done in batch], error)


def _tell(waiting: list[Done], error: Exception | None) -> None:
    for done in waiting:
        done(error)
