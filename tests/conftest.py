"""What all tests share."""

import pytest


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    """No test depends on how its terminal is set up."""
    for name in ("NO_COLOR", "FORCE_COLOR", "LABCTL_YES", "LABCTL_SUBNETS", "LABCTL_DEBIAN_MIRROR", "BASE_IMAGE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """A cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"
