"""Another program in a host's place: its hostname, its ports, its limits, and none of the reference's own code.

What may be put there: a file, which runs in the reference's image; a folder with a Dockerfile; or an image.

A host that listens at no port is a client, which only waits for commands. There the program takes the place of `lab`: where a step, a
test or `labctl exec` says `lab tcp greet tcp-server`, the program is called with `tcp greet tcp-server`. A file goes by itself; an image
brings it as the command `client`, beside `sh` and `sleep`.
"""

import base64
import gzip
import hashlib
import json
import os
import shlex
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from labctl.engine.base import Engine, ImageBuilder
from labctl.errors import LabError, UsageError
from labctl.model import PROGRAM, RESET, SWAPPED, FoundHost, HostSpec, LabSpec
from labctl.plan import plan_up
from labctl.progress import Progress
from labctl.words import nearest

BuilderFor = Callable[[Path], ImageBuilder]

# The program travels in the container's own definition: no mount, so it works with an engine anywhere, the program cannot change its own
# file, and another text is another definition, which `up` sees. Linux takes at most 128 KiB for one string (execve(2), MAX_ARG_STRLEN).
# A client's program is unpacked when it is first called, since its container starts as ever.
VARIABLE, LONGEST = "LABCTL_PROGRAM", 128 * 1024 - 64
LONGEST_FILE = 8 << 20  # octets; what is longer is not even read
UNPACK = f'printf %s "${VARIABLE}" | base64 -d | gzip -dc >"$0" && unset {VARIABLE} && exec "$@" "$0"'
CALLED = f'[ -e {{0}} ] || printf %s "${VARIABLE}" | base64 -d | gzip -dc >{{0}}; {VARIABLE}= {{1}} {{0}}'
INTERPRETERS = {".py": ["python3", "-u"], ".sh": ["sh"]}
NOT_ITS_OWN = ("build", "command", "entrypoint", "healthcheck", "labels")  # the reference's, not the place's
NOBODY_IN_PARTICULAR = "1000:1000"
SLICE = 1.0  # seconds between looks at whether the program still runs
SHOWN_LINES, LONGEST_LINE = 15, 200
ANY = 'for t in "$@"; do lab wait --timeout "$0" "$t" >/dev/null 2>&1 & done; wait -n; code=$?; kill $(jobs -p) 2>/dev/null; exit $code'


@dataclass(frozen=True)
class Swap:
    """A program that is ready to be put in a host's place.

    Args:
        told: what it is, for messages.
        image: it runs in; empty for the reference's.
        keys: of the service that it sets.
        called: how a shell calls it in a client's container.
    """

    told: str
    image: str
    keys: Mapping[str, Any]
    called: str = "client"


def read_swaps(texts: tuple[str, ...]) -> dict[str, str]:
    """Read `HOST=PATH`, as the command line has it.

    Raises:
        UsageError: one has another form, or a host stands twice.
    """
    swaps: dict[str, str] = {}
    for text in texts:
        host, sign, program = text.partition("=")
        if not sign or not host or not program:
            raise UsageError(
                f"`{text}` is not HOST=PATH", where="--swap", hint="such as `--swap tcp-server=./my_server.py`"
            )
        if host in swaps:
            raise UsageError(f"host `{host}` is swapped twice", where="--swap")
        swaps[host] = program
    return swaps


class Unbuilt:
    """Builds nothing, where it is only told what would be done."""

    def build(self, services: Sequence[str], progress: Progress) -> None:
        """Do nothing."""


def put_in(spec: LabSpec, programs: Mapping[str, str], builder_for: BuilderFor, progress: Progress) -> LabSpec:
    """Return a lab with programs in their places, each of them brought in first.

    Raises:
        UsageError: the lab has no such host, or a program is none; see `bring_in`.
        LabError: an image cannot be built.
    """
    _check_hosts(spec, programs)
    return adapted(spec, bring_in_all(programs, spec.name, builder_for, progress))


def bring_in_all(programs: Mapping[str, str], lab: str, builder_for: BuilderFor, progress: Progress) -> dict[str, Swap]:
    """Return each host's program, ready to be put in its place; see `bring_in` for what is raised."""
    return {host: bring_in(program, host, lab, builder_for, progress) for host, program in programs.items()}


