"""The old protocols, each with what the standard library still has: ftplib; sockets where its module is gone (nntplib and telnetlib in
3.13, PEP 594; gopherlib in 2.6).
"""

import asyncio
import ftplib
import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email.header import decode_header, make_header
from pathlib import Path, PurePosixPath

from services.client.errors import ClientError
from services.desktop.model import in_octets
from services.desktop.worker import Job, Work, in_thread

TIMEOUT = 10.0
MOST = 4 << 20  # octets of a text or menu
LISTED = 200  # articles of a group, the newest
IAC, DONT, DO, WONT, WILL, SB, SE = 255, 254, 253, 252, 251, 250, 240  # RFC 854


def handed_out(service: str, user: str) -> str:
    """Return the password that a lab's server handed out for a user; empty where there is none."""
    with suppress(OSError, ValueError, AttributeError):
        return str(json.loads(Path(f"/handouts/{service}.json").read_text()).get(user, ""))
    return ""


# -- FTP ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Item:
    """One line of a listing or menu: what it is, its name to show, where it is."""

    kind: str
    title: str
    place: str
    size: str = ""
    host: str = ""
    port: int = 0


@dataclass(frozen=True)
class Account:
    """An FTP server and who speaks to it."""

    host: str
    port: int
    user: str
    password: str


def _ftp(account: Account, job: Job) -> ftplib.FTP:
    ftp = ftplib.FTP(timeout=TIMEOUT, encoding="utf-8")  # noqa: S321 - FTP is the lesson
    ftp.connect(account.host, account.port)
    job.say("received", ftp.getwelcome())
    job.say("received", ftp.login(account.user, account.password))
    return ftp


def ftp_list(account: Account, path: str) -> Work:
    """Return the job that lists a folder (MLSD, RFC 3659)."""

    def ask(job: Job) -> str:
        with _ftp(account, job) as ftp:
            items = [
                Item(
                    "folder" if facts.get("type") == "dir" else "file",
                    name,
                    str(PurePosixPath(path) / name),
                    facts.get("size", ""),
                )
                for name, facts in ftp.mlsd(path, ["type", "size"])
                if facts.get("type") not in ("cdir", "pdir")
            ]
        job.learn("items", tuple(sorted(items, key=lambda item: (item.kind != "folder", item.title))))
        job.learn("path", path)
        return f"{path}: {len(items)} name{'s' * (len(items) != 1)}"

    return lambda job: in_thread(_ftp_told(ask), job)


def local_name(path: str) -> str:
    """Return the name that a server's file gets here."""
    return PurePosixPath(path).name


def ftp_get(account: Account, path: str, folder: Path) -> Work:
    """Return the job that fetches a file into a folder: into `NAME.part` first, which takes its name when it is whole."""

    def fetch(job: Job) -> str:
        local = folder / local_name(path)
        part = local.with_name(local.name + ".part")
        done = 0
        with _ftp(account, job) as ftp, part.open("wb") as file:
            ftp.voidcmd("TYPE I")
            total = ftp.size(path)

            def take(data: bytes) -> None:
                nonlocal done
                file.write(data)
                done += len(data)
                job.progress(done, total)

            job.say("received", ftp.retrbinary(f"RETR {path}", take))
        part.replace(local)
        return f"{local}: {in_octets(done)}"

    return lambda job: in_thread(_ftp_told(fetch), job)


def _ftp_told(work: Callable[[Job], str]) -> Callable[[Job], str]:
    def run(job: Job) -> str:
        try:
            return work(job)
        except ftplib.Error as error:
            raise ClientError(f"the server said: {error}") from error

    return run


# -- lines over TCP ----------------------------------------------------------------------------------------------------


class Lines:
    """A conversation of text lines, each step held to `TIMEOUT` seconds."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, job: Job) -> None:
        self._reader, self._writer, self._job = reader, writer, job

    @classmethod
    async def dial(cls, host: str, port: int, job: Job) -> "Lines":
        """Connect."""
        reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port, limit=1 << 16), TIMEOUT)
        return cls(reader, writer, job)

    async def line(self) -> str:
        """Return the next line, without its end.

        Raises:
            ClientError: the server closed.
        """
        octets = await asyncio.wait_for(self._reader.readline(), TIMEOUT)
        if not octets:
            raise ClientError("the server closed the connection")
        return octets.decode("utf-8", "replace").rstrip("\r\n")

    async def ask(self, command: str, *good: str) -> str:
        """Send a command and return the reply's line.

        Raises:
            ClientError: its code is none of the `good` ones; or the command would be two.
        """
        if any(char in command for char in "\r\n\0"):
            raise ClientError("a command may not hold a line end")
        self._job.say("sent", command)
        self._writer.write(command.encode() + b"\r\n")
        reply = await self.line()
        self._job.say("received", reply)
        if reply[:3] not in good:
            raise ClientError(f"the server said: {reply}")
        return reply

    async def block(self) -> list[str]:
        """Return a multi-line block: up to a dot alone, dots at line begins undone (RFC 3977 section 3.1.1)."""
        lines: list[str] = []
        while (line := await self.line()) != ".":
            lines.append(line[1:] if line.startswith("..") else line)
        return lines

    async def send(self, text: str) -> str:
        """Send a block and return the reply's line."""
        for line in text.split("\n"):
            self._writer.write(("." + line if line.startswith(".") else line).encode() + b"\r\n")
        self._writer.write(b".\r\n")
        return await self.line()

    def close(self) -> None:
        """Close."""
        self._writer.close()


