"""`--via ssh`: real `ssh -X`, whose connection runs through `docker exec -i CONTAINER sshd -i`. No port, no password, keys for one run."""

import asyncio
import io
import os
import secrets
import shlex
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from labctl.errors import LabError

HOST = "desktop"
SSHD = ("/usr/sbin/sshd", "-i", "-f", "/etc/labctl/sshd_config")


def check_tools(*, trusted: bool) -> None:
    """See that this machine has what the way needs.

    Raises:
        LabError: it has not.
    """
    for tool in ("ssh", "ssh-keygen", *(() if trusted else ("xauth",))):
        if shutil.which(tool) is None:
            package = "xauth" if tool == "xauth" else "openssh-client"
            raise LabError(
                f"`--via ssh` needs `{tool}`, which is not here",
                hint=f"Debian's package is `{package}`; `--via relay` needs nothing but the docker CLI",
            )


def window_command(program: Sequence[str]) -> str:
    """Return what the login runs: sshd gives it none of the container's environment."""
    return f"cd /app && LANG=C.UTF-8 exec {shlex.join(program)}"


def ssh_command(exec_prefix: Sequence[str], folder: str, inside: str, command: str, *, trusted: bool) -> list[str]:
    """Return the whole `ssh -X` command.

    Args:
        folder: here, with the keys.
        inside: the folder in the container, with theirs.
    """
    sshd = [*SSHD, "-h", f"{inside}/host", "-o", f"AuthorizedKeysFile={inside}/authorized_keys"]
    options = {
        "ForwardX11Trusted": "yes" if trusted else "no",
        "ForwardX11Timeout": "0",  # else no new window after 20 minutes
        "IdentityFile": f"{folder}/id",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "UserKnownHostsFile": f"{folder}/known_hosts",
        "GlobalKnownHostsFile": "/dev/null",
        "HostKeyAlias": HOST,
        "StrictHostKeyChecking": "yes",
        "ProxyCommand": shlex.join([*exec_prefix, *sshd]),
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return ["ssh", "-X", "-F", "none", *words, f"lab@{HOST}", command]


def make_keys(folder: Path) -> bytes:
    """Make the keys of one run, and return a tar file of what the container gets."""
    for name in ("id", "host"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "labctl", "-f", str(folder / name)], check=True
        )
    host_key = (folder / "host.pub").read_text()
    (folder / "known_hosts").write_text(f"{HOST} {host_key}")
    files = {
        "authorized_keys": f"restrict,x11-forwarding,pty {(folder / 'id.pub').read_text()}".encode(),
        "host": (folder / "host").read_bytes(),
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o600
            tar.addfile(info, io.BytesIO(content))
    return packed.getvalue()


async def run_ssh(exec_prefix: Sequence[str], command: str, *, trusted: bool) -> int:
    """Show the window by `ssh -X` and return its exit code.

    Raises:
        LabError: a tool is missing, or the keys cannot be handed over.
    """
    check_tools(trusted=trusted)
    inside = f"/run/labctl/ssh-{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory(prefix="labctl-ssh-", dir=os.environ.get("XDG_RUNTIME_DIR")) as name:
        keys = make_keys(Path(name))
        # a login that was killed may have left xauth's lock, for which the next one would wait 20 s; and xauth complains of a missing file
        prepare = "rm -f ~/.Xauthority-? && umask 077 && touch ~/.Xauthority"
        unpack = ["sh", "-c", f"{prepare} && mkdir -p {inside} && tar -x -C {inside}"]
        done = subprocess.run([*exec_prefix, *unpack], input=keys, capture_output=True, check=False)
        if done.returncode:
            told = done.stderr.decode(errors="replace").strip()
            raise LabError("the keys for ssh could not be handed to the container", where=told[-300:])
        process = await asyncio.create_subprocess_exec(
            *ssh_command(exec_prefix, name, inside, command, trusted=trusted), stdin=asyncio.subprocess.DEVNULL
        )
        try:
            return await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
            subprocess.run([*exec_prefix, "rm", "-rf", inside], capture_output=True, check=False)
