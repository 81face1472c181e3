"""`lab-queue`: look into the relay's queue, and act on it, beside the running relay: both open the same database.

lab-queue list [--json] [ADDRESS|DOMAIN]     one line a message
lab-queue show ID                            all about one, with its text
lab-queue retry|hold|drop ID… | --all        try now (held ones too); leave alone; throw away, without a report
lab-queue summary                            one line about all
lab-queue reload                             have the relay read its route table again
"""

import argparse
import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from services.smtp_relay.store import connect, remove_finished, spool_path

PID = "relay.pid"
JSON_VERSION = 1
FROM = "FROM recipients r JOIN messages m ON m.id = r.message {where} GROUP BY r.message ORDER BY r.message"
# SQLite writes the lines: a hundred thousand of them in half the time that Python's own formatting takes.
LINES = f"""
SELECT printf('%-14X %5ds %9d %5d %6s  <%s> -> <%s>%s%s', m.id, ?1 - m.arrived, m.size, max(r.tries),
  CASE WHEN max(r.held) THEN 'held' WHEN min(r.next_try) > ?1 THEN printf('%ds', min(r.next_try) - ?1) ELSE 'now' END,
  m.sender, min(r.address), CASE WHEN count(*) > 1 THEN printf(' and %d more', count(*) - 1) ELSE '' END,
  CASE WHEN max(r.reply) <> '' THEN '  (' || max(r.reply) || ')' ELSE '' END)
{FROM}"""
OBJECTS = f"""
SELECT printf('{{{{"id": "%X", "arrived": %.3f, "size": %d, "sender": %s, "recipients": %d, "first": %s, "held": %s, "tries": %d, '
  || '"next_try": %.3f, "reply": %s}}}}', m.id, m.arrived, m.size, json_quote(m.sender), count(*), json_quote(min(r.address)),
  iif(max(r.held), 'true', 'false'), max(r.tries), min(r.next_try), json_quote(max(r.reply)))
{FROM}"""


