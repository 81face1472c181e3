"""A message for reading. What strangers wrote may break every rule: nothing here fails, and no control character comes through."""

from datetime import UTC
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parsedate_to_datetime

SHOWN = ("From", "To", "Cc", "Date", "Subject")


def read_message(octets: bytes) -> EmailMessage:
    """Return the message in these octets, or in its headers alone."""
    return message_from_bytes(octets, policy=policy.default)


def header(message: EmailMessage, name: str) -> str:
    """Return a header as one line of printable text; empty where it is missing, raw where it cannot be decoded."""
    try:
        value = str(message[name] or "")
    except Exception:  # the library's parser of structured headers has more ways to fail than it documents
        value = next((str(raw) for key, raw in message.raw_items() if key.lower() == name.lower()), "")
    return one_line(value)


def counted(number: int) -> str:
    """Return `1 message`, `2 messages`."""
    return f"{number} message{'' if number == 1 else 's'}"


def one_line(text: str) -> str:
    """Return a text without line ends, and with other control characters as U+FFFD."""
    return "".join(char if char.isprintable() else "\ufffd" for char in " ".join(text.split()))


def summary(message: EmailMessage) -> str:
    """Return date (UTC), sender and subject, in columns."""
    try:
        date = parsedate_to_datetime(header(message, "Date")).astimezone(UTC).strftime("%Y-%m-%d %H:%M")
    except (ValueError, TypeError, OverflowError):
        date = "no date"
    return f"{date:<16}  {header(message, 'From'):<24}  {header(message, 'Subject')}".rstrip()


def readable(message: EmailMessage) -> str:
    """Return the main headers, the text, and the names of what is attached."""
    lines = [f"{name}: {header(message, name)}" for name in SHOWN if header(message, name)]
    text = _text(message).replace("\r\n", "\n")
    parts = [part for part in _walk(message) if part.get_content_disposition() == "attachment"]
    attached = [f"[attached: {one_line(_name(part))}, {len(_octets(part))} octets]" for part in parts]
    return "\n".join([*lines, "", text.rstrip("\n"), *([""] if attached else []), *attached]) + "\n"


def _walk(message: EmailMessage) -> list[EmailMessage]:
    return [part for part in message.walk() if isinstance(part, EmailMessage)]


def _text(message: EmailMessage) -> str:
    try:
        body = message.get_body(preferencelist=("plain", "html"))
        return (
            "(no text)" if body is None else str(body.get_content())
        )  # a part without headers is false, and yet there
    except Exception:  # an unknown charset, a broken multipart: the octets as they are
        return _octets(message).decode("utf-8", "replace")


def _name(part: EmailMessage) -> str:
    try:
        return part.get_filename() or "without a name"
    except Exception:
        return "with a broken name"


def _octets(part: EmailMessage) -> bytes:
    try:
        octets = part.get_payload(decode=True)
    except Exception:
        return b""
    return octets if isinstance(octets, bytes) else b""
