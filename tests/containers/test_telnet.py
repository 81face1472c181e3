"""The host `telnet-server`: a real login with as little privilege as it takes, and nothing left of a session."""

import json
import re
import shlex
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

LOGIN = "lab telnet telnet-server --login student"
STUDENT, TELNETD = "2300", "2301"
GONE_OFF = 24  # processes: half of what the student may have


# Waits for a question, but not for ever: what is not asked fails the test by what was said.
UNTIL_SAID = (
    'heard=$(mktemp); until_said() { for _ in $(seq 300); do grep -q "$1" $heard && return; sleep 0.05; done; }\n'
)


def talk(client, *turns):
    """Return a shell line that talks by a client which knows nothing of logins; in the end the client's stdin ends.

    Args:
        client: what reads the answers and writes what the server says.
        turns: (pattern of a question, shell command that prints the answer to it).
    """
    said = "; ".join(f"until_said '{question}'; {answer}" for question, answer in turns)
    return f"{UNTIL_SAID}({said}) | {client} | tee $heard"


class Telnet:
    """A lab with telnet-server; called with a shell line, it runs that on the client, and returns both streams."""

    def __init__(self, lab):
        self.lab = lab

    def __call__(self, script, code=0):
        done = self.lab("client", "timeout", "60", "bash", "-c", script, code=code)
        return done.stdout + done.stderr

    def inside(self, script):
        return self.lab("telnet-server", "bash", "-c", script).stdout

    def processes(self):
        """Every process on the server: user → its command lines."""
        script = "for p in /proc/[0-9]*; do echo $(awk '/^Uid/{print $2}' $p/status) $(tr '\\0' ' ' < $p/cmdline); done 2>/dev/null; true"
        found = {}
        for line in self.inside(script).splitlines():
            user, _, command = line.partition(" ")
            if command and not command.startswith("bash -c for p"):
                found.setdefault(user, []).append(command)
        return found

    def waits_for(self, condition, seconds=15):
        """Wait until `processes` satisfies a condition, and return them."""
        deadline = time.monotonic() + seconds
        while not condition(found := self.processes()):
            assert time.monotonic() < deadline, found
        return found

    def stays(self, script, sleepers=1):
        """Log in, and have the student run a script that does not end; return once so many of it sleep."""
        self(f"{LOGIN} --run {shlex.quote(script)} >/dev/null 2>&1 & echo $! >/tmp/staying")
        self.waits_for(lambda found: found.get(STUDENT, []).count("sleep 600") == sleepers)

    def leaves(self):
        """Kill the client that `stays` started: it says no goodbye."""
        self("kill -KILL $(cat /tmp/staying)")

    def is_empty(self):
        """Wait until nothing of any session is left."""
        found = self.waits_for(lambda found: not found.get(STUDENT) and not found.get(TELNETD))
        assert not [command for command in found.get("0", []) if "login" in command], found

    def password(self):
        """As `labctl ps --json` shows it: what the command in the host's label prints."""
        command = self.lab.container("telnet-server")["Config"]["Labels"]["labctl.credentials"]
        (credentials,) = json.loads(self.inside(command)).items()
        assert credentials[0] == "student"
        return credentials[1]


@pytest.fixture(scope="module")
def telnet(up):
    return Telnet(up("telnet-demo"))


@pytest.fixture
def other(telnet, stranger):
    """Run a shell line with other people's clients."""
    return lambda script, code=0: stranger(telnet.lab.lab, script, code)


