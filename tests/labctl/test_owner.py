"""Which labs a sweep takes away: those whose owner has ended, and nobody else's."""

import os
import subprocess
import sys

import pytest

from labctl.testing import owner as module
from labctl.testing.owner import is_gone, owner


def ended():
    """Return the owner's value of a process that has ended."""
    code = "from labctl.testing.owner import owner; print(owner())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_this_process_lives():
    assert not is_gone(owner())


def test_a_fork_is_another_owner():
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        os.write(write, owner().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 1000).decode() != owner()


def test_a_process_that_ended_is_gone():
    assert is_gone(ended())


def test_a_process_id_that_came_again_is_another_owner():
    parts = owner().split(".")
    parts[-2] = str(int(parts[-2]) - 1)  # started a tick earlier
    assert is_gone(".".join(parts))


@pytest.mark.parametrize("part", range(3), ids=["machine", "boot", "process-ids"])
def test_who_lives_elsewhere_is_left_alone(part):
    parts = ended().split(".")
    parts[part] = "0"
    assert not is_gone(".".join(parts))


@pytest.mark.parametrize("value", ["", "x", "1.2.3", "a.b.c.d.e.f", "....."])
def test_a_value_that_says_nothing_is_left_alone(value):
    assert not is_gone(value)


def test_every_part_is_fit_for_a_label():
    assert all(part.isascii() and "/" not in part and " " not in part for part in owner().split("."))
    assert len(owner().split(".")) == 6
    assert module._started(0) == ""