async def _news(host: str, port: int, job: Job) -> Lines:
    talk = await Lines.dial(host, port, job)
    try:
        job.say("received", await talk.line())
        await talk.ask("MODE READER", "200", "201")
    except BaseException:
        talk.close()
        raise
    return talk


def news_groups(host: str, port: int) -> Work:
    """Return the job that lists a news server's groups (RFC 3977 section 7.6)."""

    async def work(job: Job) -> str:
        talk = await _news(host, port, job)
        try:
            await talk.ask("LIST ACTIVE", "215")
            rows = [line.split() for line in await talk.block()]
        finally:
            talk.close()
        job.learn(
            "groups", tuple(Item("group", row[0], row[0], str(max(0, int(row[1]) - int(row[2]) + 1))) for row in rows)
        )
        return f"{len(rows)} groups"

    return work


def news_articles(host: str, port: int, group: str) -> Work:
    """Return the job that lists the newest articles of a group (OVER, RFC 3977 section 8.3)."""

    async def work(job: Job) -> str:
        talk = await _news(host, port, job)
        try:
            _, count, first, last, *_ = (await talk.ask(f"GROUP {group}", "211")).split()
            rows: list[list[str]] = []
            if int(count):
                await talk.ask(f"OVER {max(int(first), int(last) - LISTED + 1)}-{last}", "224")
                rows = [line.split("\t") for line in await talk.block()]
        finally:
            talk.close()
        articles = [Item("article", f"{_decoded(row[1])}", row[0], _decoded(row[2])) for row in rows if len(row) > 4]
        job.learn("articles", tuple(articles))
        job.learn("group", group)
        return f"{group}: {count} article{'s' * (count != '1')}"

    return work


def news_article(host: str, port: int, group: str, number: str) -> Work:
    """Return the job that fetches one article."""

    async def work(job: Job) -> str:
        talk = await _news(host, port, job)
        try:
            await talk.ask(f"GROUP {group}", "211")
            await talk.ask(f"ARTICLE {number}", "220")
            lines = await talk.block()
        finally:
            talk.close()
        job.learn("article", "\n".join(lines))
        return f"article {number} of {group}: {len(lines)} lines"

    return work


def news_post(host: str, port: int, group: str, sender: str, subject: str, body: str) -> Work:
    """Return the job that posts an article (RFC 3977 section 6.3.1)."""

    async def work(job: Job) -> str:
        from email.message import EmailMessage

        article = EmailMessage()
        article["From"], article["Newsgroups"], article["Subject"] = sender, group, " ".join(subject.split())
        article.set_content(body, cte="8bit")
        talk = await _news(host, port, job)
        try:
            await talk.ask("POST", "340")
            reply = await talk.send(article.as_string().rstrip("\n"))
        finally:
            talk.close()
        job.say("received", reply)
        if not reply.startswith("240"):
            raise ClientError(f"the server said: {reply}")
        return f"posted to {group}"

    return work


def _decoded(header: str) -> str:
    """Return a header's text, RFC 2047 undone where that works."""
    try:
        return str(make_header(decode_header(header)))
    except (ValueError, LookupError):
        return header


# -- Gopher ------------------------------------------------------------------------------------------------------------

GOPHER_KINDS = {"0": "text", "1": "menu", "7": "search", "9": "file", "5": "file", "g": "picture", "I": "picture", "h": "page",
                "i": "", "3": "error"}  # fmt: skip