class TestPrivileges:
    def test_what_reads_the_network_has_no_privilege_and_the_shell_has_none(self, telnet):
        telnet.stays("sleep 600")
        status = telnet.inside(
            "for p in /proc/[0-9]*; do echo $(awk '/^(Name|Uid|CapEff|NoNewPrivs):/{print $2}' $p/status); done 2>/dev/null; true"
        )
        rows = {tuple(line.split()) for line in status.splitlines() if len(line.split()) == 4}
        assert ("telnetd", TELNETD, "0000000000000000", "1") in rows
        assert ("cat", TELNETD, "0000000000000000", "1") in rows
        assert ("bash", STUDENT, "0000000000000000", "1") in rows
        wanted = (
            f"{sum(1 << bit for bit in (0, 1, 6, 7)):016x}"  # CHOWN, DAC_OVERRIDE, SETGID, SETUID (capabilities(7))
        )
        assert {caps for _, user, caps, _ in rows if user == "0"} == {wanted}
        telnet.leaves()
        telnet.is_empty()

    def test_the_student_cannot_become_somebody_else_or_touch_the_launcher(self, telnet):
        said = telnet(
            f"{LOGIN} --run 'su -c id root </dev/null; kill -9 1; kill -9 $(pgrep -f services.telnet); touch /etc/x; cat /etc/shadow; true'"
        )
        assert "uid=0" not in said
        assert "Read-only file system" in said
        assert said.count("ermission denied") + said.count("not permitted") >= 2
        assert "student:$" not in said

    def test_a_fork_bomb_stays_in_its_session(self, telnet):
        telnet.stays(":(){ :|:& };:; sleep 600", 0)
        until = time.monotonic() + 30
        while (count := int(telnet.inside("ls -d /proc/[0-9]* | wc -l"))) < GONE_OFF:
            assert time.monotonic() < until, count
        telnet.leaves()
        telnet.is_empty()
        assert telnet(f"{LOGIN} --run 'id -un'") == "student\n"


class TestPassword:
    def test_it_is_made_at_the_start_and_in_no_image(self, telnet):
        first = telnet.password()
        assert len(first) == 12
        container = telnet.lab.container("telnet-server")
        image = subprocess.run(
            ["docker", "image", "inspect", container["Image"]], capture_output=True, check=True, text=True
        )
        assert first not in json.dumps(container) + image.stdout
        subprocess.run(["docker", "restart", f"lab-{telnet.lab.lab}-telnet-server-1"], check=True, capture_output=True)
        telnet("lab wait telnet-server:23")
        assert telnet.password() != first
        assert telnet(f"{LOGIN} --run 'id -un'") == "student\n"

    def test_nobody_else_gets_in(self, telnet):
        """All at once: login answers a wrong word after three seconds."""
        pairs = [("student", "wrong"), ("root", ""), ("lab", ""), ("telnetd", ""), ("nobody-here", "x")]

        def try_in(user, password):
            return telnet(f"lab telnet telnet-server --login {user} --password '{password}' --run id", code=1)

        with ThreadPoolExecutor(len(pairs)) as pool:
            for (user, _), said in zip(pairs, pool.map(try_in, *zip(*pairs, strict=True)), strict=True):
                assert "refused the login" in said, user


class TestForeignClients:
    def test_inetutils_telnet_logs_in(self, telnet, other):
        login = (("login:", "echo student"), ("Password:", f"echo '{telnet.password()}'"))
        said = other(
            talk("TERM=dumb telnet telnet-server", *login, ("\\$ $", "echo 'echo $((40+2)); exit'"), ("42", "true"))
        )
        assert re.search(r"^42\r?$", said, re.MULTILINE), said

    def test_curl_logs_in(self, telnet):
        """curl does not listen while its stdin is silent, so it is fed by the clock; a machine that is busier than that gets more time."""
        for pause in (1, 3, 6):
            typed = f"sleep {pause}; echo student; sleep {pause}; echo '{telnet.password()}'; sleep {pause}; echo 'echo $((40+2)); exit'"
            said = telnet(f"({typed}) | timeout {5 * pause} curl -sN telnet://telnet-server || true")
            if re.search(r"^42\r?$", said, re.MULTILINE):
                return
        raise AssertionError(said)

    @pytest.mark.parametrize("user", ["-f root", "-froot", "-f student", "-p -f root", "root\n-f"])
    def test_a_user_name_that_is_an_option_opens_nothing(self, other, user):
        """CVE-2026-24061: `telnet -a` sends USER from the environment, and login took it for `-f root`."""
        said = other(talk(f"USER='{user}' telnet -a telnet-server", ("login:", "echo id"), ("Password:", "true")))
        assert "login:" in said
        assert "uid=" not in said


