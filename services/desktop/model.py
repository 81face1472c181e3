"""What the window knows: the worker's events folded into state, a `Topic` a tab or part of one. Pure: no Tk, no socket, no clock.

    start a job  ──▶ Began ──▶ Progressed*, Said*, Learned* ──▶ Ended | Failed | Cancelled

An event carries its job's number. Once a job is over, or another was started on its topic, what still comes of it changes nothing.
"""

from collections import deque
from itertools import islice
from typing import Any, NamedTuple

LOG_LINES = 2000  # of a topic's log are kept
TOPICS = ("tcp", "chat", "udp", "files", "web", "send", "inbox", "ftp", "news", "telnet", "gopher", "hosts")


class Began(NamedTuple):
    """A job was started; `what` says what it does."""

    topic: str
    job: int
    what: str


class Progressed(NamedTuple):
    """So many octets are through, of so many in all (None: nobody told)."""

    topic: str
    job: int
    done: int
    total: int | None


class Line(NamedTuple):
    """One line of a log; `kind` is `sent`, `received`, `note` or `error`."""

    kind: str
    text: str


class Said(NamedTuple):
    """Lines for the log: what went out, what came in, what is to be noted."""

    topic: str
    job: int
    lines: tuple[Line, ...]


class Learned(NamedTuple):
    """A fact: a listing, a page, a picture; the newest of its name counts."""

    topic: str
    job: int
    name: str
    value: Any


class Ended(NamedTuple):
    """The job is done; `text` says what came of it."""

    topic: str
    job: int
    text: str


class Failed(NamedTuple):
    """The job failed; in words, with what to look at."""

    topic: str
    job: int
    text: str
    hint: str = ""


class Cancelled(NamedTuple):
    """The user cancelled the job."""

    topic: str
    job: int


# Something that a job of a topic did. Tuples, for a window is shown sooner without `dataclasses`, which imports half a compiler.
Event = Began | Progressed | Said | Learned | Ended | Failed | Cancelled


class Log:
    """The last lines that were said; counts all of them, so that a view inserts only what it has not drawn."""

    def __init__(self, keep: int = LOG_LINES) -> None:
        self.lines: deque[Line] = deque(maxlen=keep)
        self.total = 0

    def add(self, lines: tuple[Line, ...]) -> None:
        """Append lines; the oldest make place."""
        self.lines.extend(lines)
        self.total += len(lines)

    def since(self, seen: int) -> list[Line]:
        """Return the lines after the first `seen`, as far as they are kept."""
        fresh = min(self.total - seen, len(self.lines))
        return list(islice(self.lines, len(self.lines) - fresh, None))


class Topic:
    """All that is known of one topic; `job` is the current one's number, 0 where none runs."""

    def __init__(self, *, outcome: str = "", failed: bool = False) -> None:
        self.job = 0
        self.what = ""
        self.done = 0
        self.total: int | None = None
        self.outcome = outcome
        self.hint = ""
        self.failed = failed
        self.log = Log()
        self.facts: dict[str, Any] = {}

    @property
    def busy(self) -> bool:
        """Whether a job runs."""
        return bool(self.job)

    @property
    def share(self) -> float | None:
        """How much of the work is done, 0 to 1; None where that is not known."""
        if not self.total:
            return None
        return min(1.0, self.done / self.total)

    @property
    def status(self) -> str:
        """One line that says how things stand."""
        if not self.busy:
            return self.outcome
        if not self.done and self.total is None:
            return f"{self.what} …"
        of = f" of {in_octets(self.total)}" if self.total is not None else ""
        return f"{self.what}: {in_octets(self.done)}{of}"


class Model:
    """The state of the whole window.

    Args:
        hosts: names of the lab's hosts.
    """

    def __init__(self, hosts: tuple[str, ...] = ()) -> None:
        self.hosts = hosts
        self.topics = {name: Topic() for name in TOPICS}

    def fold(self, event: Event) -> str | None:
        """Take an event; return the topic that changed, or None where the event came too late.

        Raises:
            KeyError: there is no such topic.
        """
        topic = self.topics[event.topic]
        if isinstance(event, Began):
            topic.job, topic.what, topic.done, topic.total = event.job, event.what, 0, None
            topic.outcome = topic.hint = ""
            topic.failed = False
            return event.topic
        if event.job != topic.job:
            return None
        match event:
            case Progressed(done=done, total=total):
                topic.done, topic.total = done, total
            case Said(lines=lines):
                topic.log.add(lines)
            case Learned(name=name, value=value):
                topic.facts[name] = value
            case Ended(text=text):
                topic.job, topic.outcome = 0, text
            case Failed(text=text, hint=hint):
                topic.job, topic.outcome, topic.hint, topic.failed = 0, text, hint, True
                topic.log.add((Line("error", text), *((Line("note", hint),) if hint else ())))
            case Cancelled():
                topic.job, topic.outcome = 0, f"{topic.what}: cancelled"
                topic.log.add((Line("note", topic.outcome),))
        return event.topic

    def host(self, wanted: str) -> str:
        """Return the host to offer first: the wanted one; where the lab lacks it, still that one, for the error tells more."""
        return next((name for name in self.hosts if name == wanted), wanted)


class FormError(ValueError):
    """What was typed into a field is not what it asks for; in words."""


def read_host(text: str) -> str:
    """Return a host's name or address, trimmed.

    Raises:
        FormError: there is none, or it holds a space.
    """
    name = text.strip()
    if not name:
        raise FormError("which host? Its name is missing")
    if any(char.isspace() or not char.isprintable() for char in name):
        raise FormError(f"`{name}` is no host's name: it holds a space")
    return name


def read_port(text: str) -> int:
    """Return a port's number.

    Raises:
        FormError: it is none from 1 to 65535.
    """
    word = text.strip()
    if not (word.isascii() and word.isdecimal()) or not 0 < int(word) < 65536:
        raise FormError(f"`{word}` is no port: a number from 1 to 65535")
    return int(word)


def read_text(text: str, what: str) -> str:
    """Return a text that is not empty.

    Raises:
        FormError: it is; `what` says what is missing.
    """
    if not text.strip():
        raise FormError(f"{what} is missing")
    return text


def in_octets(number: int | None) -> str:
    """Return `512 B`, `1.5 kB`, `20.0 MB`: powers of 1000, as network rates have them."""
    if number is None:
        return "?"
    if number < 1000:
        return f"{number} B"
    for unit, size in (("kB", 10**3), ("MB", 10**6), ("GB", 10**9)):
        if number < size * 1000 or unit == "GB":
            return f"{number / size:.1f} {unit}"
    raise AssertionError


def printable(text: str) -> str:
    """Return a peer's text without what a log cannot show: control characters other than a tab become U+FFFD."""
    return "".join(char if char.isprintable() or char == "\t" else "\ufffd" for char in text)
