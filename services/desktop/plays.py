"""What can be pressed from a command line: a word, the tab and the button that it stands for, and when that is done. Pure."""

from collections.abc import Callable
from typing import Any, NamedTuple

from services.desktop.model import Topic


def idle(topic: Topic) -> bool:
    """Tell whether the topic's work is over."""
    return not topic.busy


class Play(NamedTuple):
    """One press of a button.

    Args:
        tab: where it is.
        topic: what works then.
        press: gets the tab.
        fact: of the topic, printed in the end.
        done: tells whether the topic is where it should get; work that failed is done in any case.
    """

    tab: str
    topic: str
    press: Callable[[Any], object]
    fact: str = ""
    done: Callable[[Topic], bool] = idle


def _knows(fact: str) -> Callable[[Topic], bool]:
    """Return what tells whether a fact has come, for work that begins after the press."""
    return lambda topic: bool(topic.facts.get(fact)) and not topic.busy


def _send(tab: Any) -> None:
    tab.compose.body.insert("1.0", "This was written in a window\nwhose program runs in the lab.")
    tab.compose.hand_over()


def _said(topic: Topic, text: str) -> bool:
    return any(text in line.text for line in topic.log.lines)


PLAYS = {
    "greet": Play("tcp", "tcp", lambda tab: tab.greet_button.invoke()),
    "echo": Play("tcp", "tcp", lambda tab: tab.echo()),
    "chat": Play("tcp", "chat", lambda tab: tab.join(), done=lambda topic: _said(topic, "is now ana")),
    "say": Play("tcp", "chat", lambda tab: tab.say("hello, everybody"), done=lambda topic: _said(topic, "hello, everybody")),
    "datagram": Play("udp", "udp", lambda tab: tab.ask()),
    "browse": Play("files", "files", lambda tab: tab.browse(), "listing"),
    "download": Play("files", "files", lambda tab: tab.download("picture.png")),
    "source": Play("web", "web", lambda tab: tab.source(), "source"),
    "picture": Play("web", "web", lambda tab: tab.download("/picture.png")),
    "send": Play("mail", "send", _send),
    "inbox": Play("mail", "inbox", lambda tab: tab.inbox.fetch(), "entries"),
    "read": Play("mail", "inbox", lambda tab: tab.inbox.choose_last(), "message", _knows("message")),
    "ftp": Play("classic", "ftp", lambda tab: tab.part("FTP").open(), "items"),
    "news": Play("classic", "news", lambda tab: tab.part("News").groups(), "groups"),
    "articles": Play("classic", "news", lambda tab: tab.part("News").group_table.choose("lab.announce"), "articles", _knows("articles")),
    "telnet": Play("classic", "telnet", lambda tab: tab.part("Telnet").connect(), "screen",
                   lambda topic: "login:" in topic.facts.get("screen", "")),
    "gopher": Play("classic", "gopher", lambda tab: tab.part("Gopher").menu(), "items"),
    "hosts": Play("hosts", "hosts", lambda tab: tab.look(), "hosts"),
}  # fmt: skip
