"""What came of a submission, as plain values: a verdict of each check and step, with what crossed the wire meanwhile."""

from dataclasses import dataclass, field
from typing import Any

from labctl.grade.words import REASONS, WORDS
from labctl.scenario.schema import Check

Told = dict[str, Any]  # what the probe tells, see `probe`
SHOWN = 120  # characters of a line in a table


@dataclass(frozen=True)
class Picture:
    """What crossed the wire during one check."""

    svg: str
    capture: bytes


@dataclass(frozen=True)
class Verdict:
    """What one check or one step came to."""

    name: str
    tried: str
    passed: bool
    points: float
    worth: float
    said: str
    ladder: tuple[str, ...] = ()
    seconds: float = 0.0
    began_ns: int = 0
    ended_ns: int = 0
    picture: Picture | None = None

    def facts(self) -> dict[str, Any]:
        """Return it as plain values, without the picture."""
        shown = ("name", "tried", "passed", "points", "worth", "said", "seconds")
        return {name: getattr(self, name) for name in shown} | {"ladder": list(self.ladder)}


@dataclass(frozen=True)
class Grade:
    """What a submission came to."""

    name: str
    verdicts: tuple[Verdict, ...] = ()
    problem: str = ""
    seconds: float = 0.0
    log: str = field(default="")
    hint: str = ""

    @property
    def told(self) -> str:
        """The problem in one line: what it is, and the last line of what it quotes."""
        what, *quoted = self.problem.splitlines() or [""]
        last = quoted[-1].strip().removeprefix("|").strip()[:SHOWN] if quoted else ""
        return f"{what.removesuffix('; its last lines:')}{': ' * bool(last)}{last}"

    @property
    def points(self) -> float:
        """Points reached."""
        return sum(verdict.points for verdict in self.verdicts)

    def facts(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "name": self.name,
            "points": self.points,
            "problem": self.problem,
            "hint": self.hint,
            "seconds": round(self.seconds, 2),
            "verdicts": [verdict.facts() for verdict in self.verdicts],
        }


def readable(text: str) -> str:
    """Return a text with a file's name in it, whatever octets it has: what is no UTF-8 is written as an escape."""
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")


def in_words(check: Check, told: Told, plain: str = "") -> Verdict:
    """Return the verdict about one check, in words.

    Args:
        plain: what was seen where already a plain talk at this port goes wrong; then that is what is to be mended first.
    """
    words, passed, seen = WORDS[check.check], bool(told["passed"]), str(told["seen"])
    advice = words.advice
    if plain:
        seen, advice = f"already a plain talk at port {check.port} fails: {plain}", WORDS["talk"].advice
    advice = next((text.format(port=check.port) for sign, text in REASONS.items() if sign in seen), advice)
    said = words.good if passed else f"{seen[:1].upper()}{seen[1:]}. {advice}" if seen else advice
    points = float(check.points * passed)
    ladder, seconds = tuple(told.get("ladder", ())), float(told.get("seconds", 0))
    return Verdict(f"{check.check}:{check.port}", words.tried, passed, points, check.points, said, ladder, seconds)
