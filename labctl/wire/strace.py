"""Read what strace wrote of a host's socket calls: `strace -f -yy`, one line a call.

    17 1795452855.672875299 connect(3<TCP:[42]>, {sa_family=AF_INET, sin_port=htons(7), sin_addr=inet_addr("10.0.0.2")}, 16) = 0 <0.000071>

A call that another one interrupts is told in two lines, `<unfinished ...>` and `<... connect resumed>`; they are put together again.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from labctl.wire.address import joined
from labctl.wire.model import NS, Call

WAITS = {"poll", "ppoll", "select", "pselect6", "epoll_wait", "epoll_pwait", "epoll_pwait2"}
LOOKED = 0.001  # seconds
_LINE = re.compile(r"(?:\[pid +)?(\d+)\]? +(\d+)\.(\d+) (.*)", re.DOTALL)
_RESULT = re.compile(
    r"\)? += (-?\d+|0x[0-9a-f]+|\?)(<[A-Za-z][A-Za-z0-9-]*:\[.*?\]>)?(?: +(E[A-Z0-9]+)(?: \([^)]*\))?)?(?: +\([^)]*\))?(?: <(\d+\.\d+)>)?$",
    re.DOTALL,
)
_NAME = re.compile(r"([a-z_0-9]+)\(")
_RESUMED = re.compile(r"<\.\.\. ([a-z_0-9]+) resumed>(.*)", re.DOTALL)
_UNFINISHED = " <unfinished ...>"
_SOCKET = re.compile(r"(\d+)<((?:TCP|UDP|UNIX|NETLINK|RAW|PING)[A-Za-z0-9-]*|socket):\[(.*?)\]>")
_FILE = re.compile(r"(\d+)<[^>]*>")
_PLACE = re.compile(
    r'\{sa_family=AF_INET6?, sin6?_port=htons\((\d+)\),[^}]*?(?:inet_addr\("([^"]*)"\)|inet_pton\(AF_INET6, "([^"]*)")[^}]*\}'
)
_ENDS = re.compile(r"(?:(\[[0-9a-f:.]+\]|[0-9.]+):(\d+))(?:->(\[[0-9a-f:.]+\]|[0-9.]+):(\d+))?")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass
class _Begun:
    """A call that strace has told the beginning of."""

    time_ns: int
    text: str


def read_strace(text: str, host: str, program: str, names: Mapping[str, str] | None = None) -> list[Call]:
    """Return the calls on sockets that strace told of, by the time they were entered; other files' calls are left out.

    Args:
        text: what strace wrote; a line that is cut short is passed over.
        host: whose calls they are.
        program: what ran.
        names: address → host, for arguments that a reader sees.
    """
    calls = [call for call in (_call(*item, host, program, names or {}) for item in _whole(text.splitlines())) if call]
    calls.sort(key=lambda call: call.time_ns)
    _give_addresses(calls)
    return calls


def _whole(lines: Iterable[str]) -> Iterator[tuple[int, int, str]]:
    """Yield (process, time, call) with the halves of interrupted calls put together."""
    begun: dict[int, _Begun] = {}
    for line in lines:
        match = _LINE.match(line)
        if not match:
            continue
        process, rest = int(match[1]), match[4]
        time_ns = int(match[2]) * NS + int(match[3].ljust(9, "0")[:9])
        if rest.endswith(_UNFINISHED):
            begun[process] = _Begun(time_ns, rest.removesuffix(_UNFINISHED))
        elif resumed := _RESUMED.match(rest):
            first = begun.pop(process, None)
            if first and first.text.startswith(f"{resumed[1]}("):
                yield process, first.time_ns, first.text + resumed[2]
        elif _NAME.match(rest):
            yield process, time_ns, rest
    for process, first in begun.items():  # still waiting when the trace was taken
        yield process, first.time_ns, first.text + ") = ?"


def _call(process: int, time_ns: int, text: str, host: str, program: str, names: Mapping[str, str]) -> Call | None:
    name = _NAME.match(text)
    end = _result_of(text)
    if not name or not end:
        return None
    body = text[name.end() : end.start()]
    result = None if end[1] == "?" else int(end[1], 0)
    made = _SOCKET.match(f"{end[1]}{end[2]}") if end[2] else None
    first = _SOCKET.match(body)
    socket = made or first
    if name[1] in WAITS:
        looked = end[1] == "0" and float(end[4] or 0) < LOOKED  # it did not wait: an event loop asks so each time round
        if looked or (not _SOCKET.search(body) and not name[1].startswith("epoll")):
            return None
        socket = None
    elif socket is None or socket[2] in ("NETLINK", "UNIX", "UNIX-STREAM", "UNIX-DGRAM"):
        return None
    call = Call(host, process, program, time_ns, float(end[4]) if end[4] else None, name[1], int(socket[1]) if socket else None,
                result, end[3] or "", shorten(body, names))  # fmt: skip
    if socket:
        call.transport = socket[2][:3] if socket[2][:3] in ("TCP", "UDP") else ""
        if ends := _ENDS.fullmatch(socket[3]):
            call.local = joined(ends[1].strip("[]"), int(ends[2]))
            call.peer = joined(ends[3].strip("[]"), int(ends[4])) if ends[3] else ""
    if (
        not call.peer
        and name[1] in ("connect", "sendto", "sendmsg", "recvfrom", "recvmsg", "accept", "accept4")
        and (place := _PLACE.search(body))
    ):
        call.peer = joined(place[2] or place[3], int(place[1]))
    if quoted := _QUOTED.search(body) if name[1] not in ("connect", "bind", "accept", "accept4", *WAITS) else None:
        call.octets = _unescape(quoted[1])
    return call


def _result_of(text: str) -> re.Match[str] | None:
    """Return the end of a call's line: what follows the last `) = `, since arguments may hold the same."""
    at = text.rfind(" = ")
    while at >= 0:
        begin = at
        while begin and text[begin - 1] == " ":
            begin -= 1
        if begin and text[begin - 1] == ")":
            return _RESULT.match(text, begin - 1)
        at = text.rfind(" = ", 0, at)
    return None


