"""What the tests of the wire share."""

import pytest

from tests.wire.frames import Talk


@pytest.fixture
def talk():
    return Talk()
