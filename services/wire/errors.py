"""Who broke the rules of a conversation."""


class ProtocolError(Exception):
    """The rules of a conversation were broken."""


class LocalProtocolError(ProtocolError):
    """We called a verb in a state that does not allow it: a bug on this side."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the rules.

    Args:
        what: what it did, for a log.
        reply: what a server sends before it closes; empty where the protocol has no words for it.
    """

    def __init__(self, what: str, reply: bytes = b"") -> None:
        super().__init__(what)
        self.reply = reply