def _give_addresses(calls: list[Call]) -> None:
    """Give early calls on a socket (`socket`, `bind`, `connect`) the addresses that only later ones tell."""
    later: dict[tuple[int, int], Call] = {}
    for call in reversed(calls):
        if call.descriptor is None:
            continue
        key = (call.process, call.descriptor)
        if call.name in ("socket", "accept", "accept4") and call.result is not None and call.result < 0:
            continue
        known = later.get(key)
        if call.name == "close":
            later[key] = call
        elif known:
            call.transport = call.transport or known.transport
            if not call.local or (call.local.startswith(("0.0.0.0:", "[::]:")) and call.name not in ("listen", "bind")):
                call.local = known.local or call.local
            call.peer = call.peer or (known.peer if known.local == call.local or not call.local else "")
            if not known.local or (known.name == "close" and call.peer):
                later[key] = call
        else:
            later[key] = call
        if call.name in ("socket", "accept", "accept4"):
            later.pop(key, None)


def shorten(body: str, names: Mapping[str, str]) -> str:
    """Return a call's arguments as a reader wants them: descriptors as numbers, addresses as `host:port`."""

    def place(match: re.Match[str]) -> str:
        address = match[2] or match[3]
        return joined(names.get(address, address), int(match[1]))

    text = _PLACE.sub(place, body)
    text = _SOCKET.sub(r"\1", text)
    text = _FILE.sub(r"\1", text)
    return re.sub(r"(, (NULL|0))+$", "", text)


def _unescape(text: str) -> bytes:
    """Return the octets of a string as C writes it; strace escapes in octal."""
    return (
        text.encode("latin-1", errors="replace")
        .decode("unicode_escape", errors="replace")
        .encode("latin-1", errors="replace")
    )
