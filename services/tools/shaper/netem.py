"""The kernel's own emulator, where it has one: a qdisc `netem` on the far end of the veth pair, through which a filter leads what is meant.

    device → filter → near end → far end, which sends it back through netem → near end → device again, where the filter lets it pass

The near end has no offloads, so netem too sees packets as on a wire, not superpackets. But its chance is its own: no seed repeats it on
another machine, and it counts its buffer in packets. So it is chosen by itself where nothing is left to chance and nothing is counted,
which is a plain delay; there it does the same as the engine, for less. `--backend netem` asks for more.
"""

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

from services.tools.shaper.decide import BUFFER_SECONDS, MIN_BUFFER
from services.tools.shaper.frames import ETHERNET
from services.tools.shaper.plumbing import (
    ANY_LENGTH,
    FAR,
    NEAR,
    PRIO,
    PlumbingError,
    bytecode,
    diversion,
    has_clsact,
    lay,
    restore,
    sh,
    take_up,
)

PROBE = "lab-probe0"
LIMIT = 100_000  # packets; the default of 1000 is 80 Mbit/s at 150 ms
PACKET = 1500  # octets; netem's limit is in packets, which are of this length where a line is busy
DRAINED = 5.0  # seconds at most for what it holds, when it ends
PLAIN = {"delay_ns"}
KNOWN = {"delay_ns", "jitter_ns", "distribution", "loss", "gemodel", "duplicate", "reorder", "corrupt", "rate"}
NO_EFFECT = {"ident", "to", "seed", "since", "until", "left", "backend"}
LOAD, HALF, BYTE, EQUALS, LEAST, GIVE = 0x20, 0x28, 0x30, 0x15, 0x35, 0x06
PACKET_TYPE = 0xFFFFF000 + 4  # 0: this host's own; else a device has received it, which here is the pair


def wanted(rules: Sequence[Mapping[str, Any]]) -> str:
    """Return which backend these rules ask for: `netem`, `shaper`, or nothing where both would do.

    Raises:
        PlumbingError: netem is asked for, and cannot do it.
    """
    asked = {rule.get("backend", "auto") for rule in rules}
    said = [{name for name, value in rule.items() if value} - NO_EFFECT for rule in rules]
    if "netem" in asked:
        beyond = sorted(set().union(*said) - KNOWN)
        if "shaper" in asked or len(rules) != 1 or beyond:
            what = ", ".join(f"`{name}`" for name in beyond) or "more than one rule of a host"
            raise PlumbingError(f"netem cannot do {what} here; the shaper can")
        return "netem"
    return "" if "shaper" not in asked and len(rules) == 1 and said[0] == PLAIN else "shaper"


def is_there() -> bool:
    """Try it: whether this kernel takes a netem of a known delay, and tells of it afterwards. Modules may be there and not do."""
    sh("ip", "link", "del", PROBE, ok=True)
    try:
        sh("ip", "link", "add", PROBE, "type", "veth", "peer", "name", f"{PROBE}p")
        sh("tc", "qdisc", "add", "dev", PROBE, "root", "netem", "delay", "40ms")
        return "delay 40ms" in sh("tc", "qdisc", "show", "dev", PROBE)
    except PlumbingError:
        return False
    finally:
        sh("ip", "link", "del", PROBE, ok=True)


def arguments(rule: Mapping[str, Any]) -> list[str]:
    """Return a rule in tc's words."""
    words = ["limit", str(_limit(rule))]
    if rule.get("delay_ns"):
        words += ["delay", f"{rule['delay_ns'] / 1000:g}us"]
        if rule.get("jitter_ns"):
            words.append(f"{rule['jitter_ns'] / 1000:g}us")
            if rule.get("distribution", "uniform") != "uniform":
                words += ["distribution", str(rule["distribution"])]
    if rule.get("gemodel"):
        words += ["loss", "gemodel", *(_percent(share) for share in rule["gemodel"])]
    elif rule.get("loss"):
        words += ["loss", "random", _percent(rule["loss"])]
    for name in ("duplicate", "corrupt", "reorder"):
        if rule.get(name):
            words += [name, _percent(rule[name])]
    if rule.get("rate"):
        words += ["rate", f"{rule['rate']}bit", "-14"]  # less Ethernet's header: octets count from the IP header on
    return words


