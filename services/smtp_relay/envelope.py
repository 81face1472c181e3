"""What a message carries beside its text. Pure.

Public: `Envelope`, `Reply`.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Reply:
    """An SMTP reply: three digits, an enhanced status code (RFC 3463) where there is one, words."""

    code: int
    enhanced: str
    text: str

    @property
    def is_good(self) -> bool:
        """Whether it says yes."""
        return 200 <= self.code < 300

    @property
    def is_permanent(self) -> bool:
        """Whether another try would be in vain (RFC 5321 section 4.2.1)."""
        return 500 <= self.code < 600

    @property
    def status(self) -> str:
        """The enhanced code, or what the first digit says of it."""
        return self.enhanced or f"{self.code // 100}.0.0"

    def __str__(self) -> str:
        return " ".join(part for part in (str(self.code), self.enhanced, self.text) if part)


@dataclass(slots=True)
class Envelope:
    """One transaction's envelope.

    Args:
        sender: empty for the null sender.
        recipients: address → its domain; each once, in the order given.
        eight_bit: declared by BODY=8BITMIME; once the text is there: whether it has octets above 127.
        smtputf8: asked for by the client.
        helo: how the client named itself.
        protocol: `SMTP`, `ESMTP`, `ESMTPS`, `UTF8SMTP` …, for the Received field (RFC 3848, RFC 6531 section 4.3).
        size: octets that the client declared; 0 where it did not.
    """

    sender: str
    recipients: dict[str, str] = field(default_factory=dict)
    eight_bit: bool = False
    smtputf8: bool = False
    helo: str = ""
    protocol: str = "SMTP"
    size: int = 0
