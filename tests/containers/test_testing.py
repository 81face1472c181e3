"""`labctl.testing` as testcontainers' users expect it, on real hosts; each trap of theirs has its test."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labctl.commands.faults import faults
from labctl.commands.run import play
from labctl.engine.sdk import DockerEngine
from labctl.errors import LabError, UsageError
from labctl.model import OWNER
from labctl.scenario.read import parse_scenario
from labctl.testing import Lab, wait_for_exit, wait_for_health, wait_for_http, wait_for_log, wait_for_port
from labctl.testing.owner import sweep

ROOT = Path(__file__).parents[2]
MINE = """\
import socket
with socket.create_server(("", 12345)) as listener:
    print("here I am", flush=True)
    while True:
        conn, _ = listener.accept()
        with conn:
            conn.sendall(b"mine\\n")
"""


@pytest.fixture(scope="module")
def lab(images):
    with Lab("tcp-demo") as lab:
        yield lab


@pytest.fixture
def engine():
    engine = DockerEngine()
    yield engine
    engine.close()


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "my_server.py"
    path.write_text(MINE)
    return path


LOSSY = """python3 -c '
import socket
conn = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
conn.connect(("udp-server", 7))
conn.settimeout(0.25)
for number in range(20):
    conn.send(b"%d" % number)
    try:
        print("echo", conn.recv(100))
    except TimeoutError:
        print("lost", number)
'"""


def left(engine, name):
    return engine.look(name)


class TestHosts:
    def test_a_command_tells_all_that_came_of_it(self, lab):
        ran = lab.host("client").run("echo out; echo err >&2; exit 3")
        assert (ran.exit, ran.stdout, ran.stderr, ran.ok) == (3, "out\n", "err\n", False)

    def test_a_checked_command_that_fails_is_an_assertion(self, lab):
        with pytest.raises(AssertionError, match="exit code 3\nwhy"):
            lab.host("client").run("echo why; exit 3", check=True)

    def test_a_late_command_is_ended(self, lab):
        with pytest.raises(TimeoutError):
            lab.host("client").run("sleep 20", timeout=0.5)

    @pytest.mark.parametrize("octets", [b"", b"\x00\xff\r\n", bytes(range(256)) * 8192], ids=["none", "few", "2 MiB"])
    def test_files_come_back_as_they_went(self, lab, octets, tmp_path):
        client = lab.host("client")
        client.put(octets, "/tmp/a folder/it's", mode=0o755)
        assert client.get("/tmp/a folder/it's", tmp_path / "back") == octets == (tmp_path / "back").read_bytes()
        assert client.run(["stat", "-c", "%a", "/tmp/a folder/it's"]).stdout == "755\n"

    def test_what_cannot_be_written_or_read_is_said(self, lab):
        with pytest.raises(LabError, match="could not be written"):
            lab.host("client").put(b"x", "/etc/nothing")
        with pytest.raises(LabError, match="No such file"):
            lab.host("client").get("/nothing")

    def test_an_unknown_host_is_answered_with_the_nearest(self, lab):
        with pytest.raises(UsageError, match="did you mean `tcp-server`"):
            lab.host("tcp-serve")

    def test_a_port_is_reached_from_this_process(self, lab):
        with socket.create_connection(lab.address("tcp-server", 12345), 5) as conn:
            assert conn.recv(100) == b"Thank you for connecting"


