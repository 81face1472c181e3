"""Impairments on real hosts: what is lost, late and spoilt is what the seeded model says, packet by packet."""

import json
import socket
import subprocess
import threading
import time

import pytest

from services.tools.shaper.decide import Effect, predict

SENDER = """
import socket, sys, time
count, pause, size, host = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
conn = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
conn.connect((host, 4000))
began = time.time_ns()
for number in range(count):
    conn.send(number.to_bytes(4, "big") + bytes(size - 4))
    time.sleep(pause)
print(began)
"""
RECEIVER = """
import json, select, socket, sys, time
conn = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
conn.bind(("", 4000))
print("ready", flush=True)
got, asked = [], [conn, sys.stdin]
while ready := select.select(asked, [], [], 20 if sys.stdin in asked else 1)[0]:
    if conn in ready:
        octets = conn.recv(65536)
        got.append((int.from_bytes(octets[:4], "big"), time.time_ns()))
    else:  # all has been sent: what is on its way comes soon, or never
        asked.remove(sys.stdin)
print(json.dumps(got))
"""


def inside(lab, host, *argv, **options):
    return subprocess.run(
        ["docker", "exec", f"lab-{lab}-{host}-1", *argv], capture_output=True, text=True, check=True, **options
    )


def stream(lab, count, *, pause=0.0005, size=64):
    """Send numbered datagrams from client to tcp-server; return (when the first was sent, [(number, when it came), …])."""
    argv = ["docker", "exec", "-i", f"lab-{lab}-tcp-server-1", "python3", "-c", RECEIVER]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdout.readline() == "ready\n"
        sender = ("python3", "-c", SENDER, str(count), str(pause), str(size), "tcp-server")
        began = int(inside(lab, "client", *sender).stdout)
        out, _ = receiver.communicate("sent\n", timeout=60)
    return began, json.loads(out)


def checksum_errors(lab):
    lines = inside(lab, "tcp-server", "grep", "^Udp:", "/proc/net/snmp").stdout.splitlines()
    return int(dict(zip(*(line.split() for line in lines), strict=True))["InCsumErrors"])


def round_trips(lab, count=10, *, target="tcp-server", options=()):
    out = inside(lab, "client", "ping", "-q", "-c", str(count), "-i", "0.05", *options, target).stdout
    return [float(value) for value in out.split("mdev = ")[1].split()[0].split("/")]  # min, avg, max, mdev


@pytest.fixture(scope="module")
def made():
    """One lab for the module, which every test leaves whole."""
    from tests.containers.conftest import Labctl

    run = Labctl()
    name = run.name("impair")
    run("up", "tcp-demo", "--lab", name, "--quiet")
    yield run, name
    run("down", name, "--quiet", code=None)


@pytest.fixture
def lab(made):
    run, name = made
    yield name
    run("heal", "--lab", name)


@pytest.fixture
def do(made):
    run, name = made

    def do(*argv, code=0):
        return run(*argv, "--lab", name, code=code)

    do.faults = lambda: json.loads(do("faults", "--json").stdout)["faults"]
    do.measured = lambda: do.faults()[0]["measured"]
    return do


