"""What telnetd runs in place of login: `hand_over.py FD`. It gives the terminal to the launcher, and waits.

telnetd, and so this, runs without any privilege; login needs root. So the terminal (its slave side) goes to the launcher through the
socket FD, and the launcher starts login on it. telnetd ends the connection when its child ends; this child ends when the launcher
closes the socket.
"""

import fcntl
import os
import signal
import socket
import sys
import termios


def main(argv: list[str]) -> None:
    """Let go of the terminal, send it, and become `cat`, the smallest program that waits for the end of a socket."""
    launcher = socket.socket(fileno=int(argv[1]))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the next call sends it to us, who lead this terminal's session
    fcntl.ioctl(0, termios.TIOCNOTTY)
    # The terminal's type came over the network; the launcher looks at it before it uses it.
    socket.send_fds(launcher, [os.environ.get("TERM", "").encode()[:64] or b"-"], [0])
    nothing = os.open("/dev/null", os.O_WRONLY)
    os.dup2(launcher.fileno(), 0)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    os.execve("/usr/bin/cat", ["cat"], {})  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(sys.argv)