class TestAsTestcontainersUsersKnowIt:
    def test_exec_gives_code_and_output_and_does_not_raise(self, lab):
        """DockerCompose.exec_in_container raises on any code but 0, so its code is always 0."""
        assert lab.exec("client", ["sh", "-c", "echo out; exit 7"]) == (7, b"out\n")
        assert lab.host("client").exec("echo 'two words'").output == b"two words\n"

    def test_logs_are_two_streams(self, lab):
        out, err = lab.get_logs("tcp-server")
        assert b"ready" in out + err
        assert lab.host("tcp-server").get_logs() == (out, err)

    def test_service_host_and_port(self, lab):
        host, port = lab.get_service_host_and_port("tcp-server", 7)
        assert (host, port) == (lab.get_service_host("tcp-server", 7), lab.get_service_port("tcp-server", 7))
        with socket.create_connection((host, port), 5) as conn:
            conn.sendall(b"echo\n")
            assert conn.recv(100) == b"echo\n"

    def test_the_wrapped_container_is_the_sdk_s(self, lab):
        container = lab.get_container("tcp-server").get_wrapped_container()
        assert container.status == "running"
        assert container.labels["labctl.lab"] == lab.name

    def test_the_version_is_negotiated(self, lab):
        """Newer engines refuse old versions, older ones do not know new ones: what is spoken is what the engine has at most."""
        assert lab.engine.api.api_version == lab.docker_client().version()["ApiVersion"]

    def test_with_env_and_with_command_reach_the_host(self, images):
        lab = Lab("tcp-demo").with_env("client", "COLOUR", "blue").with_command("tcp-server", ["--port", "echo=7777"])
        # the reference's echo port answers nowhere then, so readiness is never reached: the lab is gone again
        with pytest.raises(LabError, match="7/tcp"), lab.with_timeout(1.5):
            pass
        with Lab("tcp-demo").with_env("client", "COLOUR", "blue") as lab:
            assert lab.host("client").run("echo $COLOUR").stdout == "blue\n"

    def test_published_ports_are_of_the_engine_s_choice(self, images):
        """Two labs at once: nothing is fixed, so nothing collides."""
        with Lab("tcp-demo").with_published_ports() as one, Lab("tcp-demo").with_exposed_ports() as two:
            places = [lab.get_service_host_and_port("tcp-server", 12345) for lab in (one, two)]
            assert places[0] != places[1]
            for host, port in places:
                assert host == "127.0.0.1"
                with socket.create_connection((host, port), 5) as conn:
                    assert conn.recv(100) == b"Thank you for connecting"
            assert one.host("client").run("lab tcp greet tcp-server").ok

    @pytest.mark.parametrize("variable", ["LABCTL_HOST", "TESTCONTAINERS_HOST_OVERRIDE"])
    def test_the_engine_s_address_can_be_told(self, images, monkeypatch, variable):
        """testcontainers finds a gateway's address where this machine looks like a container."""
        monkeypatch.setenv(variable, "localhost")
        with Lab("tcp-demo") as lab:
            host, port = lab.get_service_host_and_port("tcp-server", 12345)
            assert host == "localhost"
            with socket.create_connection((host, port), 5) as conn:
                assert conn.recv(100) == b"Thank you for connecting"


class TestWaits:
    """DockerCompose.waiting_for takes log strategies alone: ports and HTTP dial 127.0.0.1 and a port that is not mapped, health and
    exec raise. Here all work, and look every 20 ms, not once a second."""

    @pytest.mark.parametrize(
        "strategy",
        [wait_for_log("ready"), wait_for_port(12345), wait_for_exit("true"), wait_for_health()],
        ids=["log", "port", "exec", "health"],
    )
    def test_what_holds_is_seen_at_once(self, lab, strategy):
        began = time.monotonic()
        lab.host("tcp-server").waiting_for(strategy)
        assert time.monotonic() - began < 3

    def test_what_never_holds_is_told(self, lab):
        with pytest.raises(TimeoutError, match=r"log line `never` within 0\.2 s"):
            lab.host("tcp-server").waiting_for(wait_for_log("never").with_startup_timeout(0.2))

    def test_a_host_that_ended_is_waited_for_no_longer(self, images):
        with Lab("tcp-demo") as lab:
            lab.faults.crash("tcp-server")
            began = time.monotonic()
            with pytest.raises(LabError, match="ended"):
                lab.host("tcp-server").waiting_for(wait_for_log("never"))
            assert time.monotonic() - began < 5

    def test_http(self, images):
        with Lab("web-demo").waiting_for({"web-server": wait_for_http(80, "/nothing", status=404)}) as lab:
            from testcontainers.core.wait_strategies import HttpWaitStrategy

            lab.host("web-server").waiting_for(HttpWaitStrategy(80).for_status_code(200))

    def test_testcontainers_own_strategies_work(self, lab):
        from testcontainers.core import wait_strategies as theirs

        server = lab.host("tcp-server")
        for strategy in (
            theirs.LogMessageWaitStrategy("ready"),
            theirs.PortWaitStrategy(12345),
            theirs.ExecWaitStrategy(["true"]),
            theirs.HealthcheckWaitStrategy(),
        ):
            began = time.monotonic()
            server.waiting_for(strategy)
            assert time.monotonic() - began < 3, strategy

    def test_testcontainers_strategies_look_every_20_ms_unless_told_otherwise(self, lab):
        from testcontainers.core.wait_strategies import LogMessageWaitStrategy

        own, told = LogMessageWaitStrategy("ready"), LogMessageWaitStrategy("ready").with_poll_interval(0.5)
        for strategy in (own, told):
            lab.host("tcp-server").waiting_for(strategy)
        assert (own._poll_interval, told._poll_interval) == (0.02, 0.5)


