"""Which of the lab's hosts are there: a name's addresses, and whether one of its ports answers."""

import asyncio
import errno
from dataclasses import dataclass

from services.client.errors import ClientError
from services.client.ip import look_up
from services.client.topics import PROTOCOLS
from services.desktop.work import small
from services.desktop.worker import Job, Work, in_thread
from services.udp.protocol import PORTS

TIMEOUT = 3.0
GONE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT, errno.EHOSTDOWN}


@dataclass(frozen=True)
class Host:
    """A host as it was found; `state` is `reachable`, `unreachable` or `unknown name`, and `text` tells more."""

    name: str
    addresses: tuple[str, ...]
    state: str
    text: str


def known_hosts() -> tuple[str, ...]:
    """Return the names of all servers of the lab's protocols, for where nobody told which are up."""
    names = [
        name for row in PROTOCOLS for name in row.host.split(", ") if name.endswith("-server") or name == "smtp-relay"
    ]
    return tuple(dict.fromkeys(names))


def ports_of(name: str) -> tuple[tuple[str, int], ...]:
    """Return (protocol, TCP port) for each protocol that a host speaks."""
    return tuple(
        (row.name, int(port))
        for row in PROTOCOLS
        if name in row.host.split(", ") and name != "udp-server"
        for port in row.ports
        if port.isdecimal()
    )


def survey(names: tuple[str, ...]) -> Work:
    """Return the job that looks at all hosts side by side."""

    async def work(job: Job) -> str:
        found: dict[str, Host] = {}

        async def look_at(name: str) -> None:
            found[name] = await look(name)
            job.learn("hosts", tuple(found[each] for each in names if each in found))
            job.progress(len(found), len(names))

        await asyncio.gather(*map(look_at, names))
        reached = sum(host.state == "reachable" for host in found.values())
        return f"{reached} of {len(names)} hosts are reachable"

    return work


async def look(name: str) -> Host:
    """Return what is to be known of one host; never raises for what a network does."""
    try:
        addresses = tuple(entry["address"] for entry in await in_thread(look_up, name))
    except OSError as error:
        return Host(name, (), "unknown name", f"its name does not resolve: {error.strerror}")
    spoken = ports_of(name)
    if not spoken and (datagrams := udp_ports_of(name)):
        return await _ask(name, addresses, datagrams)
    tried = spoken or (("", 7),)  # a port where nobody listens is refused, and a refusal is a sign of life
    answers = await asyncio.gather(*(_knock(addresses[0], port) for _, port in tried))
    if all(answer is None for answer in answers):
        return Host(name, addresses, "unreachable", "nobody answers at its address: stopped, paused, or cut off")
    listening = [f"{word} {port}" for (word, port), answer in zip(tried, answers, strict=True) if answer]
    return Host(
        name, addresses, "reachable", ", ".join(listening) or "refuses connections: it is there, and serves nothing"
    )


def udp_ports_of(name: str) -> tuple[str, ...]:
    """Return the UDP ports of a host's protocols, as words."""
    return tuple(
        f"{row.name} {port}"
        for row in PROTOCOLS
        if name in row.host.split(", ")
        for port in row.ports
        if port.endswith("/udp")
    )


async def _ask(name: str, addresses: tuple[str, ...], spoken: tuple[str, ...]) -> Host:
    """Ask a host that speaks UDP alone for an echo: without a connection, only an answer tells that somebody is there."""
    question = small.ask(addresses[0], PORTS["echo"], "is anybody there?")
    try:
        await question(_Mute())  # type: ignore[arg-type] # it needs nothing of a job but `say`
    except OSError:
        return Host(name, addresses, "reachable", "refuses datagrams: it is there, and serves nothing")
    except ClientError:
        return Host(name, addresses, "unreachable", "no datagram is answered: stopped, paused, or lost on the way")
    return Host(name, addresses, "reachable", ", ".join(spoken))


class _Mute:
    """A job whose words nobody hears."""

    def say(self, _kind: str, *_texts: str) -> None:
        """Hear nothing."""


async def _knock(address: str, port: int) -> bool | None:
    """Return whether a port takes a connection; None where not even a refusal comes."""
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), TIMEOUT)
    except TimeoutError:
        return None
    except OSError as error:
        return None if error.errno in GONE else False
    writer.close()
    return True
