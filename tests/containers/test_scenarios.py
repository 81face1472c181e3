"""Every scenario that labctl brings passes, between real hosts; and one whose expectation is wrong does not.

Two are played at a time, since most of them wait for something most of the time.
"""

from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

import pytest

from labctl.scenario.catalog import own_scenarios
from tests.containers.conftest import Labctl


@pytest.fixture(scope="module")
def played(request, images, tmp_path_factory):
    """Each wanted scenario's lab, report and run, which goes on in the background."""

    def play(entry, lab, folder):
        files = ("--junit", str(folder / "j.xml"), "--report", str(folder / "report"))
        return Labctl()("run", entry.name, "--lab", lab, *files)

    items = [item for item in request.session.items if getattr(item, "originalname", "") == "test_passes"]
    with ThreadPoolExecutor(2) as pool:
        runs = {}
        for entry in (item.callspec.params["entry"] for item in items):
            lab, folder = Labctl().name(entry.name), tmp_path_factory.mktemp(entry.name)
            runs[entry.name] = lab, folder, pool.submit(play, entry, lab, folder)
        yield runs
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("entry", list(own_scenarios()), ids=lambda entry: entry.name)
def test_passes(labctl, entry, played):
    lab, folder, run = played[entry.name]
    labctl.labs.append(lab)
    assert f"{entry.name} passed" in run.result().stdout
    suite = ElementTree.parse(folder / "j.xml").getroot()
    assert int(suite.get("tests")) > 0
    assert suite.get("failures") == "0"
    assert (folder / "report" / "report.json").exists()


def test_a_wrong_expectation_fails_with_1_and_says_what_was_seen(labctl, tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(
        "scenario: wrong\ntitle: Wrong\nhosts: [tcp-server, client]\nsteps:\n"
        "  - {say: Greet., on: client, run: lab tcp greet tcp-server, expect: {stdout: {equals: Bye}}}\n"
    )
    done = labctl("run", str(path), "--lab", labctl.name(), code=1)
    assert "stdout was to equal 'Bye', it was 'Thank you for connecting\\n'" in done.stdout
    assert "wrong failed: 0 of 1" in done.stdout


def test_a_wrong_expectation_of_the_wire_fails_and_shows_the_evidence(labctl, tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(
        "scenario: wrong\ntitle: Wrong\nhosts: [tcp-server, client]\nsteps:\n"
        "  - {say: Greet., on: client, run: lab tcp greet tcp-server, wire: [{close: {first: client}}]}\n"
        "wire: [{packets: {kind: TCP, count: 0}}]\n"
    )
    done = labctl("run", str(path), "--lab", labctl.name(), "--junit", str(tmp_path / "j.xml"), code=1)
    assert "✗ close from client: tcp-server closed first (frame" in done.stdout
    assert "─FIN─" in done.stdout  # a cut of the ladder
    assert "✗ on the wire: TCP packets (0): " in done.stdout
    assert ElementTree.parse(tmp_path / "j.xml").getroot().get("failures") == "2"