class TestAUsersOwnContainer:
    """`DockerContainer(...).with_network(lab.network)`."""

    @pytest.fixture
    def theirs(self, images):
        from testcontainers.core.container import DockerContainer

        image = f"{os.environ.get('LAB_IMAGES', 'labctl')}/tcp-server"
        return lambda: DockerContainer(image).with_network_aliases("theirs")

    def test_it_is_reached_by_name_and_reaches_by_name(self, lab, theirs):
        with theirs().with_network(lab.network) as container:
            client = lab.host("client")
            client.run("lab wait theirs:12345", check=True)
            assert client.run("lab tcp greet theirs").stdout == "Thank you for connecting\n"
            code, output = container.exec(
                ["python3", "-c", "import socket; print(socket.create_connection(('tcp-server', 7)))"]
            )
            assert code == 0, output

    def test_ryuk_is_done_without_where_the_engine_lacks_its_image(self, engine, monkeypatch):
        """Each `start()` would try to pull it, and fail where no registry answers."""
        from testcontainers.core.config import testcontainers_config as config

        from labctl.testing.network import do_without_ryuk

        monkeypatch.delenv("TESTCONTAINERS_RYUK_DISABLED", raising=False)
        monkeypatch.setattr(config, "_ryuk_disabled", False)
        monkeypatch.setattr(config, "ryuk_image", "nowhere.test/ryuk:0")
        do_without_ryuk(engine)
        assert config.ryuk_disabled
        monkeypatch.setattr(config, "_ryuk_disabled", False)
        monkeypatch.setenv("TESTCONTAINERS_RYUK_DISABLED", "false")
        do_without_ryuk(engine)
        assert not config.ryuk_disabled  # the user's own word

    def test_one_that_is_still_there_does_not_hold_the_lab_back(self, engine, theirs):
        lab = Lab("tcp-demo").start()
        container = theirs().with_network(lab.network).start()
        lab.stop()
        assert not left(engine, lab.name)
        assert not engine.api.containers(all=True, filters={"id": container.get_container_id()})
        container.get_docker_client().client.close()


class TestCleanUp:
    def test_nothing_is_left_after_the_block_even_after_an_error(self, engine, images):
        with pytest.raises(ZeroDivisionError), Lab("tcp-demo") as lab:
            assert left(engine, lab.name)
            raise ZeroDivisionError
        assert not left(engine, lab.name)

    def test_a_kept_lab_stays_and_no_sweep_takes_it(self, engine, images):
        lab = Lab("tcp-demo", keep=True)
        try:
            with lab:
                pass
            sweep(engine)
            assert left(engine, lab.name)
        finally:
            subprocess.run([sys.executable, "-m", "labctl", "down", lab.name, "-q"], cwd=ROOT, check=True)

    @pytest.mark.parametrize("keep", [False, True])
    @pytest.mark.parametrize("program", ["", "./nothing.py"])
    def test_a_name_that_is_another_lab_s_leaves_that_one_as_it_is(self, engine, labctl, keep, program):
        name = labctl.name()
        labctl("up", "tcp-demo", "--lab", name)
        lab = Lab("tcp-demo", name=name, keep=keep)
        lab = lab.with_swap("tcp-server", program) if program else lab
        with pytest.raises(LabError, match=r"is up already|no file"):
            lab.start()
        assert len(left(engine, name).hosts) == 2

    def test_nor_does_one_of_the_same_process(self, engine, lab):
        for start in (Lab("tcp-demo", name=lab.name).start, Lab("tcp-demo").with_name(lab.name).start, lab.start):
            with pytest.raises(LabError, match="is up already"):
                start()
        assert len(left(engine, lab.name).hosts) == 2

    @pytest.mark.parametrize("reaper", ["alive", "killed too"])
    def test_a_killed_run_leaves_nothing(self, engine, images, reaper):
        """SIGKILL: no finalizer runs. The reaper sees its stdin end; where it was killed too, the next run sweeps by label."""
        code = (
            "import json, time; from labctl.testing import Lab; from labctl.testing import reaper\n"
            "lab = Lab('tcp-demo').start()\n"
            "print(json.dumps([lab.name, [r.pid for r in reaper._reapers.values()]]), flush=True); time.sleep(60)"
        )
        run = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        name, reapers = json.loads(run.stdout.readline())
        assert {host.labels[OWNER] for host in left(engine, name).hosts}
        if reaper == "killed too":
            for pid in reapers:
                os.kill(pid, signal.SIGKILL)
        run.kill()
        run.communicate()
        if reaper == "killed too":
            assert left(engine, name)
            assert name in sweep(engine)
        deadline = time.monotonic() + 15
        while left(engine, name) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not left(engine, name)


