"""Files, pages and news in sentences: FTP, NNTP, HTTP, Gopher, the lab's file protocol."""

from collections.abc import Iterator

from labctl.wire.sentence import Sentence, times
from labctl.wire.talk import SHOWN, Talk, frames_of, password, refusals


def ftp(talk: Talk) -> Iterator[Sentence]:
    user = next(iter(talk.commands("USER")), None)
    name = user.line.rest if user else ""
    if name.lower() in ("anonymous", "ftp"):
        login = next(iter(talk.commands("PASS")), None)
        if login and talk.accepted(login):
            yield Sentence(
                f"{talk.client} logged in as {name}, whom everybody may be.",
                frames_of(user, login, talk.last(login)),
                "RFC 1635",
            )
    else:
        yield from password(talk, talk.commands("PASS"), name, "RFC 959 section 4.1.1")
    by_number = {item.line.number: item for item in talk.said}
    for transfer in list(getattr(talk.it.reader, "transfers", ()))[:20]:
        agreed, command = by_number.get(transfer.agreed), by_number.get(transfer.number)
        if not agreed or not command:
            continue
        who = (
            "waited for the data connection on" if transfer.by == "S" else "had the server open the data connection to"
        )
        mode = "passive" if transfer.by == "S" else "active"
        end = talk.last(command)
        outcome = f"; it ended with {end.line.text}" if end else ""
        yield Sentence(
            f"For `{transfer.what}` {agreed.host} {who} its port {transfer.port} ({mode} mode){outcome.rstrip('.')}.",
            frames_of(agreed, command, end),
            "RFC 959 section 3.3" if agreed.line.word in ("227", "PORT") else "RFC 2428",
        )
    yield from refusals(talk, "RFC 959 section 4.2", but=("PASS",))


def ftp_data(talk: Talk) -> Iterator[Sentence]:
    parent = talk.it.parent
    for body in talk.said:
        if body.line.kind == "body" and parent:
            what = body.line.text.rpartition(":")[0]
            yield Sentence(
                f"It carried {body.line.octets:,} octets for `{what}` of conversation {parent.number}; its FIN is the file's end.",
                (body.frame,),
                "RFC 959 section 3.4.1",
            )


def nntp(talk: Talk) -> Iterator[Sentence]:
    for group in talk.commands("GROUP", "LISTGROUP"):
        reply = talk.last(group)
        numbers = reply.line.rest.split(" ") if reply and talk.accepted(group) else []
        if len(numbers) > 3 and numbers[0].isascii() and numbers[0].isdigit() and len(numbers[0]) < 10:
            yield Sentence(
                f"{talk.client} entered {group.line.rest}: {times(int(numbers[0]), 'article')}, numbers {numbers[1]} to {numbers[2]}.",
                frames_of(group, reply),
                "RFC 3977 section 6.1.1",
            )
    for command in talk.commands("ARTICLE", "HEAD", "BODY", "OVER", "XOVER", "NEWNEWS", "LIST")[: 2 * SHOWN]:
        body = next((item for item in talk.bodies("S") if item.line.answers == command.line.number), None)
        if body:
            yield Sentence(
                f"{talk.server} answered `{command.line.text}` with {body.line.octets:,} octets, up to a line with a lone dot.",
                frames_of(command, body),
                "RFC 3977 section 3.1.1",
            )
    for article in talk.bodies("C"):
        reply = talk.last(article)
        if reply:
            fate = "took it" if reply.line.word[0] == "2" else "did not take it"
            yield Sentence(
                f"{talk.client} posted an article of {article.line.octets:,} octets; {talk.server} {fate}: {reply.line.text}.",
                frames_of(article, reply),
                "RFC 3977 section 6.3.1",
            )
    yield from refusals(talk, "RFC 3977 section 3.2.1")


def http(talk: Talk) -> Iterator[Sentence]:
    requests = talk.commands()
    for request in requests[:SHOWN]:
        reply = talk.last(request)
        if reply:
            rfc = f"RFC 9110 section 15.{int(reply.line.word[0]) + 1}"
            yield Sentence(
                f"{talk.client} asked for {request.line.text}; {talk.server} answered {reply.line.text}.",
                frames_of(request, reply),
                rfc,
            )
        else:
            yield Sentence(f"{talk.client} asked for {request.line.text} and was not answered.", frames_of(request))
    if len(requests) > SHOWN:
        yield Sentence(
            f"{times(len(requests) - SHOWN, 'request')} more followed on this connection.",
            frames_of(*requests[SHOWN:]),
            "RFC 9112 section 9.3",
        )


def gopher(talk: Talk) -> Iterator[Sentence]:
    for request in talk.commands()[:1]:
        what = request.line.text if request.line.rest or request.line.word != "GET" else "the main menu"
        reply, body = talk.last(request), next(iter(talk.bodies("S")), None)
        if reply and reply.line.word == "error":
            yield Sentence(
                f"{talk.client} asked for {what}; {talk.server} answered with an {reply.line.text}.",
                frames_of(request, reply),
                "RFC 1436 section 3.8",
            )
        elif reply:
            size = f" of {body.line.octets:,} octets, which ends with the connection" if body else ""
            yield Sentence(
                f"{talk.client} asked for {what}; {talk.server} answered with a {reply.line.word}{size}.",
                frames_of(request, reply, body),
                "RFC 1436 section 2",
            )


def file(talk: Talk) -> Iterator[Sentence]:
    requests = [item for item in talk.commands() if item.line.word != "QUIT"]
    for request in requests[:SHOWN]:
        reply = talk.last(request)
        if reply and reply.line.word == "OK":
            body = next(
                (
                    item.line.octets
                    for item in talk.said
                    if item.line.kind == "body" and item.line.answers in (request.line.number, reply.line.number)
                ),
                0,
            )
            with_octets = f", with {body:,} octets" if body else ""
            yield Sentence(
                f"{talk.client} asked `{request.line.text}`; {talk.server} said OK{with_octets}.",
                frames_of(request, reply),
            )
        elif not reply:
            yield Sentence(f"{talk.client} asked `{request.line.text}` and was not answered.", frames_of(request))
    if len(requests) > SHOWN:
        yield Sentence(f"{times(len(requests) - SHOWN, 'request')} more followed.", frames_of(*requests[SHOWN:]))
    yield from refusals(talk, "")
