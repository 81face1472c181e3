"""Why octets were sent again, as far as the times and the ACKs before show it; no cause is told where they do not."""

from labctl.wire.model import EventKind

# RFC 6298 section 2.4 asks for at least 1 s; Linux waits 200 ms at least, and a timer may come a tick early.
TIME_OUT_NS = 190_000_000
DUPLICATES = 3  # RFC 5681 section 3.2

Cause = tuple[EventKind, str, str]  # kind, words, section


def by_time(what: str, waited_ns: int, *, last: bool, since: str = "the last new octet") -> Cause:
    """Return the cause of a repetition that no ACK had asked for.

    Args:
        what: `1448 octets`, `FIN`.
        waited_ns: since its sender's last segment.
        last: whether it ends where all that was sent ends.
        since: what `waited_ns` is counted from.
    """
    text = f"{what} again, {waited_ns / 1e6:.0f} ms after {since}"
    if waited_ns >= TIME_OUT_NS:
        return "retransmission", text, "RFC 6298 section 5"
    if last:  # RFC 8985 section 7.3: after two round trips or so the last segment is sent again, to bring an ACK about
        return "retransmission", f"{text}, sooner than a time-out of Linux: a tail loss probe", "RFC 8985 section 7.3"
    return "retransmission", text, ""


def by_acks(what: str, duplicates: int) -> Cause:
    """Return the cause of a repetition that duplicate ACKs had asked for: fewer than three do it only with SACK."""
    text = f"{what} again, after {duplicates} duplicate ACK{'' if duplicates == 1 else 's'}"
    return "fast retransmission", text, "RFC 5681 section 3.2" if duplicates >= DUPLICATES else "RFC 8985 section 6.2"
