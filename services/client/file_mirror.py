"""Mirror a file server's folder: several connections, each with many requests under way, every file checked against its digest."""

import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from services.client.errors import ClientError
from services.client.file_client import FileClient, FileRefusedError, Progress, no_progress
from services.file.grammar import Entry, Get, Hash
from services.file.protocol import BodyEnded, BodyReceived, Refused, Replied

WINDOW = 64  # files asked for at once on one connection
WINDOW_OCTETS = 4 << 20  # and their octets: a large file comes alone


@dataclass
class Mirrored:
    """What came of it: names by what was done, and why where it failed."""

    fetched: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    octets: int = 0


def mirror(
    entries: Sequence[Entry],
    connect: Callable[[], FileClient],
    folder: Path,
    connections: int = 4,
    progress: Progress = no_progress,
) -> Mirrored:
    """Fetch into `folder` what it lacks or has otherwise, by size and time; other files there are left alone.

    Args:
        entries: what the server has: `FileClient.list()`.
        connect: makes a client of the server.
        progress: told octets done and octets to fetch.

    Raises:
        OSError: the folder cannot be written, or the network failed.
        ClientError: the server broke the protocol.
    """
    folder.mkdir(parents=True, exist_ok=True)
    result = Mirrored()
    wanted: deque[Entry] = deque()
    for entry in entries:
        (result.kept.append(entry.name) if _is_there(folder / entry.name, entry) else wanted.append(entry))
    run = _Run(folder, wanted, result, progress, sum(entry.size for entry in wanted))
    threads = [threading.Thread(target=run.work, args=(connect,)) for _ in range(min(connections, len(wanted)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if run.broken:
        raise run.broken[0]
    result.fetched.sort()
    return result


def _is_there(path: Path, entry: Entry) -> bool:
    try:
        facts = path.lstat()
    except OSError:
        return False
    return facts.st_size == entry.size and int(facts.st_mtime) == entry.modified


class _Run:
    """What the connections of one mirror share."""

    def __init__(
        self, folder: Path, wanted: deque[Entry], result: Mirrored, progress: Progress, total: int
    ) -> None:  # fmt: skip
        self.broken: list[Exception] = []
        self._folder = folder
        self._wanted = wanted
        self._result = result
        self._progress = progress
        self._total = total
        self._lock = threading.Lock()

    def work(self, connect: Callable[[], FileClient]) -> None:
        """Fetch until nothing is wanted, or something breaks."""
        try:
            with connect() as client:
                while (window := self._next_window()) and not self.broken:
                    self._fetch(client, window)
        except (OSError, ClientError) as error:
            self.broken.append(error)

    def _next_window(self) -> list[Entry]:
        window: list[Entry] = []
        octets = 0
        with self._lock:
            while (
                self._wanted and len(window) < WINDOW and (not window or octets + self._wanted[0].size <= WINDOW_OCTETS)
            ):
                window.append(self._wanted.popleft())
                octets += window[-1].size
        return window

    def _fetch(self, client: FileClient, window: list[Entry]) -> None:
        requests = [request for entry in window for request in (Get(entry.name), Hash(entry.name))]
        answers = client.pipeline(*requests)
        for entry in window:
            try:
                self._receive(entry, answers)
            except FileRefusedError as error:
                self._note(entry, str(error))
            else:
                self._note(entry)

    def _receive(self, entry: Entry, answers: "Iterator[Replied | Refused | BodyReceived | BodyEnded]") -> None:
        """Take a file's octets and its digest; small ones are written at once, of large ones nothing waits in memory."""
        path = self._folder / entry.name
        part = path.with_name(f".{path.name[:200]}.part")
        total = hashlib.sha256()
        refused: Refused | None = None
        file: BinaryIO | None = None
        try:
            for answer in answers:
                match answer:
                    case Refused():
                        refused = refused or answer
                        if isinstance(answer.request, Hash):
                            break
                    case Replied() if isinstance(answer.request, Hash):
                        if not refused:
                            self._check(entry, total.hexdigest(), answer.words[0])
                        break
                    case Replied():
                        file = part.open("wb")
                    case BodyReceived(data):
                        total.update(data)
                        assert file  # noqa: S101 - its reply came first
                        file.write(data)
        finally:
            if file:
                file.close()
        if refused:
            part.unlink(missing_ok=True)
            raise FileRefusedError(refused)
        os.utime(part, (entry.modified, entry.modified))
        part.replace(path)

    def _check(self, entry: Entry, ours: str, theirs: str) -> None:
        if ours != theirs:
            raise ClientError(
                f"the digest of `{entry.name}` is {ours} here and {theirs} on the server", "it was changed meanwhile"
            )

    def _note(self, entry: Entry, failure: str = "") -> None:
        with self._lock:
            if failure:
                self._result.failed[entry.name] = failure
            else:
                self._result.fetched.append(entry.name)
                self._result.octets += entry.size
            self._progress(self._result.octets, self._total)
