"""Random and mutated sessions against a host of the lab; runs inside its network, on the standard library alone.

    python3 fuzz.py ftp ftp-server 21 --sessions 10000 --seconds 570 --seed 1

A session is taken from the protocol's corpus, mutated, sent in pieces that TCP would never cut so, and left in one of the ways in which
clients leave: FIN, half-close, RST, or silence for a moment. What the server says is read and thrown away, at most so much. At the end
one line of JSON tells how many sessions there were, how many were refused or turned away (and tried again), and what the longest one took.
"""

import argparse
import asyncio
import json
import random
import re
import socket
import struct
import time
from contextlib import suppress
from pathlib import Path

READ = 1 << 16
RST = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s


def ftp_corpus():
    """Sessions of FTP; `{data}` makes the fuzzer open the data connection that the last 227 or 229 named."""
    try:
        password = json.loads(Path("/handouts/ftp.json").read_text())["lab"]
    except OSError:
        password = "none"
    anonymous = [b"USER anonymous", b"PASS guest@client"]
    writer = [b"USER lab", b"PASS " + password.encode()]
    tail = [b"QUIT"]
    return [
        [b"USER x", b"PASS y", b"LIST"],
        [b"FEAT", b"HELP", b"HELP PORT", b"SYST", b"STAT", b"NOOP", b"OPTS MLST type;size;", b"REIN", *tail],
        [*anonymous, b"PWD", b"CWD pub", b"CDUP", b"MLST readme.txt", b"TYPE I", b"SIZE readme.txt", b"MDTM readme.txt", *tail],
        [*anonymous, b"PASV", b"{data}", b"MLSD pub", *tail],
        [*anonymous, b"EPSV", b"{data}", b"RETR pub/numbers.bin", b"ABOR", *tail],
        [*anonymous, b"TYPE I", b"REST 1000", b"EPSV", b"RETR pub/picture.png", b"{data}", b"STAT", *tail],
        [*anonymous, b"PORT 10,0,0,1,80,80", b"EPRT |1|10.0.0.1|8080|", b"EPRT |2|::1|8080|", b"EPRT |1|localhost|8080|", b"LIST", *tail],
        [*anonymous, b"EPSV ALL", b"PASV", b"EPSV 1", b"EPSV 2", b"EPSV 3", b"LIST", *tail],
        [*anonymous, b"CWD ../../../etc", b"RETR ../credentials.json", b"RETR /etc/passwd", b"NLST ..", b"STOR x", b"DELE x", *tail],
        [*anonymous, b"\xff\xf4\xff\xf2ABOR", b"RETR \xff\xfe", b"RETR a\x00b", b"CWD a\nb", b"LIST -al", b"STAT *", b"STRU F", b"MODE B"],
        [*writer, b"PASV", b"{data}", b"STOR fuzz.bin", b"{send}", b"DELE fuzz.bin", *tail],
        [*writer, b"EPSV", b"STOU", b"{data}", b"{send}", b"APPE fuzz.txt", b"REST 99999999999999999999", b"ALLO 5", *tail],
        [*writer, b"MKD fuzz", b"RNFR fuzz", b"RNTO fuzz2", b"RMD fuzz2", b"MFMT 20200101000000 x", b"SITE CHMOD 777 x", *tail],
        [*writer, b"TYPE A", b"EPSV", b"{data}", b"STOR ../../x", b"STOU ../x", b"RNFR readme.txt", b"RNTO ../../y", b"SITE HELP", *tail],
    ]  # fmt: skip


