"""Ready means: asked from the client's side, each name resolves and each port answers. One exec asks for all."""

import queue
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from labctl.engine.failures import Watch, died, last_lines
from labctl.engine.translate import container_name
from labctl.errors import LabError
from labctl.model import Executed, LabSpec
from labctl.plan import Wait
from labctl.progress import Progress

if TYPE_CHECKING:
    from labctl.engine.sdk import DockerEngine

NO_SUCH_PROGRAM = (126, 127)
POLL = 0.2  # seconds; only for hosts without `lab`


def wait_ready(
    engine: "DockerEngine",
    lab: LabSpec,
    step: Wait,
    watch: Watch,
    progress: Progress,
    timeout: float,
) -> None:
    """Return once every port of the step answers; called when all hosts run, since a name that is asked too early costs a second.

    Raises:
        LabError: a host ended while starting, or a port did not answer within `timeout` s.
    """
    news: queue.SimpleQueue[str | Executed | BaseException] = queue.SimpleQueue()
    watch.tell(lambda host, container, code: news.put(died(engine.api, host, container, code)))
    client = engine.look(lab.name).host(step.client)
    if client is None:
        raise LabError(f"host `{step.client}` vanished while lab `{lab.name}` came up")
    waiting = defaultdict(set)
    for host, port in step.targets:
        waiting[host].add(f"{host}:{port}")
    argv = ["lab", "wait", "--timeout", f"{timeout:g}", *(f"{host}:{port}" for host, port in step.targets)]
    pending = bytearray()

    def hear(stream: str, octets: bytes) -> None:
        if stream == "stdout":
            pending.extend(octets)
            *lines, rest = bytes(pending).split(b"\n")
            pending[:] = rest
            for line in lines:
                news.put(line.decode(errors="replace"))

    def ask() -> None:
        try:
            news.put(engine.exec(client, argv, timeout=timeout + 5, on_output=hear) if step.targets else Executed(0))
        except (LabError, TimeoutError) as error:
            news.put(error)

    threading.Thread(target=ask, daemon=True).start()
    late: dict[str, str] = {}
    while True:
        item = news.get()
        if isinstance(item, TimeoutError):
            raise LabError(f"lab `{lab.name}` was not ready after {timeout:g} s") from item
        if isinstance(item, BaseException):
            raise item
        if isinstance(item, Executed):
            break
        word, _, rest = item.partition(" ")
        target, _, detail = rest.partition(" ")
        host = target.rsplit(":", 1)[0]
        if word == "ready":
            waiting[host].discard(target)
            if not waiting[host]:
                progress.done(host, "ready")
        elif word == "waiting":
            late[target] = detail
    if item.exit in NO_SUCH_PROGRAM:
        _wait_for_health(engine, lab, news, timeout)
    elif item.exit:
        raise _late(engine, lab, late, timeout, item)
    progress.done(step.client, "ready")


def _late(engine: "DockerEngine", lab: LabSpec, late: dict[str, str], timeout: float, asked: Executed) -> LabError:
    if not late:
        said = asked.stderr.decode(errors="replace").strip()
        return LabError(f"asking for readiness failed, exit code {asked.exit}: {said}")
    host = next(iter(late)).rsplit(":", 1)[0]
    told = "\n".join(f"  | {target}: {reason}" for target, reason in late.items())
    lines = last_lines(engine.api, container_name(lab, host))
    return LabError(
        f"host `{host}` was not ready after {timeout:g} s:\n{told}\nits last lines:\n{lines}",
        where=f"{lab.compose_file}, services.{host}",
        hint="`--timeout 60` waits longer",
    )


def _wait_for_health(
    engine: "DockerEngine", lab: LabSpec, news: "queue.SimpleQueue[str | Executed | BaseException]", timeout: float
) -> None:
    """Wait for Compose's own idea of ready, in labs of a user's own images that have no `lab` to ask with."""
    began = time.monotonic()
    while True:
        hosts = engine.look(lab.name).hosts
        late = [host.name for host in hosts if "starting" in host.status or "unhealthy" in host.status]
        if not late and all(host.state == "running" for host in hosts):
            return
        if time.monotonic() - began > timeout:
            raise LabError(f"host `{late[0] if late else hosts[0].name}` was not healthy after {timeout:g} s")
        try:
            item = news.get(timeout=POLL)
        except queue.Empty:
            continue
        if isinstance(item, BaseException):
            raise item
