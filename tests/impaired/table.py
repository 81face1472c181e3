"""One table for every backend: an impairment, in a scenario's words, and what must be seen of it.

Where the backend is ours, what must be seen is exact: the packets that the seed says. netem draws by itself; of it the share is judged.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labctl.faults.read import impair
from services.tools.shaper.decide import Effect, predict

MS = 1_000_000
SERVER, OTHER = "server", "other"  # to whom datagrams go; both live in one namespace
OURS = ("model", "shaper")


@dataclass(frozen=True)
class Traffic:
    """Numbered datagrams from `client`: the n-th goes to `to[n % len(to)]`, each (host, port, IP version). Or octets over TCP.

    Args:
        count: how many.
        pause_ns: from one to the next.
        size: octets of each, from the IP header on.
        stream: octets over one TCP connection, in place of datagrams.
    """

    count: int = 300
    pause_ns: int = 0
    size: int = 200
    to: tuple[tuple[str, int, int], ...] = ((SERVER, 4000, 4),)
    stream: int = 0

    def where(self, number: int) -> tuple[str, int, int]:
        """Return where the n-th goes."""
        return self.to[number % len(self.to)]


@dataclass(frozen=True)
class Seen:
    """What came of it.

    Args:
        sent: when each datagram left, ns.
        came: what was on the wire at the other end, in its order: (number, when, whether it was whole).
        taken: the numbers that the other end's kernel handed to a program, in their order; of a stream, its octets.
        longest: the longest frame, in octets.
    """

    sent: Sequence[int]
    came: Sequence[tuple[int, int, bool]]
    taken: Sequence[int]
    longest: int = 0

    @property
    def numbers(self) -> list[int]:
        """The numbers that came, in their order."""
        return [number for number, _, _ in self.came]

    @property
    def waits(self) -> list[int]:
        """How long each was on its way, ns."""
        return [when - self.sent[number] for number, when, _ in self.came]


Check = Callable[["Case", Seen, bool], None]


@dataclass(frozen=True)
class Case:
    """A row of the table.

    Args:
        name: of the row.
        words: the impairment of what `client` sends to `server`; a cut where it is `partition`, nothing where it is empty.
        check: is told the case, what was seen, and whether that is exact.
        beyond_netem: the property for which netem is refused.
    """

    name: str
    words: str
    check: Check
    traffic: Traffic = Traffic()
    beyond_netem: str = ""

    def rules(self, backend: str) -> list[dict[str, object]]:
        """Return what a shaper is told, as `labctl impair --backend` tells it."""
        if self.words in ("", "partition"):
            return []
        told = dict(word.split("=") for word in self.words.split() if "=" in word)
        filters = " ".join(word for word in self.words.split() if "=" not in word)
        if backend == "netem":
            told.pop("seed", None)
        (item,) = impair(["client", SERVER], told, filters, backend=backend).impairments
        return [item.rule()]

    def fates(self) -> list[tuple[int, object]]:
        """Return what the model says of each datagram to `server`: (number, fate)."""
        facts = self.rules("shaper")[0]
        numbers = [n for n in range(self.traffic.count) if self.traffic.where(n)[0] == SERVER]
        stream = predict(Effect.of(facts), int(str(facts.get("seed", 1))), f"udp|client|{SERVER}", len(numbers))
        return list(zip(numbers, stream, strict=True))


def whole(case: Case, seen: Seen, exact: bool) -> None:
    """All came, once, in order, unspoilt."""
    assert seen.numbers == list(range(case.traffic.count))
    assert all(intact for _, _, intact in seen.came)


def drawn(expected: float, of: Callable[[Seen], int]) -> Check:
    """Copies are those that the model says; where chance is not ours, a share of so many, give or take five sigma."""

    def check(case: Case, seen: Seen, exact: bool) -> None:
        if exact:
            assert seen.numbers == [number for number, fate in case.fates() for _ in range(fate.copies)]
        else:
            count = case.traffic.count
            assert abs(of(seen) - expected * count) <= 5 * (count * expected * (1 - expected)) ** 0.5, of(seen)

    return check


def missing(seen: Seen) -> int:
    """Return how many did not come."""
    return len(seen.sent) - len(set(seen.numbers))


def repeated(seen: Seen) -> int:
    """Return how many came twice."""
    return sum(times > 1 for times in Counter(seen.numbers).values())


def in_rows(case: Case, seen: Seen, exact: bool) -> None:
    """What is lost is lost in rows."""
    if exact:
        return drawn(0, missing)(case, seen, exact)
    lost = [n not in set(seen.numbers) for n in range(case.traffic.count)]
    rows = sum(now and not before for before, now in zip([False, *lost], lost, strict=False))
    assert rows
    assert sum(lost) / rows > 1.5  # 4 were asked for; of few rows the mean varies
    return None


def spoilt(case: Case, seen: Seen, exact: bool) -> None:
    """One bit is wrong on the wire, and the receiving kernel finds it: no program is handed a spoilt datagram."""
    wrong = {number for number, _, intact in seen.came if not intact}
    assert not wrong & set(seen.taken)
    if exact:
        assert wrong == {number for number, fate in case.fates() if fate.place is not None}
        assert seen.taken == [number for number in range(case.traffic.count) if number not in wrong]
    else:  # netem flips a bit anywhere, Ethernet's and IP's header included, whose loss is no wrong payload
        count = case.traffic.count
        assert abs(count - len(set(seen.taken)) - count * 0.1) <= 5 * (count * 0.09) ** 0.5
        assert wrong


def late(delay_ms: int) -> Check:
    """No packet is earlier than it may be, and the quickest does not wait twice; how late the others are is the machine's affair."""

    def check(case: Case, seen: Seen, exact: bool) -> None:
        assert sorted(seen.numbers) == list(range(case.traffic.count))
        assert delay_ms * MS <= min(seen.waits) < 2 * delay_ms * MS

    return check


