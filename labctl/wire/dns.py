"""DNS messages (RFC 1035 section 4), read as far as a ladder needs: the question, and what came back.

id 2 | flags 2 | counts of questions, answers, authorities, additional 2 2 2 2 | the records
"""

import struct
from dataclasses import dataclass
from struct import Struct

from labctl.wire.address import text_of

PORT = 53
TYPES = {
    1: "A",
    2: "NS",
    5: "CNAME",
    6: "SOA",
    12: "PTR",
    15: "MX",
    16: "TXT",
    28: "AAAA",
    33: "SRV",
    41: "OPT",
    65: "HTTPS",
    255: "ANY",
}
CODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
LABELS = 128  # a name has at most 127 labels (255 octets); more means a loop of pointers
_HEAD = Struct(">HHHHHH").unpack_from
_RECORD = Struct(">HHIH").unpack_from


@dataclass(frozen=True)
class Message:
    """A question or an answer.

    Args:
        id: by which an answer finds its question.
        response: whether it is an answer.
        code: such as NXDOMAIN.
        questions: (name, type).
        answers: (name, type, value, seconds it may be kept).
    """

    id: int
    response: bool
    code: str
    questions: tuple[tuple[str, str], ...]
    answers: tuple[tuple[str, str, str, int], ...] = ()

    def __str__(self) -> str:
        asked = ", ".join(f"{kind} {name}" for name, kind in self.questions) or "nothing"
        if not self.response:
            return f"{asked}?"
        values = ", ".join(value for _, _, value, _ in self.answers)
        return f"{asked}: {values or self.code}"


def read_dns(octets: bytes) -> Message | None:
    """Return the message in a datagram's payload; None where it is none."""
    try:
        ident, flags, questions, answers, _, _ = _HEAD(octets)
        if questions > 16 or flags >> 11 & 15 > 5:
            return None
        at, asked, got = 12, [], []
        for _ in range(questions):
            name, at = _name(octets, at)
            asked.append((name, _type(int.from_bytes(octets[at : at + 2], "big"))))
            at += 4
            if at > len(octets):
                return None
        for _ in range(min(answers, 64)):
            name, at = _name(octets, at)
            kind, _, ttl, length = _RECORD(octets, at)
            at += 10
            got.append((name, _type(kind), _value(octets, at, length, kind), ttl))
            at += length
    except (struct.error, IndexError):
        return None
    return Message(ident, bool(flags & 0x8000), CODES.get(flags & 15, f"code {flags & 15}"), tuple(asked), tuple(got))


def _type(number: int) -> str:
    return TYPES.get(number, f"TYPE{number}")


def _name(octets: bytes, at: int) -> tuple[str, int]:
    """Return the name at `at` and where the octets behind it begin; a pointer (section 4.1.4) may stand for its rest."""
    labels: list[str] = []
    behind = 0
    for _ in range(LABELS):
        length = octets[at]
        if length == 0:
            return ".".join(labels) or ".", behind or at + 1
        if length >= 0xC0:
            behind = behind or at + 2
            at = (length & 0x3F) << 8 | octets[at + 1]
        else:
            labels.append(octets[at + 1 : at + 1 + length].decode("ascii", errors="backslashreplace"))
            at += 1 + length
    raise IndexError


def _value(octets: bytes, at: int, length: int, kind: int) -> str:
    body = octets[at : at + length]
    if kind in (1, 28) and len(body) == (4 if kind == 1 else 16):
        return text_of(body)
    if kind in (2, 5, 12):
        return _name(octets, at)[0]
    if kind == 15:
        return f"{int.from_bytes(body[:2], 'big')} {_name(octets, at + 2)[0]}"
    return f"{length} octets"
