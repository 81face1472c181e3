"""Offer Debian's engine where there is none: asked on a terminal, done with `--yes`, told otherwise."""

import os
import sys

import click

from labctl.cli.progress import show_progress
from labctl.errors import LabError
from labctl.provision.system import offer_engine


def offer(error: LabError) -> bool:
    """Return whether an engine was installed, so that the command is worth another try.

    Raises:
        LabError: it could not be installed.
    """
    yes = os.environ.get("LABCTL_YES") == "1"
    with show_progress(quiet=False) as progress:
        return offer_engine(ask=_ask if sys.stdin.isatty() else None, assume_yes=yes, progress=progress, error=error)


def _ask(question: str) -> bool:
    return click.confirm(question, err=True)
