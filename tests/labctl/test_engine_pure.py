"""The engine's pure parts: Compose's words into the API's, subnets, endpoints."""

import ipaddress
import json
from itertools import islice
from types import SimpleNamespace

import pytest
from docker.errors import NotFound

from labctl.engine.action import Action
from labctl.engine.endpoint import DEFAULT, find_endpoint
from labctl.engine.lock import lab_lock
from labctl.engine.subnets import RANGE4, candidates, own_range, routed_here
from labctl.engine.translate import check_service, container_body, nanoseconds
from labctl.errors import UsageError
from labctl.model import HostSpec, LabSpec, Port
from labctl.progress import Silent

SERVICE = {
    "image": "x", "command": ["a"], "entrypoint": None, "environment": {"A": "1", "B": None}, "hostname": "h", "user": "lab",
    "init": True, "read_only": True, "cap_drop": ["ALL"], "tmpfs": ["/tmp:mode=1777"], "sysctls": {"net.x": "0"},
    "ulimits": {"nofile": 5, "nproc": {"soft": 1, "hard": 2}}, "pids_limit": 9, "mem_limit": "1048576", "stop_grace_period": "2s",
    "security_opt": ["no-new-privileges:true"], "networks": {"lab": {"aliases": ["other"]}}, "dns_opt": ["timeout:1"],
    "healthcheck": {"test": ["CMD", "true"], "interval": "1s", "timeout": "2s", "retries": 3},
    "volumes": [{"type": "volume", "source": "files", "target": "/f"}, {"type": "bind", "source": "/s", "target": "/t", "read_only": True}],
}  # fmt: skip
HOST = HostSpec("server", "x", SERVICE, (Port(7), Port(9, "udp")))
LAB = LabSpec("demo", "tcp-demo", (HOST,), compose_file="/c/compose.yaml")


class TestTranslation:
    """Compose keys against the API's, one by one."""

    def test_every_key_lands_where_the_api_has_it(self):
        body = container_body(LAB, HOST, "net", publish=False)
        host = body["HostConfig"]
        assert (body["Cmd"], body["Hostname"], body["User"], body["StopTimeout"]) == (["a"], "h", "lab", 2)
        assert body["Env"] == ["A=1", "B"]
        assert "Entrypoint" not in body
        assert (host["Init"], host["ReadonlyRootfs"], host["CapDrop"]) == (True, True, ["ALL"])
        assert (host["PidsLimit"], host["Memory"], host["Tmpfs"]) == (9, 1048576, {"/tmp": "mode=1777"})
        assert host["Ulimits"] == [{"Name": "nofile", "Soft": 5, "Hard": 5}, {"Name": "nproc", "Soft": 1, "Hard": 2}]
        assert host["Sysctls"] == {"net.x": "0"}
        assert host["DnsOptions"] == ["timeout:1"]
        assert host["Mounts"] == [
            {"Type": "volume", "Target": "/f", "ReadOnly": False, "Source": "lab-demo_files"},
            {"Type": "bind", "Target": "/t", "ReadOnly": True, "Source": "/s"},
        ]
        assert body["NetworkingConfig"] == {"EndpointsConfig": {"net": {"Aliases": ["server", "other"]}}}
        assert "PortBindings" not in host

    def test_published_ports_are_on_loopback_alone(self):
        bindings = container_body(LAB, HOST, "net", publish=True)["HostConfig"]["PortBindings"]
        assert bindings == {
            "7/tcp": [{"HostIp": "127.0.0.1", "HostPort": "7"}], "9/udp": [{"HostIp": "127.0.0.1", "HostPort": "9"}],
        }  # fmt: skip

    def test_labels_are_ours_and_composes(self):
        labels = container_body(LAB, HOST, "net", publish=False)["Labels"]
        assert labels["labctl.lab"] == "demo"
        assert labels["labctl.role"] == "host"
        assert labels["com.docker.compose.project"] == "lab-demo"
        assert labels["com.docker.compose.service"] == "server"
        assert labels["com.docker.compose.project.working_dir"] == "/c"

    def test_what_is_not_honoured_is_refused_by_name(self):
        with pytest.raises(UsageError) as caught:
            check_service("server", {"image": "x", "privileged": True, "x-own": 1}, "compose.yaml")
        assert "`privileged`" in caught.value.what
        assert "services.server.privileged" in caught.value.where
        assert caught.value.code == 2

    @pytest.mark.parametrize(
        ("text", "value"), [("2s", 2 * 10**9), ("500ms", 5 * 10**8), ("1m30s", 90 * 10**9), ("1h", 3600 * 10**9)]
    )
    def test_durations(self, text, value):
        assert nanoseconds(text) == value