def spread(delay_ms: int, jitter_ms: int) -> Check:
    """Waits are within the bounds, differ by at least the jitter, and packets overtake each other."""

    def check(case: Case, seen: Seen, exact: bool) -> None:
        assert sorted(seen.numbers) == list(range(case.traffic.count))
        assert (delay_ms - jitter_ms) * MS <= min(seen.waits) < delay_ms * MS
        assert max(seen.waits) - min(seen.waits) >= jitter_ms * MS
        assert seen.numbers != sorted(seen.numbers)

    return check


def normal(case: Case, seen: Seen, exact: bool) -> None:
    """A few are earlier than a uniform jitter would allow, but few: 2.3 % are earlier than two standard deviations."""
    assert sorted(seen.numbers) == list(range(case.traffic.count))
    waits = sorted(seen.waits)
    assert waits[0] < 200 * MS
    assert waits[len(waits) // 10] >= 100 * MS


def overtaking(case: Case, seen: Seen, exact: bool) -> None:
    """Some skip the delay, the others do not."""
    assert sorted(seen.numbers) == list(range(case.traffic.count))
    early = {number for (number, _, _), wait in zip(seen.came, seen.waits, strict=True) if wait < 300 * MS}
    if exact:
        assert early <= {number for number, fate in case.fates() if fate.early}
    assert early
    assert len(early) < case.traffic.count / 2
    assert seen.numbers != sorted(seen.numbers)


def rated(mbit: float) -> Check:
    """Never above the rate: no packet is earlier than all before it take. Within 5 % below: of the later ones, some are no later."""

    def check(case: Case, seen: Seen, exact: bool) -> None:
        assert seen.numbers == list(range(case.traffic.count))
        took = [when - seen.sent[0] for _, when, _ in seen.came]
        ideal = [(number + 1) * case.traffic.size * 8000 / mbit for number in range(case.traffic.count)]
        shares = [ours / least for ours, least in zip(took, ideal, strict=True)]
        assert min(shares) >= 1
        assert min(shares[len(shares) // 2 :]) <= 1 / 0.95

    return check


def overflowing(case: Case, seen: Seen, exact: bool) -> None:
    """What does not fit into the buffer is dropped: of a burst its end. While it still comes, a packet or two may leave."""
    assert seen.numbers[:3] == [0, 1, 2]
    assert len(seen.numbers) <= 5


def only(*numbers: int) -> Check:
    """Just these are lost."""

    def check(case: Case, seen: Seen, exact: bool) -> None:
        assert seen.numbers == [number for number in range(case.traffic.count) if number not in numbers]

    return check


def those_to(host: str, port: int) -> Check:
    """Just what goes there is lost."""

    def check(case: Case, seen: Seen, exact: bool) -> None:
        meant = [n for n in range(case.traffic.count) if case.traffic.where(n)[:2] == (host, port)]
        assert meant
        assert seen.numbers == [number for number in range(case.traffic.count) if number not in meant]

    return check


def too_long(case: Case, seen: Seen, exact: bool) -> None:
    """All are too long: not one comes."""
    assert seen.numbers == []


def superpackets(case: Case, seen: Seen, exact: bool) -> None:
    """Between two namespaces a kernel hands on more than a wire would carry: this is what a backend has to deal with."""
    assert seen.taken == [case.traffic.stream]
    assert seen.longest > 3000


def packets(case: Case, seen: Seen, exact: bool) -> None:
    """All that crosses is as on a wire, so delay and loss are per packet."""
    assert seen.taken == [case.traffic.stream]
    assert seen.longest <= 1514


def nothing_taken(case: Case, seen: Seen, exact: bool) -> None:
    """A partition drops what arrives, before any program; to another host all goes on."""
    others = [n for n in range(case.traffic.count) if case.traffic.where(n)[0] != SERVER]
    assert sorted(seen.taken) == others


FEW = Traffic(count=60)
STREAM = Traffic(stream=300_000)
BOTH_VERSIONS = ((SERVER, 4000, 4), (SERVER, 4000, 6))
TWO_PORTS = Traffic(count=40, to=((SERVER, 4000, 4), (SERVER, 4001, 4)))
TWO_HOSTS = Traffic(count=40, to=((SERVER, 4000, 4), (OTHER, 4000, 4), (SERVER, 4000, 6)))

TABLE = [
    Case("nothing", "", whole, FEW),
    Case("loss", "loss=10% seed=7", drawn(0.1, missing)),
    Case("all of it", "loss=100%", those_to(SERVER, 4000), TWO_HOSTS),
    Case("rows by their numbers", "gemodel=5%,25%,100%,0% seed=3", in_rows),
    Case("rows by their length", "loss=10% burst=4 seed=3", in_rows, beyond_netem="burst"),
    Case("duplicate", "duplicate=10% seed=9", drawn(0.1, repeated)),
    Case("corrupt", "corrupt=10% seed=5", spoilt),
    Case("delay", "delay=300ms", late(300), Traffic(count=60, to=BOTH_VERSIONS)),
    Case("jitter", "delay=300ms jitter=150ms", spread(300, 150), Traffic(count=200)),
    Case("normal jitter", "delay=300ms jitter=100ms distribution=normal", normal, Traffic(count=300)),
    Case("reorder", "delay=300ms reorder=10% seed=2", overtaking, Traffic(count=200)),
    Case("rate", "rate=200kbit buffer=100kb", rated(0.2), Traffic(count=25, size=1000), beyond_netem="buffer"),
    Case("rate, with the usual buffer", "rate=320kbit", rated(0.32), Traffic(count=40, size=1000)),
    Case("a small buffer", "rate=20kbit buffer=3kb", overflowing, Traffic(count=20, size=1000), "buffer"),
    Case("black hole", "mtu=600b", too_long, Traffic(count=20, size=601), beyond_netem="mtu"),
    Case("long enough", "mtu=600b", whole, Traffic(count=20, size=600), beyond_netem="mtu"),
    Case("single packets", "udp loss=100% nth=3,5-6", only(2, 4, 5), Traffic(count=20), "nth"),
    Case("one port", "udp port 4001 loss=100%", those_to(SERVER, 4001), TWO_PORTS, "port"),
    Case("superpackets", "", superpackets, STREAM),
    Case("packets", "delay=5ms loss=1%", packets, STREAM),
    Case("partition", "partition", nothing_taken, TWO_HOSTS),
]  # fmt: skip
