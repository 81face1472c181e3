"""`lab mail send`: write a message (email), and hand it to a server (smtplib)."""

import argparse
import mimetypes
import smtplib
import sys
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import formatdate, getaddresses, make_msgid
from pathlib import Path

from services.client.errors import ClientError, explain
from services.client.mail_login import trust
from services.client.mail_text import one_line

PLAIN = SMTP.clone(cte_type="7bit")  # a body of other than ASCII goes in MIME's clothes: every server takes that
INTERNATIONAL = SMTPUTF8  # for addresses of other than ASCII (RFC 6531), where the server can


def run(options: argparse.Namespace) -> int:
    """Send, and print `Successfully sent email` (exit code 0) or `Error: unable to send email` with the reason (1)."""
    place = f"{options.server}:{options.port}"
    try:
        body = sys.stdin.read() if options.body in (None, "-") else options.body
        message = write(options.sender, options.to, options.cc, options.subject, body, options.attach)
        if options.copy:
            Path(options.copy).write_bytes(message.as_bytes())
        refused = send(message, options)
    except smtplib.SMTPRecipientsRefused as error:
        refused = error.recipients
    except smtplib.SMTPResponseException as error:
        return _unable(f"{place} said: {_reply(error.smtp_code, error.smtp_error)}")
    except (smtplib.SMTPException, OSError, ValueError, ClientError) as error:
        told = explain(error, place)
        return _unable(f"{one_line(str(told))}, at {place}", *([f"hint: {told.hint}"] if told.hint else []))
    if refused:
        return _unable(*(f"{place} said, for {one_line(name)}: {_reply(*said)}" for name, said in refused.items()))
    print("Successfully sent email")
    return 0


def write(sender: str, to: list[str], cc: list[str], subject: str, body: str, attachments: list[str]) -> EmailMessage:
    """Return a message with all the headers that one needs (RFC 5322 section 3.6).

    Raises:
        ValueError: an address is none, or a header would hold a line end.
        OSError: an attachment cannot be read.
    """
    author, *more = addresses([sender])
    if more:
        raise ValueError(f"`{sender}` is more than one address; a mail has one sender")
    receivers, others = addresses(to), addresses(cc)
    everyone = (author, *receivers, *others)
    message = EmailMessage(policy=PLAIN if all(one.addr_spec.isascii() for one in everyone) else INTERNATIONAL)
    message["From"] = author
    message["To"] = receivers
    if others:
        message["Cc"] = others
    message["Subject"] = subject
    message["Date"] = formatdate(localtime=True)
    message["Message-ID"] = make_msgid(domain=author.domain)
    message.set_content(body)
    for name in attachments:
        path = Path(name)
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        maintype, _, subtype = kind.partition("/")
        message.add_attachment(path.read_bytes(), maintype=maintype, subtype=subtype, filename=path.name)
    return message


def addresses(texts: list[str]) -> list[Address]:
    """Read `alice@lab.test`, `Alice <alice@lab.test>`, or several with commas between.

    Raises:
        ValueError: one is neither.
    """
    found = []
    for text in texts:
        if not text.strip() or not text.isprintable():
            raise ValueError(f"`{text}` is not an address such as alice@lab.test")
        found += [_address(name, spec, text) for name, spec in getaddresses([text])]
    return found


def _address(name: str, spec: str, text: str) -> Address:
    local, _, domain = spec.rpartition("@")
    try:
        Address(
            addr_spec="".join(char if char.isascii() else "x" for char in spec)
        )  # it knows the RFC's grammar for ASCII
        if local and domain:
            return Address(name, local, domain)
        raise ValueError
    except Exception as error:  # a ValueError, an IndexError or one of email.errors: as the text is broken
        raise ValueError(f"`{text}` is not an address such as alice@lab.test") from error


def send(message: EmailMessage, options: argparse.Namespace) -> dict[str, tuple[int, bytes]]:
    """Hand the message to the server; return the recipients that it refused, with what it said, where it took others.

    Raises:
        smtplib.SMTPException: it refused all, or the message.
        OSError: there is no connection, or the certificate is not to be trusted.
    """
    with smtplib.SMTP(options.server, options.port, timeout=options.timeout) as server:
        if options.starttls:
            server.starttls(context=trust(options))  # raises where the server cannot: never in clear by mistake
        # Not send_message: it writes the message anew, and puts a `>` before each line that begins with "From ".
        unusual = ["SMTPUTF8", "BODY=8BITMIME"] if message.policy == INTERNATIONAL else []
        recipients = [one.addr_spec for one in addresses([*options.to, *options.cc])]
        return server.sendmail(addresses([options.sender])[0].addr_spec, recipients, message.as_bytes(), unusual)


def _reply(code: int, text: bytes | str) -> str:
    return one_line(f"{code} {text.decode(errors='replace') if isinstance(text, bytes) else text}")


def _unable(*reasons: str) -> int:
    sys.stderr.write("\n  ".join(["Error: unable to send email", *reasons]) + "\n")
    return 1
