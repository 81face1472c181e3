"""Delivery: for each next host some connections, each kept for the messages that follow; what cannot be delivered is tried again, later
and later, and in the end reported to its sender.

A host that cannot be reached is asked alone, by one connection, until it answers; then all that waits for it is due at once.

Public: `Deliveries`, `Settings`.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from services.runtime.log import Log
from services.smtp_relay.backoff import Backoff
from services.smtp_relay.courier import Courier, Load
from services.smtp_relay.envelope import Reply
from services.smtp_relay.header import MAX_HEADER, read_header
from services.smtp_relay.report import Failure, failure_report
from services.smtp_relay.routes import Route, Routes
from services.smtp_relay.store import Due, Message, NewMessage, Release, Settlement, Store, spool_path
from services.smtp_relay.writer import Writer

BATCH = 200  # recipients that are read from the queue at once
TOGETHER = 100  # recipients in one transaction (RFC 5321 section 4.5.3.1.8: every server takes as many)
IDLE = 5.0  # seconds that an unused connection is kept
# Seconds between two attempts to reach a host that does not answer, at most: when it is back, mail shall move soon.
ASK_AGAIN = 5.0
REWRITE = 1.0  # seconds until an outcome that could not be written, since the disk is full, is written again
NO_ROUTE = Reply(451, "4.4.4", "there is no route to this domain any more")


@dataclass(frozen=True)
class Settings:
    """How mail is delivered.

    Args:
        name: how we name ourselves.
        connections: to one host at the same time.
        uniform: of a seeded generator, for jitter.
    """

    name: str
    uniform: Callable[[float, float], float]
    backoff: Backoff = field(default_factory=Backoff)
    connections: int = 10  # as many as Dovecot takes for one mailbox


@dataclass(slots=True)
class Job:
    """Some recipients of one message, for one transaction."""

    message: int
    recipients: list[Due]


class Deliveries:
    """All destinations."""

    def __init__(self, settings: Settings, store: Store, writer: Writer, log: Log, number: Callable[[], int]) -> None:
        self.settings = settings
        self.store = store
        self.writer = writer
        self.log = log
        self.number = number  # gives a new message's
        self.loop = asyncio.get_running_loop()
        self.claimed: set[tuple[int, int]] = set()  # recipients that somebody is at work on
        self.stopping = False
        self._routes = Routes()
        self._by_domain: dict[str, Destination] = {}
        self._lost: Destination | None = None

    def use(self, routes: Routes) -> None:
        """Deliver by this table from now on; what is under way ends as it began."""
        old = set(self._by_domain.values())
        if self._lost:
            old.add(self._lost)
        for destination in old:
            destination.retire()
        self._routes = routes
        domains: dict[Route, list[str]] = {}
        for domain, route in routes.by_domain.items():
            domains.setdefault(route, []).append(domain)
        self._by_domain = {}
        for route, names in domains.items():
            destination = Destination(self, route, tuple(names))
            self._by_domain |= dict.fromkeys(names, destination)
        self._lost = None
        self.wake_all()

    def wake(self, domains: Sequence[str]) -> None:
        """Be told that something new is due for these domains."""
        for domain in domains:
            destination = self._by_domain.get(domain)
            if destination:
                destination.wake()

    def wake_all(self) -> None:
        """Look at the whole queue: at start, with a new table, or when `lab-queue` changed something."""
        routeless = tuple(domain for domain in self.store.domains() if domain not in self._by_domain)
        if self._lost:
            self._lost.retire()
        self._lost = Destination(self, Route("", 0, "smtp", NO_ROUTE), routeless) if routeless else None
        for destination in {*self._by_domain.values(), *([self._lost] if self._lost else [])}:
            destination.forgive()
            destination.wake()

    async def stop(self, seconds: float) -> None:
        """Begin nothing more; wait for what is under way, then cut it off: it stays in the queue."""
        self.stopping = True
        destinations = [*{*self._by_domain.values()}, *([self._lost] if self._lost else [])]
        for destination in destinations:
            destination.retire()
        tasks = [task for destination in destinations for task in destination.tasks]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    # -- outcomes -----------------------------------------------------------------------------------------------------

    def settle(
        self, job: Job, message: Message, replies: Sequence[Reply], remote: str, *, unreachable: bool = False
    ) -> None:
        """Write down what became of each recipient of a job."""
        backoff, now = self.settings.backoff, time.time()
        gone: list[int] = []
        deferred: list[tuple[int, float, bool, str, int]] = []
        failures: list[Failure] = []
        for due, reply in zip(job.recipients, replies, strict=True):
            tries = due.tries + 1
            if reply.is_good:
                gone.append(due.n)
            elif reply.is_permanent or backoff.is_over(tries):
                gone.append(due.n)
                failures.append(Failure(due.address, reply, remote, tries))
            else:
                wait = backoff.wait(tries, self.settings.uniform)
                deferred.append((tries, now + wait, unreachable, str(reply), due.n))
        report = self._report(message, failures, now) if failures else None
        self._tell(job, message, replies, remote)
        change = Settlement(message.id, tuple(gone), tuple(deferred), report)
        self._write(job, change)

    def _write(self, job: Job, change: Settlement) -> None:
        self.writer.submit(change, lambda error: self._settled(job, change, error))

    def _settled(self, job: Job, change: Settlement, error: Exception | None) -> None:
        if error:  # the job stays ours until it is written: were it tried again, every try would deliver it once more
            if self.log.has_room("not written"):
                self.log.event("not written", message=f"{job.message:X}", reason=str(error))
            self.loop.call_later(REWRITE, self._write, job, change)
            return
        self.release(job)
        domains = {due.domain for due in job.recipients} if change.deferred else set()
        self.wake([*domains, *(change.report.recipients.values() if change.report else ())])
        if self._lost and domains & set(self._lost.domains):
            self._lost.wake()

    def release(self, job: Job) -> None:
        """Let others have the recipients of a job."""
        self.claimed -= {(due.message, due.n) for due in job.recipients}
        if self.stopping:
            return
        self.wake(list({due.domain for due in job.recipients}))

    def _report(self, message: Message, failures: Sequence[Failure], now: float) -> NewMessage | None:
        """Return the report about failures; none for the null sender, whose messages are reports themselves (RFC 5321 section 4.5.5)."""
        domain = message.sender.rpartition("@")[2]
        if not message.sender or domain not in self._routes.by_domain:
            reason = "the null sender gets no report" if not message.sender else "there is no route to its sender"
            self.log.event("dropped", message=f"{message.id:X}", recipients=len(failures), reason=reason)
            return None
        number, name = self.number(), self.settings.name
        text = failure_report(
            message.sender, failures, name=name, queue_id=f"{number:X}", about=f"{message.id:X}", arrived=message.arrived,
            header=self._header(message), now=now,
        )  # fmt: skip
        self.log.event("reported", message=f"{message.id:X}", report=f"{number:X}", to=message.sender)
        ascii_only = text.isascii()
        return NewMessage(
            number,
            "",
            {message.sender: domain},
            now,
            len(text),
            not ascii_only,
            not message.sender.isascii(),
            b"",
            text,
        )

    def _header(self, message: Message) -> bytes:
        body = self.store.body(message.id)
        if body is None:
            try:
                with spool_path(self.store.folder, message.id).open("rb") as text:
                    body = text.read(MAX_HEADER)
            except OSError:
                body = b""
        return (message.top + body[: read_header(body).size]).removesuffix(b"\r\n\r\n")

    def _tell(self, job: Job, message: Message, replies: Sequence[Reply], remote: str) -> None:
        for kind, found in (
            ("delivered", [d for d, r in zip(job.recipients, replies, strict=True) if r.is_good]),
            ("not delivered", [d for d, r in zip(job.recipients, replies, strict=True) if not r.is_good]),
        ):
            if found and self.log.has_room(kind):
                reply = next(r for d, r in zip(job.recipients, replies, strict=True) if d is found[0])
                seconds = time.time() - message.arrived
                self.log.event(
                    kind, message=f"{job.message:X}", to=found[0].address, recipients=len(found), by=remote or "-", seconds=seconds,
                    reply=str(reply),
                )  # fmt: skip


class Destination:
    """One next host, its connections and its share of the queue."""

    def __init__(self, deliveries: Deliveries, route: Route, domains: tuple[str, ...]) -> None:
        self.route = route
        self.domains = domains
        self.tasks: set[asyncio.Task[None]] = set()
        self._all = deliveries
        self._ready: deque[Job] = deque()
        self._idle: list[tuple[Courier, asyncio.TimerHandle]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._woken = False
        self._retired = False
        self._failures = 0  # attempts in a row to reach the host
        self._not_before = 0.0  # the loop's time; until then it is left alone

    # -- when to work -------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Look, in this turn of the loop, whether there is something to do."""
        if not (self._woken or self._retired):
            self._woken = True
            self._all.loop.call_soon(self._look)

    def forgive(self) -> None:
        """Ask an unreachable host at once."""
        self._not_before = 0.0

    def retire(self) -> None:
        """Begin nothing more."""
        self._retired = True
        self._put_back()
        if self._timer:
            self._timer.cancel()
        for courier, timer in self._idle:
            timer.cancel()
            courier.quit()
        self._idle.clear()

    def _look(self) -> None:
        self._woken = False
        if self._retired:
            return
        if self._timer:
            self._timer.cancel()
            self._timer = None
        loop = self._all.loop
        if self._failures and self._not_before > loop.time():
            self._timer = loop.call_at(self._not_before, self.wake)
            return
        if self._failures:
            if not self.tasks and self._all.store.next_due(self.domains) is not None:
                self._start(self._ask())
            return
        while len(self.tasks) < self._all.settings.connections and (self._ready or self._load()):
            self._start(self._work(self._ready.popleft()))
        if not self.tasks:
            self._sleep()

    def _sleep(self) -> None:
        """Wake up when the next try is due."""
        due = self._all.store.next_due(self.domains)
        if due is not None:
            self._timer = self._all.loop.call_later(max(0.02, due - time.time()), self.wake)

    def _start(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = self._all.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._all.log.event("failed", to=str(self.route), reason=repr(error))
            self._all.loop.call_later(1.0, self.wake)
        else:
            self.wake()

    # -- what to do ---------------------------------------------------------------------------------------------------

    def _load(self) -> bool:
        """Read from the queue what is due and nobody is at work on; tell whether there was any."""
        claimed = self._all.claimed
        for domain in self.domains:
            for due in self._all.store.due(domain, time.time(), BATCH + len(claimed)):
                key = (due.message, due.n)
                if key in claimed:
                    continue
                claimed.add(key)
                last = self._ready[-1] if self._ready else None
                if last and last.message == due.message and len(last.recipients) < TOGETHER:
                    last.recipients.append(due)
                else:
                    self._ready.append(Job(due.message, [due]))
        return bool(self._ready)

    def _take(self) -> Job | None:
        if self._retired or not (self._ready or self._load()):
            return None
        return self._ready.popleft()

    def _put_back(self) -> None:
        for job in self._ready:
            self._all.claimed -= {(due.message, due.n) for due in job.recipients}
        self._ready.clear()

    async def _work(self, first: Job) -> None:
        """Carry one job after the other over one connection, while there are any."""
        job: Job | None = first
        courier: Courier | None = None
        try:
            while job is not None:
                courier, job = await self._one(courier, job)
        finally:
            if courier and courier.is_usable and not self._retired:
                self._keep(courier)
            elif courier:
                courier.quit()
            if job:  # something failed that was not foreseen, or the relay stops: no hurry
                self._all.loop.call_later(1.0, self._all.release, job)

    async def _one(self, courier: Courier | None, job: Job) -> tuple[Courier | None, Job | None]:
        """Do a job; return the connection, and the next job."""
        load = self._read(job)
        if load is None:  # dropped meanwhile
            self._all.release(job)
            return courier, self._take()
        if self.route.fault:
            self._all.settle(job, load.message, [self.route.fault] * len(job.recipients), "")
            return courier, self._take()
        if courier is None or not courier.is_usable:
            courier, problem = await self._connection()
            if problem:
                self._unreachable(problem, [job])
                return None, None
        outcome = await courier.carry(load, [due.address for due in job.recipients]) if courier else NO_ROUTE
        if isinstance(outcome, Reply):
            if courier and courier.carried > 1 and not courier.is_usable and outcome.enhanced == "4.4.2":
                fresh, problem = await self._connection(
                    fresh=True
                )  # an old connection may end at any moment: no try of its own
                courier = fresh
                if problem:
                    self._unreachable(problem, [job])
                    return None, None
                outcome = await fresh.carry(load, [due.address for due in job.recipients])
            if isinstance(outcome, Reply):
                outcome = (outcome if not outcome.is_permanent else _temporary(outcome),) * len(job.recipients)
        self._all.settle(job, load.message, outcome, self.route.host)
        return courier, self._take()

    def _read(self, job: Job) -> Load | None:
        store = self._all.store
        message = store.message(job.message)
        if message is None:
            return None
        if message.spooled:
            return Load(message, None, spool_path(store.folder, message.id))
        body = store.body(message.id)
        return None if body is None else Load(message, body, None)

    # -- connections --------------------------------------------------------------------------------------------------

    async def _connection(self, *, fresh: bool = False) -> tuple[Courier, Reply | None]:
        """Return an idle connection or a new one, and why it cannot be used, if so."""
        while self._idle and not fresh:
            courier, timer = self._idle.pop()
            timer.cancel()
            if courier.is_usable:
                return courier, None
        courier = Courier(self._all.settings.name, lmtp=self.route.protocol == "lmtp")
        problem = await courier.open(self.route.host, self.route.port)
        if problem:
            courier.abort()
        return courier, problem

    def _keep(self, courier: Courier) -> None:
        timer = self._all.loop.call_later(IDLE, self._let_go, courier)
        self._idle.append((courier, timer))

    def _let_go(self, courier: Courier) -> None:
        self._idle = [(other, timer) for other, timer in self._idle if other is not courier]
        courier.quit()

    # -- a host that does not answer ----------------------------------------------------------------------------------

    def _unreachable(self, problem: Reply, jobs: list[Job]) -> None:
        """Defer what was to be sent, and leave the host alone for a while."""
        everything = self._all
        self._failures += 1
        wait = everything.settings.backoff.wait(self._failures, everything.settings.uniform)
        self._not_before = everything.loop.time() + min(wait, ASK_AGAIN)
        if self._failures == 1 or everything.log.has_room("unreachable"):
            everything.log.event("unreachable", to=str(self.route), failures=self._failures, reason=str(problem))
        jobs += self._ready
        self._ready.clear()
        for job in jobs:
            message = everything.store.message(job.message)
            if message is None:
                everything.release(job)
                continue
            reply = problem if not problem.is_permanent else _temporary(problem)
            everything.settle(job, message, [reply] * len(job.recipients), "", unreachable=True)
        self.wake()

    async def _ask(self) -> None:
        """Try to reach the host again, without a message in hand."""
        courier, problem = await self._connection()
        if problem:
            self._load()
            self._unreachable(problem, [])
            return
        self._failures = 0
        self._keep(courier)
        self._all.log.event("reachable", to=str(self.route))
        self._all.writer.submit(Release(self.domains, time.time()), lambda _: self.wake())


def _temporary(reply: Reply) -> Reply:
    """Return a refusal of the whole connection as a reason to try again: it says nothing about any recipient."""
    return Reply(451, f"4{reply.status[1:]}", str(reply))