def bring_in(program: str, host: str, lab: str, builder_for: BuilderFor, progress: Progress) -> Swap:
    """Return a program, ready to be put in the place of `host`: the image is built where there is a Dockerfile, for this lab alone.

    Raises:
        UsageError: it is neither a file that can be run, nor a folder with a Dockerfile, nor the name of an image; or it cannot be read.
        LabError: the image cannot be built.
    """
    path = Path(program)
    try:
        if path.is_dir():
            return _folder(path, host, lab, builder_for, progress)
        if path.is_file():
            return _file(path)
    except OSError as error:
        raise UsageError(f"`{program}` cannot be read: {error.strerror}", where="--swap") from error
    if program.startswith((".", "/", "~")) or path.suffix in INTERPRETERS:
        hint = "" if path.is_absolute() else f"its path counts from `{Path.cwd()}`"
        raise UsageError(f"there is no file or folder `{program}`", where="--swap", hint=hint)
    return Swap(f"image `{program}`", program, {"user": ""})


def _file(path: Path) -> Swap:
    argv = interpreter(path)
    if not argv:
        raise UsageError(
            f"`{path}` is not known to be a program", where="--swap",
            hint=f"a name that ends in {' or '.join(INTERPRETERS)}, or a first line such as `#!/usr/bin/env python3`",
        )  # fmt: skip
    whole = path.stat().st_size <= LONGEST_FILE
    packed = base64.b64encode(gzip.compress(path.read_bytes(), mtime=0)).decode() if whole else ""
    if not whole or len(packed) > LONGEST:
        raise UsageError(
            f"`{path}` is too long for a single file", where="--swap", hint="put it in a folder with a Dockerfile"
        )
    start = ["sh", "-c", UNPACK, f"/tmp/{path.name}", *argv]  # noqa: S108 - the container's own tmpfs
    return Swap(
        f"`{path}`",
        "",
        {"entrypoint": start, "command": [], "environment": {VARIABLE: packed, "PYTHONUNBUFFERED": "1"}},
        CALLED.format(shlex.quote(f"/tmp/{path.name}"), shlex.join(argv)),  # noqa: S108
    )


def interpreter(path: Path) -> list[str]:
    """Return what runs a file, by its name or its first line; nothing where neither tells."""
    with path.open("rb") as file:
        first = file.readline(LONGEST_LINE)
    told = first[2:].decode(errors="replace").split() if first.startswith(b"#!") else []
    return list(INTERPRETERS.get(path.suffix, told))


def _folder(path: Path, host: str, lab: str, builder_for: BuilderFor, progress: Progress) -> Swap:
    if not (path / "Dockerfile").is_file():
        raise UsageError(f"`{path}` has no Dockerfile", where="--swap", hint="name a file of it, or write one")
    # A tag of the lab's own, so that its end is nobody else's. Another text is another definition, so that `up` sees it.
    image = f"{SWAPPED}:{lab}.{host}.{_digest(path)}"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "compose.yaml"
        service = {"image": image, "build": {"context": str(path.resolve()), "labels": {"labctl.swap": host}}}
        file.write_text(json.dumps({"name": SWAPPED, "services": {host: service}}))
        try:
            builder_for(file).build([host], progress)
        except LabError as error:  # the Compose file that it names is gone by now
            raise LabError(error.what, where=str(path / "Dockerfile")) from error
    return Swap(f"`{path}`", image, {"user": NOBODY_IN_PARTICULAR})


