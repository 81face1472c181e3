"""What the relay reads in a message's header, and what it puts on top of it. Pure.

    Received: from client (client [10.213.7.3])        RFC 5321 section 4.4: on top, always
        by smtp-relay with ESMTP id 1F4A0C3E
        for <bob@lab.test>; Mon, 23 Nov 2026 11:54:05 +0000
    Date: Mon, 23 Nov 2026 11:54:05 +0000               RFC 6409 section 8.1, where there is none
    Message-ID: <1F4A0C3E@smtp-relay>                   RFC 6409 section 8.2, where there is none

Public: `Header`, `read_header`, `trace`, `date`.
"""

import re
import time
from dataclasses import dataclass

from services.smtp_relay.envelope import Envelope

# Octets at the top of a message in which its header must end; a header is some hundred octets, seldom ten thousand.
MAX_HEADER = 256 << 10

_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:")
_NAMES = re.compile(rb"^(received|date|message-id)[ \t]*:", re.IGNORECASE | re.MULTILINE)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Header:
    """What is of interest in a header.

    Args:
        size: octets, the empty line not counted.
        hops: how many Received fields it has (RFC 5321 section 6.3).
        is_one: the text begins with a header, or with the empty line that ends an empty one.
        is_ascii: it needs no SMTPUTF8.
    """

    size: int
    hops: int
    has_date: bool
    has_message_id: bool
    is_one: bool
    is_ascii: bool


def read_header(top: bytes) -> Header:
    """Read the header at the top of a text, of which the first `MAX_HEADER` octets are enough."""
    if top.startswith(b"\r\n"):
        return Header(0, 0, has_date=False, has_message_id=False, is_one=True, is_ascii=True)
    if not _FIELD.match(top):
        return Header(0, 0, has_date=False, has_message_id=False, is_one=False, is_ascii=True)
    end = top.find(b"\r\n\r\n")
    size = len(top) if end < 0 else end + 2
    names = [name.lower() for name in _NAMES.findall(top, 0, size)]
    return Header(
        size, names.count(b"received"), has_date=b"date" in names, has_message_id=b"message-id" in names, is_one=True,
        is_ascii=top[:size].isascii(),
    )  # fmt: skip


def date(now: float) -> str:
    """Return Unix time in seconds as RFC 5322 writes it, in UTC; the days' names do not depend on the system's language."""
    t = time.gmtime(now)
    clock = f"{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d} +0000"
    return f"{_DAYS[t.tm_wday]}, {t.tm_mday:02d} {_MONTHS[t.tm_mon - 1]} {t.tm_year} {clock}"


def trace(header: Header, envelope: Envelope, *, name: str, queue_id: str, peer: str, now: float) -> bytes:
    """Return what goes on top of a message.

    Args:
        name: ours.
        peer: the client's address, as `10.213.7.3`; empty where there is none.
        now: Unix time in seconds.
    """
    literal = f"[IPv6:{peer}]" if ":" in peer else f"[{peer}]" if peer else ""
    source = f"from {envelope.helo}" + (f" ({literal})" if literal else "")
    one = f"\r\n\tfor <{next(iter(envelope.recipients))}>" if len(envelope.recipients) == 1 else ""
    stamp = date(now)
    lines = f"Received: {source}\r\n\tby {name} with {envelope.protocol} id {queue_id}{one}; {stamp}\r\n"
    if not header.has_date:
        lines += f"Date: {stamp}\r\n"
    if not header.has_message_id:
        lines += f"Message-ID: <{queue_id}@{name}>\r\n"
    if not header.is_one:
        lines += "\r\n"  # the text began without a header: now it has one, and an empty line ends it
    return lines.encode()
