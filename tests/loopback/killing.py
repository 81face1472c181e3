"""Kill the relay in mid-load, again and again: what it said 250 to must arrive, whole.

Messages carry their number and the digest of their body, so that the receiver's side alone tells what is missing or damaged.
"""

import hashlib
import random
import re
import smtplib
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.loopback.relay import Relay
from tests.loopback.sink import Sink

SENDERS = 8
SIZES = (300, 3_000, 4_096, 200_000)  # the last is beyond what is kept in memory


@dataclass
class Tally:
    rounds: int = 0
    accepted: set[str] = field(default_factory=set)
    arrived: Counter[str] = field(default_factory=Counter)
    damaged: int = 0

    @property
    def lost(self):
        return self.accepted - set(self.arrived)

    @property
    def duplicates(self):
        return sum(self.arrived.values()) - len(self.arrived)

    @property
    def unasked(self):
        """Arrived without a 250 having been seen: the kill came between the commit and the reply."""
        return len(set(self.arrived) - self.accepted)


def message(name, size, seed):
    line = random.Random(seed).randbytes(36).hex().encode() + b"\r\n"
    body = (b".dot\r\n" + line * (size // len(line) + 1))[:size].rstrip(b"\r\n") + b"\r\n"
    return f"Subject: {name} {hashlib.sha256(body).hexdigest()}\r\n\r\n".encode() + body


def send_until_it_breaks(relay, number, tally, lock):
    sent = 0
    try:
        with smtplib.SMTP("127.0.0.1", relay.port, timeout=20) as client:
            while True:
                name = f"m{tally.rounds}-{number}-{sent}"
                sent += 1
                client.sendmail("a@lab.test", ["b@lab.test"], message(name, SIZES[sent % len(SIZES)], name))
                with lock:
                    tally.accepted.add(name)
    except (OSError, smtplib.SMTPException):
        return


def count(sink, tally):
    """Take what arrived into the tally."""
    for taken in sink.taken:
        found = re.search(rb"\r\nSubject: (\S+) (\S+)\r\n", taken.text)
        body = taken.text.partition(b"\r\n\r\n")[2]
        whole = found and hashlib.sha256(body).hexdigest().encode() == found[2]
        tally.damaged += not whole
        if found:
            tally.arrived[found[1].decode()] += 1
    sink.taken.clear()


def rounds(folder, number, seed=0):
    """Kill so many times, start a last time, let the queue run empty; return the tally."""
    when = random.Random(seed)
    tally, lock = Tally(), threading.Lock()
    with Sink(extensions=("PIPELINING", "CHUNKING", "8BITMIME") if seed % 2 else ("PIPELINING", "8BITMIME")) as sink:
        for _ in range(number):
            relay = Relay(folder, routes={"lab.test": sink})
            senders = [
                threading.Thread(target=send_until_it_breaks, args=(relay, n, tally, lock)) for n in range(SENDERS)
            ]
            for sender in senders:
                sender.start()
            time.sleep(when.uniform(0.1, 0.7))  # any instant is as good as another
            relay.kill()
            for sender in senders:
                sender.join(30)
            tally.rounds += 1
        relay = Relay(folder, routes={"lab.test": sink})
        relay.wait_empty(timeout=60)
        spooled = list((folder / "spool").iterdir())
        assert relay.stop() == 0
        assert spooled == [], "files that no message names"
        count(sink, tally)
    return tally
