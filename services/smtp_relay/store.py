"""The queue on disk: SQLite with a write-ahead log, synced at each commit; big texts in files beside it.

    queue.db     messages, recipients, bodies
    spool/ID     a text that is larger than what is kept in the database; synced before its message is committed

A message is in the queue as soon as its transaction is committed, with all of its recipients, and leaves it with the last of them.
A file in `spool/` that no message names was never accepted: it is removed at start.

Public: `Store`, `NewMessage`, `Settlement`, `Release`, `Message`, `Due`, `connect`.
"""

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
  id INTEGER PRIMARY KEY, sender TEXT NOT NULL, arrived REAL NOT NULL, size INTEGER NOT NULL, eight_bit INTEGER NOT NULL,
  smtputf8 INTEGER NOT NULL, top BLOB NOT NULL, spooled INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS bodies (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS recipients (
  message INTEGER NOT NULL, n INTEGER NOT NULL, address TEXT NOT NULL, domain TEXT NOT NULL, next_try REAL NOT NULL,
  tries INTEGER NOT NULL DEFAULT 0, held INTEGER NOT NULL DEFAULT 0, unreachable INTEGER NOT NULL DEFAULT 0, reply TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (message, n)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS due ON recipients (domain, next_try) WHERE held = 0;
"""
# Rows in one INSERT or DELETE: a statement is one step for Python's lock, however many rows it carries.
ROWS = 200
BUSY = 10.0  # seconds to wait for `lab-queue`, which writes too
# Octets of a text that is still kept in the database: a bigger one is a file, and never in memory as a whole.
LARGEST_BODY = 128 << 10


_FINISHED = "id IN (SELECT value FROM json_each(?)) AND NOT EXISTS (SELECT 1 FROM recipients WHERE message = id)"


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to be queued.

    Args:
        recipients: address → domain.
        size: octets, `top` included.
        top: what the relay put on top of the text.
        body: the text; None where it is in `spool/`.
    """

    id: int
    sender: str
    recipients: dict[str, str]
    arrived: float
    size: int
    eight_bit: bool
    smtputf8: bool
    top: bytes
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a try.

    Args:
        gone: numbers of the recipients that are done with, delivered or given up.
        deferred: (tries, next_try, unreachable, reply, number) of those to be tried again.
        report: a message about those given up, queued in the same transaction.
    """

    message: int
    gone: tuple[int, ...] = ()
    deferred: tuple[tuple[int, float, bool, str, int], ...] = ()
    report: NewMessage | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """A destination answers again: what could not reach it is due now."""

    domains: tuple[str, ...]
    now: float


Change = NewMessage | Settlement | Release


@dataclass(frozen=True, slots=True)
class Message:
    """A queued message, without its text."""

    id: int
    sender: str
    arrived: float
    size: int
    eight_bit: bool
    smtputf8: bool
    top: bytes
    spooled: bool


@dataclass(frozen=True, slots=True)
class Due:
    """A recipient whose next try is due."""

    message: int
    n: int
    address: str
    domain: str
    tries: int


def connect(folder: Path, *, create: bool = False) -> sqlite3.Connection:
    """Open the queue in a folder.

    Raises:
        sqlite3.Error: there is none, or it is not one.
    """
    path = folder / "queue.db"
    mode = "rwc" if create else "rw"
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=BUSY, check_same_thread=False
    )
    if create:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(SCHEMA)
    db.execute("PRAGMA synchronous = FULL")  # in WAL mode: each commit is synced before it returns
    db.execute("PRAGMA wal_autocheckpoint = 4000")
    return db


def spool_path(folder: Path, message: int) -> Path:
    """Return where the text of a message is, if it is a file."""
    return folder / "spool" / f"{message:X}"


def sync_folder(path: Path) -> None:
    """Make the names in a folder as durable as the files."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Store:
    """The queue: `commit` for one thread, all else for another."""

    def __init__(self, folder: Path) -> None:
        """Open it, or make it.

        Raises:
            OSError: the folder cannot be made or written, or another relay works on it.
            sqlite3.Error: the file is no queue.
        """
        self.folder = folder
        (folder / "spool").mkdir(parents=True, exist_ok=True)
        self._lock = (folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise OSError(error.errno, f"another relay works on the queue in {folder}") from error
        self._writer = connect(folder, create=True)
        for path in (folder, folder.parent):
            sync_folder(
                path
            )  # SQLite syncs the files' contents, and the log's name; the names of the others are ours to sync
        self._reader = connect(folder)
        self._version = self.outside_changes()
        self.last_id: int = self._reader.execute("SELECT coalesce(max(id), 0) FROM messages").fetchone()[0]
        self._remove_orphans()

    def _remove_orphans(self) -> None:
        named = {f"{row[0]:X}" for row in self._reader.execute("SELECT id FROM messages WHERE spooled = 1")}
        for path in (self.folder / "spool").iterdir():
            if path.name not in named:
                path.unlink()

    def close(self) -> None:
        """Close it; the last one to do so empties the write-ahead log."""
        self._reader.close()
        self._writer.close()
        self._lock.close()

    # -- one thread's -------------------------------------------------------------------------------------------------

    def commit(self, changes: Sequence[Change]) -> None:
        """Make changes durable, all of them or none.

        Raises:
            sqlite3.Error: none; the disk is full, for one.
        """
        db = self._writer
        db.execute("BEGIN IMMEDIATE")
        try:
            settled = [change for change in changes if isinstance(change, Settlement)]
            self._insert([change for change in changes if isinstance(change, NewMessage)])
            self._insert([change.report for change in settled if change.report])
            files = self._settle(settled) if settled else []
            for change in changes:
                if isinstance(change, Release):
                    self._release(change)
            db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            raise
        for message in files:
            spool_path(self.folder, message).unlink(missing_ok=True)

    def outside_changes(self) -> int:
        """Return a number that changes when another process has changed the queue."""
        return int(self._writer.execute("PRAGMA data_version").fetchone()[0])

    def _insert(self, messages: Sequence[NewMessage]) -> None:
        if not messages:
            return
        self._rows(
            "messages VALUES",
            [(m.id, m.sender, m.arrived, m.size, m.eight_bit, m.smtputf8, m.top, m.body is None) for m in messages],
        )
        self._rows("bodies VALUES", [(m.id, m.body) for m in messages if m.body is not None])
        self._rows(
            "recipients (message, n, address, domain, next_try) VALUES",
            [(m.id, n, a, d, m.arrived) for m in messages for n, (a, d) in enumerate(m.recipients.items())],
        )

    def _rows(self, into: str, rows: Sequence[tuple[Any, ...]]) -> None:
        for some in _portions(rows):
            marks = "(" + ", ".join("?" * len(some[0])) + ")"
            values = ", ".join([marks] * len(some))
            self._writer.execute(f"INSERT INTO {into} {values}", [cell for row in some for cell in row])

    def _settle(self, settled: Sequence[Settlement]) -> list[int]:
        """Return the messages that are through and whose texts are files."""
        db = self._writer
        for tries, next_try, unreachable, reply, n, message in (
            (*deferred, settlement.message) for settlement in settled for deferred in settlement.deferred
        ):
            db.execute(
                "UPDATE recipients SET tries = ?, next_try = ?, unreachable = ?, reply = ? WHERE message = ? AND n = ?",
                (tries, next_try, unreachable, reply, message, n),
            )
        gone = json.dumps([(settlement.message, n) for settlement in settled for n in settlement.gone])
        db.execute(
            "DELETE FROM recipients WHERE (message, n) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))", (gone,)
        )
        return remove_finished(db, [settlement.message for settlement in settled if settlement.gone])

    def _release(self, change: Release) -> None:
        for domain in change.domains:
            self._writer.execute(
                "UPDATE recipients SET next_try = ?, unreachable = 0 WHERE domain = ? AND held = 0 AND unreachable = 1",
                (change.now, domain),
            )

    # -- the other's --------------------------------------------------------------------------------------------------

    def due(self, domain: str, now: float, limit: int) -> list[Due]:
        """Return recipients of a domain whose next try is due, the longest due first."""
        rows = self._reader.execute(
            "SELECT message, n, address, domain, tries FROM recipients WHERE domain = ? AND held = 0 AND next_try <= ?"
            " ORDER BY next_try, message, n LIMIT ?",
            (domain, now, limit),
        ).fetchall()
        return [Due(*row) for row in rows]

    def next_due(self, domains: Iterable[str]) -> float | None:
        """Return the Unix time of the next try for any of these domains; None where nothing waits."""
        times = [
            self._reader.execute(
                "SELECT min(next_try) FROM recipients WHERE domain = ? AND held = 0", (domain,)
            ).fetchone()[0]
            for domain in domains
        ]
        return min((time for time in times if time is not None), default=None)

    def domains(self) -> list[str]:
        """Return the domains that any recipient is in."""
        return [row[0] for row in self._reader.execute("SELECT DISTINCT domain FROM recipients WHERE held = 0")]

    def message(self, number: int) -> Message | None:
        """Return a message, unless it is gone."""
        row = self._reader.execute("SELECT * FROM messages WHERE id = ?", (number,)).fetchone()
        return (
            Message(row[0], row[1], row[2], row[3], bool(row[4]), bool(row[5]), row[6], bool(row[7])) if row else None
        )

    def body(self, number: int) -> bytes | None:
        """Return the text of a message that is kept in the database."""
        row = self._reader.execute("SELECT data FROM bodies WHERE id = ?", (number,)).fetchone()
        return row[0] if row else None


def remove_finished(db: sqlite3.Connection, messages: list[int]) -> list[int]:
    """Remove those of the messages that have no recipient left; return the ones whose texts are files, to be removed after the commit."""
    candidates = (json.dumps(messages),)
    files = [row[0] for row in db.execute(f"SELECT id FROM messages WHERE spooled = 1 AND {_FINISHED}", candidates)]  # noqa: S608
    db.execute(f"DELETE FROM bodies WHERE {_FINISHED}", candidates)  # noqa: S608 - a constant of ours
    db.execute(f"DELETE FROM messages WHERE {_FINISHED}", candidates)  # noqa: S608
    return files


def _portions(rows: Sequence[Any]) -> Iterable[Sequence[Any]]:
    for at in range(0, len(rows), ROWS):
        yield rows[at : at + ROWS]
