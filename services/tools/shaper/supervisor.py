"""The helper's first process: keeps what is wanted, has the engine do it, and takes everything back when either of them ends.

It is asked by lines of JSON on stdin and answers each by a line on stdout: no port and no socket that the host could reach.

    {"id": "1", "do": "apply", "rules": […], "cut": ["tcp-server"], "hosts": {"tcp-server": ["172.18.0.2"]}}
    {"id": "1", "state": {…}}
"""

import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Container, Mapping
from contextlib import suppress
from typing import Any

from services.tools.proxy.keeper import Keeper
from services.tools.shaper import cut, engine, netem, plumbing
from services.tools.shaper.engine import MARK

ENGINE_ANSWERS = 5.0  # seconds
ENGINE_FLUSHES = 5.0
CUTS_LOGGED = 1_000


class Supervisor:
    """One host's faults. Every verb leaves the host either in the state that was wanted, or with nothing of ours in its way."""

    def __init__(self, own: str, addresses: list[str]) -> None:
        """Serve the host of this name and these addresses.

        Raises:
            PlumbingError: this is another host's namespace, such as the engine's own.
        """
        device = plumbing.find_device(addresses)
        if device is None:
            raise plumbing.PlumbingError(f"no device here has an address of `{own}`, so this is not its namespace")
        self.own, self.addresses, self.device = own, addresses, device
        self.rules: list[dict[str, Any]] = []
        self.cuts: dict[str, float | None] = {}  # host → when it ends, by the monotonic clock
        self.hosts: dict[str, list[str]] = {}
        self.backend = "shaper"
        self.has_netem: bool | None = None  # not tried yet
        self.kept: list[Any] = []  # events of engines that are no more
        self.past: list[dict[str, Any]] = []  # cuts that are no more
        self._present: dict[str, dict[str, Any]] = {}  # those that are in force, by the other host's name
        self.ended = ""  # why the engine is no more
        self._pid = 0
        self._has_cut = True  # as far as is known
        self._led: object = None  # what netem does, and to whom
        self._lines: engine.Lines | None = None
        self._clean()
        self.proxy = Keeper(own)

    # -- verbs --------------------------------------------------------------------------------------------------------

    def apply(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Put exactly these rules, cuts and changed replies in force."""
        now = time.monotonic()
        self.hosts = request.get("hosts") or self.hosts
        if before_it := request.get("log"):  # of the shaper that this host had before it was started again
            self.kept, self.past = [*before_it["events"], *self.kept], [*before_it["cuts"], *self.past]
        gone = self._is_gone()
        self._change_replies([self._timed(rule, now) for rule in request.get("replies", self.proxy.rules)], gone=gone)
        before, self.rules = self.rules, [self._timed(rule, now) for rule in request.get("rules", self.rules)]
        try:
            self.backend = self.backend if gone else self._choose()
        except plumbing.PlumbingError:
            self.rules = before  # what cannot be done changes nothing
            raise
        if "cut" in request:
            ends = request["cut"]
            self.cuts = {name: None if last is None else now + float(last) for name, last in ends.items()}
        self.ended = ""
        self._enforce(gone=gone)
        return self._state(gone=gone)

    def state(self) -> dict[str, Any]:
        """Return what is in force, and what was measured."""
        return self._state(gone=self._is_gone())

    def _state(self, *, gone: bool) -> dict[str, Any]:
        now = time.monotonic()
        rules, replies = (
            [rule | {"left": round(rule["until"] - now, 3)} if rule.get("until") else rule for rule in some]
            for some in (self.rules, self.proxy.rules)
        )
        facts = {} if gone else self._measured()
        return {
            "host": self.own,
            "backend": self.backend,
            "netem": self.has_netem,
            "stale": gone,
            "rules": rules,
            "replies": replies,
            "replied": self.proxy.facts(),
            "cut": {name: round(until - now, 3) if until else None for name, until in self.cuts.items()},
            "measured": {key: value for key, value in facts.items() if key != "done"},
            "hosts": self.hosts,
            "ended": self.ended or self.proxy.ended,
            "engine": self._pid,
            "proxy": self.proxy.pid,
        }

    def _measured(self) -> dict[str, Any]:
        if self._pid:
            return self._ask({"do": "facts"})
        counts = netem.facts() if self._led else {}
        return {"rules": {self.rules[0]["ident"]: counts}, "held": counts["held"], "overrun": 0} if counts else {}

    def log(self, after: int = 0) -> dict[str, Any]:
        """Return what became of each packet that was seen after then (monotonic ns), and when of whom nothing was heard."""
        before = [event for event in self.kept if event[-1] > after]
        now = self._ask({"do": "log", "after": after})["events"] if self._pid else []
        cuts = [*self.past, *self._present.values()][-CUTS_LOGGED:]
        return {"events": [*before, *now][-engine.LOGGED :], "cuts": cuts}

    # -- enforcement --------------------------------------------------------------------------------------------------

    def _timed(self, rule: dict[str, Any], now: float) -> dict[str, Any]:
        left = rule.pop("left", None) or rule.pop("for", None)
        return rule | {"until": now + float(left)} if left and not rule.get("until") else rule

    def _is_gone(self) -> bool:
        """Tell whether the host has ended, and its device with it: what is wanted is remembered then, for the helper that it gets next."""
        return plumbing.find_device(self.addresses) != self.device

    def _change_replies(self, rules: list[dict[str, Any]], *, gone: bool) -> None:
        if gone:
            self.proxy.rules = rules
        else:
            self.proxy.apply(rules, self.hosts)

    def _enforce(self, *, gone: bool = False) -> None:
        if gone:
            self._note_ends({*self.cuts}, time.time_ns())
            return
        try:
            self._enforce_cuts()
            if self.backend == "netem" and self.rules:
                if self._pid:
                    self._stop()
                self._lead(self.rules[0])
            elif self.rules:
                if not self._pid:
                    self._lead(None)
                    self._start()
                self._ask({"do": "rules", "rules": self.rules, "hosts": self.hosts, "own": self.own})
            elif self._pid:
                self._stop()
            else:
                self._lead(None)
        except (plumbing.PlumbingError, OSError):
            self.rules, self.cuts = [], {}
            self._note_cuts(time.time_ns())
            self._clean()
            raise

    def _lead(self, rule: Mapping[str, Any] | None) -> None:
        """Have netem do a rule, or nothing; what it does already goes on undisturbed."""
        addresses = self.hosts.get(rule["to"], ()) if rule and rule.get("to") else ()
        led = ([*addresses], netem.arguments(rule)) if rule else None
        if led == self._led:
            return
        if self._led:
            netem.take_away(self.device)
            self._led = None
        if rule:
            netem.put(self.device, rule, addresses)
            self._led = led

    def _choose(self) -> str:
        """Return what is to do the rules: the kernel where it can do the same, else the engine.

        Raises:
            PlumbingError: netem is asked for, and this kernel has none, or it cannot do that.
        """
        asked = netem.wanted(self.rules) if self.rules else "shaper"
        if asked == "shaper":
            return asked
        if self.has_netem is None:
            self.has_netem = netem.is_there()
        if asked == "netem" and not self.has_netem:
            raise plumbing.PlumbingError("this kernel has no netem (sch_netem); the shaper does without")
        return "netem" if self.has_netem else "shaper"

    def _enforce_cuts(self) -> None:
        before = time.time_ns()
        if self.cuts:
            sources = [address for name in self.cuts for address in self.hosts.get(name, ())]
            self._has_cut = True
            cut.cut(sources, crashed=cut.CRASHED in self.cuts)
        elif self._has_cut:
            self._mend()
        self._note_cuts(before)

    def _note_cuts(self, before_ns: int) -> None:
        """Write down which cuts have ended, at that time at the latest, and which are in force from now on."""
        wanted = {
            name: {
                "host": self.own,
                "addresses": self.addresses,
                "other": "" if name == cut.CRASHED else name,
                "sources": [*self.hosts.get(name, ())],
            }
            for name in self.cuts
        }
        same = {name for name in wanted if self._present.get(name, {}).get("sources") == wanted[name]["sources"]}
        self._note_ends(same, before_ns)  # one with other addresses than before is another
        for name, facts in wanted.items():
            if name not in self._present:
                self._present[name] = facts | {"since_ns": time.time_ns(), "until_ns": 0}

    def _note_ends(self, going_on: Container[str], until_ns: int) -> None:
        for name in [name for name in self._present if name not in going_on]:
            self.past.append(self._present.pop(name) | {"until_ns": until_ns})

    def _mend(self) -> None:
        if cut.is_cut():
            cut.mend()
        self._has_cut = False

    def _start(self) -> None:
        """Start the engine, and send the host's traffic through it once it reads."""
        plumbing.lay(self.device)
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            _be_the_engine(ours, theirs, self.device)
        theirs.close()
        ours.setblocking(False)
        self._pid, self._lines, self.ended = pid, engine.Lines(ours), ""
        self._ask({"do": "facts"})  # it reads now
        plumbing.divert(self.device, MARK)

    def _stop(self) -> None:
        """Let traffic flow by itself, then end the engine, which sends what it holds."""
        plumbing.restore(self.device)
        with suppress(plumbing.PlumbingError):
            self.kept = self.log()["events"]
            self._ask({"do": "end"}, ENGINE_FLUSHES)
        self._reap(kill=True)
        plumbing.take_up()

    def _reap(self, *, kill: bool) -> None:
        if self._pid:
            with suppress(ProcessLookupError):
                if kill:
                    os.kill(self._pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
        if self._lines:
            self._lines.close()
        self._pid, self._lines = 0, None

    def _clean(self) -> None:
        """Take back all that is ours, whoever left it."""
        with suppress(plumbing.PlumbingError):
            plumbing.restore(self.device)
        self._reap(kill=True)
        plumbing.take_up()
        self._led = None
        with suppress(plumbing.PlumbingError):
            if self._has_cut:
                self._mend()

    def _ask(self, request: dict[str, Any], patience: float = ENGINE_ANSWERS) -> dict[str, Any]:
        """Ask the engine, and return its answer.

        Raises:
            PlumbingError: it does not answer.
        """
        if self._lines is None:
            raise plumbing.PlumbingError("there is no engine")
        answer = self._lines.ask(request, patience)
        if answer is None:
            raise plumbing.PlumbingError("the engine does not answer")
        return answer

    # -- what happens by itself ---------------------------------------------------------------------------------------

    def check(self) -> None:
        """Open the way where the engine has ended by itself; what was wanted is remembered, and told as ended."""
        if self._pid and os.waitpid(self._pid, os.WNOHANG)[0]:
            self._pid = 0
            self.ended = "the engine ended by itself; traffic flows without the rules"
            with suppress(plumbing.PlumbingError):  # the device may have gone as well
                plumbing.restore(self.device)
            self._reap(kill=False)
            plumbing.take_up()
            self.rules = []
        self.proxy.check()

    def next_end(self) -> float | None:
        """Return when the next rule or cut ends, by the monotonic clock."""
        ends = [rule["until"] for rule in (*self.rules, *self.proxy.rules) if rule.get("until")]
        return min([*ends, *(until for until in (*self.cuts.values(), self.proxy.next_end()) if until)], default=None)

    def expire(self) -> None:
        """Lift what has had its time."""
        now = time.monotonic()
        rules = [rule for rule in self.rules if not rule.get("until") or rule["until"] > now]
        cuts = {name: until for name, until in self.cuts.items() if not until or until > now}
        if (rules, cuts) != (self.rules, self.cuts):
            self.rules, self.cuts = rules, cuts
            self._enforce(gone=self._is_gone())
        replies = [rule for rule in self.proxy.rules if not rule.get("until") or rule["until"] > now]
        if replies != self.proxy.rules:
            self._change_replies(replies, gone=self._is_gone())
        self.proxy.expire()

    def close(self) -> None:
        """Take everything back."""
        with suppress(plumbing.PlumbingError):
            if self._pid:
                self._stop()
            self._lead(None)
        self._clean()
        self.proxy.close()


def _be_the_engine(ours: socket.socket, theirs: socket.socket, device: str) -> None:
    """Be the child: never return."""
    ours.close()
    theirs.setblocking(False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    try:
        engine.run(theirs, device, plumbing.FAR)
    except BaseException as error:  # whatever it is, there must not be two parents
        sys.stderr.write(f"engine: {error!r}\n")
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def serve(supervisor: Supervisor) -> None:
    """Answer until stdin closes or a signal says to end."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    running = True

    def end(*_: object) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    rest = b""
    while running:
        end_of_next = supervisor.next_end()
        patience = None if end_of_next is None else max(0.0, end_of_next - time.monotonic())
        ready, _, _ = select.select([0, woken], (), (), patience)
        if woken in ready:
            os.read(woken, 512)
            supervisor.check()
        supervisor.expire()
        if 0 in ready:
            octets = os.read(0, 1 << 16)
            if not octets:
                break
            *lines, rest = (rest + octets).split(b"\n")
            for line in lines:
                say(answer(supervisor, line))
    supervisor.close()


def say(answer: Mapping[str, Any]) -> None:
    """Write an answer: one line."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def answer(supervisor: Supervisor, line: bytes) -> dict[str, Any]:
    """Do what a line asks, and return what to answer."""
    try:
        request = json.loads(line)
        ident = request["id"]
    except (ValueError, KeyError, TypeError):
        return {"error": "no request"}
    try:
        supervisor.check()
        match request.get("do"):
            case "apply":
                told = supervisor.apply(request)
            case "state":
                told = supervisor.state()
            case "log":
                told = supervisor.log(request.get("after", 0))
            case verb:
                told = {"error": f"no verb `{verb}`"}
        return {"id": ident} | told
    except (plumbing.PlumbingError, OSError) as error:
        return {"id": ident, "error": str(error)}
