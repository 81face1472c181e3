"""What POP3 and IMAP4 clients need before they read: a password, trust in a server's name, patience."""

import argparse
import getpass
import json
import os
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from services.client.errors import ClientError

HANDOUT = Path("/handouts/mail.json")  # where a lab's mail server leaves its users' passwords
POLL = 0.25  # seconds between two looks into a mailbox
T = TypeVar("T")


def find_password(options: argparse.Namespace, handout: Path = HANDOUT) -> str:
    """Return the user's password; see the help of `lab mail` for where it is looked for.

    Raises:
        ClientError: it is nowhere, and nobody can be asked.
    """
    if not options.ask:
        if options.password is not None:
            return str(options.password)
        if from_variable := os.environ.get("LAB_MAIL_PASSWORD"):
            return from_variable
        if handed := _handed_out(handout, options.user):
            return handed
    if not sys.stdin.isatty():
        raise ClientError(f"no password for {options.user}", "LAB_MAIL_PASSWORD=… or --password gives one")
    return getpass.getpass(f"Password of {options.user}: ")


def _handed_out(path: Path, user: str) -> str | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8")).get(user.lower())
    except (OSError, ValueError, AttributeError):
        return None  # no lab's mail-server has been here
    return found if isinstance(found, str) else None


def trust(options: argparse.Namespace) -> ssl.SSLContext:
    """Return a context that checks the server's certificate and its name.

    Raises:
        ClientError: the CA's file cannot be read.
    """
    try:
        return ssl.create_default_context(cafile=options.ca)
    except OSError as error:
        raise ClientError(f"the CA's certificate `{options.ca}` cannot be read: {error.strerror}") from error


def wait_for(look: Callable[[], T | None], patience: float, what: str) -> T:
    """Return what `look` finds; asks again for at most `patience` seconds.

    Raises:
        ClientError: it was not there.
    """
    deadline = time.monotonic() + patience
    while (found := look()) is None:
        if time.monotonic() >= deadline:
            raise ClientError(what, "`--wait SECONDS` waits for it" if not patience else "")
        time.sleep(min(POLL, max(0.0, deadline - time.monotonic())))
    return found
