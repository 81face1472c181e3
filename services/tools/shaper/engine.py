"""The engine: takes what leaves the host from one end of a veth pair, and puts it on the host's device when its time has come.

A process of its own under `supervisor`, which speaks to it in lines of JSON over a socket pair.
"""

import contextlib
import ctypes
import gc
import heapq
import json
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Mapping
from itertools import takewhile
from typing import Any

from services.tools.shaper.decide import NANO
from services.tools.shaper.frames import ETHERNET, flipped, flipped_octet, parse
from services.tools.shaper.rules import Flow, Rule, Rules

MARK = 0x1AB  # on what the engine has sent: the filter lets it pass
BATCH = 64  # frames read before due ones are sent
HELD = 50_000  # frames in memory at most; beyond, they count as overrun
FLOWS = 4096  # remembered pairs of ends
LOGGED = 20_000  # events kept for the ladder
SNAP = 96  # octets of a frame kept with its event: all headers, and a little
ALL = 3  # ETH_P_ALL
SO_RCVBUFFORCE, SO_SNDBUFFORCE, SO_MARK = 33, 32, 36
SOL_PACKET, PACKET_STATISTICS, PACKET_IGNORE_OUTGOING = 263, 6, 23
PR_SET_TIMERSLACK = 29

Event = tuple[
    int, int, str, str, bytes
]  # seen, sent (ns, monotonic), what became of it, by which rule, the frame's head


