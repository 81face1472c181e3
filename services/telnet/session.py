"""One connection: telnetd for the protocol, login for the person, and an end that leaves nothing running.

launcher (root, few capabilities)
  └─ session (this; one process a connection)
       ├─ telnetd            uid telnetd, no capability: all that the network says is read here
       │    └─ hand_over.py  gives us the terminal, then `cat`, until we close the socket
       └─ login              root, as it must: asks, checks by PAM, becomes the student
            └─ bash          uid student
"""

import contextlib
import ctypes
import os
import pwd
import re
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from services.telnet.accounts import USER

PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
TERMINAL = re.compile(rb"[A-Za-z0-9][A-Za-z0-9.+-]{0,31}")
HAND_OVER = str(Path(__file__).with_name("hand_over.py"))
# Seconds for what runs in a session to end by itself after SIGHUP, and then for SIGKILL to have ended it.
GRACE, LAST = 0.3, 3.0


@dataclass(frozen=True)
class Programs:
    """What a session is made of: the programs, and seconds until telnetd must have come to the login."""

    telnetd: str = "/usr/sbin/telnetd"
    login: str = "/usr/bin/login"
    telnetd_user: str = "telnetd"
    patience: float = 20.0


def run_session(conn: socket.socket, host: str, programs: Programs) -> str:
    """Serve one connection to its end and return why it ended; no process of it is left then.

    Called in a process of its own: it takes over the orphans of all that runs below it.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    account = pwd.getpwnam(programs.telnetd_user)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with conn, ours:
        telnetd = subprocess.Popen(
            [programs.telnetd, f"--exec-login=/usr/bin/python3 -IS {HAND_OVER} {theirs.fileno()}"],
            stdin=conn.fileno(), stdout=conn.fileno(), stderr=subprocess.DEVNULL, pass_fds=[theirs.fileno()], env={"PATH": "/usr/bin"},
            user=account.pw_uid, group=account.pw_gid, extra_groups=[], start_new_session=True,
        )  # fmt: skip
        theirs.close()
        conn.close()  # telnetd alone has it: its end is the connection's end
        try:
            return _attend(telnetd, ours, host, programs)
        finally:
            ours.close()
            end_all()


def _attend(telnetd: "subprocess.Popen[bytes]", ours: socket.socket, host: str, programs: Programs) -> str:
    ending = os.pidfd_open(telnetd.pid)
    heard = ours.fileno()
    readable, _, _ = select.select([heard, ending], [], [], programs.patience)
    if not readable:
        return f"no login after {programs.patience:g} s"
    if heard not in readable:
        return "closed before login"
    terminal_type, terminals, _, _ = socket.recv_fds(ours, 64, 1)
    if not terminals:
        return "closed before login"
    login = start_login(terminals[0], terminal_type, host, programs)
    os.close(terminals[0])
    done = os.pidfd_open(login.pid)
    readable, _, _ = select.select([done, ending], [], [])
    if ending in readable:
        return "closed by the peer"
    ours.close()  # telnetd's child ends, and so telnetd: first it sends what the terminal still holds
    select.select([ending], [], [], GRACE + LAST)
    return "logged out" if login.wait() == 0 else "not logged in"


def start_login(terminal: int, terminal_type: bytes, host: str, programs: Programs) -> "subprocess.Popen[bytes]":
    """Start login on a terminal, as leader of a session; of what the peer said it gets a terminal type, if that looks like one."""
    name = terminal_type.decode() if TERMINAL.fullmatch(terminal_type) else "dumb"
    return subprocess.Popen(
        ["/usr/bin/setsid", "--ctty", programs.login, "-h", host],
        stdin=terminal, stdout=terminal, stderr=terminal, env={"PATH": "/usr/bin:/bin", "TERM": name},
    )  # fmt: skip


def end_all() -> None:
    """End every process below this one: SIGHUP, a moment, then SIGKILL until none is left."""
    began = time.monotonic()
    while _reap_and_list():
        spent = time.monotonic() - began
        number = signal.SIGHUP if spent < GRACE else signal.SIGKILL
        for pid in _reap_and_list():
            _signal(pid, number)
        if spent > LAST:  # something multiplies faster than it is ended: everything of the student's goes
            _signal(-1, signal.SIGKILL)
        time.sleep(0.02)


def _reap_and_list() -> list[int]:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    found, waiting = [], [os.getpid()]
    while waiting:
        pid = waiting.pop()
        with contextlib.suppress(OSError):
            below = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
            found += below
            waiting += below
    return found


def _signal(pid: int, number: int) -> None:
    """Send a signal as the user that may: without CAP_KILL root may not signal another's process."""
    for user in (USER, "telnetd", "root") if pid > 0 else (USER,):
        os.seteuid(pwd.getpwnam(user).pw_uid)
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        except PermissionError:
            continue
        finally:
            os.seteuid(0)


def main_of_session(conn: socket.socket, host: str, programs: Programs, report: int) -> None:
    """Run a session in this process, which was forked for it; write why it ended to `report`, and exit."""
    code = 0
    try:
        why = run_session(conn, host, programs)
    except SystemExit as stop:
        why = str(stop)
    except Exception as error:  # a bug or a system without means: it ends this one session
        why, code = f"{type(error).__name__}: {error}", 1
    with contextlib.suppress(OSError):
        os.write(report, why.encode()[:500])
    sys.stdout.flush()
    os._exit(code)
