"""Labs come up whole or not at all, side by side, and go without a trace, whatever interrupts."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import docker
import pytest

ROOT = Path(__file__).parents[2]
IMAGES = os.environ.get("LAB_IMAGES", "labctl")


@pytest.fixture
def engine():
    with closing(docker.from_env()) as client:
        yield client


def begin(*argv):
    """Start a labctl that the test will interrupt."""
    return subprocess.Popen(
        [sys.executable, "-m", "labctl", *argv], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip


def containers(engine, lab):
    return engine.containers.list(all=True, sparse=True, filters={"label": f"labctl.lab={lab}"})


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not (seen := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        os.sched_yield()
    return seen


class TestUpAndDown:
    def test_hosts_are_hardened_labelled_and_reach_each_other_by_name_alone(self, labctl, engine):
        lab = labctl.name()
        labctl("up", "tcp-demo", "--lab", lab)
        for container in containers(engine, lab):
            container.reload()
            config, host = container.attrs["Config"], container.attrs["HostConfig"]
            assert config["User"] == "lab"
            assert host["CapDrop"] == ["ALL"]
            assert host["ReadonlyRootfs"]
            assert host["SecurityOpt"] == ["no-new-privileges:true"]
            assert not host["Privileged"]
            assert not host["PortBindings"]
            assert config["Labels"]["labctl.role"] == "host"
        assert (
            labctl("exec", "--lab", lab, "client", "--", "lab", "tcp", "greet", "tcp-server").stdout
            == "Thank you for connecting\n"
        )
        assert labctl(
            "exec", "--lab", lab, "client", "--", "lab", "tcp", "greet", "-6", "tcp-server"
        ).stdout.startswith("Thank you")
        assert labctl("exec", "--lab", lab, "client", "--", "sh", "-c", "exit 7", code=7).stdout == ""
        assert "listening" in labctl("logs", "--lab", lab, "tcp-server").stdout
        hosts = {host["name"]: host for host in labctl.json("ps", lab)["hosts"]}
        assert set(hosts) == {"client", "tcp-server"}
        assert all(len(host["addresses"]) == 2 for host in hosts.values())
        labctl("down", lab)
        assert containers(engine, lab) == []

    def test_two_labs_of_one_scenario_stand_side_by_side_and_do_not_meet(self, labctl):
        one, two = labctl.name("one"), labctl.name("two")
        labctl("up", "tcp-demo", "--lab", one)
        labctl("up", "tcp-demo", "--lab", two)
        there = [host for host in labctl.json("ps")["hosts"] if host["lab"] in (one, two)]
        hosts = {(host["lab"], host["name"]): host["addresses"][0] for host in there}
        other = hosts[two, "tcp-server"]
        labctl("exec", "--lab", one, "client", "--", "lab", "tcp", "greet", "--timeout", "1", other, code=1)
        told = labctl("exec", "client", "--", "true", code=2)
        assert one in told.stderr
        assert two in told.stderr

    def test_a_name_in_use_is_refused_and_the_lab_is_left_alone(self, labctl, engine):
        lab = labctl.name()
        labctl("up", "tcp-demo", "--lab", lab)
        before = {container.id for container in containers(engine, lab)}
        told = labctl("up", "tcp-demo", "--lab", lab, code=1)
        assert f"lab `{lab}` is up already" in told.stderr
        assert {container.id for container in containers(engine, lab)} == before

    def test_compose_sees_what_labctl_made_and_can_take_it_down(self, labctl, engine):
        from labctl.provision.compose_tool import find_compose

        lab = labctl.name()
        labctl("up", "tcp-demo", "--lab", lab)
        compose = [*find_compose().command, "-p", f"lab-{lab}"]
        listed = subprocess.run([*compose, "ps", "--services"], capture_output=True, text=True, check=True)
        assert set(listed.stdout.split()) == {"client", "tcp-server"}
        subprocess.run([*compose, "down", "-t", "0"], capture_output=True, check=True)
        assert containers(engine, lab) == []

    def test_plain_compose_brings_the_same_hosts_up(self, labctl):
        from labctl.provision.compose_tool import find_compose

        project = labctl.name("plain")
        compose = [*find_compose().command, "-p", project, "-f", str(ROOT / "compose.yaml"), "--profile", "tcp-demo"]
        env = os.environ | {"LAB_SUBNET6": "fd6c:6162:ffff::/64"}
        try:
            subprocess.run([*compose, "up", "-d", "--wait"], capture_output=True, check=True, env=env)
            said = subprocess.run(
                [*compose, "exec", "-T", "client", "lab", "tcp", "greet", "tcp-server"],
                capture_output=True,
                text=True,
                check=True,
                env=env,
            )
            assert said.stdout == "Thank you for connecting\n"
        finally:
            subprocess.run([*compose, "down", "-t", "0"], capture_output=True, check=True, env=env)


class TestPublish:
    def test_ports_are_open_on_loopback_and_names_still_mean_the_labs_wire(self, labctl):
        lab = labctl.name()
        labctl("up", "tcp-demo", "--lab", lab, "--publish")
        with socket.create_connection(("127.0.0.1", 12345), timeout=5) as conn:
            assert conn.recv(100) == b"Thank you for connecting"
        hosts = {host["name"]: host for host in labctl.json("ps", lab)["hosts"]}
        assert all(port.startswith("127.0.0.1:") for port in hosts["tcp-server"]["published"])
        for asker in ("client", "tcp-server"):
            seen = labctl("exec", "--lab", lab, asker, "--", "getent", "ahostsv4", "client").stdout
            assert {line.split()[0] for line in seen.splitlines()} == {hosts["client"]["addresses"][0]}
        seen = labctl("exec", "--lab", lab, "client", "--", "getent", "ahostsv4", "tcp-server").stdout
        assert {line.split()[0] for line in seen.splitlines()} == {hosts["tcp-server"]["addresses"][0]}

    def test_a_port_in_use_is_named_and_nothing_is_left(self, labctl, engine):
        lab = labctl.name()
        with socket.create_server(("127.0.0.1", 12345)):
            told = labctl("up", "tcp-demo", "--lab", lab, "--publish", code=1)
        assert "12345" in told.stderr
        assert "in use" in told.stderr
        assert containers(engine, lab) == []


class TestTrouble:
    def own_lab(self, tmp_path, command):
        (tmp_path / "compose.yaml").write_text(
            "services:\n"
            f"  server: {{<<: &host {{init: true, networks: [lab]}}, image: '{IMAGES}/tcp-server',"
            f" entrypoint: [sh, -c, {command!r}], expose: ['12345']}}\n"
            f"  client: {{<<: *host, image: '{IMAGES}/client'}}\n"
            "networks: {lab: {internal: true}}\n"
        )
        (tmp_path / "own.yaml").write_text("scenario: own\ntitle: Own\nhosts: [server, client]\n")
        return str(tmp_path / "own.yaml")

    def test_a_host_that_dies_while_starting_is_told_with_its_last_lines(self, labctl, engine, tmp_path):
        lab = labctl.name()
        told = labctl("up", self.own_lab(tmp_path, "echo no disk today; exit 9"), "--lab", lab, code=1)
        assert "host `server` ended while starting, exit code 9" in told.stderr
        assert "| no disk today" in told.stderr
        assert containers(engine, lab) == []

    def test_a_port_that_never_answers_is_told_after_the_time_out(self, labctl, engine, tmp_path):
        lab = labctl.name()
        told = labctl(
            "up", self.own_lab(tmp_path, "echo I listen nowhere; sleep 60"), "--lab", lab, "--timeout", "1.5", code=1
        )
        assert "host `server` was not ready after 1.5 s" in told.stderr
        assert "server:12345/tcp: refused" in told.stderr
        assert "| I listen nowhere" in told.stderr
        assert containers(engine, lab) == []

    def test_an_image_that_is_not_there_is_named(self, labctl, tmp_path):
        path = self.own_lab(tmp_path, "true")
        compose = tmp_path / "compose.yaml"
        compose.write_text(compose.read_text().replace("/tcp-server", "/none-such"))
        told = labctl("up", path, "--lab", labctl.name(), code=1)
        assert "/none-such` is not there" in told.stderr

    def test_a_range_without_room_is_told(self, labctl, engine):
        one, two = labctl.name(), labctl.name()
        labctl("up", "ip-demo", "--lab", one, LABCTL_SUBNETS="10.98.7.0/24")
        told = labctl("up", "ip-demo", "--lab", two, LABCTL_SUBNETS="10.98.7.0/24", code=1)
        assert "no subnet is left" in told.stderr
        assert one in told.stderr
        assert containers(engine, two) == []

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_an_interrupted_up_exits_with_130_and_leaves_nothing(self, labctl, engine, number):
        lab = labctl.name()
        up = begin("up", "tcp-demo", "--lab", lab)
        wait_for(lambda: containers(engine, lab))
        up.send_signal(number)
        _, told = up.communicate(timeout=30)
        assert up.returncode == 130, told
        assert containers(engine, lab) == []
        assert engine.networks.list(filters={"label": f"labctl.lab={lab}"}) == []

    def test_after_kill_9_the_next_up_puts_it_right(self, labctl, engine):
        lab = labctl.name()
        up = begin("up", "tcp-demo", "--lab", lab)
        wait_for(lambda: containers(engine, lab))
        up.kill()
        up.communicate()
        done = labctl("up", "tcp-demo", "--lab", lab, code=None)
        assert done.returncode == 0 or "is up already" in done.stderr
        assert (
            labctl("exec", "--lab", lab, "client", "--", "lab", "tcp", "greet", "tcp-server").stdout
            == "Thank you for connecting\n"
        )

    def test_after_kill_9_down_removes_what_is_left(self, labctl, engine):
        lab = labctl.name()
        up = begin("up", "tcp-demo", "--lab", lab)
        wait_for(lambda: engine.networks.list(filters={"label": f"labctl.lab={lab}"}))
        up.kill()
        up.communicate()
        labctl("down", lab)
        assert containers(engine, lab) == []
        assert engine.networks.list(filters={"label": f"labctl.lab={lab}"}) == []

    def test_two_ups_of_one_lab_at_once_make_one_whole_lab(self, labctl, engine):
        lab = labctl.name()
        both = [begin("up", "tcp-demo", "--lab", lab) for _ in range(2)]
        told = [up.communicate(timeout=60)[1] for up in both]
        assert sorted(up.returncode for up in both) == [0, 1], told
        assert any(f"lab `{lab}` is up already" in text for text in told)
        assert sorted(container.status for container in containers(engine, lab)) == ["running", "running"]

    def test_two_users_at_once_never_make_half_a_lab(self, labctl, engine, tmp_path):
        lab = labctl.name()
        one = begin("up", "tcp-demo", "--lab", lab)
        other = subprocess.run(
            [sys.executable, "-m", "labctl", "up", "tcp-demo", "--lab", lab], cwd=ROOT, capture_output=True, text=True, check=False,
            env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)}, timeout=60,
        )  # fmt: skip
        one.communicate(timeout=60)
        codes = sorted([one.returncode, other.returncode])
        assert codes in ([0, 0], [0, 1], [1, 1])  # both, where one came when the other was through
        assert len(containers(engine, lab)) == (2 if 0 in codes else 0)
        if 0 in codes:
            labctl("exec", "--lab", lab, "client", "--", "lab", "tcp", "greet", "tcp-server")
