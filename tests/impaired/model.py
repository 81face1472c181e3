"""The table's traffic through the shaper's engine, without a socket and a clock."""

from services.tools.shaper.rules import Rule
from tests.impaired.inside import ADDRESSES, HEAD, read
from tests.impaired.table import Seen
from tests.protocols.test_shaper import Wire, frame


def play(case):
    """Return what comes of a case's traffic where the machine takes no time at all."""
    traffic = case.traffic
    wire = Wire(*(Rule.of_facts(facts) for facts in case.rules("shaper")), hosts=ADDRESSES)
    sent = [number * traffic.pause_ns for number in range(traffic.count)]
    for number, at in enumerate(sent):
        host, port, version = traffic.where(number)
        size = traffic.size + 14 - HEAD[version]
        octets = (number.to_bytes(4, "big") * (size // 4 + 1))[:size]
        ends = (ADDRESSES["third" if host == "other" else "client"][version == 6], ADDRESSES[host][version == 6])
        wire.run(at)
        wire.take(frame(*ends, ports=(5000, port), payload=octets), at)
    wire.run(1 << 62)
    came = [(*read(octets), when) for when, octets in wire.sent]
    return Seen(
        sent,
        [(number, when, intact) for number, intact, when in came],
        [number for number, intact, _ in came if intact],
    )
