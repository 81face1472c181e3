"""`labctl exec` and `shell`."""

import os
import shlex
import shutil
import sys

import click

from labctl.cli.options import host_argument, lab_option
from labctl.cli.wiring import connect_quickly
from labctl.engine.endpoint import find_endpoint
from labctl.errors import LabError
from labctl.model import PROGRAM

PASS_THROUGH = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.command("exec", context_settings=PASS_THROUGH)
@lab_option("The lab, where several are up.")
@click.option("--interactive", "-i", is_flag=True, help="Hand this command's stdin on.")
@click.option("--tty", "-t", is_flag=True, help="Give the command a terminal.")
@host_argument
@click.argument("command", nargs=-1, type=click.UNPROCESSED, required=True, metavar="-- COMMAND...")
def exec_command(host: str, command: tuple[str, ...], lab: str | None, interactive: bool, tty: bool) -> None:
    """Run COMMAND in HOST and exit with its code: `labctl exec client -- lab tcp greet tcp-server 12345`."""
    from labctl.commands.hosts import choose_host

    argv = command[1:] if command[0] == "--" else command
    if command[0] != "--" and command[0].startswith("-"):
        own = f"`labctl exec [OPTIONS] {host} -- COMMAND`"
        raise click.UsageError(f"`{command[0]}` stands behind the host; labctl's options go before it: {own}")
    if not argv:
        raise click.UsageError("which command? Behind `--` stands none")
    engine = connect_quickly()
    found = choose_host(engine, host, lab)
    if PROGRAM in found.labels:
        from labctl.commands.swap import called

        argv = tuple(called(found, argv))
    if interactive or tty:
        flags = [flag for flag, wanted in (("-i", interactive), ("-t", tty)) if wanted]
        _by_docker([*flags, found.id, *argv])
    streams = {"stdout": sys.stdout.buffer, "stderr": sys.stderr.buffer}

    def pass_on(stream: str, octets: bytes) -> None:
        streams[stream].write(octets)
        streams[stream].flush()

    sys.exit(engine.exec(found, argv, on_output=pass_on).exit)


@click.command("shell")
@lab_option("The lab, where several are up.")
@host_argument
def shell_command(host: str, lab: str | None) -> None:
    """Open a shell in HOST."""
    from labctl.commands.hosts import choose_host

    engine = connect_quickly()
    found = choose_host(engine, host, lab)
    flags = ["-i", *(["-t"] if sys.stdin.isatty() else [])]
    bash = "bash"
    if PROGRAM in found.labels:  # a function that the shell inherits
        from labctl.commands.swap import through

        bash = f"bash -c {shlex.quote(through(found, 'export -f lab; exec bash'))}"
    _by_docker([*flags, found.id, "sh", "-c", f"command -v bash >/dev/null && exec {bash} || exec sh"])


def _by_docker(argv: list[str]) -> None:
    """Become `docker exec`: raw terminals, window sizes and signals are its trade.

    Raises:
        LabError: the docker CLI is not installed.
    """
    docker = shutil.which("docker")
    if docker is None:
        raise LabError(
            "a terminal in a host needs the `docker` command", hint="Debian's package is `docker-cli` or `docker.io`"
        )
    os.environ["DOCKER_HOST"] = find_endpoint().url
    sys.stdout.flush()
    os.execv(docker, [docker, "exec", *argv])  # noqa: S606 - no shell is wanted
