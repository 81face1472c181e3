"""Put two sequences side by side: what is in both, in the same order, and what only one of them has."""

from collections import defaultdict, deque
from collections.abc import Hashable, Iterator, Sequence
from difflib import SequenceMatcher

Places = tuple[int | None, int | None]  # where in the one, where in the other; None where it has none
MOST = 4_000_000  # comparisons that difflib may need at the worst: 2,000 on each side that do not begin or end alike


def align(one: Sequence[Hashable], other: Sequence[Hashable]) -> list[Places]:
    """Return each place of both, matched where the same thing comes in the same order.

    What is alike at the beginning and at the end is matched at once. Very long stretches in between are matched by count (the third of a
    kind with the third), since the longest common order would take time by the square of their length.
    """
    least = min(len(one), len(other))
    head = next((at for at in range(least) if one[at] != other[at]), least)
    tail = next((at for at in range(least - head) if one[-1 - at] != other[-1 - at]), least - head)
    middle = one[head : len(one) - tail], other[head : len(other) - tail]
    found: list[Places] = [(at, at) for at in range(head)]
    way = _in_order if len(middle[0]) * len(middle[1]) <= MOST else _by_count
    found += [(None if a is None else a + head, None if b is None else b + head) for a, b in way(*middle)]
    found += [(len(one) - at, len(other) - at) for at in range(tail, 0, -1)]
    return found


def _in_order(one: Sequence[Hashable], other: Sequence[Hashable]) -> Iterator[Places]:
    for what, from_a, to_a, from_b, to_b in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if what == "equal":
            yield from zip(range(from_a, to_a), range(from_b, to_b), strict=True)
        else:
            yield from ((at, None) for at in range(from_a, to_a))
            yield from ((None, at) for at in range(from_b, to_b))


def _by_count(one: Sequence[Hashable], other: Sequence[Hashable]) -> Iterator[Places]:
    waiting: dict[Hashable, deque[int]] = defaultdict(deque)
    for at, thing in enumerate(other):
        waiting[thing].append(at)
    for at, thing in enumerate(one):
        yield at, waiting[thing].popleft() if waiting[thing] else None
    yield from ((None, at) for at in sorted(at for places in waiting.values() for at in places))


def pair_up(one: Sequence[tuple[Hashable, Hashable]], other: Sequence[tuple[Hashable, Hashable]]) -> list[Places]:
    """Match things that have a name and a look: by both first, and what is left by its name alone, in order.

    So that of two connections between the same ends the refused one is held against a refused one.
    """
    places = align(one, other)
    left: dict[Hashable, deque[int]] = defaultdict(deque)
    for a, b in places:
        if a is None and b is not None:
            left[other[b][0]].append(b)
    found: list[Places] = []
    taken: set[int] = set()
    for a, b in places:
        if a is not None and b is None and left[one[a][0]]:
            taken.add(there := left[one[a][0]].popleft())
            found.append((a, there))
        else:
            found.append((a, b))
    return [(a, b) for a, b in found if a is not None or b not in taken]
