"""A dialogue, by who said what and what was answered; and sentences that several protocols share."""

from collections.abc import Iterator

from labctl.wire.dialogue import Dialogue, Said
from labctl.wire.sentence import Sentence, times

SHOWN = 4  # requests of one kind that are told one by one
REFUSED = ("-ERR", "NO", "BAD", "ERR")


class Talk:
    """A dialogue, by who said what and what was answered."""

    def __init__(self, dialogue: Dialogue) -> None:
        self.it = dialogue
        self.said = dialogue.said
        self.client, self.server = (side.host for side in dialogue.conversation.sides)
        self._replies: dict[int, list[Said]] = {}
        for said in self.said:
            if said.line.answers:
                self._replies.setdefault(said.line.answers, []).append(said)

    def commands(self, *words: str) -> list[Said]:
        """Return the client's commands, all or those of these words."""
        return [
            item
            for item in self.said
            if item.line.kind == "command" and item.line.by == "C" and (not words or item.line.word in words)
        ]

    def replies(self, command: Said) -> list[Said]:
        """Return what the server answered to a command."""
        return [item for item in self._replies.get(command.line.number, []) if item.line.kind == "reply"]

    def last(self, command: Said) -> Said | None:
        """Return the last reply to a command."""
        return next(reversed(self.replies(command)), None)

    def accepted(self, command: Said) -> bool:
        """Tell whether a command was answered by a reply of class 2, OK, or +OK."""
        reply = self.last(command)
        return reply is not None and (reply.line.word[:1] == "2" or reply.line.word in ("OK", "+OK"))

    def bodies(self, by: str) -> list[Said]:
        """Return the ends of bodies that an end sent."""
        return [item for item in self.said if item.line.kind == "body" and item.line.by == by]


def frames_of(*said: Said | None) -> tuple[int, ...]:
    """Return the frames of lines, each once."""
    return tuple(dict.fromkeys(item.frame for item in said if item))


def refusals(talk: Talk, rfc: str, *, but: tuple[str, ...] = ()) -> Iterator[Sentence]:
    """Tell which commands were refused."""
    refused = []
    for command in talk.commands():
        reply = talk.last(command)
        if reply and command.line.word not in but and (reply.line.word[0] in "45" or reply.line.word in REFUSED):
            refused.append((command, reply))
    for command, reply in refused[:SHOWN]:
        text = f"{talk.server} refused `{command.line.text}`: {reply.line.text.rstrip('.')}."
        yield Sentence(text, frames_of(command, reply), rfc)
    if len(refused) > SHOWN:
        yield Sentence(
            f"It refused {times(len(refused) - SHOWN, 'command')} more.",
            frames_of(*(item[0] for item in refused[SHOWN:])),
            rfc,
        )


def password(talk: Talk, commands: list[Said], name: str, rfc: str) -> Iterator[Sentence]:
    """Tell of log-ins whose password crossed as it is."""
    for command in commands:
        reply = talk.last(command)
        if reply:
            who = f" as {name}" if name else ""
            how = (
                f"{talk.server} let it in"
                if talk.accepted(command)
                else f"{talk.server} did not let it in: {reply.line.text}"
            )
            yield Sentence(
                f"{talk.client} logged in{who}, its password in clear text; {how}.", frames_of(command, reply), rfc
            )
