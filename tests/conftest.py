"""What all tests share."""

import os
import subprocess
import sys
import venv
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A slow machine is no finding: what these two judge is time.
settings.register_profile("labctl", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("labctl")

TESTS = Path(__file__).parent
WITH_IMAGES = {"containers", "desktop"}
LAB = ("build",)
# What single tests need beside the lab's images: a fixture's name → what labctl is asked so that it is there.
MORE = {
    "strangers_image": ("build", "tests/containers/strangers/strangers.yaml"),
    "deep": ("trace", "tests/wire/captures/slow-reader.pcapng", "--deep", "--frame", "11", "--json"),
}


class Builder:
    """Has labctl build images, one thing after the other, while tests run that need none of them."""

    def __init__(self):
        self._pool = ThreadPoolExecutor(1, "build")
        self._begun = {}
        self._process = None

    def begin(self, words):
        # The environment is taken here: tests change it meanwhile, and a program that begins in a thread must not read it then.
        self._begun[words] = self._pool.submit(self._build, words, dict(os.environ))

    def _build(self, words, env):
        nothing = subprocess.DEVNULL
        self._process = subprocess.Popen(
            [sys.executable, "-m", "labctl", *words], cwd=TESTS.parent, env=env, stdin=nothing, stdout=nothing,
            stderr=nothing,
        )  # fmt: skip
        self._process.wait()

    def finish(self, words):
        """Return what labctl says when all is built; to ask once more costs little, and tells why where it failed."""
        if begun := self._begun.pop(words, None):
            wait([begun], 900)
        return subprocess.run(
            [sys.executable, "-m", "labctl", *words], cwd=TESTS.parent, check=True, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, timeout=900,
        ).stdout  # fmt: skip

    def stop(self):
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._process and self._process.poll() is None:
            self._process.terminate()
        self._pool.shutdown()


_builder = pytest.StashKey[Builder]()


def pytest_configure(config):
    config.stash[_builder] = Builder()


def pytest_collection_modifyitems(items):
    """Mark what needs an engine, and play it last: the images are built meanwhile."""
    for item in items:
        if item.path.relative_to(TESTS).parts[0] in WITH_IMAGES:
            item.add_marker("docker")
    items.sort(key=_needs_engine)


def _needs_engine(item):
    return item.get_closest_marker("docker") is not None


def pytest_collection_finish(session):
    """Start to build the images, once the tests that need none have enough to do for it to pay."""
    needing = sum(map(_needs_engine, session.items))
    worker = hasattr(session.config, "workerinput")
    if needing and len(session.items) > needing and not worker and not session.config.option.collectonly:
        used = {name for item in session.items for name in getattr(item, "fixturenames", ())}
        for words in (LAB, *(words for fixture, words in MORE.items() if fixture in used)):
            session.config.stash[_builder].begin(words)


def pytest_unconfigure(config):
    config.stash[_builder].stop()


@pytest.fixture(scope="session")
def built(request):
    """Return once a fixture's images, or with nothing said the lab's, are built; what is missing for that labctl gets itself."""
    return lambda fixture="": request.config.stash[_builder].finish(MORE.get(fixture, LAB))


@pytest.fixture(scope="session")
def images(built):
    """The lab's images, built once."""
    built()


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """The folder of programs of a venv in which the wheel is installed, alone."""
    folder = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(TESTS.parent)]
    subprocess.run(build, check=True, capture_output=True, cwd=TESTS.parent)
    (wheel,) = folder.glob("wirelab-*.whl")
    home = folder / "venv"
    venv.create(home, with_pip=True)
    pip = [home / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--require-hashes", "-r", TESTS.parent / "requirements.lock"], check=True)
    subprocess.run([*pip, wheel], check=True)
    return home / "bin"


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
