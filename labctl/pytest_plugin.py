"""labs in pytest: `@pytest.mark.lab("tcp-demo")` on a test, a class or a module, and the fixture `lab`.

    @pytest.mark.lab("tcp-demo", scope="module")
    def test_greeting(lab):
        assert lab.host("client").run("lab tcp greet tcp-server").stdout == "Thank you for connecting\\n"

Imported by every pytest run of an environment, so at the top only pytest and the standard library: the rest comes with the first lab.
"""

import os
import re
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from labctl.engine.sdk import DockerEngine
    from labctl.testing.lab import Lab

MARKER = (
    "lab(scenario, scope='module', fresh=False, reset=True, swap={}, env={}, tap=False, timeout=30): the fixture `lab` is this "
    "scenario's lab, shared within the scope ('function', 'class', 'module', 'package', 'session') and brought back to its start "
    "before each test"
)
SCOPES = {"class": pytest.Class, "module": pytest.Module, "package": pytest.Package, "session": pytest.Session}
FORMS = (
    ("swap", Mapping, '{"tcp-server": "my_server.py"}'),
    ("env", Mapping, '{"tcp-server": {"LAB_X": "1"}}'),
    ("timeout", (int, float), "30"),
)
SHOWN_LINES = 20  # of each host's log in the report; the files hold all


@dataclass
class Asked:
    """What a test's marker says."""

    scenario: str = ""
    scope: str = ""
    fresh: bool = False
    reset: bool = True
    swap: dict[str, Any] = field(default_factory=dict)
    env: dict[str, dict[str, str]] = field(default_factory=dict)
    tap: bool = False
    timeout: float = 30.0

    @property
    def key(self) -> str:
        """What two tests must agree in to share a lab."""
        return repr((self.scenario, self.swap, self.env, self.tap))


@dataclass
class Labs:
    """The labs that are up in this process: by the node whose end is theirs, and by what was asked for."""

    engine: "DockerEngine | None" = None
    shared: dict[tuple[pytest.Item | pytest.Collector, str], "Lab"] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)


