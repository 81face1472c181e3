"""The same impairment does the same on every backend: the seeded model, the shaper, and the kernel's netem."""

import dataclasses

import pytest

from tests.impaired import kernels
from tests.impaired.model import play
from tests.impaired.table import OURS, TABLE, Seen

KILLED = [{"ident": "k", "to": "server", "delay_ns": 20_000_000}]
FLOWS = [
    case for case in TABLE if case.words != "partition"
]  # partitions are nftables', which the kernel that is a process lacks

DATAGRAMS = [case for case in FLOWS if not case.traffic.stream]


def cases(table):
    return pytest.mark.parametrize("case", table, ids=lambda case: case.name)


def plan(*backends, table=TABLE):
    """Return what is to be played: every case on every backend, and what is in force when the helper is killed."""
    cases = [
        {
            "name": case.name,
            "rules": {backend: case.rules(backend) for backend in backends},
            "cut": case.words == "partition",
            "expected": {"shaper": len(play(case).came)} if case in DATAGRAMS else {},
            "traffic": dataclasses.asdict(case.traffic),
        }
        for case in table
    ]
    killed = {backend: [KILLED[0] | {"backend": backend}] for backend in backends}
    cut = ["server"] if any(case["cut"] for case in cases) else []
    return {"backends": backends, "cases": cases, "killed": killed, "cut": cut}


@pytest.fixture(scope="session")
def uml(tmp_path_factory):
    """What came of the table in a kernel that runs as a process, and has netem wherever this machine has none."""
    return kernels.boot(plan("shaper", "netem", table=FLOWS), tmp_path_factory.mktemp("uml"))


@pytest.fixture(scope="session")
def here(tmp_path_factory):
    """What came of it in this machine's kernel, with netem where it has one; the containers' tests use it as everybody does."""
    if not kernels.may_play_here():
        pytest.skip(
            "only root may make network namespaces here; the table is played in a kernel of its own, and in containers"
        )
    backends = ("shaper", "netem") if kernels.has_netem_here() else ("shaper",)
    return kernels.here(plan(*backends), tmp_path_factory.mktemp("here")) | {"backends": backends}


def judge(case, told, backend):
    """Hold what was seen against the table."""
    played = told["cases"][f"{backend} {case.name}"]
    if backend == "netem" and case.beyond_netem:
        assert f"`{case.beyond_netem}`" in played["error"]
        assert "the shaper can" in played["error"]
        assert not any(
            rule.get(case.beyond_netem) for rule in played["after"]["rules"]
        )  # what cannot be done changes nothing
        return
    assert "error" not in played, played
    if case.rules(backend):  # what is asked for is what does it
        assert played["backend"] == backend
    if backend == "shaper":
        assert played["measured"].get("overrun", 0) == 0, "this machine did not keep up"
    case.check(case, Seen(**played["seen"]), backend in OURS)


@cases(DATAGRAMS)
def test_model(case):
    case.check(case, play(case), True)


@pytest.mark.parametrize("backend", ["shaper", "netem"])
@cases(FLOWS)
def test_in_a_kernel_with_netem(case, backend, uml):
    judge(case, uml, backend)


@cases(TABLE)
def test_in_this_machines_kernel(case, here):
    for backend in here["backends"]:
        judge(case, here, backend)


@pytest.mark.parametrize("backend", ["shaper", "netem"])
def test_undone_it_leaves_all_as_it_was(backend, uml):
    """Qdiscs, filters, links, addresses, routes and offload flags; also where the helper is killed and another takes it back."""
    left = uml["left"][backend]
    assert "fd09::2/64" in left["before"]
    assert "lab-shaper0" in left["broken"]
    assert left["healed"] == left["before"]
    assert left["closed"] == left["before"]
