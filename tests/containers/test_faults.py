"""Faults as steps of a scenario, on real hosts."""

SCENARIO = """\
scenario: faults
title: A host is paused, killed and brought back
hosts: [tcp-server, client]
steps:
  - fault: pause tcp-server
  - say: Its kernel still accepts; nobody answers.
    on: client
    run: lab tcp greet tcp-server --timeout 1
    expect: {exit: 1, stderr: {contains: nothing came in time}, within: 10s}
  - fault: heal tcp-server
  - {say: It goes on., on: client, run: lab tcp greet tcp-server, expect: {within: 10s}}
  - {say: The host is lost., fault: crash tcp-server}
  - say: Its name is gone.
    on: client
    run: lab ip tcp-server
    expect: {exit: 1, stderr: {contains: does not resolve}, within: 10s}
  - fault: %s
  - {say: It is back., on: client, run: lab wait tcp-server:12345 && lab tcp greet tcp-server, expect: {within: 20s}}
"""


def test_pause_crash_and_restart(labctl, tmp_path):
    path = tmp_path / "faults.yaml"
    path.write_text(SCENARIO % "restart tcp-server")
    done = labctl("run", str(path), "--lab", labctl.name())
    assert "faults passed: 8 of 8 steps" in done.stdout
    assert "fault: crash tcp-server" in done.stdout


def test_heal_alone_brings_all_back_and_a_fault_without_effect_fails(labctl, tmp_path):
    path = tmp_path / "faults.yaml"
    path.write_text(SCENARIO.replace("heal tcp-server", "pause tcp-server", 1) % "heal")
    done = labctl("run", str(path), "--lab", labctl.name(), code=1)
    assert "host `tcp-server` is paused, so `pause tcp-server` has nothing to break" in done.stdout
    assert "It is back." in done.stdout.split("fault: heal")[1]


def test_a_lab_that_is_left_paused_goes_down(labctl, tmp_path):
    path = tmp_path / "faults.yaml"
    path.write_text("scenario: faults\ntitle: x\nhosts: [tcp-server, client]\nsteps:\n  - fault: pause tcp-server\n")
    labctl("run", str(path), "--lab", labctl.name())  # the fixture asserts that nothing is left