def _digest(folder: Path) -> str:
    """Return what tells a folder's content from another's; links count as links, wherever they lead."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = os.fsencode(path.relative_to(folder))
        if path.is_symlink():
            whole.update(b"%b\0%b\0" % (name, os.fsencode(path.readlink())))
        elif path.is_file():
            whole.update(b"%b\0%o\0" % (name, path.stat().st_mode))
            with path.open("rb") as file:
                whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()[:16]


def adapted(spec: LabSpec, swaps: Mapping[str, Swap]) -> LabSpec:
    """Return the lab with the programs in their places.

    Raises:
        UsageError: the lab has no such host.
    """
    _check_hosts(spec, swaps)
    hosts = tuple(
        host if host.name not in swaps else (_swapped if host.ports else _swapped_client)(host, swaps[host.name])
        for host in spec.hosts
    )
    return replace(spec, hosts=hosts)


def _check_hosts(spec: LabSpec, names: Iterable[str]) -> None:
    known = [host.name for host in spec.hosts]
    for name in names:
        if name not in known:
            raise UsageError(f"scenario `{spec.scenario}` has no host `{name}`{nearest(name, known)}", where="--swap")


def through(host: FoundHost, run: str) -> str:
    """Return a shell's command line in which `lab` is the program that was put in a client's place, if one was."""
    program = host.labels.get(PROGRAM)
    return f'lab() {{ {program} "$@"; }}\n{run}' if program else run


def called(host: FoundHost, argv: Sequence[str]) -> list[str]:
    """Return an argument list in which the command `lab` is that program."""
    return ["sh", "-c", through(host, 'lab "$@"'), *argv] if PROGRAM in host.labels and argv[0] == "lab" else list(argv)


def _swapped_client(host: HostSpec, swap: Swap) -> HostSpec:
    own = {"labels": {**(host.service.get("labels") or {}), PROGRAM: swap.called}}
    environment = {**(host.service.get("environment") or {}), **swap.keys.get("environment", {})}
    service = {**host.service, **own, "environment": environment}
    if swap.image:
        service = {key: value for key, value in service.items() if key not in ("build", "healthcheck")}
        service |= {"image": swap.image, "entrypoint": ["sleep", "infinity"], "command": [], **swap.keys}
    return replace(host, image=swap.image or host.image, service=service)


def _swapped(host: HostSpec, swap: Swap) -> HostSpec:
    service = {key: value for key, value in host.service.items() if key not in NOT_ITS_OWN}
    labels = {key: value for key, value in (host.service.get("labels") or {}).items() if key != RESET}
    environment = {**(service.get("environment") or {}), **swap.keys.get("environment", {})}
    image = swap.image or host.image
    service |= {"labels": labels, **swap.keys, "environment": environment, "image": image}
    # Which of the reference's ports the program opens is its own affair: one that answers is enough.
    return replace(host, image=image, service=service, ready=())


def exchange(
    engine: Engine, spec: LabSpec, swaps: Mapping[str, Swap], progress: Progress, *, timeout: float
) -> LabSpec:
    """Put programs in their places in a lab that is up, and return the lab as it is then wanted.

    Raises:
        LabError: one ends at once, or does not answer in time; the lab stays up.
    """
    new = adapted(spec, swaps)
    engine.act(new, plan_up(new, engine.look(spec.name)), progress, timeout=timeout)
    await_swapped(engine, new, timeout, only=tuple(swaps))
    return new


def await_swapped(engine: Engine, spec: LabSpec, timeout: float, only: tuple[str, ...] = ()) -> None:
    """Wait until each program in a host's place answers at one of the host's ports.

    Raises:
        LabError: one ended, or none of its ports answered within `timeout` s.
    """
    for host in spec.hosts:
        if host.ready == () and host.ports and host is not spec.client and (not only or host.name in only):
            _await(engine, spec, host, timeout)


def _await(engine: Engine, spec: LabSpec, host: HostSpec, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while True:
        found = engine.look(spec.name)
        there, client = found.host(host.name), found.host(spec.client.name) if spec.client else None
        if there is None or there.state == "exited":
            raise LabError(
                f"the program in the place of `{host.name}` ended; its last lines:\n{_last_lines(engine, there)}"
            )
        if client is None:
            return  # there is nobody to ask from
        left = deadline - time.monotonic()
        targets = [f"{host.name}:{port}" for port in host.ports]
        argv = ["bash", "-c", ANY, f"{max(0.1, min(SLICE, left)):.2f}", *targets]
        with suppress(TimeoutError):  # a busy machine; the deadline below counts
            if engine.exec(client, argv, timeout=SLICE + 5).exit == 0:
                return
        if left <= SLICE:
            ports = ", ".join(str(port) for port in host.ports)
            raise LabError(
                f"the program in the place of `{host.name}` listens at none of its ports ({ports}) after {timeout:g} s; "
                f"its last lines:\n{_last_lines(engine, there)}",
                hint='it has to listen on every address (`("", PORT)`), not on 127.0.0.1',
            )


def _last_lines(engine: Engine, host: Any) -> str:
    lines = list(engine.logs(host, tail=SHOWN_LINES)) if host else []
    return "\n".join(f"  | {line.decode(errors='replace')[:LONGEST_LINE]}" for line in lines) or "  (it said nothing)"
