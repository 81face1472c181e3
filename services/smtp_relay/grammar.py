"""The grammar of SMTP commands: paths and parameters (RFC 5321 sections 4.1.2, 4.1.3; RFC 6531 section 3.3). Pure.

    MAIL FROM:<alice@lab.test> SIZE=4096 BODY=8BITMIME
              `-----path-----´ `------parameters------´

Public: `parse_path`, `parse_parameters`, `is_host`, `PathSyntaxError`, `PathTooLongError`.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

# RFC 5321 section 4.5.3.1: octets of a local part, of a domain, of a path with its angle brackets.
MAX_LOCAL, MAX_DOMAIN, MAX_PATH = 64, 255, 256

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+"
_LABEL = r"[A-Za-z0-9\u0080-\U0010ffff](?:[A-Za-z0-9\u0080-\U0010ffff-]*[A-Za-z0-9\u0080-\U0010ffff])?"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[\x21-\x5a\x5e-\x7e]+\])"
_LOCAL = rf'(?:{_ATOM}(?:\.{_ATOM})*|"(?:[\x20\x21\x23-\x5b\x5d-\x7e\u0080-\U0010ffff]|\\[\x20-\x7e])*")'
_SOURCE_ROUTE = rf"@{_DOMAIN}(?:,@{_DOMAIN})*:"
_PATH = re.compile(rf"<(?:{_SOURCE_ROUTE})?(?P<local>{_LOCAL})@(?P<domain>{_DOMAIN})>")
_HOST = re.compile(rf"{_DOMAIN}|{_LABEL}(?:[._]{_LABEL})*")  # an underscore is common in names of containers
_PARAMETER = re.compile(r"(?P<keyword>[A-Za-z0-9][A-Za-z0-9-]*)(?:=(?P<value>[^\s=]+))?")
_QUOTABLE = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")


class PathSyntaxError(ValueError):
    """It is no path in the sense of RFC 5321 section 4.1.2."""


class PathTooLongError(ValueError):
    """A path, or a part of it, is longer than RFC 5321 section 4.5.3.1 allows."""


@dataclass(frozen=True, slots=True)
class Path:
    """A mailbox, in the form that it is kept and compared in: the domain in lower case, no needless quotes.

    The null path `<>` has neither part, `<Postmaster>` no domain.
    """

    local: str
    domain: str

    @property
    def address(self) -> str:
        """The path without its angle brackets; empty for the null path."""
        return f"{self.local}@{self.domain}" if self.domain else self.local

    @property
    def is_ascii(self) -> bool:
        """Whether it needs no SMTPUTF8."""
        return self.local.isascii() and self.domain.isascii()


@lru_cache(maxsize=4096)
def parse_path(text: str) -> Path:
    """Read `<local@domain>`, `<>` or `<Postmaster>`; a source route is taken and forgotten (RFC 5321 appendix C).

    Raises:
        PathTooLongError: more octets than allowed.
        PathSyntaxError: it is none.
    """
    if text == "<>":
        return Path("", "")
    if text.lower() == "<postmaster>":
        return Path("postmaster", "")
    if len(text.encode()) > MAX_PATH:
        raise PathTooLongError(f"a path has at most {MAX_PATH} octets")
    match = _PATH.fullmatch(text)
    if match is None:
        raise PathSyntaxError("a path is <local-part@domain>")
    local, domain = match["local"], match["domain"]
    if len(local.encode()) > MAX_LOCAL or len(domain.encode()) > MAX_DOMAIN:
        raise PathTooLongError(f"a local part has at most {MAX_LOCAL} octets, a domain at most {MAX_DOMAIN}")
    return Path(_unquoted(local), domain.lower())


def _unquoted(local: str) -> str:
    if not local.startswith('"'):
        return local
    plain = re.sub(r"\\(.)", r"\1", local[1:-1])
    return plain if _QUOTABLE.fullmatch(plain) else local


def parse_parameters(text: str) -> dict[str, str]:
    """Read `SIZE=4096 BODY=8BITMIME` into keyword (upper case) → value; a keyword without one has the empty value.

    Raises:
        ValueError: it is no list of parameters, or names one twice.
    """
    found: dict[str, str] = {}
    for word in text.split():
        match = _PARAMETER.fullmatch(word)
        if match is None or match["keyword"].upper() in found:
            raise ValueError(f"`{word[:40]}` is no parameter, or stands there twice")
        found[match["keyword"].upper()] = match["value"] or ""
    return found


def is_host(text: str) -> bool:
    """Tell whether a text is a domain or an address literal, as EHLO names one (RFC 5321 section 4.1.1.1)."""
    return len(text) <= MAX_DOMAIN and _HOST.fullmatch(text) is not None
