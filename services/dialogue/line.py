"""What an end said, as a value; octets become text that can be shown, and secrets are hidden.

Public: `Line`, `C`, `S`, `HIDDEN`, `shown`, `octets_of`, `cut`.
"""

from dataclasses import dataclass
from typing import Literal

By = Literal["C", "S"]
C: By = "C"  # the client, who opened the connection
S: By = "S"
HIDDEN = "(hidden)"  # stands for a password
MOST = 200  # characters of a line that are kept


@dataclass(slots=True)
class Line:
    """A command, a reply, the end of a body, or a remark of the reader's.

    Args:
        by: who said it.
        text: as it is shown: escaped, cut, passwords hidden; several lines of one reply together.
        word: the command's verb or the reply's code, in capitals.
        rest: what follows the word.
        kind: command, reply, body (octets that were counted), text (of people or terminals) or remark.
        number: its place in the conversation, from 1.
        answers: number of the line that it answers; 0 for none.
        octets: of the body, where it tells of one.
        said: each line as it crossed, escaped and with passwords hidden; what `text` says where it is one.
        known: a body whose size its command or reply told already: not shown where both are in one segment.
        secret: something in it was hidden.
    """

    by: By
    text: str
    word: str = ""
    rest: str = ""
    kind: Literal["command", "reply", "body", "text", "remark"] = "command"
    number: int = 0
    answers: int = 0
    octets: int = 0
    said: tuple[str, ...] = ()
    known: bool = False
    secret: bool = False


def shown(octets: bytes, most: int = MOST) -> str:
    """Return octets as text that moves no cursor: UTF-8, what is unprintable escaped, cut to so many characters."""
    text = octets[: most * 4 + 4].decode("utf-8", "backslashreplace")
    if not text.isprintable():
        text = "".join(char if char.isprintable() else _escaped(char) for char in text)
    return cut(text, most) if len(octets) <= most * 4 + 4 else cut(text + " " * most, most)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def cut(text: str, most: int = MOST) -> str:
    """Return a text of at most so many characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def octets_of(count: int) -> str:
    """Return a count of octets in words: `1,234 octets`."""
    return f"{count:,} octet" if count == 1 else f"{count:,} octets"
