"""What has to be made again when a lab goes back to its start."""

from dataclasses import replace

from labctl.model import Found, FoundHost, FoundNetwork, FoundVolume, HostSpec, LabSpec, Port
from labctl.testing import resident
from labctl.testing.reset import plan_again

READ_ONLY = {"type": "volume", "source": "handouts", "target": "/h", "read_only": True}
FILES = {"type": "volume", "source": "files", "target": "/srv"}


def lab(*hosts):
    return LabSpec("x", "x", hosts)


def found(spec, **changed):
    hosts = [
        FoundHost(f"id-{host.name}", "x", host.name, digest=host.digest, addresses=("10.0.0.2",)) for host in spec.hosts
    ]
    hosts = [replace(host, **changed.get(host.name, {})) for host in hosts]
    keys = dict.fromkeys(name for host in spec.hosts for name in host.volumes)
    volumes = tuple(FoundVolume("x", f"lab-x_{key}", key) for key in keys)
    return Found(tuple(hosts), (FoundNetwork("n", "x", "lab-x_lab_1", "lab"),), volumes)


SERVER, CLIENT = HostSpec("server", "i", {}, (Port(7),)), HostSpec("client", "i", {"volumes": [READ_ONLY]})


def told(spec, there):
    return [str(step) for step in plan_again(spec, there)]


def test_nothing_where_all_is_as_wanted():
    spec = lab(SERVER, CLIENT)
    assert told(spec, found(spec)) == ["wait, asked from client, for server:7/tcp"]


def test_a_swapped_host_is_made_again():
    spec = lab(SERVER, CLIENT)
    steps = told(spec, found(spec, server={"digest": "another"}))
    assert steps[:3] == [
        "remove host server (its definition changed)",
        "create host server from i",
        "start host server",
    ]


def test_the_image_that_was_built_for_a_swap_goes_with_it():
    spec = lab(SERVER, CLIENT)
    there = found(spec, server={"digest": "another", "image": "labctl-swap:x.server.1"})
    assert "remove image labctl-swap:x.server.1" in told(spec, there)
    mine = replace(SERVER, image="labctl-swap:x.server.1", service={"volumes": [FILES]})
    spec = lab(mine, CLIENT)  # a lab that was started with it: it is made again from it
    steps = told(spec, found(spec, server={"image": mine.image}))
    assert "remove host server (it may have written)" in steps
    assert not any("remove image" in step for step in steps)


def test_a_crashed_host_is_started():
    spec = lab(SERVER, CLIENT)
    assert told(spec, found(spec, server={"state": "exited"}))[0] == "start host server"


def test_hosts_on_a_volume_that_may_be_written_are_made_again_with_it_and_no_others():
    writer = HostSpec("files", "i", {"volumes": [FILES]}, (Port(9000),))
    reader = HostSpec("mirror", "i", {"volumes": [{**FILES, "read_only": True}]})
    spec = lab(writer, reader, SERVER, CLIENT)
    steps = told(spec, found(spec))
    assert [step for step in steps if step.startswith("remove")] == [
        "remove host files (it may have written)",
        "remove host mirror (it may have written)",
        "remove volume lab-x_files",
    ]
    assert [step for step in steps if step.startswith("create")] == [
        "create volume files",
        "create host files from i",
        "create host mirror from i",
    ]


def test_a_host_that_was_taken_off_the_wire_is_made_again():
    spec = lab(SERVER, CLIENT)
    assert told(spec, found(spec, client={"addresses": ()}))[0] == "remove host client (off the wire)"


def test_helpers_of_the_lab_stay():
    spec = lab(SERVER, CLIENT)
    there = found(spec)
    tap = FoundHost("id-tap", "x", "tap", role="tap")
    assert "tap" not in " ".join(told(spec, replace(there, hosts=(*there.hosts, tap))))


def test_the_shell_of_a_container_that_is_gone_is_closed_for_the_next(monkeypatch):
    closed = []

    class Shell:
        def __init__(self, _, host, script):
            self.host = host.id

        def ask(self, words, timeout):
            return resident.BACK

        def close(self):
            closed.append(self.host)

    monkeypatch.setattr(resident, "Shell", Shell)
    residents = resident.Residents(None, frozenset())
    for ident in ("first", "second"):
        residents.settle([(FoundHost(ident, "x", "server"), SERVER)], 0.0, alone=True)
    assert closed == ["first"]
    residents.close()
    assert closed == ["first", "second"]
