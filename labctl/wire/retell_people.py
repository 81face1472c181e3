"""Terminals and people in sentences: Telnet, greeting, chat."""

from collections.abc import Iterator

from labctl.wire.dialogue import Said
from labctl.wire.sentence import Sentence, listed, times
from labctl.wire.talk import Talk, frames_of


def telnet(talk: Talk) -> Iterator[Sentence]:
    wishes = {"C": ("DO", "DONT", talk.client), "S": ("DO", "DONT", talk.server)}
    agreed: dict[str, list[str]] = {}
    refused: dict[str, None] = {}
    frames: list[Said] = []
    spoken = [item for item in talk.said if item.line.word in ("WILL", "WONT", "DO", "DONT")]
    for by, other in (("C", "S"), ("S", "C")):
        host = wishes[by][2]
        does = {item.line.rest: item for item in spoken if item.line.by == by and item.line.word in ("WILL", "WONT")}
        may = {item.line.rest: item for item in spoken if item.line.by == other and item.line.word in ("DO", "DONT")}
        for option, item in does.items():
            answer = may.get(option)
            if item.line.word == "WILL" and answer and answer.line.word == "DO":
                agreed.setdefault(host, []).append(option)
                frames += [item, answer]
            elif item.line.word == "WONT" or (answer and answer.line.word == "DONT"):
                refused[option] = None
    if agreed:
        told = "; ".join(f"{host} does {listed(options)}" for host, options in agreed.items())
        yield Sentence(f"They agreed on options: {told}.", frames_of(*frames), "RFC 855")
    if left := [option for option in refused if not any(option in options for options in agreed.values())]:
        yield Sentence(f"Not agreed on: {listed(left)}; without both ends' consent an option stays off.", (), "RFC 854")
    if secret := next((item for item in talk.said if item.line.secret), None):
        yield Sentence(
            f"{talk.client} typed a password: it crossed in clear text, like all else.", frames_of(secret), "RFC 854"
        )


def statement(talk: Talk) -> Iterator[Sentence]:
    for said in talk.said[:1]:
        yield Sentence(f"{said.host} said: {said.line.text}.", (said.frame,), talk.it.reader.rfc)


def chat(talk: Talk) -> Iterator[Sentence]:
    spoken = [item for item in talk.said if item.line.by == "C" and item.line.kind == "text"]
    heard = [item for item in talk.said if item.line.by == "S" and not item.line.text.startswith("* ")]
    name = next((item.line.rest for item in reversed(talk.commands("NAME"))), "")
    if not spoken and not heard:
        return
    who = f", as {name}," if name else ""
    yield Sentence(
        f"{talk.client}{who} said {times(len(spoken), 'line')} and heard {times(len(heard), 'line')} of others.",
        frames_of(*spoken, *heard)[:6],
    )