class TestExactly:
    """The same packets, every time: those that the model predicts from the seed."""

    KEY = "udp|client|tcp-server"

    def test_loss(self, lab, do):
        do("impair", "client", "tcp-server", "--loss", "10%", "--seed", "7", "--filter", "udp")
        _, got = stream(lab, 1000)
        measured = do.measured()
        assert measured["overrun"] == 0, "this machine did not keep up"
        fates = predict(Effect(loss=0.1), 7, self.KEY, 1000)
        assert [number for number, _ in got] == [number for number, fate in enumerate(fates) if fate.copies]
        assert measured["lost"] == sum(fate.copies == 0 for fate in fates)
        assert measured["seen"] == 1000

    def test_bursts(self, lab, do):
        do("impair", "client", "tcp-server", "--loss", "10%", "--burst", "4", "--seed", "3", "--filter", "udp")
        _, got = stream(lab, 1000)
        fates = predict(Effect(loss=0.1, burst=4), 3, self.KEY, 1000)
        assert [number for number, _ in got] == [number for number, fate in enumerate(fates) if fate.copies]

    def test_duplicates(self, lab, do):
        do("impair", "client", "tcp-server", "--duplicate", "5%", "--seed", "9", "--filter", "udp")
        _, got = stream(lab, 1000)
        fates = predict(Effect(duplicate=0.05), 9, self.KEY, 1000)
        assert [number for number, _ in got] == [
            number for number, fate in enumerate(fates) for _ in range(fate.copies)
        ]

    def test_corruption_is_found_by_the_receivers_checksum(self, lab, do):
        do("impair", "client", "tcp-server", "--corrupt", "5%", "--seed", "5", "--filter", "udp")
        before = checksum_errors(lab)
        _, got = stream(lab, 1000)
        fates = predict(Effect(corrupt=0.05), 5, self.KEY, 1000)
        assert [number for number, _ in got] == [number for number, fate in enumerate(fates) if fate.place is None]
        assert checksum_errors(lab) - before == sum(fate.place is not None for fate in fates)

    def test_another_stream_shifts_nothing(self, lab, do):
        """Each stream has generators of its own: a ping beside it does not change what is lost."""
        do("impair", "client", "tcp-server", "--loss", "10%", "--seed", "7")
        ping = threading.Thread(
            target=inside, args=(lab, "client", "sh", "-c", "ping -c 50 -i 0.01 tcp-server || true")
        )
        ping.start()
        _, got = stream(lab, 500)
        ping.join()
        fates = predict(Effect(loss=0.1), 7, self.KEY, 500)
        assert [number for number, _ in got] == [number for number, fate in enumerate(fates) if fate.copies]

    def test_single_packets(self, lab, do):
        do("impair", "client", "tcp-server", "--loss", "100%", "--filter", "udp", "--nth", "3,5-6")
        _, got = stream(lab, 10)
        assert [number for number, _ in got] == [0, 1, 3, 6, 7, 8, 9]

    def test_reorder(self, lab, do):
        """A packet that skips the delay overtakes those before it."""
        do("impair", "client", "tcp-server", "--delay", "50ms", "--reorder", "10%", "--seed", "2", "--filter", "udp")
        _, got = stream(lab, 200, pause=0.002)
        early = [
            number
            for number, fate in enumerate(predict(Effect(delay_ns=1, reorder=0.1), 2, self.KEY, 200))
            if fate.early
        ]
        place = {number: index for index, (number, _) in enumerate(got)}
        assert len(got) == 200
        assert all(place[number] < place[number - 1] for number in early if number and number - 1 not in early)


class TestTime:
    @pytest.mark.parametrize("backend", ["shaper", "netem", "auto"])
    def test_delay(self, lab, do, backend):
        """On every backend that this machine has; of one that it has not, that is said, and nothing changes."""
        has = json.loads(do("impair", "client", "tcp-server", "--delay", "10ms", "--json").stdout)["shapers"]["client"][
            "netem"
        ]
        argv = ("impair", "client", "tcp-server", "--delay", "100ms", "--backend", backend)
        if backend == "netem" and not has:
            assert "this kernel has no netem" in do(*argv, code=1).stderr
            assert [item["told"] for item in do.faults()] == ["delay 10ms"]
            return
        do(*argv)
        assert [item["backend"] for item in do.faults()] == ["netem" if has and backend != "shaper" else "shaper"]
        for version in ("-4", "-6"):
            least, mean, *_ = round_trips(lab, options=[version])
            assert least >= 100
            assert mean < 130

    def test_delay_counts_twice_where_both_ways_have_it(self, lab, do):
        said = do("impair", "client", "tcp-server", "--both", "--delay", "50ms").stderr
        assert "twice" in said
        assert round_trips(lab)[0] >= 100

    def test_ipv6_too(self, lab, do):
        do("impair", "client", "tcp-server", "--delay", "50ms")
        assert round_trips(lab, options=["-6"])[0] >= 50

    def test_jitter(self, lab, do):
        do("impair", "client", "tcp-server", "--delay", "50ms", "--jitter", "20ms")
        least, _, most, _ = round_trips(lab, 50)
        assert least >= 30
        assert most - least >= 20

    def test_rate_is_never_above_and_little_below(self, lab, do):
        do("impair", "client", "tcp-server", "--rate", "2mbit", "--buffer", "1mb", "--filter", "udp")
        size, count = 1000, 300
        began, got = stream(lab, count, pause=0, size=size)
        took = (got[-1][1] - began) / 1e9
        ideal = count * (size + 28) * 8 / 2e6
        assert len(got) == count
        assert took >= 0.99 * ideal
        assert took <= 2 * ideal

    def test_tcp_flows_through_a_delay(self, lab, do):
        """Held in the host's own queue, TCP would send two packets a round trip: 1 Mbit/s. The floor is ten times that."""
        do("impair", "client", "tcp-server", "--delay", "50ms")
        program = (
            "import socket,time;s=socket.create_connection(('tcp-server',9));b=bytes(1<<16);t=time.monotonic();n=0\n"
            "while time.monotonic()-t<4: n+=s.send(b)\ns.shutdown(1);s.recv(1);print(n*8/(time.monotonic()-t)/1e6)"
        )
        assert float(inside(lab, "client", "python3", "-c", program).stdout) > 10

    def test_a_lost_segment_is_sent_again(self, lab, do):
        def again():
            lines = inside(lab, "client", "grep", "^Tcp:", "/proc/net/snmp").stdout.splitlines()
            return int(dict(zip(*(line.split() for line in lines), strict=True))["RetransSegs"])

        before = again()
        do("impair", "client", "tcp-server", "--loss", "100%", "--filter", "tcp data", "--nth", "1")
        assert inside(lab, "client", "sh", "-c", "echo hello | lab tcp echo tcp-server").stdout == "hello\n"
        assert again() - before >= 1
        assert do.measured()["lost"] == 1


