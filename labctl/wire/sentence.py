"""A sentence of an account, with what it rests on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sentence:
    """One thing that happened.

    Args:
        text: the sentence.
        frames: numbers of the frames that show it.
        rfc: the section that speaks of it; empty where it is plain counting.
    """

    text: str
    frames: tuple[int, ...] = ()
    rfc: str = ""

    def __str__(self) -> str:
        word = "frame" if len(self.frames) == 1 else "frames"
        shown = ", ".join(map(str, self.frames[:6])) + (" …" if len(self.frames) > 6 else "")
        source = "; ".join(part for part in (f"{word} {shown}" if self.frames else "", self.rfc) if part)
        return f"{self.text} ({source})" if source else self.text


def listed(words: list[str], most: int = 8) -> str:
    """Return words as a sentence lists them: `a, b and c`."""
    if len(words) > most:
        return f"{', '.join(words[:most])} and {len(words) - most} more"
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def times(count: int, what: str, many: str = "") -> str:
    """Return how many: `1 recipient`, `2 recipients`."""
    return f"{count:,} {what if count == 1 else many or what + 's'}"
