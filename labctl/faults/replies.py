"""Faults of the application: which protocols have replies that can be changed, on which ports, and what such a reply looks like. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labctl.words import nearest

GREETING = "GREETING"
END_OF_TEXT = "."


@dataclass(frozen=True)
class Protocol:
    """A protocol whose conversations can be read.

    Args:
        name: as the proxy calls it.
        told: as people call it.
        ports: of its servers.
        verbs: what `at` may be, beside `GREETING`.
        reply: what a reply looks like.
        example: of one.
        greets: whether its server speaks first.
    """

    name: str
    told: str
    ports: tuple[int, ...]
    verbs: tuple[str, ...]
    reply: re.Pattern[str]
    example: str
    greets: bool = True


_CODE = re.compile(r"[2-5][0-9]{2}( .*)?")
_MAIL = ("MAIL", "RCPT", "DATA", END_OF_TEXT, "BDAT", "RSET", "NOOP", "VRFY", "AUTH", "STARTTLS", "QUIT")
PROTOCOLS = (
    Protocol("smtp", "SMTP", (25, 587, 2525), ("EHLO", "HELO", *_MAIL), _CODE, "451 4.7.1 Try again later"),
    Protocol("lmtp", "LMTP", (24,), ("LHLO", *_MAIL), _CODE, "451 4.7.1 Try again later"),
    Protocol(
        "ftp", "FTP", (21,),
        ("USER", "PASS", "RETR", "STOR", "APPE", "STOU", "LIST", "NLST", "MLSD", "CWD", "PASV", "EPSV", "PORT", "EPRT", "TYPE", "SIZE",
         "REST", "DELE", "MKD", "RNFR", "RNTO", "AUTH", "FEAT", "NOOP", "QUIT"),
        _CODE, "426 Connection closed; transfer aborted",
    ),
    Protocol(
        "http", "HTTP", (80, 8000, 8080), ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"),
        re.compile(r"[2-5][0-9]{2}( .*)?"), "503 Service Unavailable", greets=False,
    ),
    Protocol(
        "imap", "IMAP", (143,),
        ("LOGIN", "AUTHENTICATE", "SELECT", "EXAMINE", "LIST", "STATUS", "FETCH", "STORE", "SEARCH", "COPY", "APPEND", "EXPUNGE", "IDLE",
         "CAPABILITY", "STARTTLS", "NOOP", "LOGOUT"),
        re.compile(r"(\* (BYE|OK|NO|BAD|PREAUTH)|NO|BAD|OK)( .*)?", re.IGNORECASE), "* BYE the server goes down",
    ),
    Protocol(
        "pop3", "POP3", (110,),
        ("USER", "PASS", "APOP", "AUTH", "CAPA", "STAT", "LIST", "UIDL", "RETR", "TOP", "DELE", "RSET", "NOOP", "STLS", "QUIT"),
        re.compile(r"(\+OK|-ERR)( .*)?", re.IGNORECASE), "-ERR [SYS/TEMP] try again later",
    ),
    Protocol(
        "nntp", "NNTP", (119, 433),
        ("MODE", "CAPABILITIES", "AUTHINFO", "LIST", "GROUP", "LISTGROUP", "ARTICLE", "HEAD", "BODY", "STAT", "NEXT", "LAST", "OVER",
         "XOVER", "HDR", "NEWNEWS", "NEWGROUPS", "POST", "IHAVE", END_OF_TEXT, "DATE", "HELP", "STARTTLS", "QUIT"),
        _CODE, "441 Posting failed",
    ),
)  # fmt: skip
TLS_PORTS = (443, 465, 563, 853, 990, 993, 995, 8443)  # where TLS is spoken from the first octet
VERBS = (*dict.fromkeys(verb for protocol in PROTOCOLS for verb in protocol.verbs), GREETING)
EFFECTS = ("reply", "greeting_ns", "stall_ns", "truncate")  # of these each does something by itself
RULES = (*EFFECTS, "after", "probability")  # names in a rule that are about replies, not about packets


def read_verb(text: str) -> str:
    """Return the name of a verb.

    Raises:
        ValueError: no protocol has it; with the nearest known word.
    """
    if text.upper() in VERBS:
        return text.upper()
    raise ValueError(f"there is no verb `{text}` in {_all()}{nearest(text.upper(), VERBS)}")


def read_reply(text: str) -> str:
    """Return a reply: one line, in ASCII or UTF-8, that some protocol has; empty for none.

    Raises:
        ValueError: none has it.
    """
    if text and not text.isprintable():
        raise ValueError(f"{text!r}: a reply is one line")
    if text and not any(protocol.reply.fullmatch(text) for protocol in PROTOCOLS):
        examples = ", ".join(
            f"`{protocol.example}` ({protocol.told})" for protocol in PROTOCOLS if protocol.name != "lmtp"
        )
        raise ValueError(f"`{text}`: a reply is expected, such as {examples}")
    return text


def _all() -> str:
    *some, last = (protocol.told for protocol in PROTOCOLS)
    return f"{', '.join(some)} or {last}"


def ports(what: Mapping[str, Any], port: int, at: str) -> dict[str, str]:
    """Return the ports where something may be done to replies, each with the name of its protocol; none for any port.

    Args:
        what: is done, by the names of a rule.
        port: that was said; 0 for none.
        at: the verb that was said; empty for any.

    Raises:
        ValueError: what is spoken at the port has no such verb or reply, or it is not known what is spoken there.
    """
    if not at and not what.get("reply"):
        known = {str(number): protocol.name for protocol in PROTOCOLS for number in protocol.ports}
        if port and what.get("greeting_ns") and known.get(str(port)) == "http":
            raise ValueError(
                f"port {port} speaks HTTP, where the server says no greeting; `stall 5s` makes its replies late"
            )
        return {str(port): known.get(str(port), "tcp")} if port else ({} if what.get("greeting_ns") else known)
    fitting = [protocol for protocol in PROTOCOLS if not port or port in protocol.ports]
    if not fitting:
        if port in TLS_PORTS:
            raise ValueError(
                f"port {port} speaks TLS from the first octet, so no reply in it can be read; `stall` and `truncate` work there"
            )
        known_ports = ", ".join(f"{number} ({protocol.told})" for protocol in PROTOCOLS for number in protocol.ports)
        raise ValueError(f"it is not known what port {port} speaks; replies can be changed at {known_ports}")
    for protocol in fitting if port else ():
        _refuse_what_it_has_not(protocol, what, port, at)
    chosen = [protocol for protocol in fitting if _why_not(protocol, what, at) == ""]
    if not chosen:
        raise ValueError(f"no protocol has both the verb `{at}` and the reply `{what['reply']}`")
    return {str(number): protocol.name for protocol in chosen for number in ([port] if port else protocol.ports)}


def _why_not(protocol: Protocol, what: Mapping[str, Any], at: str) -> str:
    if at == GREETING and not protocol.greets:
        return "where the server says no greeting"
    if at and at != GREETING and at not in protocol.verbs:
        return (
            f"which has no verb `{at}`; known: {', '.join(protocol.verbs)}{f', {GREETING}' if protocol.greets else ''}"
        )
    reply = what.get("reply")
    if reply and not protocol.reply.fullmatch(reply):
        return f"which has no reply `{reply}`; one is `{protocol.example}`"
    return ""


def _refuse_what_it_has_not(protocol: Protocol, what: Mapping[str, Any], port: int, at: str) -> None:
    if why := _why_not(protocol, what, at):
        raise ValueError(f"port {port} speaks {protocol.told}, {why}")


def check(what: Mapping[str, Any], where: Any) -> None:
    """See that what is to become of replies makes sense.

    Args:
        what: by the names of a rule; what is zero is left out.
        where: the filter.

    Raises:
        ValueError: it contradicts itself, or does nothing.
    """
    effects = [name for name in EFFECTS if what.get(name)]
    if not effects:
        if what.get("after") or what.get("probability"):
            raise ValueError(
                f"`{'after' if what.get('after') else 'probability'}` needs a `reply`, `greeting`, `stall` or `truncate`"
            )
        return
    if where.of or where.proto not in ("", "tcp"):
        raise ValueError(f"replies are picked by `port` and `at`; `{where}` picks packets")
    if len([name for name in effects if name != "greeting_ns"]) > 1:
        raise ValueError("of `reply`, `stall` and `truncate` a reply can have one; `at` tells different replies apart")
    if "greeting_ns" in effects and where.at not in ("", GREETING):
        raise ValueError(f"the greeting comes before any verb: say `greeting` without `at {where.at}`")
    if what.get("after") and not {"stall_ns", "reply"} & set(effects):
        raise ValueError("`after` needs a `stall`, or a `reply` that ends a transfer")
    ports(what, where.port, where.at)