def gopher(host: str, port: int, selector: str, kind: str, words: str = "") -> Work:
    """Return the job that asks for one thing (RFC 1436): a line out, a document back."""

    async def work(job: Job) -> str:
        request = selector + (f"\t{words}" if words else "")
        if any(char in request for char in "\r\n\0"):
            raise ClientError("a selector may not hold a line end")
        reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port), TIMEOUT)
        try:
            job.say("sent", request or "(an empty line: the first menu)")
            writer.write(request.encode() + b"\r\n")
            octets = bytearray()
            while data := await asyncio.wait_for(reader.read(65536), TIMEOUT):
                octets += data
                job.progress(len(octets), None)
                if len(octets) > MOST:
                    raise ClientError(f"more than {in_octets(MOST)} came: cut off")
        finally:
            writer.close()
        job.say("received", f"{len(octets)} octets, then the server closed")
        if kind in ("1", "7"):
            items = read_menu(octets.decode("utf-8", "replace"))
            job.learn("items", items)
            job.learn("here", f"gopher://{host}:{port}/{kind}{selector}")
            return f"{len(items)} lines of menu"
        if kind in ("g", "I"):
            job.learn("picture", bytes(octets))
        else:
            job.learn("text", octets.decode("utf-8", "replace").replace("\r\n", "\n").removesuffix("\n.\n"))
        return f"{selector}: {in_octets(len(octets))}"

    return work


def read_menu(text: str) -> tuple[Item, ...]:
    """Return a menu's lines: type and title, selector, host, port, between tabs (RFC 1436 section 2)."""
    items = []
    for line in text.split("\n"):
        row = line.rstrip("\r").split("\t")
        if line.rstrip("\r") == "." or not row[0]:
            continue
        port = int(row[3]) if len(row) > 3 and row[3].strip().isdecimal() else 0
        items.append(
            Item(row[0][0], row[0][1:], row[1] if len(row) > 1 else "", "", row[2] if len(row) > 2 else "", port)
        )
    return tuple(items)


# -- Telnet ------------------------------------------------------------------------------------------------------------


class Terminal:
    """A Telnet conversation that refuses every option but the server's own echo (RFC 854, RFC 857), and stays open."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self._writer: asyncio.StreamWriter | None = None
        self._rest = b""
        self._agreed: set[tuple[int, int]] = set()

    async def work(self, job: Job) -> str:
        """Stay until the server closes."""
        reader, writer = await asyncio.wait_for(asyncio.open_connection(self.host, self.port), TIMEOUT)
        self._writer = writer
        job.learn("screen", "")
        screen = ""
        try:
            while data := await reader.read(4096):
                text, answers = self.receive(data)
                if answers:
                    writer.write(answers)
                    job.say("note", f"{len(answers) // 3} options answered")
                screen = (screen + text)[-20_000:]
                job.learn("screen", screen)
                await job.pause_where_crowded()
        finally:
            writer.close()
        return "the server closed the connection"

    def receive(self, data: bytes) -> tuple[str, bytes]:
        """Return the text in the octets that came, and what is to be answered to the options among them."""
        data, self._rest = self._rest + data, b""
        text, answers, at = bytearray(), bytearray(), 0
        while at < len(data):
            if data[at] != IAC:
                text.append(data[at])
                at += 1
                continue
            command = data[at + 1 : at + 3]
            if len(command) < 1 or (command[0] in (DO, DONT, WILL, WONT) and len(command) < 2):
                break
            if command[0] == SB:
                end = data.find(bytes((IAC, SE)), at)
                if end < 0:
                    break
                at = end + 2
            elif command[0] in (DO, DONT, WILL, WONT):
                answers += self._answer(command[0], command[1])
                at += 3
            else:
                if command[0] == IAC:
                    text.append(IAC)
                at += 2
        self._rest = data[at:]
        return _plain(text.decode("utf-8", "replace")), bytes(answers)

    def _answer(self, verb: int, option: int) -> bytes:
        agreed = verb == WILL and option in (1, 3)  # the server may echo, and suppress go-aheads
        answer = {DO: WONT, DONT: WONT, WILL: DO if agreed else DONT, WONT: DONT}[verb]
        key = (answer, option)
        if key in self._agreed:
            return b""  # as it was: an answer would be a new request
        self._agreed.add(key)
        return bytes((IAC, answer, option))

    def say(self, line: str) -> None:
        """Send a line."""
        if self._writer and not self._writer.is_closing():
            self._writer.write(line.encode().replace(b"\xff", b"\xff\xff") + b"\r\n")


def _plain(text: str) -> str:
    """Return a terminal's text without what moves its cursor: CSI sequences, carriage returns, backspaces."""
    text = re.sub(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07]*\x07|[()][AB0]|[=>])", "", text)
    return "".join(char for char in text.replace("\r\n", "\n") if char in "\n\t" or char.isprintable())