class TestReset:
    def test_a_test_that_broke_nothing_costs_one_question_to_the_engine(self, lab, monkeypatch):
        """What is said to the shells that run in the hosts is none: it goes over connections that are open.

        First in its class: once a link was broken, its shaper is there to be asked too.
        """
        lab.reset()
        asked = []
        send = lab.engine.api.send
        monkeypatch.setattr(
            lab.engine.api, "send", lambda request, **how: asked.append(request.path_url) or send(request, **how)
        )
        lab.host("client").run("lab tcp greet tcp-server", check=True)
        with socket.create_connection(lab.address("tcp-server", 12346), 5) as chat:
            chat.settimeout(5)
            before = len(asked)
            lab.reset()
            assert len(asked) == before + 1, "\n".join(asked[before:])
            while chat.recv(1000):  # the server has begun anew
                pass

    def test_processes_files_and_connections_are_gone(self, lab):
        client = lab.host("client")
        client.run(
            "(setsid sleep 300 &) ; setsid sh -c 'lab tcp echo tcp-server 7' </dev/null & sleep 301 >/dev/null 2>&1 &"
        )
        client.run("echo x >/tmp/left; echo y >~/left; mkdir -p /tmp/deep/er && touch -d 2001-01-01 /tmp/deep/er/old")
        ids = {host.name: host.found.id for host in lab.hosts}
        with socket.create_connection(lab.address("tcp-server", 7), 5) as conn:
            conn.settimeout(5)
            conn.sendall(b"there?\n")
            assert conn.recv(10) == b"there?\n"
            lab.reset()
            assert conn.recv(10) == b""
        assert client.run("ls -A /tmp; ls -A ~; grep -lc sleep /proc/[0-9]*/comm | wc -l").stdout == "examples\n1\n"
        assert {host.name: host.found.id for host in lab.hosts} == ids  # nothing was made again
        assert client.run("lab tcp greet tcp-server").ok

    def test_what_was_swapped_crashed_or_paused_is_put_right(self, lab, mine):
        client = lab.host("client")
        lab.swap("tcp-server", mine)
        assert client.run("lab tcp greet tcp-server").stdout == "mine\n"
        lab.reset()
        assert client.run("lab tcp greet tcp-server").stdout == "Thank you for connecting\n"
        for verb in ("crash", "pause"):
            lab.faults(f"{verb} tcp-server")
            lab.reset()
            assert client.run("lab tcp greet tcp-server").stdout == "Thank you for connecting\n"

    def test_a_partition_is_healed(self, lab):
        client = lab.host("client")
        lab.faults.partition("client", "tcp-server")
        assert not client.run("lab tcp greet tcp-server --timeout 1").ok
        lab.reset()
        assert client.run("lab tcp greet tcp-server --timeout 2").ok

    def test_an_idle_shaper_costs_one_more_look(self, lab, monkeypatch):
        lab.faults.impair("client", "tcp-server", delay="1ms")
        lab.reset()
        looks = []
        look = lab.engine.look
        monkeypatch.setattr(lab.engine, "look", lambda name=None: looks.append(name) or look(name))
        lab.host("client").run("lab tcp greet tcp-server", check=True)
        lab.reset()
        assert len(looks) == 1

    def test_the_scenario_s_own_links_are_in_force_again_with_what_they_draw(self, images, tmp_path):
        path = tmp_path / "lossy.yaml"
        path.write_text(
            "scenario: lossy\ntitle: t\nhosts: [udp-server, client]\nlinks:\n"
            "  - {from: client, to: udp-server, loss: 50%, seed: 7}\nsteps:\n"
            "  - {say: s, on: client, run: 'true', expect: {exit: 0}}\n"
        )
        with Lab(path) as lab:
            drawn = []
            for undo in ("partition client udp-server", "heal"):
                drawn.append(lab.host("client").run(LOSSY).stdout)
                lab.faults(undo)
                lab.reset()
                assert [(item.kind, item.told) for item in faults(lab.engine, lab.name)] == [("impair", "loss 50%")]
            drawn.append(lab.host("client").run(LOSSY).stdout)
            assert drawn[0] == drawn[1] == drawn[2]
            assert 2 < drawn[0].count("echo") < 18

    def test_the_engine_does_not_ask_for_the_health_of_a_host_unless_it_is_told_to(self, lab, images):
        check = lab.host("tcp-server").get_container_info()["Config"]["Healthcheck"]
        assert check["Interval"] > 3600 * 10**9
        assert "services.tcp" in check["Test"]
        with Lab("tcp-demo").with_service(
            "client", {"healthcheck": {"test": ["CMD", "true"], "interval": "40s"}}
        ) as own:
            assert own.host("client").get_container_info()["Config"]["Healthcheck"]["Interval"] == 40 * 10**9

    def test_a_file_of_the_start_that_was_changed_or_removed_is_back(self, lab):
        client = lab.host("client")
        before = client.run("ls -l ~", check=True).stdout
        client.run("rm ~/examples && mkdir ~/examples && echo x >~/examples/tcp_client.py", check=True)
        lab.reset()
        assert client.run("ls -l ~").stdout[:-1].split(" -> ")[1] == before[:-1].split(" -> ")[1]
        lab.reset()
        assert client.run("cat ~/examples/tcp_client.py").stdout != "x\n"

    def test_a_host_that_nobody_spoke_to_goes_on_as_it_was(self, images):
        with Lab("file-vs-http") as lab:
            lab.reset()  # from here on it is known how nginx is at its start, too
            since = {host.name: host.get_container_info()["State"]["StartedAt"] for host in lab.hosts}
            lab.host("client").run("lab file ls file-server", check=True)
            lab.reset()
            now = {host.name: host.get_container_info()["State"]["StartedAt"] for host in lab.hosts}
            assert now == since
            lab.host("client").run("curl -s http://web-server/", check=True)
            lab.reset()
            now = {host.name: host.get_container_info()["State"]["StartedAt"] for host in lab.hosts}
            assert {name for name in now if now[name] != since[name]} == {"web-server"}
            assert lab.host("client").run("curl -s http://web-server/").ok

    def test_volumes_are_as_at_the_start(self, images, tmp_path):
        with Lab("file-demo") as lab:
            client = lab.host("client")
            before = client.run("lab file ls file-server").stdout
            client.run("echo new >/tmp/new && lab file put file-server /tmp/new", check=True)
            assert client.run("lab file ls file-server").stdout != before
            lab.reset()
            assert client.run("lab file ls file-server").stdout == before


