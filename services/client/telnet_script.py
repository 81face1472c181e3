"""A conversation by script: log in, run commands, expect and send."""

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Any

from services.client.errors import ClientError, show

LOGIN = re.compile(rb"login: *$")
PASSWORD = re.compile(rb"[Pp]assword: *$")
# What comes after the password: login's refusal, or the shell's prompt.
REFUSED = re.compile(rb"[Ll]ogin incorrect|\r\nLogin timed out|Maximum number of tries")
PROMPT = re.compile(rb"[$#%>] *$")
# The shell must not echo and not prompt, and says itself when a command is done; a pattern, so that the echo of the line that asks for it
# is not taken for the answer.
QUIET = "PS1= PS2=; stty -echo; printf 'lab-%s-%s\\n' done 0"
DONE = re.compile(rb"lab-done-(\d+)\r?\n")


class Step(argparse.Action):
    """Keep `--expect`, `--send` and `--run` in the order in which they were given."""

    def __call__(
        self, _parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: str | Sequence[Any] | None,
        option: str | None = None,
    ) -> None:  # fmt: skip
        """Add one step."""
        namespace.script = [*(namespace.script or []), (str(option).lstrip("-"), str(values))]


def add_script(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a scripted conversation."""
    script = parser.add_argument_group("by script", "without these, stdin and stdout are the terminal")
    script.add_argument("--login", metavar="USER", help="answer `login:` with this")
    script.add_argument(
        "--password",
        metavar="TEXT",
        help="answer `Password:` with this; without it, what the lab handed out, or what is typed",
    )
    script.add_argument(
        "--run", action=Step, dest="script", metavar="COMMAND",
        help="run it after logging in, print what it says, end with its exit code (repeatable)",
    )  # fmt: skip
    script.add_argument("--expect", action=Step, dest="script", metavar="TEXT", help="wait for this (repeatable)")
    script.add_argument("--send", action=Step, dest="script", metavar="LINE", help="send this line (repeatable)")


class Script:
    """One scripted conversation.

    Args:
        terminal: a connected telnetlib.Telnet.
    """

    def __init__(self, terminal: Any, options: argparse.Namespace) -> None:
        self.terminal = terminal
        self.options = options
        self.quiet = False

    def run(self) -> int:
        """Do all steps and return the exit code of the last `--run`, 0 where there was none.

        Raises:
            ClientError: something did not come, or the login was refused.
        """
        code = 0
        for verb, text in self.options.script:
            if verb == "send":
                self.send(text)
            elif verb == "expect":
                show(self.wait(re.compile(re.escape(text.encode())), repr(text)).replace(b"\r\n", b"\n"))
            else:
                code = self.command(text)
        if self.quiet:  # leave as one who logs out: the server closes
            self.send("exit")
            self.terminal.read_all()
        else:
            show(b"\n")
        return code

    def log_in(self, password: str) -> None:
        """Answer the two questions; what the server greets with is shown, where a person goes on.

        Raises:
            ClientError: the server does not ask, or refuses.
        """
        self.wait(LOGIN, "`login:`")
        self.send(self.options.login)
        self.wait(PASSWORD, "`Password:`")
        self.send(password)
        index, _, said = self.wait_any([REFUSED, PROMPT], "a prompt")
        if index == 0:
            raise ClientError("the server refused the login: incorrect user or password")
        if not self.options.script:
            show(said.replace(b"\r\n", b"\n"))

    def command(self, text: str) -> int:
        """Run a command in the shell, print its output, and return its exit code."""
        if not self.quiet:
            self.send(QUIET)
            self.wait(DONE, "the shell's answer")
            self.quiet = True
        self.send(f"{text}\nprintf 'lab-%s-%s\\n' done $?")
        _, match, said = self.wait_any([DONE], f"the end of `{text}`")
        show(said[: -len(match[0])].replace(b"\r\n", b"\n"))
        sys.stdout.flush()
        return int(match[1])

    def send(self, line: str) -> None:
        """Send a line; its end is CR LF (RFC 854)."""
        self.terminal.write(line.encode().replace(b"\n", b"\r\n") + b"\r\n")

    def wait(self, pattern: "re.Pattern[bytes]", what: str) -> bytes:
        """Return what comes up to and with a pattern."""
        return self.wait_any([pattern], what)[2]

    def wait_any(self, patterns: "list[re.Pattern[bytes]]", what: str) -> tuple[int, "re.Match[bytes]", bytes]:
        """Wait for the first of several patterns: its index, the match, all that came up to its end.

        Raises:
            ClientError: none came in time, or the server closed.
        """
        try:
            index, match, said = self.terminal.expect(patterns, self.options.timeout)
        except EOFError as error:
            raise ClientError(f"the server closed before {what} came") from error
        if match is None:
            seen = f"; it said {said[-80:]!r}" if said else ""
            raise ClientError(f"{what} did not come in {self.options.timeout:g} s{seen}")
        return index, match, said
