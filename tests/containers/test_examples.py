"""The first lessons' programs, between two hosts that are really apart; and a scenario with a Compose file of its own."""

import pytest

COMPOSE = """\
services:
  left: &host {image: "${LAB_IMAGES:-labctl}/client", init: true, user: lab, cap_drop: [ALL], networks: [lab]}
  right: *host
networks: {lab: {internal: true}}
"""
SCENARIO = """\
scenario: programs
title: A program of the first lesson on each of two hosts
hosts: [left, right]
steps:
  - say: One host serves.
    on: left
    run: %(server)s
    background: {ready: listening}
    expect: {exit: 124, within: 20s}
  - say: The other one asks, by name.
    on: right
    run: %(client)s
    expect: {stdout: {contains: %(said)s}, within: 10s}
"""
PAIRS = {
    "tcp": (
        "timeout 4 python3 examples/tcp_server.py 5000",
        "python3 examples/tcp_client.py left 5000",
        "Thank you for connecting",
    ),
    "udp": (
        "timeout 4 python3 examples/udp_server.py 5000",
        "python3 examples/udp_client.py left 5000 hello",
        "HELLO from",
    ),
    "chat": (
        "timeout 6 python3 examples/chat_server.py 5000",
        "(sleep 2; echo bye) | python3 examples/chat_client.py left 5000 & "
        "(sleep 1; echo hello; sleep 3) | timeout 5 python3 examples/chat_client.py left 5000; wait",
        "hello",
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_speaks_across_two_containers(labctl, tmp_path, name):
    server, client, said = PAIRS[name]
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    path = tmp_path / "programs.yaml"
    path.write_text(SCENARIO % {"server": server, "client": client, "said": said})
    done = labctl("run", str(path), "--lab", labctl.name(name))
    assert "programs passed" in done.stdout


@pytest.mark.parametrize("program", ["tcp_client.py", "chat_client.py </dev/null"])
def test_the_clients_defaults_are_the_labs_own_server(labctl, tmp_path, program):
    path = tmp_path / "defaults.yaml"
    path.write_text(
        "scenario: defaults\ntitle: Defaults\nhosts: [tcp-server, client]\nsteps:\n"
        f"  - {{say: No words., on: client, run: 'python3 examples/{program}', expect: {{stdout: {{matches: '.'}}, within: 10s}}}}\n"
    )
    labctl("run", str(path), "--lab", labctl.name())
