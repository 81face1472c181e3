"""A report to the sender of a message that could not be delivered: multipart/report (RFC 6522) with a delivery status (RFC 3464). Pure.

Three parts: for people; for programs, a field block for the message and one for each recipient; the header of the message itself.

Public: `Failure`, `failure_report`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from services.smtp_relay.envelope import Reply
from services.smtp_relay.header import date

MAX_RETURNED = 16 << 10  # octets of the message's header that go back with the report


@dataclass(frozen=True, slots=True)
class Failure:
    """A recipient that the message did not reach.

    Args:
        reply: the last one; of class 4 where it was tried too often (RFC 3464, appendix D, has `Action: failed` with such a status).
        remote: the host that gave it; empty where it was ourselves.
        tries: how often it was tried.
    """

    address: str
    reply: Reply
    remote: str = ""
    tries: int = 1


def failure_report(
    sender: str, failures: Sequence[Failure], *, name: str, queue_id: str, about: str, arrived: float, header: bytes, now: float
) -> bytes:  # fmt: skip
    """Return the whole report, as a message from the null sender to `sender`.

    Args:
        name: ours.
        queue_id: the report's own; it makes its boundary and its Message-ID.
        about: the queue's name of the message that failed.
        arrived: when that came, Unix time in seconds.
        header: of that message.
    """
    beyond_ascii = not (header.isascii() and all(f.address.isascii() and str(f.reply).isascii() for f in failures))
    boundary = f"=_{queue_id}_{name}"
    head = [
        f"Date: {date(now)}",
        f"From: Mail Delivery System <MAILER-DAEMON@{name}>",
        f"To: <{sender}>",
        f"Message-ID: <{queue_id}@{name}>",
        "Auto-Submitted: auto-replied",  # RFC 3834 section 5
        "Subject: Undelivered mail returned to sender",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="{boundary}"',
    ]
    # RFC 6533: the same parts under other names where they hold more than ASCII
    status, returned = (
        ("message/global-delivery-status", "message/global-headers")
        if beyond_ascii
        else ("message/delivery-status", "text/rfc822-headers")
    )
    parts = [
        ("text/plain; charset=utf-8", _for_people(failures, name)),
        (status, _for_programs(failures, name, about, arrived, now, utf8=beyond_ascii)),
        (returned, _cut(header)),
    ]
    encoding = "Content-Transfer-Encoding: 8bit\r\n" if beyond_ascii else ""
    lines = "\r\n".join(head).encode() + b"\r\n\r\n"
    for kind, content in parts:
        lines += f"--{boundary}\r\nContent-Type: {kind}\r\n{encoding}\r\n".encode() + content + b"\r\n"
    return lines + f"--{boundary}--\r\n".encode()


def _for_people(failures: Sequence[Failure], name: str) -> bytes:
    lines = [
        f"This is the mail relay {name}. A message of yours could not be delivered, and no further try will be made:",
        "",
    ]
    for failure in failures:
        said = f"{failure.remote} said" if failure.remote else "the reason"
        tries = "one try" if failure.tries == 1 else f"{failure.tries} tries"
        lines += [f"<{failure.address}>, after {tries}; {said}:", f"    {_one_line(failure.reply)}", ""]
    return "\r\n".join(lines).encode()


def _for_programs(
    failures: Sequence[Failure], name: str, about: str, arrived: float, now: float, *, utf8: bool
) -> bytes:
    blocks = [[f"Reporting-MTA: dns; {name}", f"X-Queue-ID: {about}", f"Arrival-Date: {date(arrived)}"]]
    for failure in failures:
        kind = "utf-8" if utf8 and not failure.address.isascii() else "rfc822"
        block = [f"Final-Recipient: {kind}; {failure.address}", "Action: failed", f"Status: {failure.reply.status}"]
        if failure.remote:
            block += [f"Remote-MTA: dns; {failure.remote}", f"Diagnostic-Code: smtp; {_one_line(failure.reply)}"]
        else:
            block.append(f"Diagnostic-Code: x-labctl; {_one_line(failure.reply)}")
        blocks.append([*block, f"Last-Attempt-Date: {date(now)}"])
    return "\r\n".join("\r\n".join(block) + "\r\n" for block in blocks).encode()


def _one_line(reply: Reply) -> str:
    return " ".join(str(reply).split())[:900]


def _cut(header: bytes) -> bytes:
    if len(header) <= MAX_RETURNED:
        return header
    return header[: header.rfind(b"\r\n", 0, MAX_RETURNED) + 2]
