"""The protocols of the lab, as data: the clients read their ports and `--help` texts here, and docs/protocols.md is made of it.

One row a protocol: what it is for, its ports, Python's module for it then and now, the host that speaks it, the scenario that shows it,
the RFC sections that the lab covers. `.venv/bin/python docs/protocols.py` writes the page anew.
"""

from typing import NamedTuple


class Protocol(NamedTuple):
    """One protocol.

    Args:
        topic: of `lab TOPIC`; empty where no client of ours speaks it, several with a comma between.
        ports: as Compose writes them, `21` or `7/udp`; the first is the one that a client dials.
        then: the module that older books name, in Python 2 or before it was removed; None where there never was one.
        now: what to import today.
        changes: what was removed or changed, and since when; `UNCHANGED` where nothing is worth telling.
        rfcs: sections covered; `the lab's own` where there is no RFC.
    """

    name: str
    function: str
    ports: tuple[str, ...]
    then: str | None
    now: str
    changes: str
    host: str
    topic: str
    scenario: str
    rfcs: str

    @property
    def port(self) -> int:
        """The port that a client dials."""
        return int(self.ports[0].partition("/")[0])


UNCHANGED = ""

PROTOCOLS = (
    Protocol(
        "Greeting",
        "say one sentence and close",
        ("12345", "12345/udp"),
        "socket",
        "socket, asyncio",
        "asyncore and asynchat are gone since 3.12: asyncio or threads instead",
        "tcp-server, udp-server",
        "tcp, udp",
        "tcp-demo, udp-demo",
        "the lab's own",
    ),
    Protocol(
        "Chat",
        "lines between people",
        ("12346",),
        "socket",
        "socket, asyncio",
        UNCHANGED,
        "tcp-server",
        "tcp",
        "tcp-chat",
        "the lab's own",
    ),
    Protocol(
        "Echo",
        "send back what comes",
        ("7", "7/udp"),
        "socket",
        "socket",
        UNCHANGED,
        "tcp-server, udp-server",
        "tcp, udp",
        "tcp-demo, udp-demo",
        "RFC 862",
    ),
    Protocol(
        "Discard",
        "throw away what comes",
        ("9", "9/udp"),
        "socket",
        "socket",
        UNCHANGED,
        "tcp-server, udp-server",
        "tcp, udp",
        "tcp-demo, udp-demo",
        "RFC 863",
    ),
    Protocol(
        "Daytime",
        "date and time as text",
        ("13", "13/udp"),
        "socket",
        "socket",
        UNCHANGED,
        "tcp-server, udp-server",
        "tcp, udp",
        "tcp-demo, udp-demo",
        "RFC 867",
    ),
    Protocol(
        "Chargen",
        "a stream of characters",
        ("19", "19/udp"),
        "socket",
        "socket",
        UNCHANGED,
        "tcp-server, udp-server",
        "tcp, udp",
        "tcp-demo, udp-demo",
        "RFC 864",
    ),
    Protocol(
        "Time",
        "seconds since 1900 in 32 bits",
        ("37", "37/udp"),
        "socket",
        "socket",
        UNCHANGED,
        "tcp-server, udp-server",
        "tcp, udp",
        "tcp-demo, udp-demo",
        "RFC 868",
    ),
    Protocol(
        "Lab file protocol",
        "list, fetch and store files",
        ("9000",),
        None,
        "socket",
        UNCHANGED,
        "file-server",
        "file",
        "file-demo",
        "the lab's own",
    ),
    Protocol(
        "HTTP",
        "web pages and images",
        ("80",),
        "httplib, urllib, urllib2",
        "http.client, urllib.request",
        "httplib became http.client, urllib2 became urllib.request in 3.0",
        "web-server",
        "web",
        "web-demo, web-503",
        "RFC 9110, RFC 9112",
    ),
    Protocol(
        "XML-RPC",
        "call a procedure over HTTP",
        ("8000",),
        "xmlrpclib, SimpleXMLRPCServer",
        "xmlrpc.client, xmlrpc.server",
        "xmlrpclib became xmlrpc.client, SimpleXMLRPCServer became xmlrpc.server in 3.0",
        "rpc-server",
        "rpc",
        "rpc-demo",
        "none (the XML-RPC specification)",
    ),
    Protocol(
        "FTP",
        "transfer files",
        ("21", "20"),
        "ftplib",
        "ftplib",
        "ftplib is still there; since 3.9 names are UTF-8 by default, not Latin-1, and since 3.12 FTP_TLS takes a context alone; "
        "its server side never was in the standard library, and asyncore, on which servers were built, is gone since 3.12: "
        "pyftpdlib",
        "ftp-server",
        "ftp",
        "ftp-demo",
        "RFC 959 sections 3.1.1, 3.2, 3.3, 3.4.1, 4.1, 5.4; RFC 2389; RFC 2428; RFC 2577 section 3; "
        "RFC 2640 section 2; RFC 3659 sections 2 to 7",
    ),
    Protocol(
        "SMTP",
        "send mail",
        ("25",),
        "smtplib, smtpd",
        "smtplib; aiosmtpd for a server",
        "smtpd is gone since 3.12: aiosmtpd instead",
        "smtp-relay",
        "mail",
        "mail-demo, mail-outage, mail-bounce, mail-greylist, mail-starttls",
        "RFC 5321, RFC 1870, RFC 2920, RFC 3030, RFC 3207, RFC 6152, RFC 6531; reports by RFC 3464",
    ),
    Protocol(
        "LMTP",
        "hand mail to a mailbox host",
        ("24",),
        "smtplib",
        "smtplib.LMTP",
        UNCHANGED,
        "mail-server",
        "mail",
        "mail-demo, mail-outage, mail-greylist",
        "RFC 2033",
    ),
    Protocol(
        "POP3",
        "fetch mail",
        ("110",),
        "poplib",
        "poplib",
        "poplib is still there, as it was",
        "mail-server",
        "mail",
        "mail-demo, mail-starttls",
        "RFC 1939, RFC 2449, RFC 2595",
    ),
    Protocol(
        "IMAP4",
        "read mail where it is kept",
        ("143",),
        "imaplib",
        "imaplib",
        "imaplib is still there; since 3.9 IMAP4 takes a timeout",
        "mail-server",
        "mail",
        "mail-demo, mail-starttls",
        "RFC 3501, RFC 2177, RFC 4315, RFC 9208",
    ),
    Protocol(
        "NNTP",
        "news and discussion groups",
        ("119",),
        "nntplib",
        "the packaged nntplib",
        "nntplib is gone since 3.13 (PEP 594): standard-nntplib on the package index, python3-standard-nntplib in Debian",
        "news-server",
        "news",
        "news-demo",
        "RFC 3977 sections 3.1, 5.1 to 5.4, 6.1.1, 6.2, 6.3.1, 7.1, 7.4, 7.6, 8.3, 8.4; RFC 5536 section 3",
    ),
    Protocol(
        "Telnet",
        "a terminal on another host",
        ("23",),
        "telnetlib",
        "the packaged telnetlib",
        "telnetlib is gone since 3.13 (PEP 594): standard-telnetlib on the package index, python3-zombie-telnetlib in Debian, "
        "or telnetlib3",
        "telnet-server",
        "telnet",
        "telnet-demo",
        "RFC 854, RFC 855, RFC 857, RFC 858, RFC 1073, RFC 1091, RFC 1572",
    ),
    Protocol(
        "Gopher",
        "menus and documents",
        ("70",),
        "gopherlib",
        "the lab's services.gopher.protocol, or any socket",
        "gopherlib is gone since 2.6, and urllib no longer opens gopher:// since then: a socket and a dozen lines instead",
        "gopher-server",
        "gopher",
        "gopher-demo",
        "RFC 1436 sections 2, 3.1 to 3.8; RFC 4266 section 2",
    ),
)


def protocol(name: str) -> Protocol:
    """Return the row of a protocol.

    Raises:
        KeyError: there is none of that name.
    """
    for row in PROTOCOLS:
        if row.name == name:
            return row
    raise KeyError(name)


def modules(topic: str) -> str:
    """Return what `lab TOPIC --help` says of Python's modules for it, then and now; nothing where none was removed or changed."""
    return "\n\n".join(
        f"Python's modules for {row.name}, then: {row.then or 'none'}; now: {row.now}.\nChanged: {row.changes}."
        for row in PROTOCOLS
        if topic in row.topic.split(", ") and row.changes
    )
