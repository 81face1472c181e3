"""Every scenario that labctl brings passes, between real hosts; and one whose expectation is wrong does not."""

from xml.etree import ElementTree

import pytest

from labctl.scenario.catalog import own_scenarios


@pytest.mark.parametrize("entry", list(own_scenarios()), ids=lambda entry: entry.name)
def test_passes(labctl, entry, tmp_path):
    lab = labctl.name()
    done = labctl(
        "run", entry.name, "--lab", lab, "--junit", str(tmp_path / "j.xml"), "--report", str(tmp_path / "report")
    )
    assert f"{entry.name} passed" in done.stdout
    suite = ElementTree.parse(tmp_path / "j.xml").getroot()
    assert int(suite.get("tests")) > 0
    assert suite.get("failures") == "0"
    assert (tmp_path / "report" / "report.json").exists()


def test_a_wrong_expectation_fails_with_1_and_says_what_was_seen(labctl, tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(
        "scenario: wrong\ntitle: Wrong\nhosts: [tcp-server, client]\nsteps:\n"
        "  - {say: Greet., on: client, run: lab tcp greet tcp-server, expect: {stdout: {equals: Bye}}}\n"
    )
    done = labctl("run", str(path), "--lab", labctl.name(), code=1)
    assert "stdout was to equal 'Bye', it was 'Thank you for connecting\\n'" in done.stdout
    assert "wrong failed: 0 of 1" in done.stdout