class TestMerging:
    def test_what_is_said_is_merged_with_what_is_there(self, lab, do):
        do("impair", "client", "tcp-server", "--delay", "20ms")
        do("impair", "client", "tcp-server", "--loss", "1%", "--seed", "4")
        (found,) = do.faults()
        assert found["told"] == "delay 20ms loss 1%"
        assert found["seed"] == 4
        do("impair", "client", "tcp-server", "--rate", "5mbit", "--replace")
        assert [item["told"] for item in do.faults()] == ["rate 5mbit"]
        do("impair", "client", "tcp-server", "--rate", "0")
        assert do.faults() == []

    def test_it_heals_by_itself(self, lab, do):
        do("impair", "client", "tcp-server", "--delay", "100ms", "--for", "2s")
        assert round_trips(lab, 3)[0] >= 100
        deadline = time.monotonic() + 10
        while do.faults() and time.monotonic() < deadline:
            time.sleep(0.2)
        assert round_trips(lab, 3)[0] < 50

    def test_impossible_sets_are_refused(self, lab, do):
        for argv, said in (
            (["--jitter", "5ms"], "`jitter` needs a `delay`"),
            (["--delay", "5ms", "--jitter", "9ms"], "`jitter` is longer than `delay`"),
            (["--delay", "5"], "a duration with its unit"),
            (["--loss", "120%"], "a percentage"),
            ([], "needs a property"),
        ):
            assert said in do("impair", "client", "tcp-server", *argv, code=2).stderr
        assert do.faults() == []