class TestEndOfSession:
    @pytest.mark.parametrize(
        "escape",
        [
            "sleep 600 &",
            "nohup sleep 600 >/dev/null 2>&1 &",
            "setsid sleep 600 &",
            "(setsid bash -c 'trap \"\" HUP TERM; sleep 600' &) &",
        ],
        ids=["background", "nohup", "setsid", "double-fork"],
    )
    def test_a_logout_ends_all_that_was_started(self, telnet, escape):
        running = "sleep 0.3; ls -l /proc/[0-9]*/exe 2>/dev/null | grep -c sleep"
        assert telnet(f"{LOGIN} --run {shlex.quote(escape)} --run {shlex.quote(running)}").endswith("1\n")
        telnet.is_empty()

    def test_a_broken_connection_ends_it_too(self, telnet):
        telnet.stays("setsid sleep 600 & sleep 600", 2)
        telnet.leaves()
        telnet.is_empty()

    def test_a_reset_ends_it_too(self, telnet):
        """RST instead of FIN: SO_LINGER with 0 s."""
        script = (
            "import re, socket, struct\n"
            "conn = socket.create_connection(('telnet-server', 23))\n"
            "conn.settimeout(10)\n"
            "said = b''\n"
            "while b'login: ' not in said:\n"
            "    new = conn.recv(999)\n"
            "    assert new, said\n"
            "    for verb, option in re.findall(rb'\\xff([\\xfb\\xfd])(.)', new, re.DOTALL):\n"  # no to all: WILL → DONT, DO → WONT
            "        conn.sendall(b'\\xff' + (b'\\xfe' if verb == b'\\xfb' else b'\\xfc') + option)\n"
            "    said += new\n"
            "conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))\n"
            "conn.close()\n"
        )
        telnet(f"python3 -c {shlex.quote(script)}")
        telnet.is_empty()

    def test_the_host_frees_its_terminals(self, telnet):
        """Ten at once, the eleventh is told so, and when they are gone there is room again."""
        done = telnet(
            "for i in 1 2 3 4 5 6 7 8 9 10; do nc -d telnet-server 23 >/tmp/nc$i & done\n"
            "for i in 1 2 3 4 5 6 7 8 9 10; do until [ -s /tmp/nc$i ]; do sleep 0.05; done; done\n"
            "nc -d telnet-server 23; kill $(jobs -p)"
        )
        assert "All 10 terminals of this host are in use" in done
        telnet.is_empty()
        assert telnet(f"{LOGIN} --run 'id -un'") == "student\n"


class TestInteractive:
    def test_a_terminal_is_a_terminal(self, telnet):
        """Keys one by one, the window's size told, no line doubled, Ctrl-] leaves."""
        window = f"script -qec 'stty rows 33 cols 99; TERM=vt100 {LOGIN}' /dev/null"
        keys = (("\\$ $", "printf 'stty size; tty; echo $((40+2))\\r'"), ("^42", "printf '\\035'"))
        said = telnet(talk(window, *keys))
        assert "33 99" in said
        assert "/dev/pts/" in said
        assert re.search(r"^42\r?$", said, re.MULTILINE), said
        telnet.is_empty()

    def test_stdin_may_be_a_pipe(self, telnet):
        said = telnet(f"(sleep 1; echo 'echo $((40+2)); exit') | {LOGIN}")
        assert re.search(r"^42\r?$", said, re.MULTILINE), said


def test_hostile_sessions(telnet):
    before = telnet.lab.container("telnet-server")["State"]["StartedAt"]
    silent = ["docker", "exec", f"lab-{telnet.lab.lab}-client-1", "nc", "-d", "telnet-server", "23"]
    with subprocess.Popen(silent, stdout=subprocess.DEVNULL):  # has the tenth terminal, until it is sent away
        told = telnet.lab.fuzz("telnet", "telnet-server", 23, "--at-once", "9")
    assert told["answered"] > 0.9 * told["done"], told
    assert "no login after 20 s" in telnet.lab.logs("telnet-server")
    telnet.is_empty()
    state = telnet.lab.container("telnet-server")
    assert (state["State"]["StartedAt"], state["RestartCount"]) == (before, 0)
    assert "Traceback" not in telnet.lab.logs("telnet-server")
    assert "Error" not in telnet.lab.logs("telnet-server")
    assert telnet(f"{LOGIN} --run 'id -un'") == "student\n"
    assert telnet.lab.busy("telnet-server") < 0.3, "it works on something, and nobody asked"
