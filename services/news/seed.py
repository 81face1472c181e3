"""What INN finds at its first start: the lab's groups, and a first article in each of some.

/var/spool/news/db/active          group high-water low-water flag
/var/spool/news/db/newsgroups      group, tab, what it is about
/var/spool/news/articles/lab/announce/1
"""

import email.utils
import subprocess
from collections.abc import Mapping
from pathlib import Path

SPOOL = Path("/var/spool/news")
PROGRAMS = Path("/usr/lib/news/bin")
SITE = "news-server.lab.test"
GROUPS: Mapping[str, str] = {
    "lab.announce": "What is new in the lab",
    "lab.chat": "About anything",
    "lab.protocols": "How hosts talk to each other",
    "lab.test": "Try your reader here",
}
INN_OWN = ("control", "control.cancel", "junk")  # innd does not start without them; readers do not see them
WELCOME = {
    "lab.announce": (
        "Welcome to the lab's news",
        "This host runs INN. Read, post, follow up; nothing leaves the lab.\n\nTry: lab news groups news-server\n",
    ),
    "lab.protocols": (
        "NNTP in four commands",
        "GROUP lab.protocols chooses a group, OVER 1- lists what is in it, ARTICLE 1 shows one, QUIT leaves (RFC 3977).\n",
    ),
}
FOLDERS = ("db", "log", "articles", "overview", "incoming/bad", "outgoing", "archive")


def seed(now: float, spool: Path = SPOOL) -> bool:
    """Make a spool where there is none yet; True where this was the first start.

    Args:
        now: Unix time, the date of the first articles.

    Raises:
        subprocess.CalledProcessError: INN's own tools could not write the database.
    """
    active = spool / "db" / "active"
    if active.exists():
        return False
    for folder in FOLDERS:
        (spool / folder).mkdir(parents=True, exist_ok=True)
    for group, (subject, body) in WELCOME.items():
        path = spool / "articles" / group.replace(".", "/") / "1"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(article(group, subject, body, now))
    (spool / "db" / "newsgroups").write_text("".join(f"{group}\t{about}\n" for group, about in GROUPS.items()))
    (spool / "db" / "active.times").write_text("".join(f"{group} {now:.0f} lab\n" for group in GROUPS))
    lines = [_active(group, "n") for group in INN_OWN] + [_active(group, "y") for group in GROUPS]
    scratch = active.with_suffix(".new")
    scratch.write_text("".join(lines))
    (spool / "db" / "history").touch()
    scratch.replace(active)
    return True


def _active(group: str, flag: str) -> str:
    return f"{group} {1 if group in WELCOME else 0:010d} 0000000001 {flag}\n"


def article(group: str, subject: str, body: str, now: float) -> bytes:
    """Return an article as INN keeps it in wire format: CRLF, dots doubled, the last line a dot (RFC 3977 section 3.1.1)."""
    headers = {
        "Path": f"{SITE}!not-for-mail",
        "From": "The lab <lab@lab.test>",
        "Newsgroups": group,
        "Subject": subject,
        "Date": email.utils.formatdate(now),
        "Message-ID": f"<welcome.{group}@{SITE}>",
        "Xref": f"{SITE} {group}:1",
    }
    lines = [*(f"{name}: {value}" for name, value in headers.items()), "", *body.splitlines()]
    return "".join(f"{'.' if line.startswith('.') else ''}{line}\r\n" for line in lines).encode() + b".\r\n"


def write_database(programs: Path = PROGRAMS) -> None:
    """Let INN's own tools make history and overview from the articles.

    Raises:
        subprocess.CalledProcessError: one of them failed.
    """
    # -s: entries to make room for; the default, millions, takes more memory than this host has.
    subprocess.run([programs / "makehistory", "-O", "-s", "10000"], check=True)