class TestSubnets:
    RANGE = ipaddress.IPv4Network(RANGE4)

    def test_a_lab_gets_its_old_place_again(self):
        assert next(candidates("demo", [], self.RANGE)) == next(candidates("demo", [], self.RANGE))

    def test_what_is_taken_is_passed_over(self):
        first, second = islice(candidates("demo", [], self.RANGE), 2)
        taken = [ipaddress.ip_network(first[0]), ipaddress.ip_network("fd00::/8")]
        assert next(candidates("demo", taken, self.RANGE)) == second

    def test_a_range_that_is_taken_whole_has_none(self):
        assert list(candidates("demo", [ipaddress.ip_network("10.0.0.0/8")], self.RANGE)) == []

    def test_all_256_differ_and_have_a_pair(self):
        pairs = list(candidates("demo", [], self.RANGE))
        assert len({four for four, _ in pairs}) == len({six for _, six in pairs}) == 256

    def test_the_kernels_routes_count_as_taken(self):
        table = "Iface Destination Gateway Flags RefCnt Use Metric Mask\n"
        table += "eth0 00000000 0100000A 3 0 0 0 00000000\neth0 0000D50A 0 1 0 0 0 0000FFFF\n"
        assert routed_here(table) == [ipaddress.ip_network("10.213.0.0/16")]

    @pytest.mark.parametrize("text", ["10.0.0.0/25", "nonsense", "10.0.0.1/16"])
    def test_a_range_of_the_users_is_checked(self, monkeypatch, text):
        monkeypatch.setenv("LABCTL_SUBNETS", text)
        with pytest.raises(UsageError, match="not an IPv4 range"):
            own_range()


class TestEndpoint:
    @pytest.fixture(autouse=True)
    def _home(self, monkeypatch, tmp_path):
        for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        self.folder = tmp_path

    def test_is_the_default_socket_where_nothing_is_said(self):
        assert find_endpoint().url == DEFAULT
        assert find_endpoint().socket == "/var/run/docker.sock"

    def test_docker_host_comes_first(self, monkeypatch):
        monkeypatch.setenv("DOCKER_HOST", "tcp://engine:2375")
        assert (find_endpoint().url, find_endpoint().socket) == ("tcp://engine:2375", None)

    def test_the_current_context_is_followed_as_the_cli_does(self):
        import hashlib

        meta = self.folder / "contexts" / "meta" / hashlib.sha256(b"remote").hexdigest()
        meta.mkdir(parents=True)
        (meta / "meta.json").write_text(json.dumps({"Endpoints": {"docker": {"Host": "ssh://user@node"}}}))
        (self.folder / "config.json").write_text(json.dumps({"currentContext": "remote"}))
        assert find_endpoint().url == "ssh://user@node"
        assert "remote" in find_endpoint().origin

    def test_a_broken_configuration_is_no_crash(self):
        (self.folder / "config.json").write_text("{not json")
        assert find_endpoint().url == DEFAULT


class TestLock:
    def test_the_second_waits_and_is_told_who_holds_it(self, monkeypatch, tmp_path):
        import os
        import threading

        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        told, entered = [], threading.Event()

        def second():
            with lab_lock("demo", told.append):
                entered.set()

        with lab_lock("demo", told.append):
            thread = threading.Thread(target=second)
            thread.start()
            while not told:
                thread.join(0.01)
            assert not entered.is_set()
            assert str(os.getpid()) in told[0]
        thread.join(5)
        assert entered.is_set()

    def test_labs_do_not_wait_for_each_other(self, monkeypatch, tmp_path):
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        with lab_lock("one", pytest.fail), lab_lock("two", pytest.fail):
            pass


class TestTakingBack:
    def test_a_host_that_was_never_made_keeps_nothing_else_from_going(self):
        gone = []

        class Api:
            def remove_container(self, name, **_):
                gone.append(name)
                if name == "lab-demo-tap-1":
                    raise NotFound("no such container")

            def remove_network(self, name):
                gone.append(name)

        action = Action(SimpleNamespace(api=Api()), LAB, Silent())
        action.made_hosts, action.made_networks = ["lab-demo-tap-1", "lab-demo-server-1"], ["lab-demo_lab_0000"]
        action.take_back()
        assert sorted(gone) == ["lab-demo-server-1", "lab-demo-tap-1", "lab-demo_lab_0000"]
