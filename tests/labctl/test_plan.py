"""From wanted and found to steps: a table."""

from dataclasses import replace

import pytest

from labctl.model import Found, FoundHost, FoundNetwork, FoundVolume, HostSpec, LabSpec, Port
from labctl.plan import is_complete, plan_down, plan_up

SERVER = HostSpec("tcp-server", "labctl/tcp-server", {"a": 1}, (Port(7), Port(12345)))
CLIENT = HostSpec("client", "labctl/client", {"b": 2})
LAB = LabSpec("demo", "tcp-demo", (SERVER, CLIENT))
NETWORK = FoundNetwork("n1", "demo", "lab-demo_lab_1", "lab")


def found_host(spec, **changes):
    return replace(FoundHost(f"id-{spec.name}", "demo", spec.name, "tcp-demo", digest=spec.digest), **changes)


ALL = Found((found_host(SERVER), found_host(CLIENT)), (NETWORK,))
WAIT = "wait, asked from client, for tcp-server:7/tcp, tcp-server:12345/tcp"


def texts(steps):
    return [str(step) for step in steps]


@pytest.mark.parametrize(
    ("found", "steps"),
    [
        pytest.param(
            Found(),
            ["create network lab (internal)", "create host tcp-server from labctl/tcp-server", "start host tcp-server",
             "create host client from labctl/client", "start host client", WAIT],
            id="nothing there",
        ),
        pytest.param(ALL, [WAIT], id="all there"),
        pytest.param(
            replace(ALL, hosts=(found_host(SERVER, state="exited"), found_host(CLIENT))), ["start host tcp-server", WAIT], id="one stopped"
        ),
        pytest.param(
            replace(ALL, hosts=(found_host(CLIENT),)),
            ["create host tcp-server from labctl/tcp-server", "start host tcp-server", WAIT],
            id="one missing",
        ),
        pytest.param(
            replace(ALL, hosts=(found_host(SERVER, digest="old"), found_host(CLIENT))),
            ["remove host tcp-server (its definition changed)", "create host tcp-server from labctl/tcp-server",
             "start host tcp-server", WAIT],
            id="one out of date",
        ),
        pytest.param(
            replace(ALL, hosts=(*ALL.hosts, found_host(HostSpec("ftp-server", "x", {})))),
            ["remove host ftp-server (not wanted)", WAIT],
            id="one too many",
        ),
        pytest.param(
            replace(ALL, hosts=(found_host(SERVER, state="created"), found_host(CLIENT, state="dead"))),
            ["start host tcp-server", "remove host client (it is dead)", "create host client from labctl/client", "start host client",
             WAIT],
            id="killed in the midst",
        ),
    ],
)  # fmt: skip
def test_up(found, steps):
    assert texts(plan_up(LAB, found)) == steps


def test_only_a_lab_that_stands_is_complete():
    assert is_complete(plan_up(LAB, ALL))
    assert not is_complete(plan_up(LAB, Found()))


def test_publishing_gives_each_host_with_ports_a_network_of_its_own():
    steps = texts(plan_up(replace(LAB, publish=True), Found()))
    assert "create network publish-tcp-server (published on 127.0.0.1)" in steps
    assert "create host tcp-server from labctl/tcp-server, publish 127.0.0.1:7/tcp, 127.0.0.1:12345/tcp" in steps
    assert not any("publish-client" in step for step in steps)


def test_named_volumes_come_before_the_hosts_that_mount_them():
    mounts = {"volumes": [{"type": "volume", "source": "files", "target": "/f"}, {"type": "tmpfs", "target": "/t"}]}
    lab = replace(LAB, hosts=(HostSpec("file-server", "x", mounts), CLIENT))
    steps = texts(plan_up(lab, Found()))
    assert steps.index("create volume files") < steps.index("create host file-server from x")
    volume = FoundVolume("demo", "lab-demo_files", "files")
    assert "create volume files" not in texts(plan_up(lab, Found(volumes=(volume,))))


def test_a_lab_without_the_client_host_is_asked_from_its_first_host():
    lab = replace(LAB, hosts=(SERVER,))
    assert texts(plan_up(lab, Found()))[-1] == "wait for tcp-server"


def test_down_removes_all_of_it_and_keeps_volumes_where_asked():
    found = replace(ALL, volumes=(FoundVolume("demo", "lab-demo_files", "files"),))
    assert texts(plan_down(found)) == [
        "remove host tcp-server", "remove host client", "remove network lab-demo_lab_1", "remove volume lab-demo_files",
    ]  # fmt: skip
    assert "remove volume lab-demo_files" not in texts(plan_down(found, keep_volumes=True))
    assert plan_down(Found()) == ()


def test_down_removes_the_images_that_were_built_for_this_lab_and_no_others():
    mine = [found_host(SERVER, image="labctl-swap:demo.tcp-server.1"), found_host(CLIENT, image="labctl/client")]
    found = replace(ALL, hosts=tuple(mine))
    assert [step for step in texts(plan_down(found)) if "image" in step] == [
        "remove image labctl-swap:demo.tcp-server.1"
    ]


@pytest.mark.parametrize(("text", "port"), [("7", Port(7)), ("7/udp", Port(7, "udp")), ("12345/tcp", Port(12345))])
def test_ports_are_read_as_compose_writes_them(text, port):
    assert Port.parse(text) == port


@pytest.mark.parametrize("text", ["7/sctp", "x", ""])
def test_what_is_no_port_is_refused(text):
    with pytest.raises(ValueError):
        Port.parse(text)