LABS = pytest.StashKey[Labs]()
LAB = pytest.StashKey["Lab"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the plugin's options."""
    group = parser.getgroup("labctl", "labs of labctl")
    group.addoption(
        "--lab-scope", choices=["function", *SCOPES], default="module", help="scope of labs whose marker names none"
    )
    group.addoption(
        "--lab-keep",
        choices=["never", "failed", "always"],
        default="never",
        help="labs that are left up for a look afterwards",
    )
    group.addoption(
        "--lab-artifacts",
        metavar="DIR",
        default="lab-artifacts",
        help="folder for what the labs of failed tests logged",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and close the connection to the engine in the end."""
    config.addinivalue_line("markers", MARKER)
    config.stash[LABS] = Labs()

    def close() -> None:
        if engine := config.stash[LABS].engine:
            engine.close()

    config.add_cleanup(close)


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Iterator["Lab"]:
    """The lab that the test's marker asks for, up and as at its start."""
    from labctl.errors import LabError

    asked = _read_marker(request.node)
    try:
        lab = _obtain(request, asked)
    except LabError as error:  # its words are for the user; a traceback says nothing more
        raise pytest.fail.Exception(str(error), pytrace=False) from None
    request.node.stash[LAB] = lab
    yield lab
    lab.used = True


def _read_marker(item: pytest.Item) -> Asked:
    marker = item.get_closest_marker("lab")
    if marker is None:
        pytest.fail('the fixture `lab` needs a marker: `@pytest.mark.lab("tcp-demo")`', pytrace=False)
    try:
        asked = Asked(*marker.args, **marker.kwargs)
    except TypeError as error:
        what = f"@pytest.mark.lab: {str(error).removeprefix('Asked.__init__() ')}\n{MARKER}"
        raise pytest.fail.Exception(what, pytrace=False) from None
    asked.scope = asked.scope or item.config.getoption("--lab-scope")
    if not asked.scenario or asked.scope not in ("function", *SCOPES):
        pytest.fail(f"@pytest.mark.lab: a scenario and a known scope are needed\n{MARKER}", pytrace=False)
    for name, kind, example in FORMS:
        if not isinstance(value := getattr(asked, name), kind):
            pytest.fail(f"@pytest.mark.lab: {name}={value!r} has another form than {name}={example}", pytrace=False)
    for host, variables in asked.env.items():
        if not isinstance(variables, Mapping):
            pytest.fail(
                f"@pytest.mark.lab: of {host!r}, {variables!r} has another form than {FORMS[1][2]}", pytrace=False
            )
    return asked


def _obtain(request: pytest.FixtureRequest, asked: Asked) -> "Lab":
    """Return a lab: one that is up already, brought back to its start, or a new one, which goes with its scope."""
    labs = request.config.stash[LABS]
    owner: Any = None if asked.fresh or asked.scope == "function" else request.node.getparent(SCOPES[asked.scope])
    if owner is None and asked.scope == "package" and not asked.fresh:
        owner = request.session  # as pytest has it where there is no package
    place = (owner or request.node, asked.key)
    if found := labs.shared.get(place):
        if not (asked.reset and found.used) or _went_back(found):
            return found
        del labs.shared[place]
        found.stop()
    new = _bring_up(request, asked, labs, shared=owner is not None)
    if owner is not None:
        labs.shared[place] = new
    (owner or request.node).addfinalizer(lambda: _end(request.config, place, new))
    return new


def _bring_up(request: pytest.FixtureRequest, asked: Asked, labs: Labs, *, shared: bool) -> "Lab":
    from labctl.testing.lab import Lab

    if labs.engine is None:
        from labctl.engine.sdk import DockerEngine

        labs.engine = DockerEngine()
    lab = Lab(
        asked.scenario,
        worker=os.environ.get("PYTEST_XDIST_WORKER", ""),
        timeout=asked.timeout,
        keep=request.config.getoption("--lab-keep") != "never",
        engine=labs.engine,
        resets=shared,
    )
    for host, program in asked.swap.items():
        lab.with_swap(host, program)
    for host, variables in asked.env.items():
        for name, value in variables.items():
            lab.with_env(host, name, value)
    return (lab.with_tap() if asked.tap else lab).start()


def _went_back(lab: "Lab") -> bool:
    from labctl.errors import LabError

    try:
        lab.reset()
    except LabError:
        return False  # what one test broke is no other's failure: a new one takes its place
    return True


def _end(config: pytest.Config, place: Any, lab: "Lab") -> None:
    labs = config.stash[LABS]
    if labs.shared.get(place) is lab:
        del labs.shared[place]
    keep = config.getoption("--lab-keep")
    lab.keep = keep == "always" or (keep == "failed" and lab.name in labs.failed)
    if lab.keep:
        print(f"\nlab `{lab.name}` is left up; `labctl down {lab.name}` takes it down")  # noqa: T201 - told to who asked for it
    lab.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:  # noqa: ARG001
    """Attach to a failed test's report what its lab shows: logs, and the wire where it has a tap.

    A fixture that fails, before the test or after it, is a failure too, as long as the lab is there.
    """
    report = yield
    if report.failed and (lab := item.stash.get(LAB, None)) and lab.is_up:
        del item.stash[LAB]  # once a test: its folder is named after it
        item.config.stash[LABS].failed.add(lab.name)
        _attach(item, report, lab)
    return report


def _attach(item: pytest.Item, report: Any, lab: "Lab") -> None:
    from labctl.testing.artifacts import write_artifacts

    # A test may have gone elsewhere; what it leaves is found where pytest was started.
    artifacts = item.config.invocation_params.dir / item.config.getoption("--lab-artifacts")
    folder = artifacts / re.sub(r"[^\w.-]+", "-", item.nodeid).strip("-")
    try:
        shown = write_artifacts(lab, folder, SHOWN_LINES)
    except Exception as error:  # a report without them is better than none
        shown = [("lab", f"its logs could not be had: {error}")]
    report.sections += [("lab", f"lab `{lab.name}`; all of it is in {folder}"), *shown]
    # The report of the teardown, which JUnit reads, takes them from the item; this report was made before.
    item.user_properties.append(("lab_artifacts", str(folder)))
    report.user_properties.append(("lab_artifacts", str(folder)))
