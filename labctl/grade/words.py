"""What a check says to a learner: what is tried, what it shows where it holds, and where to look where it does not. Pure."""

from dataclasses import dataclass

KILLED = 128 + 9  # the exit code of what ended by SIGKILL


@dataclass(frozen=True)
class Words:
    """A check in words."""

    tried: str
    good: str
    advice: str


WORDS = {
    "talk": Words(
        "A client connects and has a plain talk, twice.",
        "Your server talks as it should, and is there for the next client too.",
        "Compare what was expected with what came, octet for octet; then look whether your loop goes back to `accept`.",
    ),
    "split": Words(
        "A line arrives octet by octet, each in a segment of its own.",
        "Your server does not mind where TCP cuts the stream.",
        "`recv` returns what is there, not what was sent by one `send`: collect octets until the line is whole.",
    ),
    "coalesced": Words(
        "Twenty lines arrive in one piece.",
        "Your server finds each line, however many arrive at once.",
        "One `recv` may hold several lines, and half of another: answer all that are whole, keep the rest for later.",
    ),
    "half-close": Words(
        "The client says with a FIN that it is done sending, and goes on listening.",
        "Your server answers to the end although the client has finished talking.",
        "An empty `recv` means that the peer is done sending, not that it is gone: send what is owed, then close.",
    ),
    "slow-peer": Words(
        "One client connects and does nothing; others come meanwhile.",
        "A client that does nothing holds nobody up.",
        "Your server waits for one client while others queue: serve each in a thread of its own, or by `select` or asyncio.",
    ),
    "many-clients": Words(
        "Fifty clients are connected at once.",
        "Your server serves many clients at once.",
        "Look at `listen`'s backlog, and at whether one client is served while the others wait.",
    ),
    "garbage": Words(
        "A client sends octets that mean nothing: random ones, zeros, no UTF-8.",
        "Octets that mean nothing do your server no harm.",
        "An exception about one client ended more than that client: octets may not decode as text. Catch it per connection.",
    ),
    "big-message": Words(
        "A client sends a mebibyte.",
        "Your server copes with a message that fits in no buffer.",
        "`send` may take only part of what it is given: use `sendall`, and read on while you write.",
    ),
    "vanishing-client": Words(
        "Twenty clients vanish with a RST, some in the middle of a line.",
        "Clients that vanish do your server no harm.",
        "`recv` and `send` raise ConnectionResetError or BrokenPipeError where the peer has gone: catch them per connection.",
    ),
    "restart": Words(
        "The server is killed after it closed a connection, and started again at once on the same port.",
        "Your server can be started again at once.",
        "The old connection keeps the port in TIME_WAIT: set SO_REUSEADDR before `bind` (or use `socket.create_server`).",
    ),
}

FIRST_START = "already when it is first started beside the client"
ENDED = "your program has ended with exit code"
PIDS = 64  # a submission that forks ends there, and harms nobody
PIDS_ADVICE = (
    f"A program may have {PIDS} processes and threads here, if that is what it lacked: one that has ended counts until it was waited for "
    "(`os.waitpid`), and a client that is gone needs none."
)
TOO_MUCH = "your program was ended, since it took more than"

# What is seen may say more about where to look than the check does.
REASONS = {
    TOO_MUCH: "Look for what grows with each client or octet, and keep no more than is needed.",
    "Resource temporarily unavailable": PIDS_ADVICE,  # fork(2), EAGAIN
    "can't start new thread": PIDS_ADVICE,
    f"{ENDED} 0": "A server does not end by itself: let your loop go back to `accept` for the next client.",
    "refused": 'Nobody listens at port {port}: bind a socket to it, on every address (`("", {port})`).',
    FIRST_START: 'It has another name and address there: listen on every address (`("", {port})`).',
}


def how_it_ended(code: int, last_line: str, limit_mb: int) -> str:
    """Tell how a program came to its end.

    Args:
        limit_mb: the memory that it had, if it wanted more; else 0.
    """
    if limit_mb and code == KILLED:
        return f"{TOO_MUCH} {limit_mb} MiB of memory"
    return f"{ENDED} {code}" + (f", its last line is `{last_line}`" if last_line else "")


def may_have_ended(seen: str) -> bool:
    """Tell whether what a client saw is what it sees of a program that ends."""
    return any(sign in seen for sign in ("refused", "reset by peer", "the connection broke"))