class Engine:
    """Rules, what is held, and what was counted. Never touches a socket but by `send`."""

    def __init__(self, send: Any) -> None:
        """Begin without a rule; `send` puts a frame on the wire."""
        self.send = send
        self.rules = Rules()
        self.held: list[tuple[int, int, int, bytes, Rule | None]] = []
        self.log: deque[Event] = deque(maxlen=LOGGED)
        self.late: deque[int] = deque(maxlen=1000)
        self.refused = 0
        self._flows: dict[bytes, Flow | None] = {}
        self._count = 0

    def set_rules(self, rules: Rules) -> None:
        """Take other rules; what waits keeps its time."""
        self.rules = rules
        self._flows.clear()

    def take(self, frame: bytes, now: int) -> None:
        """Decide what becomes of a frame that the host sends."""
        # The ends of an IPv4 packet without options stand at fixed places; other packets take the longer way.
        if frame[12] == 8 and frame[14] == 0x45:
            key = frame[20:22] + frame[23:24] + frame[26:38]
        else:
            key = frame[12:14] + frame[20:21] + frame[22:58]
        try:
            flow = self._flows[key]
        except KeyError:
            flow = self._find(key, frame)
        if flow is None or not (flow.picking or flow.lasting):
            self.send(frame)
            return
        picked = self._pick(flow, frame, now) if flow.picking else (frame, 0, "", "")
        if picked is None:
            return
        frame, extra, verdict, by = picked
        lasting = flow.lasting
        if lasting and lasting[0].of:
            packet = parse(frame)
            lasting = tuple(rule for rule in lasting if packet is None or rule.fits(packet))
        if lasting:
            self._shape(lasting[0], flow.key, frame, now, extra, verdict, by)
            return
        if by:
            self.log.append((now, now + extra, verdict, by, frame[:SNAP]))
        self._hold(now, now + extra, frame, None)

    def _pick(self, flow: Flow, frame: bytes, now: int) -> tuple[bytes, int, str, str] | None:
        """Do what rules for single packets say: return the frame, its delay, what became of it and by which rule; None where it is lost."""
        extra, verdict, by = 0, "", ""
        packet = parse(frame)
        for rule in flow.picking:
            if packet is None or not rule.fits(packet) or not rule.is_meant():
                continue
            rule.counts["seen"] += 1
            fate = rule.stream(flow.key).decide()
            extra += fate.delay_ns
            if fate.copies == 0:
                rule.counts["lost"] += 1
                self.log.append((now, 0, "lost", rule.ident, frame[:SNAP]))
                return None
            became = "delayed" if fate.delay_ns else ""
            octet, whole = rule.effect.corrupt_octet, frame
            if octet or fate.place is not None:
                frame = flipped_octet(frame, octet) if octet else flipped(frame, fate.place or 0)
            if frame != whole:  # it has that octet
                rule.counts["corrupted"] += 1
                became = "corrupted"
            if fate.copies > 1:
                rule.counts["duplicated"] += 1
                became = "duplicated"
                self._hold(now, now + extra, frame, rule)
            if became:
                verdict, by = became, rule.ident
        return frame, extra, verdict, by

    def _shape(self, rule: Rule, key: str, frame: bytes, now: int, extra: int, verdict: str, by: str) -> None:
        """Do to a frame what its lasting rule says."""
        counts, effect = rule.counts, rule.effect
        size = len(frame) - ETHERNET
        counts["seen"] += 1
        counts["octets"] += size
        stream = rule.stream(key)
        fate = stream.always or stream.decide()
        if fate.copies == 0:
            counts["lost"] += 1
            self.log.append((now, 0, "lost", rule.ident, frame[:SNAP]))
            return
        if effect.mtu and size > effect.mtu:
            counts["too_long"] += 1
            self.log.append((now, 0, "too long", rule.ident, frame[:SNAP]))
            return
        due = now
        if rule.line:
            left = rule.line.send(now, size)
            if left is None:
                counts["overflowed"] += 1
                self.log.append((now, 0, "overflowed", rule.ident, frame[:SNAP]))
                return
            due = left
        if fate.early:
            counts["reordered"] += 1
            verdict = "reordered"
        else:
            due += fate.delay_ns
        due += extra
        if fate.copies > 1:
            counts["duplicated"] += 1
            verdict = "duplicated"
            self._hold(now, due, frame, rule)
        if fate.place is not None:
            counts["corrupted"] += 1
            verdict = "corrupted"
            frame = flipped(frame, fate.place)
        self.log.append((now, due, verdict or "sent", by or rule.ident, frame[:SNAP]))
        self._hold(now, due, frame, rule)

    def _hold(self, now: int, due: int, frame: bytes, rule: Rule | None) -> None:
        if rule:
            rule.counts["sent"] += 1
        if due <= now:
            self.send(frame)
        elif len(self.held) >= HELD:
            self.refused += 1
        else:
            self._count += 1
            heapq.heappush(self.held, (due, self._count, now, frame, rule))

    def _find(self, key: bytes, frame: bytes) -> Flow | None:
        packet = parse(frame)
        if len(self._flows) >= FLOWS:
            self._flows.clear()
        flow = self._flows[key] = self.rules.flow(packet) if packet else None
        return flow

    def release(self, now: int) -> None:
        """Send all that is due."""
        held, pop, send = self.held, heapq.heappop, self.send
        while held and held[0][0] <= now:
            due, _, seen, frame, rule = pop(held)
            send(frame)
            self.late.append(now - due)
            if rule:
                rule.waited.append(now - seen)

    def flush(self) -> None:
        """Send all that is held, due or not."""
        self.release(1 << 63)

    def facts(self) -> dict[str, Any]:
        """Return what was counted, by rule, and how late what was held was sent (by this machine's doing), in microseconds."""
        late = sorted(self.late)
        return {
            "rules": {rule.ident: rule.facts() for rule in self.rules.rules},
            "held": len(self.held),
            "late_us": {name: late[int(len(late) * part)] // 1000 for name, part in (("p50", 0.5), ("p99", 0.99))}
            if late
            else {},
            "refused": self.refused,
        }

    def events(self, offset: int, after: int = 0) -> list[list[Any]]:
        """Return what became of each packet.

        [seen, sent (ns since 1970; 0 for never), verdict, rule, the frame's head in hex, seen by this machine's monotonic clock]

        Args:
            offset: from the monotonic clock to the time since 1970, ns.
            after: only of those that were seen later, by the monotonic clock.
        """
        new = takewhile(lambda event: event[0] > after, reversed(self.log))
        rows = [
            [seen + offset, sent + offset if sent else 0, verdict, by, head.hex(), seen]
            for seen, sent, verdict, by, head in new
        ]
        return rows[::-1]


def run(control: socket.socket, device: str, inner: str) -> None:
    """Work until `control` closes or says to end: take frames from `inner`, put them on `device`."""
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
    source = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
    source.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
    source.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    source.bind((inner, ALL))
    source.setblocking(False)
    target = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    target.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 8 << 20)
    target.setsockopt(socket.SOL_SOCKET, SO_MARK, MARK)
    target.bind((device, 0))

    engine = Engine(None)
    write = target.send

    def send(frame: bytes) -> None:
        try:
            write(frame)
        except OSError:  # ENOBUFS, ENETDOWN: the wire did not take it, which is no emulated loss
            engine.refused += 1

    engine.send = send
    overruns = Overruns(source)
    gc.collect()
    gc.freeze()
    gc.disable()
    _loop(engine, source, control, overruns)


