"""Bound sockets, for the server that will listen or receive on them."""

import errno
import socket
import stat
from pathlib import Path

ANY = ("0.0.0.0", "::")
# Octets that a UDP socket may hold while we are busy; the kernel gives what `net.core.rmem_max` allows.
RECEIVE_BUFFER = 4 << 20
# Octets that the kernel keeps for one TCP peer that does not read (it doubles them for its own needs; accepted sockets inherit them).
# Left alone it would take up to 4 MiB for each, which counts as the container's memory.
SEND_BUFFER = 128 << 10


def bind(
    kind: socket.SocketKind, port: int, hosts: tuple[str, ...] = ANY, *, send_buffer: int = SEND_BUFFER
) -> list[socket.socket]:
    """Return sockets bound to a port, one for each address.

    Args:
        send_buffer: octets that the kernel keeps for each TCP peer; 0 lets it choose.

    Two sockets instead of one for both families: each client appears with the address of its own family, and `ss -ln` shows a learner
    what there is. Where the kernel has no IPv6, IPv4 serves alone. With port 0 all get the same free port.

    Raises:
        OSError: the port is in use, or may not be taken.
    """
    sockets: list[socket.socket] = []
    try:
        for host in hosts:
            bound = _bind(kind, host, port, send_buffer, optional=bool(sockets))
            if bound:
                sockets.append(bound)
                port = port or bound.getsockname()[1]
    except OSError:
        for bound in sockets:
            bound.close()
        raise
    return sockets


def _bind(kind: socket.SocketKind, host: str, port: int, send_buffer: int, *, optional: bool) -> socket.socket | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    optional = optional and family == socket.AF_INET6
    try:
        bound = socket.socket(family, kind)
    except OSError as error:
        if optional and error.errno == errno.EAFNOSUPPORT:
            return None
        raise
    try:
        if kind == socket.SOCK_STREAM:
            # A restarted server takes its port over from connections that are still in TIME_WAIT.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if send_buffer:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        else:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        if optional and error.errno == errno.EADDRNOTAVAIL:  # IPv6 is there, and switched off
            return None
        raise OSError(error.errno, f"{error.strerror}: {host} port {port}") from error
    bound.setblocking(False)
    return bound


def bind_unix(path: Path) -> socket.socket:
    """Return a stream socket bound to a path that only this user may reach; one that a killed server left is replaced.

    Raises:
        OSError: something else is there, or the folder may not be written.
    """
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
        path.unlink()
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(str(path))
        path.chmod(0o600)
    except OSError as error:
        bound.close()
        raise OSError(error.errno, f"{error.strerror}: {path}") from error
    bound.setblocking(False)
    return bound