def built(lab):
    return [tag for tag in lab.engine.images() if tag.startswith(f"labctl-swap:{lab.name}.")]


class TestSwap:
    def test_a_program_that_ends_is_told_with_its_last_words(self, images, tmp_path, engine):
        path = tmp_path / "bad.py"
        path.write_text("raise SystemExit('no idea')\n")
        lab = Lab("tcp-demo").with_swap("tcp-server", path)
        with pytest.raises(LabError, match=r"(?s)tcp-server.*no idea"), lab:
            pass
        assert not left(engine, lab.name)

    def test_a_folder_with_a_dockerfile_and_an_image(self, lab, mine, tmp_path):
        image = f"{os.environ.get('LAB_IMAGES', 'labctl')}/tcp-server"
        folder = tmp_path / "server"
        folder.mkdir()
        (folder / "own.py").write_text(MINE.replace("mine", "from a folder"))
        (folder / "Dockerfile").write_text(f'FROM {image}\nCOPY own.py /own.py\nENTRYPOINT ["python3", "/own.py"]\n')
        lab.swap("tcp-server", folder)
        assert lab.host("client").run("lab tcp greet tcp-server").stdout == "from a folder\n"
        assert built(lab)
        lab.swap("tcp-server", image)
        assert lab.host("client").run("lab tcp greet tcp-server").stdout == "Thank you for connecting\n"
        assert not built(lab)
        lab.reset()
        with Lab("tcp-demo", engine=lab.engine).with_swap("tcp-server", folder) as other:  # the same folder in two labs
            lab.swap("tcp-server", folder)
            lab.reset()
            assert built(other) and not built(lab)
            other.reset()
            assert other.host("client").run("lab tcp greet tcp-server").stdout == "from a folder\n"
        assert not built(other)

    def test_an_image_that_was_built_for_a_lab_that_did_not_come_up_is_gone(self, engine, images, tmp_path):
        (tmp_path / "Dockerfile").write_text(
            f'FROM {os.environ.get("LAB_IMAGES", "labctl")}/tcp-server\nENTRYPOINT ["sh", "-c", "echo no idea; exit 3"]\n'
        )
        lab = Lab("tcp-demo", engine=engine).with_swap("tcp-server", tmp_path)
        with pytest.raises(LabError, match="no idea"):
            lab.start()
        assert not built(lab)

    @pytest.mark.parametrize("program", ["./nothing.py", "/nowhere", "text.txt"])
    def test_what_is_no_program_is_refused(self, lab, program, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path("text.txt").write_text("just words")
        with pytest.raises(UsageError):
            lab.swap("tcp-server", program)

    def test_a_client_of_one_s_own_is_what_steps_and_tests_call(self, lab, tmp_path):
        path = tmp_path / "my_client.py"
        path.write_text(
            "import socket, sys\nconn = socket.create_connection((sys.argv[3], 12345))\n"
            "print(sys.argv[1:], conn.recv(100).decode())\n"
        )
        said = "['tcp', 'greet', 'tcp-server'] Thank you for connecting\n"
        client = lab.swap("client", path)
        assert client.run("lab tcp greet tcp-server").stdout == said
        assert client.run(["lab", "tcp", "greet", "tcp-server"]).stdout == said
        inside = [sys.executable, "-m", "labctl"], {"cwd": ROOT, "capture_output": True, "text": True, "check": True}
        argv = [*inside[0], "exec", "--lab", lab.name, "client", "--", "lab", "tcp", "greet", "tcp-server"]
        assert subprocess.run(argv, **inside[1]).stdout == said
        argv = [*inside[0], "shell", "--lab", lab.name, "client"]
        assert subprocess.run(argv, input="lab tcp greet tcp-server\n", **inside[1]).stdout == said
        scenario = parse_scenario(
            "scenario: own\ntitle: t\nhosts: [tcp-server, client]\nsteps:\n"
            f"  - {{say: s, on: client, run: lab tcp greet tcp-server, expect: {{stdout: {{equals: {json.dumps(said)}}}}}}}\n",
            "own",
            ["tcp-server", "client"],
        )
        assert play(lab.engine, lab.name, scenario).passed
        lab.reset()
        assert client.run("lab tcp greet tcp-server").stdout == "Thank you for connecting\n"


CHANGES = {
    "env": lambda lab: lab.with_env("clint", "A", "b"),
    "swap": lambda lab: lab.with_swap("clint", "x.py"),
    "wait": lambda lab: lab.waiting_for({"clint": wait_for_log("x")}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_host_that_the_lab_has_not_is_named_before_anything_comes_up(images, engine, change):
    lab = CHANGES[change](Lab("tcp-demo", engine=engine))
    with pytest.raises(UsageError, match="no host `clint`; did you mean `client`"):
        lab.start()
    assert not engine.look(lab.name)
