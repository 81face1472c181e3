"""When to try again: longer and longer, and never all at once. Pure.

Public: `Backoff`.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off with jitter.

    RFC 5321 section 4.5.4.1 wants half an hour between tries and four days of them; a lesson has minutes.

    Args:
        first: seconds before the second try.
        factor: by which each wait is longer than the one before.
        longest: seconds that a wait never exceeds, jitter apart.
        jitter: share of the wait by which it may be shorter or longer, 0 … 1.
        tries: how many before a message is given up.
    """

    first: float = 1.0
    factor: float = 2.0
    longest: float = 20.0
    jitter: float = 0.25
    tries: int = 60

    def wait(self, tried: int, uniform: Callable[[float, float], float]) -> float:
        """Return the seconds to wait after so many tries.

        Args:
            tried: at least 1.
            uniform: of a generator that the caller has seeded.
        """
        plain = min(self.longest, self.first * self.factor ** min(tried - 1, 64))
        return plain * uniform(1 - self.jitter, 1 + self.jitter)

    def is_over(self, tried: int) -> bool:
        """Tell whether no further try is made after so many."""
        return tried >= self.tries
