"""Mail in sentences: SMTP, LMTP, POP3, IMAP."""

from collections.abc import Iterator

from labctl.wire.dialogue import Said
from labctl.wire.sentence import Sentence, listed, times
from labctl.wire.talk import SHOWN, Talk, frames_of, password, refusals


def smtp(talk: Talk) -> Iterator[Sentence]:
    for hello in talk.commands("EHLO", "HELO", "LHLO"):
        reply = talk.last(hello)
        if reply and talk.accepted(hello):
            offers = [line[4:].partition(" ")[0] for line in reply.line.said[1:]]
            offered = (
                f" and {talk.server} offered {listed([item for item in offers if item != 'HELP'], 12)}"
                if offers
                else ""
            )
            rfc = "RFC 2033 section 4.1" if hello.line.word == "LHLO" else "RFC 5321 section 4.1.1.1"
            yield Sentence(f"{talk.client} said {hello.line.word}{offered}.", frames_of(hello, reply), rfc)
    for auth in talk.commands("AUTH"):
        how = "let it in" if talk.accepted(auth) else "did not let it in"
        yield Sentence(
            f"{talk.client} logged in by {auth.line.rest.partition(' ')[0] or 'AUTH'}; {talk.server} {how}.",
            frames_of(auth, talk.last(auth)),
            "RFC 4954 section 4",
        )
    yield from _pipelining(talk)
    mails = talk.commands("MAIL")
    for mail in mails[:SHOWN]:
        yield from _message(talk, mail)
    if len(mails) > SHOWN:
        yield Sentence(f"{times(len(mails) - SHOWN, 'mail')} more followed.", frames_of(*mails[SHOWN:]))
    yield from refusals(talk, "RFC 5321 section 4.2.1", but=("DATA", "BDAT", "AUTH"))


def _pipelining(talk: Talk) -> Iterator[Sentence]:
    crowded: dict[int, int] = {}
    for command in talk.commands():
        crowded[command.frame] = crowded.get(command.frame, 0) + 1
    frames = tuple(frame for frame, count in crowded.items() if count > 1)
    if frames:
        most = max(crowded.values())
        yield Sentence(
            f"{talk.client} did not wait for each reply: {times(most, 'command')} went in one segment.",
            frames[:6],
            "RFC 2920 section 3.1",
        )


def _message(talk: Talk, mail: Said) -> Iterator[Sentence]:
    """Tell what became of a mail: from MAIL to the reply that follows its text."""
    rest = talk.said[talk.said.index(mail) + 1 :]
    end = next(
        (
            at
            for at, item in enumerate(rest)
            if item.line.by == "C" and item.line.word in ("MAIL", "RSET", "QUIT", "EHLO")
        ),
        len(rest),
    )
    mine = rest[:end]
    named = [item for item in mine if item.line.word == "RCPT"]
    taken = [item for item in named if talk.accepted(item)]
    text = [item for item in mine if item.line.by == "C" and item.line.kind == "body"]
    asked = (
        text[-1]
        if text and text[-1].line.word == "."
        else next((item for item in reversed(mine) if item.line.word == "BDAT"), None)
    )
    replies = list(talk.replies(asked)) if asked else []
    sender = mail.line.rest.partition(":")[2].split(" ")[0] or mail.line.rest
    begun = f"A mail from {sender or 'nobody'} to {times(len(taken), 'recipient')}"
    if len(named) > len(taken):
        begun += f" ({len(named) - len(taken)} refused)"
    octets = sum(item.line.octets for item in text)
    each = talk.it.protocol == "LMTP"
    good = [item for item in replies if item.line.word[:1] == "2"]
    frames = frames_of(mail, *taken[:1], *text[-1:], *replies)
    if good:
        code = f"{good[0].line.word} after {'its chunks' if asked and asked.line.word == 'BDAT' else 'DATA'}"
        where = f", for {times(len(good), 'recipient')}: LMTP answers for each by itself" if each else ""
        yield Sentence(
            f"{begun}, {octets:,} octets: {code} means that {talk.server} took responsibility for it{where}.",
            frames,
            "RFC 2033 section 4.2" if each else "RFC 5321 section 6.1",
        )
    for reply in replies:
        if reply.line.word[:1] in "45":
            again = "may be tried again" if reply.line.word[0] == "4" else "is refused for good"
            yield Sentence(f"{begun} {again}: {reply.line.text}.", frames_of(mail, reply), "RFC 5321 section 4.2.1")
    if not replies:
        yield Sentence(
            f"{begun} was not ended, so {talk.client} keeps responsibility for it.",
            frames_of(mail, *text[-1:]),
            "RFC 5321 section 6.1",
        )


def pop3(talk: Talk) -> Iterator[Sentence]:
    user = next(iter(talk.commands("USER")), None)
    yield from password(talk, talk.commands("PASS", "APOP"), user.line.rest if user else "", "RFC 1939 section 7")
    for word, verb, section in (("RETR", "fetched", 5), ("TOP", "looked at the beginning of", 7)):
        done = [item for item in talk.commands(word) if talk.accepted(item)]
        if done:
            octets = sum(
                item.line.octets for item in talk.bodies("S") if item.line.answers in {one.line.number for one in done}
            )
            yield Sentence(
                f"{talk.client} {verb} {times(len(done), 'message')}, {octets:,} octets.",
                frames_of(*done),
                f"RFC 1939 section {section}",
            )
    if marked := [item for item in talk.commands("DELE") if talk.accepted(item)]:
        quits = next(iter(talk.commands("QUIT")), None)
        fate = "QUIT made them go" if quits and talk.accepted(quits) else "no QUIT came, so they stay"
        yield Sentence(
            f"{talk.client} marked {times(len(marked), 'message')} as deleted; {fate}.",
            frames_of(*marked, quits),
            "RFC 1939 section 6",
        )
    yield from refusals(talk, "RFC 1939 section 3", but=("PASS", "APOP"))


def imap(talk: Talk) -> Iterator[Sentence]:
    yield from password(talk, talk.commands("LOGIN"), "", "RFC 9051 section 6.2.3")
    for box in talk.commands("SELECT", "EXAMINE"):
        if talk.accepted(box):
            exists = next(
                (item.line.rest.split(" ")[0] for item in talk.replies(box) if item.line.rest.endswith("EXISTS")), ""
            )
            holds = (
                f", which holds {times(int(exists), 'message')}"
                if exists.isascii() and exists.isdigit() and len(exists) < 10
                else ""
            )
            yield Sentence(
                f"{talk.client} opened the mailbox {box.line.rest.split(' ', 1)[-1]}{holds}.",
                frames_of(box, talk.last(box)),
                "RFC 9051 section 6.3.2",
            )
    for words, verb, rfc in ((("FETCH", "UID FETCH"), "fetched", "6.4.5"), (("STORE", "UID STORE"), "changed the flags of", "6.4.6"),
                             (("EXPUNGE", "UID EXPUNGE"), "removed for good", "6.4.3")):  # fmt: skip
        for command in talk.commands(*words)[:SHOWN]:
            got = [item for item in talk.replies(command) if item.line.word != "OK" and item.line.rest[:1].isdigit()]
            if talk.accepted(command):
                yield Sentence(
                    f"{talk.client} {verb} {times(len(got), 'message') if got else 'messages'} by `{command.line.rest}`.",
                    frames_of(command, talk.last(command)),
                    f"RFC 9051 section {rfc}",
                )
    yield from refusals(talk, "RFC 9051 section 7.1", but=("LOGIN",))