class Overruns:
    """What the kernel dropped since the engine could not follow; reading the kernel's counter resets it."""

    def __init__(self, source: socket.socket) -> None:
        self._source = source
        self._total = 0

    def total(self) -> int:
        """Return it."""
        _, dropped = struct.unpack("=II", self._source.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        self._total += dropped
        return self._total


def _loop(engine: Engine, source: socket.socket, control: socket.socket, overruns: Overruns) -> None:
    clock, take, receive, held = time.monotonic_ns, engine.take, source.recv, engine.held
    lines = Lines(control)
    fds = [source.fileno(), control.fileno()]
    while True:
        patience = max(0, held[0][0] - clock()) / NANO if held else 1.0
        ready, _, _ = select.select(fds, (), (), patience)
        if fds[0] in ready:
            with contextlib.suppress(BlockingIOError):
                for _ in range(BATCH):
                    take(receive(65600), clock())
        if held:
            engine.release(clock())
        if fds[1] in ready:
            for line in lines.read():
                if not _obey(engine, line, source, control, overruns):
                    return
            if lines.closed:
                return


def _obey(
    engine: Engine, request: Mapping[str, Any], source: socket.socket, control: socket.socket, overruns: Overruns
) -> bool:
    """Do what the supervisor asks and answer; False where that was to end."""
    answer: dict[str, Any] = {"done": request["do"]}
    match request["do"]:
        case "rules":
            engine.set_rules(carried_over(engine.rules, request))
        case "facts":
            answer |= engine.facts() | {"overrun": overruns.total() + engine.refused}
        case "log":
            answer["events"] = engine.events(time.time_ns() - time.monotonic_ns(), request.get("after", 0))
        case "end":
            with contextlib.suppress(BlockingIOError):  # what has left the host by now
                while True:
                    engine.take(source.recv(65600), time.monotonic_ns())
            engine.flush()
    control.setblocking(True)
    control.sendall(json.dumps(answer).encode() + b"\n")
    control.setblocking(False)
    return bool(request["do"] != "end")


def carried_over(before: Rules, request: Mapping[str, Any]) -> Rules:
    """Return new rules; one that is the same as before keeps its counts and goes on with its decisions."""
    same = {rule.same: rule for rule in before.rules}
    rules = [Rule.of_facts(facts) for facts in request["rules"]]
    kept = [same.get(rule.same, rule) for rule in rules]
    return Rules(kept, request.get("hosts"), request.get("own", ""))


class Lines:
    """JSON values, one a line, from a socket that never blocks."""

    def __init__(self, conn: socket.socket) -> None:
        self._conn = conn
        self._rest = b""
        self.closed = False

    def read(self) -> list[dict[str, Any]]:
        """Return what has come."""
        try:
            octets = self._conn.recv(1 << 20)
        except BlockingIOError:
            return []
        self.closed = not octets
        *lines, self._rest = (self._rest + octets).split(b"\n")
        return [json.loads(line) for line in lines]

    def ask(self, request: dict[str, Any], patience: float) -> dict[str, Any] | None:
        """Return the far end's answer to a request; None where none comes within `patience` seconds."""
        deadline = time.monotonic() + patience
        with contextlib.suppress(OSError):
            self._conn.setblocking(True)
            self._conn.sendall(json.dumps(request).encode() + b"\n")
            self._conn.setblocking(False)
            while select.select([self._conn], (), (), max(0, deadline - time.monotonic()))[0]:
                for answer in self.read():
                    return answer
                if self.closed:
                    break
        return None

    def close(self) -> None:
        """Close the socket."""
        self._conn.close()