class TestPartition:
    CONNECT = (
        "import socket,sys;s=socket.socket(int(sys.argv[1]));s.settimeout(1.5)\n"
        "try: s.connect(('tcp-server',7));print('in')\nexcept OSError as e: print(type(e).__name__)"
    )
    HEAR = """if True:  # what an open connection tells by itself and, once it is asked, of what is sent then
        import socket, sys
        conn = socket.create_connection(("tcp-server", 7))
        print("open", flush=True)
        def hear(seconds):
            conn.settimeout(seconds)
            try:
                print(repr(conn.recv(1)), flush=True)
            except OSError as error:
                print(type(error).__name__, flush=True)
        hear(float(sys.argv[1]))
        if sys.stdin.readline():
            conn.send(b"x")
            hear(30)
    """
    SEND = "import socket;s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);print(s.sendto(b'x',('tcp-server',4000)))"

    def connect(self, lab, family=socket.AF_INET):
        return inside(lab, "client", "python3", "-c", self.CONNECT, str(int(family))).stdout.strip()

    def test_nobody_is_told(self, lab, do):
        do("partition", "client", "tcp-server")
        assert self.connect(lab) == "TimeoutError"
        assert self.connect(lab, socket.AF_INET6) == "TimeoutError"
        assert inside(lab, "client", "python3", "-c", self.SEND).stdout == "1\n"
        assert inside(lab, "client", "getent", "hosts", "tcp-server").stdout  # the engine's own DNS is inside the host
        do("heal", "client", "tcp-server")
        assert self.connect(lab) == "in"
        assert self.connect(lab, socket.AF_INET6) == "in"

    def test_it_heals_by_itself(self, lab, do):
        """The shaper does: labctl has ended as soon as the cut is in force."""
        do("partition", "client", "--for", "2s")
        assert self.connect(lab) == "TimeoutError"
        wait_until(lambda: self.connect(lab) == "in", 30)
        assert do.faults() == []

    def test_a_crash_is_heard_of_unless_the_network_is_cut_first(self, lab, do):
        talk = self.hear(lab, "30")
        do("crash", "tcp-server")
        assert talk.stdout.readline() in ("b''\n", "ConnectionResetError\n")  # its kernel says goodbye
        talk.communicate("")
        do("restart", "tcp-server")
        inside(lab, "client", "lab", "wait", "tcp-server:7")
        talk = self.hear(lab, "3")
        do("crash", "tcp-server", "--cut", "first")
        assert talk.stdout.readline() == "TimeoutError\n"
        do("restart", "tcp-server")
        inside(lab, "client", "lab", "wait", "tcp-server:7")
        assert (
            talk.communicate("go\n", timeout=40)[0] == "ConnectionResetError\n"
        )  # what was started again knows nothing of it

    def hear(self, lab, seconds):
        argv = ["docker", "exec", "-i", f"lab-{lab}-client-1", "python3", "-c", self.HEAR, seconds]
        talk = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert talk.stdout.readline() == "open\n"
        return talk

    def test_a_connection_outlives_it(self, lab, do):
        """What was sent meanwhile comes when it is healed: TCP sends it again."""
        program = (
            "import socket,sys;s=socket.create_connection(('tcp-server',7));s.settimeout(30);print('open',flush=True)\n"
            "sys.stdin.readline();s.send(b'still here');print(s.recv(100).decode())"
        )
        talk = subprocess.Popen(
            ["docker", "exec", "-i", f"lab-{lab}-client-1", "python3", "-c", program],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert talk.stdout.readline() == "open\n"
        do("partition", "client")
        talk.stdin.write("go\n")
        talk.stdin.flush()
        time.sleep(1)
        do("heal")
        out, _ = talk.communicate(timeout=30)
        assert out == "still here\n"


def snapshot(lab):
    """What of two hosts' networks a fault could leave behind, seen from containers of its own in their namespaces."""
    script = (
        "tc qdisc show; tc filter show dev eth0 ingress; tc filter show dev eth0 egress; ip -br link | sort; ip -br addr | sort; "
        "nft -s list ruleset; ethtool -k eth0; ip rule; ip -6 rule; ip route; ip -6 route"
    )
    argv = ["docker", "run", "--rm", "--user", "root", "--cap-drop", "ALL", "--cap-add", "NET_ADMIN"]
    seen = {}
    for host in ("client", "tcp-server"):
        name = f"lab-{lab}-{host}-1"
        image = inspected(name, "{{.Config.Image}}").rpartition("/")[0] + "/tools"
        done = subprocess.run(
            [*argv, "--network", f"container:{name}", image, "sh", "-c", script],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        seen[host] = done.stdout
    return seen


def inspected(name, form):
    return subprocess.run(
        ["docker", "inspect", name, "--format", form], capture_output=True, text=True, check=True
    ).stdout.strip()


def reaches(lab):
    done = subprocess.run(
        ["docker", "exec", f"lab-{lab}-client-1", "ping", "-c", "1", "-W", "1", "tcp-server"],
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def wait_until(holds, seconds):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)


ALL_OF_IT = ("impair", "client", "tcp-server", "--both", "--delay", "20ms", "--loss", "1%", "--rate", "5mbit")


class TestSafety:
    """Whatever is killed, and whenever: traffic flows, or `heal` makes it flow; and nothing is left."""

    @pytest.fixture
    def whole(self, lab):
        return snapshot(lab)

    def test_undone_it_leaves_all_as_it_was(self, lab, do, whole):
        do(*ALL_OF_IT)
        do("partition", "client", "tcp-server")
        do("impair", "client", "tcp-server", "--both", "--greeting", "1ms")
        now = snapshot(lab)
        assert now["client"] != whole["client"]
        assert now["tcp-server"] != whole["tcp-server"]
        do("heal")
        assert snapshot(lab) == whole

    def test_the_engine_is_killed(self, lab, do, whole):
        """Its supervisor opens the way at once, and tells."""
        do(*ALL_OF_IT)
        engine = json.loads(do("impair", "client", "tcp-server", "--delay", "1ms", "--json").stdout)["shapers"][
            "client"
        ]["engine"]
        subprocess.run(["docker", "exec", f"lab-{lab}-shaper-client-1", "sh", "-c", f"kill -9 {engine}"], check=True)
        wait_until(lambda: reaches(lab), 2)
        assert any("ended by itself" in item["told"] for item in do.faults())
        do("heal")
        assert snapshot(lab) == whole
        assert do.faults() == []

    def test_the_helper_is_killed(self, lab, do, whole):
        do(*ALL_OF_IT)
        do("partition", "client", "tcp-server")
        subprocess.run(
            ["docker", "kill", f"lab-{lab}-shaper-client-1", f"lab-{lab}-shaper-tcp-server-1"],
            check=True,
            capture_output=True,
        )
        assert {item["kind"] for item in do.faults()} == {"shaper"}
        assert not reaches(lab)  # else there would be nothing to lift
        do("heal")
        assert reaches(lab)
        assert snapshot(lab) == whole

    @pytest.mark.parametrize("after", [0.15, 0.3, 0.6, 1.0])
    def test_labctl_is_killed(self, lab, do, whole, after, made):
        import os
        import signal
        import sys

        for helper in ("client", "tcp-server"):  # cold: there is more to interrupt
            subprocess.run(["docker", "rm", "-f", f"lab-{lab}-shaper-{helper}-1"], check=True, capture_output=True)
        labctl = subprocess.Popen([sys.executable, "-m", "labctl", *ALL_OF_IT, "--lab", lab], stderr=subprocess.DEVNULL)
        time.sleep(after)
        labctl.send_signal(signal.SIGKILL)
        labctl.wait()
        assert os.WIFSIGNALED(labctl.returncode) or labctl.returncode in (0, -9)
        assert reaches(lab) or do.faults()
        do("heal")
        assert reaches(lab)
        assert snapshot(lab) == whole

    def test_the_host_is_started_again(self, lab, do):
        """It has another namespace then; what was broken stays broken, until it is healed."""
        do("impair", "client", "tcp-server", "--delay", "80ms")
        do("restart", "client")
        assert round_trips(lab, 3)[0] >= 80
        subprocess.run(["docker", "restart", "-t", "1", f"lab-{lab}-client-1"], check=True, capture_output=True)
        assert [item["kind"] for item in do.faults()] == ["shaper"]
        do("heal")
        assert do.faults() == []
        assert round_trips(lab, 3)[0] < 50

    def test_only_the_helper_may_change_a_network(self, lab, do):
        do(*ALL_OF_IT)
        for host in ("client", "tcp-server"):
            status = inside(lab, host, "cat", "/proc/1/status").stdout
            assert "CapEff:\t0000000000000000" in status
            assert "CapBnd:\t0000000000000000" in status
            helper = f"lab-{lab}-shaper-{host}-1"
            ident = inspected(f"lab-{lab}-{host}-1", "{{.Id}}")
            assert inspected(helper, "{{.HostConfig.NetworkMode}}") == f"container:{ident}"
            assert inspected(helper, "{{.HostConfig.CapAdd}} {{.HostConfig.CapDrop}} {{.HostConfig.Privileged}}") == (
                "[NET_ADMIN NET_RAW] [ALL] false"
            )

    def test_the_machines_own_network_is_not_touched(self, lab, do):
        """In no other namespace than the host's is anything of ours; and a helper refuses to work in one that is not its host's."""
        do(*ALL_OF_IT)
        do("partition", "client", "tcp-server")
        image = inspected(f"lab-{lab}-shaper-client-1", "{{.Config.Image}}")
        argv = [
            "docker",
            "run",
            "--rm",
            "--user",
            "root",
            "--cap-drop",
            "ALL",
            "--cap-add",
            "NET_ADMIN",
            "--network",
            "host",
            image,
        ]
        script = "ip -br link; tc qdisc show; nft list tables"
        seen = subprocess.run([*argv, "sh", "-c", script], capture_output=True, text=True, check=True).stdout
        assert "lab-shaper" not in seen
        assert "labctl" not in seen
        assert "clsact" not in seen
        own = ["python3", "-m", "services.tools.shaper", "client", "192.0.2.1"]
        refused = subprocess.run([*argv, *own], capture_output=True, text=True, check=False)
        assert refused.returncode == 1
        assert "not its namespace" in refused.stdout

    def test_no_fault_outlives_its_lab(self, labctl):
        name = labctl.name("outlive")
        labctl("up", "tcp-demo", "--lab", name, "--quiet")
        labctl(*ALL_OF_IT, "--lab", name)
        labctl("partition", "client", "--lab", name)
        labctl("down", name, "--quiet")
        left = subprocess.run(
            ["docker", "ps", "-aq", "--filter", f"label=labctl.lab={name}"], capture_output=True, text=True, check=True
        )
        assert left.stdout == ""