def gopher_corpus():
    """Sessions of Gopher: one request each, and what else a client might send."""
    return [
        [b""], [b"/texts"], [b"/texts/burrow.txt"], [b"/pictures/gradient.png"], [b"/texts\t+"], [b"/\t$"], [b"/texts\t!"],
        [b"/cgi-bin/search\tgopher protocol"], [b"/cgi-bin/search\t"], [b"/cgi-bin/search?gopher"], [b"/cgi-bin/search/../../etc/passwd"],
        [b"/../../etc/passwd"], [b"/texts/%2e%2e/%2e%2e/etc/passwd"], [b"/texts/#056#056/secret"], [b"GET / HTTP/1.0", b"Host: x", b""],
        [b"GET /texts/burrow.txt HTTP/1.1", b"Host: gopher-server", b""], [b"HEAD / HTTP/1.1", b""], [b"/server-status"], [b"/caps.txt"],
        [b"/robots.txt"], [b"URL:http://example.test/"], [b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2", b"/texts"], [b"/~lab"], [b"/gophermap"],
        [b"gopher://gopher-server/1/texts"],
        [b"/cgi-bin/search\t'; echo x; `id` $(id) | & > <"], [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
    ]  # fmt: skip


def nntp_corpus():
    """Sessions of NNTP: a reader's, a poster's, and what neither should say."""
    reader = [b"CAPABILITIES", b"MODE READER"]
    post = [b"POST", b"From: fuzz@lab.test", b"Newsgroups: lab.test", b"Subject: fuzz", b"", b"..", b"text", b"."]
    tail = [b"QUIT"]
    return [
        [*reader, b"LIST", b"LIST NEWSGROUPS", b"LIST ACTIVE lab.*", b"LIST OVERVIEW.FMT", b"LIST ACTIVE.TIMES", b"LIST HEADERS", *tail],
        [*reader, b"GROUP lab.announce", b"OVER 1-", b"ARTICLE 1", b"HEAD", b"BODY", b"STAT 1", b"NEXT", b"LAST", *tail],
        [*reader, b"LISTGROUP lab.protocols 1-5", b"HDR Subject 1-10", b"XHDR From 1-", b"XPAT Subject 1- *N*", b"OVER 3-1", *tail],
        [*reader, b"NEWNEWS * 20200101 000000 GMT", b"NEWGROUPS 700101 000000", b"DATE", b"HELP", *tail],
        [b"ARTICLE <welcome.lab.announce@news-server.lab.test>", b"STAT <" + b"x" * 250 + b"@y>", b"HEAD <@>", b"BODY <a b>", *tail],
        [*post, *tail],
        [*post[:1], b"From: x", b"From: y", b"Newsgroups: lab.test,lab.nowhere", b"Subject:", b" folded", b"Message-ID: <f@f>", b"", b"."],
        # Unfiltered, this one ends innd 2.7.3.
        [*post[:2], b"Newsgroups: " + b",".join([b"lab.test"] * 40), b"Subject: many", b"", b"x", b".", *tail],
        [*post[:3], b"Subject: cmsg newgroup lab.new", b"Control: newgroup lab.new", b"Approved: x", b"", b"x", b".", *tail],
        [b"IHAVE <x@y>", b"CHECK <x@y>", b"TAKETHIS <x@y>", b"From: x", b"", b".", b"MODE STREAM", *tail],
        [b"AUTHINFO USER a", b"AUTHINFO PASS b", b"AUTHINFO SASL PLAIN AAAA", b"STARTTLS", b"COMPRESS DEFLATE", b"x\x9c\x03\x00", *tail],
        [b"GROUP ../../../etc", b"GROUP control", b"LISTGROUP lab/test", b"ARTICLE ../../db/active", b"LIST MOTD ../../x", *tail],
    ]  # fmt: skip


def telnet_corpus():
    """Sessions of Telnet: negotiations, logins, and octets that are neither."""
    iac, sb, se = b"\xff", b"\xff\xfa", b"\xff\xf0"
    agree = [iac + b"\xfb" + bytes((option,)) for option in (24, 31, 32, 35, 39)] + [
        iac + b"\xfd\x01",
        iac + b"\xfd\x03",
    ]
    parameters = [
        sb + b"\x18\x00XTERM" + se, sb + b"\x20\x0038400,38400" + se, sb + b"\x23\x00host:0" + se, sb + b"\x1f\x00\x50\x00\x18" + se,
        sb + b"\x27\x00\x00USER\x01-f root\x03LD_PRELOAD\x01/tmp/x.so" + se,
    ]  # fmt: skip
    slc = sb + b"\x22\x03" + bytes(range(1, 31)) * 8 + se  # LINEMODE SLC, which has overflowed buffers (CVE-2026-32746)
    return [
        [*agree, *parameters, b"student", b"wrong", b"root", b"", b"-froot", b"x"],
        [*agree, *parameters, b"student", iac + b"\xf4", iac + b"\xf6", iac + b"\xf5", iac + b"\xf2", b"\x03", b"\x04"],
        [iac + b"\xfb\x22", slc, sb + b"\x22\x01\x0f" + se, sb + b"\x22\xfb\x02" + b"\x00" * 200 + se, *agree],
        [b"".join(bytes((255, verb, option)) for option in (0, 1, 3, 5, 6, 24, 31, 34, 37, 38, 39, 255)) for verb in range(251, 255)],
        [iac + b"\xfb\x25", sb + b"\x25\x00\x02\x02" + b"A" * 300 + se, iac + b"\xfb\x26", sb + b"\x26\x03\x01" + b"\x00" * 40 + se],
        [sb + b"\x18\x00" + b"T" * 2000 + se, sb + b"\x27\x00" + b"\x00A\x01B" * 300 + se, sb + b"\x18\x00../../etc/x" + se, *agree],
        [*agree, sb + b"\x18\x00", b"never ended", iac, iac + b"\xfa", se, se, iac + b"\xef"],
        [iac + b"\xfc\x18", iac + b"\xfc\x20", iac + b"\xfc\x23", iac + b"\xfc\x27", iac + b"\xfc\x24", b"student", b"no", b"exit"],
    ]  # fmt: skip


CORPORA = {"ftp": ftp_corpus, "gopher": gopher_corpus, "nntp": nntp_corpus, "telnet": telnet_corpus}
# Protocols in which the server speaks first, and what it begins with when it has too many clients.
BUSY = {"ftp": b"421", "nntp": b"400", "telnet": b"All "}
# Seconds that a patient session waits for each answer, where a program has to start before it can give one.
PAUSES = {"telnet": 0.1}
NASTY = [
    b"\x00", b"\xff" * 8, b"\r", b"\n", b"\t", b"A" * 3000, b"%s%n%x" * 20, b"../" * 200, b"-1", b"99999999999999999999", b"\xc0\xaf",
    b" " * 500,
    "Grüße".encode(), b"\xff\xf4", b"|" * 50, b",", b"$(id)", b"*" * 100, b"\\..\\..", b"\x1b[2J",
]  # fmt: skip


def mutate(lines, dice):
    """Return a session made of another one."""
    lines = list(lines)
    for _ in range(dice.choice((0, 1, 1, 2, 3, 6))):
        at = dice.randrange(len(lines))
        line = lines[at]
        kind = dice.randrange(8)
        if kind == 0:
            lines.insert(at, dice.choice(lines))
        elif kind == 1 and len(lines) > 1:
            del lines[at]
        elif kind == 2:
            lines[at] = line + dice.choice(NASTY)
        elif kind == 3:
            cut = dice.randrange(len(line) + 1)
            lines[at] = line[:cut] + dice.choice(NASTY) + line[cut:]
        elif kind == 4 and line:
            cut = dice.randrange(len(line))
            lines[at] = line[:cut] + bytes([line[cut] ^ (1 << dice.randrange(8))]) + line[cut + 1 :]
        elif kind == 5:
            lines[at] = line[: dice.randrange(len(line) + 1)]
        elif kind == 6:
            lines[at] = re.sub(
                rb"\d+", lambda _: str(dice.choice((0, -1, 255, 256, 65535, 65536, 2**31, 2**63, 2**70))).encode(), line
            )
        else:
            dice.shuffle(lines)
    if dice.random() < 0.05:
        lines = [dice.randbytes(dice.randrange(1, 400)) for _ in range(dice.randrange(1, 5))]
    return lines


class Fuzzer:
    """All sessions of one run."""

    def __init__(self, options):
        self.options = options
        self.corpus = CORPORA[options.protocol]()
        self.dice = random.Random(options.seed)
        self.done = self.refused = self.turned_away = self.answered = self.octets = 0
        self.longest = 0.0

    async def run(self):
        """Play sessions until there were enough, or the time is over."""
        until = time.monotonic() + self.options.seconds
        numbers = iter(range(self.options.sessions))

        async def worker():
            for number in numbers:
                if time.monotonic() >= until:
                    return
                began = time.monotonic()
                while not await self.play(random.Random(f"{self.options.seed}/{number}")) and time.monotonic() < until:
                    self.turned_away += 1
                    await asyncio.sleep(0.1)
                self.done += 1
                self.longest = max(self.longest, time.monotonic() - began)

        await asyncio.gather(*(worker() for _ in range(self.options.at_once)))

    async def play(self, dice):
        """Play one session; False where the server has too many and says so."""
        try:
            reader, writer = await asyncio.open_connection(self.options.host, self.options.port, limit=READ)
        except OSError:
            self.refused += 1
            return True
        try:
            async with asyncio.timeout(15):
                busy = BUSY.get(self.options.protocol)
                greeting = await self.listen(reader, 5) if busy else b""
                if busy and greeting.startswith(busy):
                    writer.close()
                    return False
                await self.converse(reader, writer, greeting, dice)
        except (OSError, asyncio.IncompleteReadError):
            pass  # reset or timed out: the server may
        return True

    async def converse(self, reader, writer, said, dice):
        """Send a mutated session, and leave."""
        extra = []
        try:
            end = dice.choice((b"\r\n",) * 12 + (b"\n", b"\n", b"\r", b""))
            pause = PAUSES.get(self.options.protocol, 0.005) if dice.random() < 0.1 else 0.005
            for line in mutate(dice.choice(self.corpus), dice):
                said += await self.listen(reader, pause)
                if line == b"{data}":
                    extra.append(await self.open_data(said))
                    continue
                if line == b"{send}":
                    for _, other in filter(None, extra):
                        other.write(dice.randbytes(dice.randrange(5000)))
                    continue
                await self.send(writer, line + end, dice)
            said += await self.listen(reader, 10 if self.options.protocol == "gopher" and b"\n" in end else 0.05)
            self.answered += bool(said)
            if dice.random() < 0.3:
                with suppress(OSError):
                    writer.write_eof()
                await self.listen(reader, 0.05)
        finally:
            for pair in [(reader, writer), *filter(None, extra)]:
                if dice.random() < 0.3:
                    pair[1].get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
                pair[1].close()

    async def send(self, writer, data, dice):
        """Send octets, now and then in pieces."""
        if dice.random() < 0.1 and len(data) > 1:
            cut = dice.randrange(1, len(data))
            writer.write(data[:cut])
            await writer.drain()
            await asyncio.sleep(0.002)
            data = data[cut:]
        writer.write(data)
        await writer.drain()

    async def listen(self, reader, seconds):
        """Return what comes within a short time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                data = await reader.read(READ)
                self.octets += len(data)
                return data
        return b""

    async def open_data(self, said):
        """Open the data connection that the server named last, if it did."""
        old = re.findall(rb"227 [^(]*\(([\d,]+)\)", said)
        new = re.findall(rb"229 [^(]*\(\|\|\|(\d+)\|\)", said)
        port = int(new[-1]) if new else int(old[-1].split(b",")[4]) * 256 + int(old[-1].split(b",")[5]) if old else 0
        if not 0 < port < 65536:
            return None
        with suppress(OSError):
            return await asyncio.open_connection(self.options.host, port)


def main():
    """Fuzz, and tell."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("protocol", choices=CORPORA)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=32, help="clients at a time")
    fuzzer = Fuzzer(parser.parse_args())
    began = time.monotonic()
    asyncio.run(fuzzer.run())
    facts = {name: getattr(fuzzer, name) for name in ("done", "refused", "turned_away", "answered", "octets")}
    print(json.dumps({**facts, "longest": round(fuzzer.longest, 3), "seconds": round(time.monotonic() - began, 1)}))


if __name__ == "__main__":
    main()