def _limit(rule: Mapping[str, Any]) -> int:
    """Return how many packets netem may hold: those that wait for the line, and those that are on their way."""
    if not rule.get("rate"):
        return LIMIT
    octets = max(MIN_BUFFER, rule["rate"] / 8 * BUFFER_SECONDS)
    octets += rule["rate"] / 8 * (rule.get("delay_ns", 0) + rule.get("jitter_ns", 0)) / 1e9
    return int(octets // PACKET + 1)


def _percent(share: float) -> str:
    return f"{share * 100:g}%"


def leads(addresses: Sequence[str]) -> list[tuple[int, int, int, int]]:
    """Return a program that matches what goes to these addresses, or IP at all where there are none.

    Less neighbour discovery, and less what has been through.
    """
    four = [int(ip_address(item)) for item in addresses if ":" not in item]
    six = [int(ip_address(item)) for item in addresses if ":" in item]
    parts: list[Any] = [(LOAD, PACKET_TYPE), (EQUALS, 0, None, "nothing")]
    parts += [(HALF, 12), (EQUALS, 0x0800, "four", None), (EQUALS, 0x86DD, None, "nothing")]
    parts += [
        (BYTE, 20),
        (EQUALS, 58, None, "six"),
        (BYTE, 54),
        (LEAST, 133, None, "six"),
        (LEAST, 138, None, "nothing"),
        "six",
    ]
    for number, address in enumerate(six):
        for part in range(4):
            parts += [(LOAD, 38 + 4 * part), (EQUALS, address >> (96 - 32 * part) & 0xFFFFFFFF, None, f"next{number}")]
        parts += [(GIVE, ANY_LENGTH), f"next{number}"]
    parts += [(GIVE, 0 if addresses else ANY_LENGTH), "four"]
    for number, address in enumerate(four):
        parts += [(LOAD, 30), (EQUALS, address, None, f"other{number}"), (GIVE, ANY_LENGTH), f"other{number}"]
    parts += [(GIVE, 0 if addresses else ANY_LENGTH), "nothing", (GIVE, 0)]
    return _assembled(parts)


def _assembled(parts: Sequence[Any]) -> list[tuple[int, int, int, int]]:
    """Return a program whose jumps are names of places: (code, value[, where if so, where if not]); a text is a place."""
    places, count = {}, 0
    for part in parts:
        if isinstance(part, str):
            places[part] = count
        else:
            count += 1
    program: list[tuple[int, int, int, int]] = []
    for part in parts:
        if not isinstance(part, str):
            code, value, *jumps = part
            here = len(program) + 1
            so, not_so = (places[name] - here if name else 0 for name in (*jumps, None, None)[:2])
            program.append((code, so, not_so, value))
    return program


def batch(device: str, rule: Mapping[str, Any], addresses: Sequence[str], *, clsact: bool) -> str:
    """Return what tc is told: all of it but the veth pair.

    Args:
        clsact: whether `device` has that qdisc.
    """
    every = f"ingress protocol all prio {PRIO} bpf bytecode '{bytecode([(GIVE, 0, 0, ANY_LENGTH)])}'"
    back = "".join(
        f"qdisc add dev {end} clsact\nfilter add dev {end} {every} action mirred egress redirect dev {to}\n"
        for end, to in ((FAR, FAR), (NEAR, device))
    )
    netem = f"qdisc add dev {FAR} root netem {' '.join(arguments(rule))}\n"
    return netem + back + diversion(device, leads(addresses), clsact=clsact)


def put(device: str, rule: Mapping[str, Any], addresses: Sequence[str]) -> None:
    """Do what a rule says to what leaves `device` for these addresses.

    Raises:
        PlumbingError: the kernel does not take it; nothing is left then.
    """
    try:
        lay(device)
        sh("tc", "-batch", "-", text=batch(device, rule, addresses, clsact=has_clsact(device)))
    except PlumbingError:
        take_away(device)
        raise


def facts() -> dict[str, int]:
    """Return what it counted: packets seen, sent and lost, and how many it holds. Empty where it is not there."""
    found = json.loads(sh("tc", "-s", "-j", "qdisc", "show", "dev", FAR, "root", ok=True) or "[]")
    for qdisc in found:
        if qdisc.get("kind") == "netem":
            sent, lost, held = qdisc["packets"], qdisc["drops"], qdisc["qlen"]
            octets = qdisc["bytes"] - sent * ETHERNET
            return {"seen": sent + lost + held, "octets": octets, "sent": sent, "lost": lost, "held": held}
    return {}


def take_away(device: str) -> None:
    """Let traffic flow by itself, and take the pair away once netem has sent what it holds."""
    with suppress(PlumbingError):
        restore(device)
    deadline = time.monotonic() + DRAINED
    while facts().get("held") and time.monotonic() < deadline:
        time.sleep(0.02)
    take_up()