def main(argv: Sequence[str]) -> int:
    """Return 0 when done, 1 where there is no queue or no such message, 2 on a wrong command line."""
    options = _parser().parse_args(argv)
    folder = Path(os.environ.get("LAB_QUEUE", "/var/spool/smtp-relay"))
    try:
        if options.verb == "reload":
            return reload(folder)
        db = connect(folder)
        with_output = {"list": show_list, "show": show_message, "summary": show_summary}
        if options.verb in with_output:
            return with_output[options.verb](db, folder, options)
        return change(db, folder, options)
    except (sqlite3.Error, OSError) as error:
        return _failed(f"the queue in {folder} cannot be used: {error}")
    except BrokenPipeError:
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("lab-queue", description="Look into the relay's queue, and act on it.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    listing = verbs.add_parser("list", help="one line a message")
    listing.add_argument("to", nargs="?", metavar="ADDRESS|DOMAIN", help="only those for it")
    show = verbs.add_parser("show", help="all about one message, with its text")
    show.add_argument("id")
    summary = verbs.add_parser("summary", help="one line about all")
    for verb, text in (
        ("retry", "try now; held ones too"),
        ("hold", "leave alone until a retry"),
        ("drop", "throw away, without a report to the sender"),
    ):
        action = verbs.add_parser(verb, help=text)
        action.add_argument("ids", nargs="*", metavar="ID")
        action.add_argument("--all", action="store_true", help="every message")
        action.add_argument("--json", action="store_true", help="print facts as JSON")
    for looking in (listing, show, summary):
        looking.add_argument("--json", action="store_true", help="print facts as JSON")
    verbs.add_parser("reload", help="have the relay read its route table again")
    return parser


def _failed(what: str) -> int:
    print(f"error: {what}", file=sys.stderr)
    return 1


def _print_json(**facts: Any) -> None:
    print(json.dumps({"version": JSON_VERSION, **facts}, ensure_ascii=False))


# -- looking ----------------------------------------------------------------------------------------------------------


def show_list(db: sqlite3.Connection, _: Path, options: argparse.Namespace) -> int:
    """Print the messages, oldest first."""
    where = "WHERE r.address = ?2 OR r.domain = ?2" if options.to else ""
    select = (OBJECTS if options.json else LINES).format(where=where)
    rows = db.execute(
        select, (time.time(), *([options.to] if options.to else [])) if "?1" in select or options.to else ()
    )
    if options.json:
        sys.stdout.write(f'{{"version": {JSON_VERSION}, "messages": [')
        sys.stdout.write(",\n".join([row[0] for row in rows]))
        sys.stdout.write("]}\n")
        return 0
    lines = [row[0] for row in rows]
    if not lines:
        print("the queue is empty", file=sys.stderr)
        return 0
    print(f"{'ID':<14} {'AGE':>6} {'SIZE':>9} {'TRIES':>5} {'NEXT':>6}  FROM -> TO")
    if not "".join(lines).isprintable():
        lines = [_printable(line) for line in lines]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def show_summary(db: sqlite3.Connection, _: Path, options: argparse.Namespace) -> int:
    """Print one line about the whole queue."""
    messages, oldest = db.execute("SELECT count(*), min(arrived) FROM messages").fetchone()
    held, tried, upcoming = db.execute(
        "SELECT count(*) FILTER (WHERE held), count(*) FILTER (WHERE tries > 0 AND NOT held), min(next_try) FILTER (WHERE NOT held)"
        " FROM recipients"
    ).fetchone()
    now = time.time()
    if options.json:
        _print_json(messages=messages, deferred=tried, held=held, oldest=oldest, next_try=upcoming)
        return 0
    if not messages:
        print("queue: empty")
        return 0
    parts = [f"{messages} message{'s' * (messages != 1)}"]
    parts += [f"{tried} deferred"] if tried else []
    parts += [f"{held} held"] if held else []
    when = f"; next try in {max(0.0, upcoming - now):.0f} s" if upcoming is not None else ""
    print(f"queue: {', '.join(parts)}; oldest {now - oldest:.0f} s{when}")
    return 0


def show_message(db: sqlite3.Connection, folder: Path, options: argparse.Namespace) -> int:
    """Print a message: its envelope on top, then its text as it will be sent."""
    number = _number(options.id)
    row = db.execute("SELECT sender, arrived, size, top, spooled FROM messages WHERE id = ?", (number,)).fetchone()
    if row is None:
        return _failed(f"there is no message `{options.id}` in the queue")
    sender, arrived, size, top, spooled = row
    recipients = db.execute(
        "SELECT address, tries, held, next_try, reply FROM recipients WHERE message = ? ORDER BY n", (number,)
    ).fetchall()
    if options.json:
        keys = ("address", "tries", "held", "next_try", "reply")
        entries = [dict(zip(keys, entry, strict=True)) | {"held": bool(entry[2])} for entry in recipients]
        _print_json(id=f"{number:X}", sender=sender, arrived=arrived, size=size, recipients=entries)
        return 0
    print(
        f"{number:X}: from <{sender}>, {size} octets, arrived {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(arrived))} UTC"
    )
    for address, tries, held, next_try, reply in recipients:
        when = "held" if held else f"next try in {max(0.0, next_try - time.time()):.0f} s"
        print(_printable(f"to <{address}>: {tries} tries, {when}" + (f", last reply {reply}" if reply else "")))
    print()
    for part in _text(db, folder, number, top, spooled):
        sys.stdout.write(
            "".join(
                char if char in "\n\t" else _printable(char)
                for char in part.decode(errors="replace").replace("\r\n", "\n")
            )
        )
    return 0


def _text(db: sqlite3.Connection, folder: Path, number: int, top: bytes, spooled: int) -> Iterator[bytes]:
    yield top
    if spooled:
        with spool_path(folder, number).open("rb") as text:
            yield from iter(lambda: text.read(64 << 10), b"")
    else:
        yield db.execute("SELECT data FROM bodies WHERE id = ?", (number,)).fetchone()[0]


# -- acting -----------------------------------------------------------------------------------------------------------

ACTIONS = {
    "retry": "UPDATE recipients SET next_try = 0, held = 0 WHERE message = ?",
    "hold": "UPDATE recipients SET held = 1 WHERE message = ?",
    "drop": "DELETE FROM recipients WHERE message = ?",
}


def change(db: sqlite3.Connection, folder: Path, options: argparse.Namespace) -> int:
    """Do a verb to some messages, or to all; the relay notices by itself, within a second."""
    if options.all == bool(options.ids):
        return _failed(f"say which messages: `lab-queue {options.verb} ID…` or `lab-queue {options.verb} --all`")
    numbers = [_number(text) for text in options.ids]
    db.execute("BEGIN IMMEDIATE")
    if options.all:
        numbers = [row[0] for row in db.execute("SELECT id FROM messages")]
    found = {row[0] for row in db.execute("SELECT id FROM messages")} if not options.all else set(numbers)
    missing = [text for text, number in zip(options.ids, numbers, strict=False) if number not in found]
    if missing:
        db.execute("ROLLBACK")
        return _failed(
            f"there is no message {', '.join(f'`{text}`' for text in missing)} in the queue; nothing was changed"
        )
    db.executemany(ACTIONS[options.verb], [(number,) for number in numbers])
    files = remove_finished(db, numbers) if options.verb == "drop" else []
    db.execute("COMMIT")
    for number in files:
        spool_path(folder, number).unlink(missing_ok=True)
    if options.json:
        _print_json(verb=options.verb, messages=[f"{number:X}" for number in numbers])
    else:
        print(f"{options.verb}: {len(numbers)} message{'s' * (len(numbers) != 1)}")
    return 0


def _number(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return -1


def reload(folder: Path) -> int:
    """Send SIGHUP to the relay."""
    try:
        os.kill(int((folder / PID).read_text()), signal.SIGHUP)
    except (OSError, ValueError) as error:
        return _failed(f"the relay is not running: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
